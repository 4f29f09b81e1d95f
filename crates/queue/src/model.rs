//! What a job is made of: its id, state and priority.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

/// Names one job for ever; it keeps its id from enqueue to history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = ParseJobIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|source| ParseJobIdError { text: text.chars().take(40).collect(), source })
    }
}

/// The text is not a job id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not a job id: it is a whole number such as 42", .text.escape_debug())]
pub struct ParseJobIdError {
    text: String,
    #[source]
    source: ParseIntError,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum JobState {
    /// Waits for its time: enqueued for later, backing off after a failure, or snoozed.
    Scheduled,
    /// Waits for a worker.
    Available,
    /// A worker has it.
    Running,
    /// Set aside until something else happens.
    Parked,
    /// Done.
    Completed,
    /// Given up: failures used up, a fatal error, or quarantined after killing its process three times.
    Dead,
    /// Cancelled by a person or by its handler.
    Cancelled,
}

impl JobState {
    /// Every state, unfinished ones first.
    pub const ALL: [Self; 7] =
        [Self::Scheduled, Self::Available, Self::Running, Self::Parked, Self::Completed, Self::Dead, Self::Cancelled];

    /// Whether nothing more will happen to a job in this state by itself.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Dead | Self::Cancelled)
    }

    /// The name as stored in `haulage.jobs` and printed: lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Available => "available",
            Self::Running => "running",
            Self::Parked => "parked",
            Self::Completed => "completed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) const fn code(self) -> i16 {
        match self {
            Self::Scheduled => 0,
            Self::Available => 1,
            Self::Running => 2,
            Self::Parked => 3,
            Self::Completed => 5,
            Self::Dead => 6,
            Self::Cancelled => 7,
        }
    }

    pub(crate) fn from_code(code: i16) -> Result<Self, sqlx::Error> {
        Self::ALL
            .into_iter()
            .find(|state| state.code() == code)
            .ok_or_else(|| sqlx::Error::Decode(format!("the job state {code} is unknown to this version: upgrade this program").into()))
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownWord::new("job state", text, &Self::ALL.map(Self::as_str)))
    }
}

/// What a parked job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ParkedFor {
    /// An operator holds it until somebody releases it.
    Held,
    /// Other jobs of its limit key.
    Key,
    /// Its process died twice while it ran: a worker takes it alone.
    Suspect,
}

impl ParkedFor {
    pub(crate) const ALL: [Self; 3] = [Self::Held, Self::Key, Self::Suspect];

    pub(crate) const fn code(self) -> i16 {
        match self {
            Self::Held => 1,
            Self::Key => 2,
            Self::Suspect => 3,
        }
    }

    pub(crate) fn from_code(code: i16) -> Result<Self, sqlx::Error> {
        match code {
            1 => Ok(Self::Held),
            2 => Ok(Self::Key),
            3 => Ok(Self::Suspect),
            _ => Err(sqlx::Error::Decode(
                format!("a job is parked for {code}, which is unknown to this version: upgrade this program").into(),
            )),
        }
    }

    /// The name: lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Key => "key",
            Self::Suspect => "suspect",
        }
    }
}

impl FromStr for ParkedFor {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|what| what.as_str() == text)
            .ok_or_else(|| UnknownWord::new("reason to be parked", text, &Self::ALL.map(Self::as_str)))
    }
}

/// Which jobs of a queue go first. Strict: a flood of urgent jobs holds up the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before everything else; stored as 0.
    Urgent,
    /// Stored as 1.
    #[default]
    Normal,
    /// Stored as 2.
    Low,
    /// When nothing else waits; stored as 3.
    Bulk,
}

impl Priority {
    /// Every priority, first to last.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::Normal, Self::Low, Self::Bulk];

    /// The stored number, 0 to 3.
    pub const fn code(self) -> i16 {
        self as i16
    }

    pub(crate) fn from_code(code: i16) -> Result<Self, sqlx::Error> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.code() == code)
            .ok_or_else(|| sqlx::Error::Decode(format!("the priority {code} is unknown to this version: upgrade this program").into()))
    }

    /// The name: lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Normal => "normal",
            Self::Low => "low",
            Self::Bulk => "bulk",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.as_str() == text)
            .ok_or_else(|| UnknownWord::new("priority", text, &Self::ALL.map(Self::as_str)))
    }
}

/// The text is not one of the words that name a state or a priority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not a {what}: use one of {words}", .text.escape_debug())]
pub struct UnknownWord {
    what: &'static str,
    text: String,
    words: String,
}

impl UnknownWord {
    pub(crate) fn new(what: &'static str, text: &str, words: &[&str]) -> Self {
        Self { what, text: text.chars().take(40).collect(), words: words.join(", ") }
    }
}
