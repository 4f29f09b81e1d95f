//! The jobs that wait, and those that died: what stands before one, and what stands at the beginning of each line.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{Result, job::sketch, seconds};
use crate::{
    JobId, JobState, ParkedFor, Priority,
    store::{Kinds, inspect::parked_for},
    why::facts::{BackoffFacts, DeadFacts, DueFacts, JobFacts, LineFacts},
};

/// How many jobs a claim of workers of these kinds would take before this one, and whether a job of a higher priority came after it.
pub(crate) async fn why_ahead(
    connection: &mut PgConnection,
    job: &JobFacts,
    pos: i64,
    kinds: &Kinds,
    most: i32,
    returned: bool,
) -> Result<(i64, bool)> {
    let row = sqlx::query(include_str!("../../sql/why_ahead.sql"))
        .bind(&job.queue)
        .bind(job.priority.code())
        .bind(pos)
        .bind(&kinds.names)
        .bind(&kinds.revisions)
        .bind(most)
        .bind(job.eligible_at)
        .bind(returned)
        .fetch_one(connection)
        .await?;
    Ok((row.try_get("ahead")?, row.try_get("overtaken")?))
}

/// How many jobs an admission of these queues and kinds would take before this one that waits for the key.
pub(crate) async fn why_ahead_of_key(
    connection: &mut PgConnection,
    key: &str,
    job: &JobFacts,
    queues: &[&str],
    kinds: &Kinds,
    most: i32,
) -> Result<i64> {
    sqlx::query_scalar(include_str!("../../sql/why_ahead_of_key.sql"))
        .bind(key)
        .bind(job.priority.code())
        .bind(job.pos)
        .bind(queues)
        .bind(&kinds.names)
        .bind(&kinds.revisions)
        .bind(most)
        .fetch_one(connection)
        .await
}

/// What stands at the beginning of each line.
pub(crate) async fn why_lines(connection: &mut PgConnection, depth: i32) -> Result<Vec<LineFacts>> {
    let rows = sqlx::query(include_str!("../../sql/why_lines.sql")).bind(depth).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let place: i16 = row.try_get("place")?;
            let mut job = alike(row, if place == 3 { JobState::Parked } else { JobState::Available })?;
            (job.place, job.parked_for) = (place, parked_for(row)?);
            Ok(LineFacts {
                job,
                jobs: row.try_get("jobs")?,
                at_least: false,
                locked: row.try_get("locked")?,
                newest: row.try_get("newest")?,
            })
        })
        .collect()
}

/// The first jobs that wait for these keys, by key.
pub(crate) async fn why_waiting(connection: &mut PgConnection, keys: &[String], depth: i32) -> Result<Vec<(String, LineFacts)>> {
    let rows = sqlx::query(include_str!("../../sql/why_waiting.sql")).bind(keys).bind(depth).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let mut job = alike(row, JobState::Parked)?;
            (job.place, job.parked_for) = (3, Some(ParkedFor::Key));
            let newest = job.eligible_at;
            Ok((row.try_get("key")?, LineFacts { job, jobs: row.try_get("jobs")?, at_least: false, locked: false, newest }))
        })
        .collect()
}

/// The oldest of jobs that are alike.
fn alike(row: &PgRow, state: JobState) -> Result<JobFacts> {
    Ok(JobFacts {
        revision: row.try_get("kind_revision")?,
        priority: Priority::from_code(row.try_get("priority")?)?,
        pos: row.try_get("pos")?,
        crashes: 2,
        ..sketch(row, JobId(row.try_get("id")?), state, row.try_get("eligible_at")?)?
    })
}

/// How many jobs stand in the lines of these queues, up to 10,001 in each of two places.
pub(crate) async fn why_depth(connection: &mut PgConnection, queues: &[String]) -> Result<BTreeMap<String, i64>> {
    let rows = sqlx::query(include_str!("../../sql/why_depth.sql")).bind(queues).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("jobs")?))).collect()
}

/// Scheduled jobs that have been due for longer than this.
pub(crate) async fn why_due(connection: &mut PgConnection, late: TimeDelta) -> Result<Option<DueFacts>> {
    let row = sqlx::query(include_str!("../../sql/why_due.sql")).bind(seconds(late)).fetch_one(connection).await?;
    let Some(run_at) = row.try_get("run_at")? else { return Ok(None) };
    Ok(Some(DueFacts { jobs: row.try_get("jobs")?, run_at, job: JobId(row.try_get("id")?) }))
}

/// What backs off, by queue and kind, each with the jobs that failed most often.
pub(crate) async fn why_backoffs(connection: &mut PgConnection, depth: i32, often: i32) -> Result<Vec<(BackoffFacts, Vec<i64>)>> {
    let rows = sqlx::query(include_str!("../../sql/why_backoffs.sql")).bind(depth).bind(often).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let ids: Vec<i64> = row.try_get("ids")?;
            let id = JobId(ids.first().copied().unwrap_or_default());
            let job = JobFacts {
                failures: row.try_get("failures")?,
                max_attempts: row.try_get("max_attempts")?,
                ..sketch(row, id, JobState::Scheduled, row.try_get("run_at")?)?
            };
            Ok((BackoffFacts { job, jobs: row.try_get("jobs")?, often: row.try_get("often")? }, ids))
        })
        .collect()
}

/// What died in the last hour: of the newest so many.
pub(crate) async fn why_dead(connection: &mut PgConnection, newest: i32) -> Result<Vec<DeadFacts>> {
    let rows = sqlx::query(include_str!("../../sql/why_dead.sql")).bind(newest).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(DeadFacts {
                queue: row.try_get("queue")?,
                kind: row.try_get("kind")?,
                error_class: Some(row.try_get::<String, _>("error_class")?).filter(|class| !class.is_empty()),
                error: row.try_get("error")?,
                jobs: row.try_get("jobs")?,
                first_at: row.try_get("first_at")?,
                last_at: row.try_get("last_at")?,
                job: JobId(row.try_get("id")?),
                quarantined: row.try_get("quarantined")?,
            })
        })
        .collect()
}
