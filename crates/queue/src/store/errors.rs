//! Errors by fingerprint.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, Row, postgres::PgRow};

use crate::{ErrorGroup, JobId};

/// Failed attempts with one fingerprint, as a worker met them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotedError {
    /// Of the error.
    pub fingerprint: String,
    /// The kind of the jobs.
    pub kind: String,
    /// The class of the error.
    pub class: String,
    /// What the last said.
    pub message: String,
    /// Where.
    pub queues: Vec<String>,
    /// How often.
    pub attempts: i64,
    /// The last of the jobs.
    pub job: JobId,
}

/// Adds failed attempts. False: somebody has a lock, and nothing is stored.
pub async fn save_errors(connection: &mut PgConnection, noted: &[NotedError]) -> Result<bool, sqlx::Error> {
    let queues = noted.iter().map(|one| serde_json::Value::from(one.queues.clone()).to_string()).collect::<Vec<_>>();
    sqlx::query_scalar(include_str!("../sql/save_errors.sql"))
        .bind(noted.iter().map(|one| one.fingerprint.as_str()).collect::<Vec<_>>())
        .bind(noted.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>())
        .bind(noted.iter().map(|one| one.class.as_str()).collect::<Vec<_>>())
        .bind(noted.iter().map(|one| one.message.as_str()).collect::<Vec<_>>())
        .bind(queues)
        .bind(noted.iter().map(|one| one.attempts).collect::<Vec<_>>())
        .bind(noted.iter().map(|one| one.job.0).collect::<Vec<_>>())
        .bind(env!("CARGO_PKG_VERSION"))
        .fetch_one(connection)
        .await
}

/// Errors, those last seen first.
pub(crate) async fn list_errors<'c>(
    executor: impl PgExecutor<'c>,
    kind: Option<&str>,
    before: Option<(DateTime<Utc>, &str)>,
    limit: i32,
) -> Result<Vec<ErrorGroup>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_errors.sql"))
        .bind(kind)
        .bind(before.map(|(at, _)| at))
        .bind(before.map(|(_, fingerprint)| fingerprint))
        .bind(limit)
        .fetch_all(executor)
        .await?;
    rows.iter().map(group).collect()
}

/// One of them.
pub(crate) async fn get_error<'c>(executor: impl PgExecutor<'c>, fingerprint: &str) -> Result<Option<ErrorGroup>, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/get_error.sql")).bind(fingerprint).fetch_optional(executor).await?;
    row.as_ref().map(group).transpose()
}

fn group(row: &PgRow) -> Result<ErrorGroup, sqlx::Error> {
    Ok(ErrorGroup {
        fingerprint: row.try_get("fingerprint")?,
        kind: row.try_get("kind")?,
        error_class: row.try_get("error_class")?,
        message: row.try_get("message")?,
        queues: row.try_get("queues")?,
        attempts: row.try_get("attempts")?,
        first_at: row.try_get("first_at")?,
        last_at: row.try_get("last_at")?,
        first_version: row.try_get("first_version")?,
        first_job: JobId(row.try_get("first_job")?),
        last_job: JobId(row.try_get("last_job")?),
    })
}

/// How many attempts failed in each of the last so many hours, of these errors: fingerprint, how many hours ago, attempts.
pub async fn list_error_hours<'c>(
    executor: impl PgExecutor<'c>,
    fingerprints: &[&str],
    hours: i32,
) -> Result<Vec<(String, i32, i64)>, sqlx::Error> {
    sqlx::query_as(include_str!("../sql/list_error_hours.sql")).bind(fingerprints).bind(hours).fetch_all(executor).await
}

/// Removes errors that were not seen for so many days, and hours of them that are kept no longer, at most `limit` of each; returns how
/// many.
pub async fn prune_errors(connection: &mut PgConnection, days: i32, limit: i32) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/prune_errors.sql")).bind(days).bind(limit).fetch_one(connection).await
}
