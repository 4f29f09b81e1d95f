//! Limits as people type and read them.

use std::time::Duration;

use haulage::Limit;
use serde_json::Value;

use super::length;

/// The options that make a limit.
#[derive(Debug, clap::Args)]
pub(crate) struct LimitOptions {
    /// At most so many at once in the whole fleet; 1 gives strict order
    #[arg(long, value_name = "N", required_unless_present = "rate")]
    max: Option<u32>,

    /// At most so many starts in a time, such as 100/1m
    #[arg(long, value_name = "N/TIME", value_parser = rate)]
    rate: Option<(u32, Duration)>,

    /// So many of the rate's starts together after a rest; all of them unless given
    #[arg(long, value_name = "N", requires = "rate")]
    burst: Option<u32>,
}

impl LimitOptions {
    pub(crate) fn limit(&self) -> Limit {
        let mut limit = self.max.map_or_else(Limit::default, Limit::running);
        if let Some((count, time)) = self.rate {
            limit = limit.rate(count, time);
        }
        if let Some(burst) = self.burst {
            limit = limit.burst(burst);
        }
        limit
    }
}

/// `3 at once, 100 per 1m in bursts of 20`.
pub(crate) fn shown(limit: &Limit) -> String {
    let running = limit.max_running().map(|most| format!("{most} at once"));
    let rate = limit.max_starts().map(|(count, time, burst)| {
        let burst = if burst == count { String::new() } else { format!(" in bursts of {burst}") };
        format!("{count} per {}{burst}", humantime::format_duration(time))
    });
    [running, rate].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// As [`shown`], of a limit as the audit has it.
pub(crate) fn said(limit: &Value) -> String {
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let mut read = number(&limit["max_running"]).map_or_else(Limit::default, Limit::running);
    let rate = &limit["rate"];
    let time = rate["per_s"].as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok());
    if let (Some(count), Some(time), Some(burst)) = (number(&rate["count"]), time, number(&rate["burst"])) {
        read = read.rate(count, time).burst(burst);
    }
    shown(&read)
}

fn rate(text: &str) -> Result<(u32, Duration), String> {
    let remedy = || "give a number and a time, such as 100/1m or 5/1s".to_owned();
    let (count, time) = text.split_once('/').ok_or_else(remedy)?;
    let count = count.trim().parse().map_err(|_| remedy())?;
    // `100/m` means each minute.
    let time = if time.starts_with(|c: char| c.is_ascii_digit()) { time.to_owned() } else { format!("1{time}") };
    Ok((count, length::parse(&time).map_err(|_| remedy())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_type_them() {
        assert_eq!(rate("100/1m"), Ok((100, Duration::from_secs(60))));
        assert_eq!(rate("5/s"), Ok((5, Duration::from_secs(1))));
        for text in ["", "5", "x/1m", "5/", "5/x", "-1/s"] {
            assert!(rate(text).unwrap_err().contains("100/1m"), "{text}");
        }
    }

    #[test]
    fn limits_are_shown_in_words() {
        assert_eq!(shown(&Limit::running(3).rate(100, Duration::from_secs(60)).burst(20)), "3 at once, 100 per 1m in bursts of 20");
        assert_eq!(shown(&Limit::default()), "");
        for limit in [Limit::running(3), Limit::starts(100, Duration::from_millis(1_500)).burst(20), Limit::default()] {
            assert_eq!(said(&serde_json::to_value(limit).unwrap()), shown(&limit));
        }
    }
}
