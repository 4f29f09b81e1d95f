//! Why something was not done.

use std::num::NonZeroU16;

use axum::http::StatusCode;
use haulage_queue::{ManageError, ScheduleError, store};

use super::Role;
use crate::error::Problem;

/// Why something was not done; nothing was changed.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// Another role is needed.
    Role { has: Role, needs: Role },
    /// Nobody knows who asks.
    Nameless,
    /// Nothing can be changed here.
    ReadOnly,
    /// The role by which we connect to the database may not do it.
    NotGranted,
    /// It can't be told that a page of ours asked.
    Forged(&'static str),
    /// What was asked for can't be understood or is not allowed.
    Unreadable(String),
    /// There is no such thing.
    Missing(String),
    /// It does not fit how things stand now: they have changed since somebody looked, or it was done already.
    NoLongerApplies(String),
    /// Somebody else has it in hand at this moment.
    Busy(String),
    /// They have changed so many things so quickly that they have to wait.
    TooFast { most: u32, wait_s: NonZeroU16 },
    /// The database could not.
    Failed(Problem),
}

impl Refusal {
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Role { .. } | Self::Nameless | Self::ReadOnly | Self::NotGranted | Self::Forged(_) => StatusCode::FORBIDDEN,
            Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::NoLongerApplies(_) | Self::Busy(_) => StatusCode::CONFLICT,
            Self::TooFast { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed(problem) => problem.status(),
        }
    }

    /// One word that stays, for programs.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Role { .. } => "role",
            Self::Nameless => "nameless",
            Self::ReadOnly => "read-only",
            Self::NotGranted => "not-granted",
            Self::Forged(_) => "forged",
            Self::Unreadable(_) => "unreadable",
            Self::Missing(_) => "not-found",
            Self::NoLongerApplies(_) => "no-longer-applies",
            Self::Busy(_) => "busy",
            Self::TooFast { .. } => "too-fast",
            Self::Failed(_) => "failed",
        }
    }

    /// For people: why, and what to do.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Role { has, needs } => format!("This takes the role {needs}; yours is {has}."),
            Self::Nameless => "Nobody says who you are, so you can only look: the audit would not know who did it.".to_owned(),
            Self::ReadOnly => "This dashboard only reads: nothing can be changed by it.".to_owned(),
            Self::NotGranted => "The role by which this dashboard connects to the database may not do that.".to_owned(),
            Self::Forged(why) => format!("Nothing was done: {why}."),
            Self::Unreadable(sentence) | Self::Missing(sentence) => sentence.clone(),
            Self::NoLongerApplies(why) => format!("Nothing was done, this no longer applies: {why}."),
            Self::Busy(why) => format!("Nothing was done: {why}. Try again in a moment."),
            Self::TooFast { most, wait_s } => {
                format!(
                    "Nothing was done: you have changed {most} things at once, and after that it is one a second. Try again in {wait_s} s."
                )
            }
            Self::Failed(problem) => problem.sentence().to_owned(),
        }
    }
}

/// What Postgres says when a role may not do something.
const NOT_GRANTED: &str = "42501";

impl From<ManageError> for Refusal {
    fn from(error: ManageError) -> Self {
        let text = error.to_string();
        match error {
            ManageError::NotFound { .. }
            | ManageError::NoWorker { .. }
            | ManageError::NoOperation { .. }
            | ManageError::Schedule(ScheduleError::NotFound { .. }) => Self::Missing(capital(&text)),
            ManageError::Refused { id, why, .. } => Self::NoLongerApplies(format!("job {id}: {why}")),
            ManageError::OperationState { id, why, .. } => Self::NoLongerApplies(format!("operation {id}: {why}")),
            ManageError::Locked { id, .. } => Self::Busy(format!("somebody else has locked job {id}")),
            ManageError::Conflict(_) => Self::Busy("another transaction changed the same".to_owned()),
            ManageError::ReadOnly(_) => Self::ReadOnly,
            ManageError::Who { .. }
            | ManageError::Name(_)
            | ManageError::Limit(_)
            | ManageError::EmptyFilter
            | ManageError::FilterState { .. }
            | ManageError::Args { .. }
            | ManageError::Schedule(ScheduleError::Cron { .. }) => Self::Unreadable(capital(&text)),
            ManageError::Database(cause) | ManageError::Schedule(ScheduleError::Database(cause)) => cause.into(),
            error => Self::Failed(error.into()),
        }
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        if store::lock_timed_out(&error) {
            return Self::Busy("somebody else has locked it".to_owned());
        }
        if error.as_database_error().and_then(|error| error.code()).as_deref() == Some(NOT_GRANTED) {
            return Self::NotGranted;
        }
        match store::failure(&error) {
            store::Failure::ReadOnly => Self::ReadOnly,
            store::Failure::Serialization => Self::Busy("another transaction changed the same".to_owned()),
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

/// An error's text as a sentence.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}
