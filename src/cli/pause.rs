//! Pauses as people give and read them: of a queue, of a schedule.

use std::time::Duration;

use chrono::{DateTime, Utc};
use haulage::Operator;

use super::{
    length,
    operator::{Who, reason},
    output::{safe, time},
};

/// The options of a pause.
#[derive(Debug, clap::Args)]
pub(crate) struct PauseOptions {
    /// Why, for whoever finds it paused
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,

    /// Resume by itself after this long, such as 30m
    #[arg(long = "for", value_name = "LENGTH", value_parser = length::parse_some)]
    pub(crate) length: Option<Duration>,

    #[command(flatten)]
    who: Who,
}

impl PauseOptions {
    pub(crate) fn operator(self) -> anyhow::Result<Operator> {
        Ok(self.who.operator()?.because(self.reason))
    }
}

/// What a pause did; `resume` is the command that ends it.
pub(crate) fn begun(name: &str, until: Option<DateTime<Utc>>, resume: &str) -> String {
    match until {
        Some(until) => format!("{name} is paused until {}\n", time(until)),
        None => format!("{name} is paused until `haulage {resume} resume {name}`\n"),
    }
}

/// Who paused it, until when, why; nothing of what is not paused.
pub(crate) fn shown(since: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>, by: Option<&str>, why: Option<&str>) -> Option<String> {
    since?;
    let end = until.map_or_else(String::new, |until| format!(", until {}", time(until)));
    Some(safe(&format!("by {}{end}: {}", by.unwrap_or("somebody"), why.unwrap_or("no reason given"))))
}
