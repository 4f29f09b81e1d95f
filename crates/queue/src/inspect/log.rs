//! What handlers said, and where they are: the tails of what attempts logged, and the span that a long one is in.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::PgExecutor;

use crate::{JobId, ReadError, store};

/// The end of what one attempt logged, as far as it was kept; see `docs/tracing.md`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AttemptLog {
    /// The job.
    pub job: JobId,
    /// The attempt's number.
    pub attempt: i32,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// How many lines before these were not kept.
    pub earlier: i32,
    /// Oldest first. What looked like a secret was replaced before it was stored.
    pub lines: Vec<LogLine>,
}

/// One event that a handler logged.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LogLine {
    /// When, by the database's clock.
    pub at: DateTime<Utc>,
    /// How bad it was.
    pub level: LogLevel,
    /// Where it was logged: the module, unless the event says otherwise.
    pub target: String,
    /// Its message.
    pub message: String,
    /// Its other fields.
    pub fields: Map<String, Value>,
}

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum LogLevel {
    /// Something went wrong.
    Error,
    /// Something may go wrong.
    Warn,
    /// What happens.
    Info,
    /// For whoever looks for a fault.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The name: upper case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a long attempt is: the last span that its handler opened and has not closed, with those around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RunningSpan {
    /// The names from the attempt's own on, such as `process > render > upload`.
    pub path: String,
    /// In the innermost since then.
    pub since: DateTime<Utc>,
}

/// What the attempts of jobs logged, by job and attempt: of the newest 200 attempts that have something stored. Nothing is, unless the
/// workers have the layer that gathers it.
///
/// ```no_run
/// # async fn f(pool: sqlx::PgPool, id: haulage_queue::JobId) -> Result<(), haulage_queue::ReadError> {
/// for log in haulage_queue::attempt_logs(&pool, &[id]).await? {
///     for line in log.lines {
///         println!("{} attempt {} {} {}", line.at, log.attempt, line.level, line.message);
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ReadError`].
pub async fn attempt_logs<'c>(executor: impl PgExecutor<'c>, jobs: &[JobId]) -> Result<Vec<AttemptLog>, ReadError> {
    Ok(store::list_attempt_logs(executor, jobs).await?)
}
