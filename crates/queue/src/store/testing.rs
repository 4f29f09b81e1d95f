//! What only tests need.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, Row};

use crate::{
    JobId, JobState, Priority,
    store::{Claimed, Kinds, claim, inspect},
};

/// A job as a test looks at it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// Of the kinds asked for; if not, it is there for the message.
    pub(crate) ours: bool,
    pub(crate) id: JobId,
    pub(crate) kind: String,
    pub(crate) queue: String,
    pub(crate) state: JobState,
    pub(crate) priority: Priority,
    pub(crate) attempt: i32,
    pub(crate) failures: i16,
    pub(crate) max_attempts: i16,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// JSON text.
    pub(crate) args: String,
    pub(crate) tags: Vec<String>,
    pub(crate) meta: Option<serde_json::Value>,
    pub(crate) output: Option<serde_json::Value>,
    pub(crate) error: Option<String>,
}

/// All jobs of these kinds and a few of the others, oldest first.
pub(crate) async fn list_jobs_with_args<'c>(executor: impl PgExecutor<'c>, kinds: &[&str]) -> Result<Vec<Listed>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_jobs_with_args.sql")).bind(kinds).fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            Ok(Listed {
                ours: row.try_get("ours")?,
                id: JobId(row.try_get("id")?),
                kind: row.try_get("kind")?,
                queue: row.try_get("queue")?,
                state: JobState::from_code(row.try_get("state")?)?,
                priority: Priority::from_code(row.try_get("priority")?)?,
                attempt: row.try_get("attempt")?,
                failures: row.try_get("failures")?,
                max_attempts: row.try_get("max_attempts")?,
                run_at: row.try_get("run_at")?,
                created_at: row.try_get("created_at")?,
                finished_at: row.try_get("finished_at")?,
                args: row.try_get("args")?,
                tags: row.try_get::<Option<Vec<String>>, _>("tags")?.unwrap_or_default(),
                meta: inspect::json(row.try_get("meta")?),
                output: inspect::json(row.try_get("output")?),
                error: row.try_get("error")?,
            })
        })
        .collect()
}

/// Names of databases that earlier test runs have left on this server.
pub(crate) async fn list_left_databases(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/list_left_databases.sql")).fetch_all(connection).await
}

/// Claims one job, due or not, under the lease `token`.
pub async fn claim_job(
    connection: &mut PgConnection,
    token: i64,
    worker: i64,
    kinds: &Kinds,
    id: JobId,
) -> Result<Option<Claimed>, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/claim_job.sql"))
        .bind(token)
        .bind(worker)
        .bind(&kinds.names)
        .bind(id.0)
        .bind(&kinds.revisions)
        .fetch_optional(connection)
        .await?;
    row.map(|row| claim::read(&row, 1, row.try_get(0)?, None)).transpose()
}

/// Puts the next scheduled job in line before its time; returns its id.
pub async fn bring_forward_job(connection: &mut PgConnection, queues: &[&str], kinds: &Kinds) -> Result<Option<JobId>, sqlx::Error> {
    let id = sqlx::query_scalar(include_str!("../sql/bring_forward_job.sql"))
        .bind(queues)
        .bind(&kinds.names)
        .bind(&kinds.revisions)
        .fetch_optional(connection)
        .await?;
    Ok(id.map(JobId))
}
