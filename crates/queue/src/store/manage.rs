//! What operators do to jobs: each function takes ids, does it to those whose state allows it and that nobody has locked, and
//! returns these.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, Row};

use crate::{JobId, JobState, ParkedFor, Priority, manage::Standing};

/// Between which times the finished ones of some jobs finished, so that only the partitions of these days are looked at. `None`:
/// any time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Finished {
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) to: Option<DateTime<Utc>>,
}

type Ids = Result<Vec<i64>, sqlx::Error>;

/// How jobs stand, live or finished.
pub(crate) async fn look_at_jobs(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<Standing>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/look_at_jobs.sql")).bind(ids).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Standing {
                id: JobId(row.try_get("id")?),
                state: JobState::from_code(row.try_get("state")?)?,
                parked_for: row.try_get::<Option<i16>, _>("parked_for")?.map(ParkedFor::from_code).transpose()?,
                queue: row.try_get("queue")?,
                priority: Priority::from_code(row.try_get("priority")?)?,
                run_at: row.try_get("run_at")?,
                failures: row.try_get("failures")?,
                max_attempts: row.try_get("max_attempts")?,
                crashes: row.try_get("crashes")?,
                key_holder: row.try_get::<Option<i64>, _>("key_holder")?.map(JobId),
            })
        })
        .collect()
}

/// Brings dead and cancelled jobs back.
pub(crate) async fn retry_jobs(connection: &mut PgConnection, ids: &[i64], finished: Finished) -> Ids {
    sqlx::query_scalar(include_str!("../sql/retry_jobs.sql")).bind(ids).bind(finished.from).bind(finished.to).fetch_all(connection).await
}

/// Makes scheduled jobs available; `first` before their line, else at its end.
pub(crate) async fn run_jobs_now(connection: &mut PgConnection, ids: &[i64], first: bool) -> Ids {
    sqlx::query_scalar(include_str!("../sql/run_jobs_now.sql")).bind(ids).bind(first).fetch_all(connection).await
}

/// Cancels a job or asks its worker to, for an application; waits for its lock. Returns the state it was in.
pub(crate) async fn cancel_job<'c>(executor: impl PgExecutor<'c>, id: JobId, reason: &str) -> Result<Option<JobState>, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/cancel_job.sql")).bind(id.0).bind(reason).fetch_optional(executor).await?;
    row.map(|row| JobState::from_code(row.try_get("state")?)).transpose()
}

/// Cancels jobs, or asks their workers to.
pub(crate) async fn cancel_jobs(connection: &mut PgConnection, ids: &[i64], reason: &str) -> Ids {
    let rows = sqlx::query(include_str!("../sql/cancel_jobs.sql")).bind(ids).bind(reason).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get("id")).collect()
}

/// Gives up jobs that do not run.
pub(crate) async fn discard_jobs(connection: &mut PgConnection, ids: &[i64], reason: &str) -> Ids {
    sqlx::query_scalar(include_str!("../sql/discard_jobs.sql")).bind(ids).bind(reason).fetch_all(connection).await
}

/// Sets jobs aside.
pub(crate) async fn hold_jobs(connection: &mut PgConnection, ids: &[i64]) -> Ids {
    sqlx::query_scalar(include_str!("../sql/hold_jobs.sql")).bind(ids).fetch_all(connection).await
}

/// Puts held jobs back.
pub(crate) async fn release_jobs(connection: &mut PgConnection, ids: &[i64]) -> Ids {
    sqlx::query_scalar(include_str!("../sql/release_jobs.sql")).bind(ids).fetch_all(connection).await
}

/// Removes jobs for good.
pub(crate) async fn delete_jobs(connection: &mut PgConnection, ids: &[i64], finished: Finished) -> Ids {
    sqlx::query_scalar(include_str!("../sql/delete_jobs.sql")).bind(ids).bind(finished.from).bind(finished.to).fetch_all(connection).await
}

/// Moves jobs to another queue.
pub(crate) async fn move_jobs(connection: &mut PgConnection, ids: &[i64], queue: &str) -> Ids {
    sqlx::query_scalar(include_str!("../sql/move_jobs.sql")).bind(ids).bind(queue).fetch_all(connection).await
}

/// Gives jobs another priority.
pub(crate) async fn reprioritise_jobs(connection: &mut PgConnection, ids: &[i64], priority: Priority) -> Ids {
    sqlx::query_scalar(include_str!("../sql/reprioritise_jobs.sql")).bind(ids).bind(priority.code()).fetch_all(connection).await
}

/// Repeats a finished job as a new one. `None`: there is no such finished job; `Some(None)`: another one holds its unique key.
pub(crate) async fn run_job_again(connection: &mut PgConnection, id: JobId, who: &str) -> Result<Option<Option<JobId>>, sqlx::Error> {
    let new: Option<Option<i64>> =
        sqlx::query_scalar(include_str!("../sql/run_job_again.sql")).bind(id.0).bind(who).fetch_optional(connection).await?;
    Ok(new.map(|new| new.map(JobId)))
}

/// The args of a job as text; `None`: there is no such job.
pub async fn get_args<'c>(executor: impl PgExecutor<'c>, id: JobId) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/get_args.sql")).bind(id.0).fetch_optional(executor).await
}

/// Gives a job other args, if it has these still; returns whether it did.
pub(crate) async fn edit_args(connection: &mut PgConnection, id: JobId, from: &str, to: &str) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/edit_args.sql")).bind(id.0).bind(from).bind(to).fetch_optional(connection).await?;
    Ok(row.is_some())
}

/// Waits until nobody else does what this names; others wait until the transaction ends.
pub async fn take_turn(connection: &mut PgConnection, what: &str) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/take_turn.sql")).bind(what).execute(connection).await?;
    Ok(())
}

/// Waits on the server.
pub(crate) async fn wait_a_moment(connection: &mut PgConnection, time: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/wait_a_moment.sql")).bind(time.as_secs_f64()).execute(connection).await?;
    Ok(())
}
