//! Lengths of time as people type them.

use std::time::Duration;

/// `90s`, `5m`, `2h`, `1d`, `1h30m`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "give a number with a unit, such as 90s, 5m, 2h, 1d or 1h30m".to_owned())
}

/// As [`parse`], but not 0.
pub(crate) fn parse_some(text: &str) -> Result<Duration, String> {
    parse(text).and_then(|length| if length.is_zero() { Err("0 is no time at all: give one such as 30m".to_owned()) } else { Ok(length) })
}

/// A length, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<Duration>);

/// As [`parse`], or `none`.
pub(crate) fn parse_limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    parse(text).map(|length| Limit(Some(length))).map_err(|remedy| format!("{remedy}, or none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_people_type_them() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("2h", 7_200), ("1d", 86_400), ("1h30m", 5_400), ("1h 30m", 5_400)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_limit("none"), Ok(Limit(None)));
        assert_eq!(parse_limit("30s"), Ok(Limit(Some(Duration::from_secs(30)))));
    }

    #[test]
    fn no_time_at_all_is_refused_where_a_time_is_needed() {
        assert_eq!(parse_some("1s"), Ok(Duration::from_secs(1)));
        assert!(parse_some("0s").unwrap_err().contains("30m"));
    }

    #[test]
    fn a_length_without_a_unit_is_refused_with_the_remedy() {
        for text in ["5", "", "m", "-5m", "5 parsecs", "99999999999999999999d"] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("90s"), "{text}: {error}");
        }
        assert!(parse_limit("never").unwrap_err().contains("or none"));
    }
}
