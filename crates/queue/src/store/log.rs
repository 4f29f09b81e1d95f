//! What handlers said, and where they are.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::{PgConnection, PgExecutor, Row};

use super::{Settled, ids};
use crate::{AttemptLog, JobId, LogLevel, LogLine};

/// The end of what an attempt logged, to be stored.
#[derive(Debug, Clone)]
pub struct LogTail {
    /// The job.
    pub job: JobId,
    /// The attempt's number.
    pub attempt: i32,
    /// Lines before these that were not kept.
    pub earlier: i32,
    /// Oldest first.
    pub lines: Vec<StoredLine>,
}

/// A line as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredLine {
    /// Microseconds before it is written.
    pub before_us: u64,
    /// Its level.
    pub level: LogLevel,
    /// Its target.
    pub target: String,
    /// Its message.
    pub message: String,
    /// Its other fields.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

/// Stores the ends of what attempts logged, of those that are in the history; false: somebody has locked a table, and nothing is stored.
pub async fn save_logs(connection: &mut PgConnection, tails: &[LogTail]) -> Result<bool, sqlx::Error> {
    let texts: Result<Vec<String>, _> = tails.iter().map(|tail| serde_json::to_string(&tail.lines)).collect();
    sqlx::query_scalar(include_str!("../sql/save_logs.sql"))
        .bind(tails.iter().map(|tail| tail.job.0).collect::<Vec<_>>())
        .bind(tails.iter().map(|tail| tail.attempt).collect::<Vec<_>>())
        .bind(tails.iter().map(|tail| tail.earlier).collect::<Vec<_>>())
        .bind(texts.map_err(|error| sqlx::Error::Encode(Box::new(error)))?)
        .fetch_one(connection)
        .await
}

/// Stores in which span long attempts are: (attempt, path, seconds in the innermost); false: somebody has locked the table.
pub async fn save_spans(connection: &mut PgConnection, spans: &[(Settled, String, f64)]) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/save_spans.sql"))
        .bind(spans.iter().map(|(attempt, ..)| attempt.id.0).collect::<Vec<_>>())
        .bind(spans.iter().map(|(attempt, ..)| attempt.lease).collect::<Vec<_>>())
        .bind(spans.iter().map(|(_, path, _)| path.as_str()).collect::<Vec<_>>())
        .bind(spans.iter().map(|(.., seconds)| *seconds).collect::<Vec<_>>())
        .fetch_one(connection)
        .await
}

/// What the attempts of jobs logged, by job and attempt.
pub(crate) async fn list_attempt_logs<'c>(executor: impl PgExecutor<'c>, jobs: &[JobId]) -> Result<Vec<AttemptLog>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_attempt_logs.sql")).bind(ids(jobs)).fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            Ok(AttemptLog {
                job: JobId(row.try_get("job_id")?),
                attempt: row.try_get("attempt")?,
                ended_at: row.try_get("ended_at")?,
                earlier: row.try_get("earlier")?,
                lines: lines(row.try_get("lines")?, row.try_get("written_at")?),
            })
        })
        .collect()
}

/// What this program can't read is shown as its text, as one line.
fn lines(text: &str, written_at: DateTime<Utc>) -> Vec<LogLine> {
    let Ok(lines) = serde_json::from_str::<Vec<StoredLine>>(text) else {
        let (level, target) = (LogLevel::Info, "haulage".to_owned());
        return vec![LogLine { at: written_at, level, target, message: text.to_owned(), fields: Map::new() }];
    };
    lines
        .into_iter()
        .map(|StoredLine { before_us, level, target, message, fields }| {
            let before = i64::try_from(before_us).map_or(TimeDelta::zero(), TimeDelta::microseconds);
            LogLine { at: written_at.checked_sub_signed(before).unwrap_or(written_at), level, target, message, fields }
        })
        .collect()
}
