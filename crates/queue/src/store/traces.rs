//! What jobs came from, and what came of it: for a list of traces.

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, Row};

use crate::JobId;

/// Which traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichTraces {
    /// All.
    All,
    /// Those of which a job died, or is retried.
    Failed,
    /// Those of which a job is unfinished.
    Unfinished,
    /// All, the longest first.
    Slow,
}

impl WhichTraces {
    /// As in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
            Self::Slow => "slow",
        }
    }
}

/// Jobs that belong together: by a trace, by a request, or as a family.
#[derive(Debug, Clone)]
pub struct TraceLine {
    /// A trace's id in hex, a request's, or a job's: what a story can be asked by.
    pub key: String,
    /// Where it began: the route and the service of the request.
    pub route: Option<String>,
    /// The service.
    pub service: Option<String>,
    /// The kind of its first job.
    pub kind: String,
    /// Its first job.
    pub first: JobId,
    /// And the last.
    pub last: JobId,
    /// How many of its jobs were seen.
    pub jobs: i64,
    /// Those of them that are unfinished.
    pub unfinished: i64,
    /// Those that died.
    pub dead: i64,
    /// Those that were cancelled.
    pub cancelled: i64,
    /// Those that are retried.
    pub retried: i64,
    /// When the first was enqueued.
    pub started_at: DateTime<Utc>,
    /// When the last ended; `None`: something goes on.
    pub ended_at: Option<DateTime<Utc>>,
    /// How long it took so far, in seconds.
    pub took_s: f64,
}

/// Traces among the newest `reach` unfinished and finished jobs with ids below `before`, and down to which job was looked, if there are more.
pub async fn list_traces<'c>(
    executor: impl PgExecutor<'c>,
    before: Option<JobId>,
    reach: i32,
    which: WhichTraces,
    limit: i32,
) -> Result<(Vec<TraceLine>, Option<JobId>), sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_traces.sql"))
        .bind(before.map(|id| id.0))
        .bind(reach)
        .bind(which.as_str())
        .bind(limit)
        .fetch_all(executor)
        .await?;
    let reached = rows.first().map(|row| row.try_get::<Option<i64>, _>("reached")).transpose()?.flatten().map(JobId);
    let mut lines = Vec::new();
    for row in &rows {
        let Some(key) = row.try_get::<Option<String>, _>("key")? else { continue };
        lines.push(TraceLine {
            key,
            route: row.try_get("route")?,
            service: row.try_get("service")?,
            kind: row.try_get("kind")?,
            first: JobId(row.try_get("first")?),
            last: JobId(row.try_get("last")?),
            jobs: row.try_get("jobs")?,
            unfinished: row.try_get("unfinished")?,
            dead: row.try_get("dead")?,
            cancelled: row.try_get("cancelled")?,
            retried: row.try_get("retried")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
            took_s: row.try_get("took_s")?,
        });
    }
    Ok((lines, reached))
}
