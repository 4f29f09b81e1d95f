//! Times and lengths of time. In lists relative to the database's clock, with the instant itself in the title.

use std::{borrow::Borrow, fmt};

use askama::filters::HtmlSafe;
use chrono::{DateTime, SecondsFormat, Utc};

/// An instant as a `<time>`.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    at: DateTime<Utc>,
    text: String,
}

/// How long ago, or in what time.
pub(crate) fn ago(at: &DateTime<Utc>, clock: &DateTime<Utc>) -> Moment {
    let seconds = seconds_between(at, clock);
    let text = match seconds {
        s if s.abs() < 1.0 => "now".to_owned(),
        s if s > 0.0 => format!("{} ago", coarse(s)),
        s => format!("in {}", coarse(-s)),
    };
    Moment { at: *at, text }
}

/// The instant itself.
pub(crate) fn at(at: &DateTime<Utc>) -> Moment {
    Moment { at: *at, text: absolute(at) }
}

fn absolute(at: &DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (machine, absolute) = (self.at.to_rfc3339_opts(SecondsFormat::Millis, true), absolute(&self.at));
        write!(f, "<time datetime=\"{machine}\" title=\"{absolute}\">{}</time>", self.text)
    }
}

/// Digits, letters of ours and punctuation that means nothing in HTML.
impl HtmlSafe for Moment {}

fn seconds_between(from: &DateTime<Utc>, to: &DateTime<Utc>) -> f64 {
    (*to - *from).as_seconds_f64()
}

/// How long from one instant to another.
pub(crate) fn span_between(from: &DateTime<Utc>, to: &DateTime<Utc>) -> String {
    span(seconds_between(from, to).max(0.0))
}

/// A length of time, as exactly as a person wants it: "780 ms", "1.98 s", "15 min 5 s", "3 h 4 min", "2 d 3 h".
pub(crate) fn span(seconds: impl Borrow<f64>) -> String {
    match *seconds.borrow() {
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 9.995 => format!("{s:.2} s"),
        s => coarse(s),
    }
}

fn coarse(seconds: f64) -> String {
    // Rounded before it is split, so that 59.6 s is a minute and not 60 s. Far below 2^63.
    let whole = seconds.round().clamp(1.0, 1e15) as i64;
    let two = |large: i64, name: &str, small: i64, small_name: &str| {
        if small == 0 { format!("{large} {name}") } else { format!("{large} {name} {small} {small_name}") }
    };
    match whole {
        0..60 => format!("{whole} s"),
        60..1_200 => two(whole / 60, "min", whole % 60, "s"),
        1_200..3_600 => format!("{} min", whole / 60),
        3_600..86_400 => two(whole / 3_600, "h", whole % 3_600 / 60, "min"),
        86_400..1_728_000 => two(whole / 86_400, "d", whole % 86_400 / 3_600, "h"),
        _ => format!("{} d", whole / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_as_exact_as_it_is_long() {
        for (seconds, text) in [
            (0.0004, "0 ms"),
            (0.78, "780 ms"),
            (1.984, "1.98 s"),
            (59.6, "1 min"),
            (905.2, "15 min 5 s"),
            (3_425.0, "57 min"),
            (11_050.0, "3 h 4 min"),
            (183_600.0, "2 d 3 h"),
            (5_184_000.0, "60 d"),
        ] {
            assert_eq!(span(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn a_moment_tells_the_instant_too() {
        let clock = DateTime::from_timestamp(1_764_000_000, 0).unwrap();
        let shown = ago(&(clock - chrono::TimeDelta::seconds(61)), &clock).to_string();
        assert_eq!(shown, "<time datetime=\"2025-11-24T15:58:59.000Z\" title=\"2025-11-24 15:58:59 UTC\">1 min 1 s ago</time>");
        assert!(ago(&(clock + chrono::TimeDelta::hours(2)), &clock).to_string().contains(">in 2 h<"));
        assert!(ago(&clock, &clock).to_string().contains(">now<"));
    }
}
