//! A calendar month, written `2026-05`.

use std::{fmt, str::FromStr};

use chrono::{Datelike, Months, NaiveDate};
use serde::{Deserialize, Serialize};

/// Serialised as its text, so that it reads well in a job's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Month(NaiveDate);

impl Month {
    pub(crate) fn first_day(self) -> NaiveDate {
        self.0
    }

    /// The first day after the month.
    pub(crate) fn end(self) -> NaiveDate {
        self.0 + Months::new(1)
    }

    pub(crate) fn of(day: NaiveDate) -> Self {
        Self(day.with_day(1).unwrap_or(day))
    }
}

#[derive(Debug)]
pub(crate) struct NotAMonth(String);

impl fmt::Display for NotAMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is not a month; write it like 2026-05", self.0)
    }
}

impl std::error::Error for NotAMonth {}

impl FromStr for Month {
    type Err = NotAMonth;

    fn from_str(text: &str) -> Result<Self, NotAMonth> {
        let valid = text.len() == 7
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        valid
            .then(|| NaiveDate::from_str(&format!("{text}-01")).ok())
            .flatten()
            .filter(|day| day.year() >= 2000)
            .map(Self)
            .ok_or_else(|| NotAMonth(text.chars().take(20).collect()))
    }
}

impl TryFrom<String> for Month {
    type Error = NotAMonth;

    fn try_from(text: String) -> Result<Self, NotAMonth> {
        text.parse()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}
