//! Duties that any worker may do.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};

use crate::{
    JobId,
    store::{Kinds, Settled},
};

/// What one promotion did.
#[derive(Debug, Clone)]
pub struct Promoted {
    /// Jobs put in line.
    pub moved: i64,
    /// The latest `run_at` among them.
    pub reached: Option<DateTime<Utc>>,
    /// Seconds until the next job is due; `None`: nothing is scheduled.
    pub next_s: Option<f64>,
    /// The database's clock.
    pub clock: DateTime<Utc>,
    /// Whether a job waits for its key.
    pub waiting: bool,
}

/// A job taken from a dead worker.
#[derive(Debug, Clone)]
pub struct Rescued {
    /// Its id.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// The attempt that was lost.
    pub attempt: i32,
    /// Failures so far.
    pub failures: i16,
    /// Whether this crash was its third and buried it.
    pub died: bool,
    /// Crashes so far, this one counted.
    pub crashes: i16,
}

/// Puts due jobs in line; looks at those due at or after `from`.
pub async fn promote_jobs(connection: &mut PgConnection, from: DateTime<Utc>, limit: i32) -> Result<Promoted, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/promote_jobs.sql")).bind(from).bind(limit).fetch_one(connection).await?;
    Ok(Promoted {
        moved: row.try_get(0)?,
        reached: row.try_get(1)?,
        next_s: row.try_get(2)?,
        clock: row.try_get(3)?,
        waiting: row.try_get(4)?,
    })
}

/// Declares silent workers dead; returns their names. `me` is the worker that asks, `beat` the time of its last heartbeat that it
/// has had an answer to and how long ago that came, `calm` how long it has seen neither a step of the clock nor a heartbeat without an
/// answer: see the statement.
pub async fn mark_dead_workers(
    connection: &mut PgConnection,
    me: i64,
    beat: Option<(DateTime<Utc>, Duration)>,
    calm: Option<Duration>,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/mark_dead_workers.sql"))
        .bind(me)
        .bind(beat.map(|(at, _)| at))
        .bind(beat.map(|(_, ago)| ago.as_secs_f64()))
        .bind(calm.map(|calm| calm.as_secs_f64()))
        .fetch_all(connection)
        .await
}

/// Takes one lease of a dead worker that is not in `skip`: its id and the jobs taken; `None` when none is left.
pub async fn rescue_jobs(connection: &mut PgConnection, skip: &[i64]) -> Result<Option<(i64, Vec<Rescued>)>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/rescue_jobs.sql")).bind(skip).fetch_all(connection).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let lease = first.try_get(0)?;
    let mut taken = Vec::new();
    for row in &rows {
        let Some(id) = row.try_get::<Option<i64>, _>(1)? else { continue };
        taken.push(Rescued {
            id: JobId(id),
            kind: row.try_get(2)?,
            queue: row.try_get(3)?,
            attempt: row.try_get(4)?,
            failures: row.try_get(5)?,
            died: row.try_get(6)?,
            crashes: row.try_get(7)?,
        });
    }
    Ok(Some((lease, taken)))
}

/// What a sweep found.
#[derive(Debug, Clone, Copy)]
pub struct Missed {
    /// So many jobs.
    pub jobs: i64,
    /// The last position among them, if any.
    pub last_pos: Option<i64>,
}

/// Puts jobs that a bound has passed first in line: those with positions in `(from, to]`.
pub async fn sweep_line(
    connection: &mut PgConnection,
    queue: &str,
    priority: i16,
    (from, to): (i64, i64),
    kinds: &Kinds,
) -> Result<Missed, sqlx::Error> {
    let (jobs, last_pos) = sqlx::query_as(include_str!("../sql/sweep_line.sql"))
        .bind(queue)
        .bind(priority)
        .bind(from)
        .bind(to)
        .bind(&kinds.names)
        .bind(&kinds.revisions)
        .fetch_one(connection)
        .await?;
    Ok(Missed { jobs, last_pos })
}

/// Stores what running handlers last reported: (attempt, percent, message).
pub async fn save_progress(connection: &mut PgConnection, reports: &[(Settled, i16, Option<String>)]) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/save_progress.sql"))
        .bind(reports.iter().map(|(attempt, ..)| attempt.id.0).collect::<Vec<_>>())
        .bind(reports.iter().map(|(attempt, ..)| attempt.lease).collect::<Vec<_>>())
        .bind(reports.iter().map(|(_, percent, _)| *percent).collect::<Vec<_>>())
        .bind(reports.iter().map(|(_, _, message)| message.as_deref()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// Cancels jobs that somebody asked to cancel and that do not run any more; returns how many.
pub async fn cancel_requested(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/cancel_requested.sql")).fetch_one(connection).await
}

/// Removes rows beside jobs that are no longer live.
pub async fn prune_side_rows(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/prune_side_rows.sql")).execute(connection).await?;
    Ok(())
}

/// Removes entries of the audit older than so many days, at most `limit`; returns how many.
pub async fn prune_audit(connection: &mut PgConnection, days: i32, limit: i32) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/prune_audit.sql")).bind(days).bind(limit).fetch_one(connection).await
}

/// Removes acts on many jobs that ended more than so many days ago, at most `limit`; returns how many.
pub async fn prune_operations(connection: &mut PgConnection, days: i32, limit: i32) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/prune_operations.sql")).bind(days).bind(limit).fetch_one(connection).await
}

/// Makes the history's partitions from yesterday for so many days; returns how many are new.
pub async fn make_partitions(connection: &mut PgConnection, days: i32) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/make_partitions.sql")).bind(days).fetch_one(connection).await
}

/// Drops the oldest partition of `parent` that is more than `days` past; returns its name.
pub async fn drop_partition(connection: &mut PgConnection, parent: &str, days: i32) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/drop_partition.sql")).bind(parent).bind(days).fetch_one(connection).await
}
