//! What the pages of a dashboard ask for. Each in bounded time, whatever the tables hold.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool, Postgres, Row, Transaction};

use super::{
    ids,
    inspect::{parked_for, progress},
};
use crate::{Attempt, JobId, JobState, ParkedFor, Priority, Progress};

/// A transaction that only reads, and whose statements end after this long; and the database's clock.
pub async fn start_reading(pool: &PgPool, most: Duration) -> Result<(Transaction<'static, Postgres>, DateTime<Utc>), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let row = sqlx::query(include_str!("../sql/start_reading.sql")).bind(most.as_millis().to_string()).fetch_one(&mut *tx).await?;
    Ok((tx, row.try_get("clock")?))
}

/// All that a page shows of one job.
#[derive(Debug, Clone)]
pub struct JobSheet {
    /// Its id.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// The revision of its kind.
    pub revision: i16,
    /// Its queue.
    pub queue: String,
    /// Where it stands.
    pub state: JobState,
    /// What a parked job waits for.
    pub parked_for: Option<ParkedFor>,
    /// Claims so far.
    pub attempt: i32,
    /// Failed attempts so far.
    pub failures: i16,
    /// How many may fail.
    pub max_attempts: i16,
    /// Times its process died while it held the job.
    pub crashes: i16,
    /// Its priority.
    pub priority: Priority,
    /// Not before this time.
    pub run_at: DateTime<Utc>,
    /// Since when only the queue makes it wait.
    pub eligible_at: DateTime<Utc>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When the last attempt was claimed.
    pub claimed_at: Option<DateTime<Utc>>,
    /// When it reached its final state.
    pub finished_at: Option<DateTime<Utc>>,
    /// Limit of an attempt in ms.
    pub timeout_ms: Option<i32>,
    /// Its tags.
    pub tags: Vec<String>,
    /// The key whose limits it shares.
    pub limit_key: Option<String>,
    /// The stored form of its unique key.
    pub unique_key: Option<String>,
    /// The job whose handler enqueued it.
    pub parent: Option<JobId>,
    /// The first job of its family.
    pub root: Option<JobId>,
    /// The trace that it belongs to, 32 digits.
    pub trace: Option<String>,
    /// Where it came from.
    pub origin: Option<String>,
    /// What it was given.
    pub args: JsonText,
    /// Its meta.
    pub meta: Option<JsonText>,
    /// What its handler recorded.
    pub output: Option<JsonText>,
    /// Why it is dead or cancelled; while it is retried, what its last attempt said.
    pub error: Option<String>,
    /// What the running attempt last reported.
    pub progress: Option<Progress>,
    /// The worker that runs it or finished it: its id, and its name if it is still known.
    pub worker: Option<(String, Option<String>)>,
    /// That somebody asked the running attempt to stop: why and when.
    pub cancel: Option<(String, DateTime<Utc>)>,
}

/// JSON as Postgres writes it.
#[derive(Debug, Clone)]
pub struct JsonText {
    /// Its beginning.
    pub text: String,
    /// How many characters it has in all.
    pub length: usize,
}

/// All that a page shows of one job, and no more than so many characters of each value.
pub async fn get_job_sheet<'c>(executor: impl PgExecutor<'c>, id: JobId, most: i32) -> Result<Option<JobSheet>, sqlx::Error> {
    let Some(row) = sqlx::query(include_str!("../sql/get_job_sheet.sql")).bind(id.0).bind(most).fetch_optional(executor).await? else {
        return Ok(None);
    };
    let value = |name: &str, length: &str| -> Result<Option<JsonText>, sqlx::Error> {
        let length: Option<i32> = row.try_get(length)?;
        let text: Option<String> = row.try_get(name)?;
        Ok(text.zip(length).map(|(text, length)| JsonText { text, length: usize::try_from(length).unwrap_or(0) }))
    };
    let worker: Option<String> = row.try_get("worker")?;
    let worker_name: Option<String> = row.try_get("worker_name")?;
    let cancel_reason: Option<String> = row.try_get("cancel_reason")?;
    let cancel_at: Option<DateTime<Utc>> = row.try_get("cancel_at")?;
    Ok(Some(JobSheet {
        id: JobId(row.try_get("id")?),
        kind: row.try_get("kind")?,
        revision: row.try_get("kind_revision")?,
        queue: row.try_get("queue")?,
        state: JobState::from_code(row.try_get("state")?)?,
        parked_for: parked_for(&row)?,
        attempt: row.try_get("attempt")?,
        failures: row.try_get("failures")?,
        max_attempts: row.try_get("max_attempts")?,
        crashes: row.try_get("crashes")?,
        priority: Priority::from_code(row.try_get("priority")?)?,
        run_at: row.try_get("run_at")?,
        eligible_at: row.try_get("eligible_at")?,
        created_at: row.try_get("created_at")?,
        claimed_at: row.try_get("claimed_at")?,
        finished_at: row.try_get("finished_at")?,
        timeout_ms: row.try_get("timeout_ms")?,
        tags: row.try_get::<Option<Vec<String>>, _>("tags")?.unwrap_or_default(),
        limit_key: row.try_get("limit_key")?,
        unique_key: row.try_get("unique_key")?,
        parent: row.try_get::<Option<i64>, _>("parent_id")?.map(JobId),
        root: row.try_get::<Option<i64>, _>("root_id")?.map(JobId),
        trace: row.try_get::<Option<String>, _>("trace_id")?.map(|id| id.replace('-', "")),
        origin: row.try_get("origin")?,
        args: value("args", "args_length")?.unwrap_or(JsonText { text: "null".to_owned(), length: 4 }),
        meta: value("meta", "meta_length")?,
        output: value("output", "output_length")?,
        error: row.try_get("error")?,
        progress: progress(&row)?,
        worker: worker.map(|id| (id, worker_name)),
        cancel: cancel_reason.zip(cancel_at),
    }))
}

/// The attempts of a job that did not simply succeed, newest first, before this one: its number, and when it ended.
pub async fn page_attempts<'c>(
    executor: impl PgExecutor<'c>,
    id: JobId,
    (attempt, ended_at): (i32, Option<DateTime<Utc>>),
    limit: i32,
) -> Result<Vec<Attempt>, sqlx::Error> {
    let query = sqlx::query(include_str!("../sql/page_attempts.sql")).bind(id.0).bind(attempt).bind(ended_at).bind(limit);
    query.fetch_all(executor).await?.iter().map(super::inspect::attempt).collect()
}

/// In which state these jobs are, those that are there.
pub async fn list_states<'c>(executor: impl PgExecutor<'c>, jobs: &[JobId]) -> Result<Vec<(JobId, JobState)>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_states.sql")).bind(ids(jobs)).fetch_all(executor).await?;
    rows.iter().map(|row| Ok((JobId(row.try_get("id")?), JobState::from_code(row.try_get("state")?)?))).collect()
}

/// How many jobs are in each state, counted to 10,001 each.
#[derive(Debug, Clone, Default)]
pub struct StateCounts {
    /// In the order of [`JobState::ALL`].
    pub counts: Vec<(JobState, i64)>,
    /// About how many have completed, by the planner's statistics; 0 when it has none yet.
    pub completed_about: i64,
}

/// How many jobs are in each state.
pub async fn count_states<'c>(executor: impl PgExecutor<'c>) -> Result<StateCounts, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/count_states.sql")).fetch_one(executor).await?;
    let counts = JobState::ALL.into_iter().map(|state| Ok((state, row.try_get::<i64, _>(state.as_str())?.min(10_001))));
    Ok(StateCounts { counts: counts.collect::<Result<_, sqlx::Error>>()?, completed_about: row.try_get("completed_about")? })
}

/// A job that runs.
#[derive(Debug, Clone)]
pub struct RunningJob {
    /// Its id.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// Claims so far.
    pub attempt: i32,
    /// Since when.
    pub claimed_at: Option<DateTime<Utc>>,
    /// The worker that runs it: its id, and its name if it is still known.
    pub worker: (String, Option<String>),
    /// What it last reported.
    pub progress: Option<Progress>,
    /// When somebody asked it to stop.
    pub cancel_at: Option<DateTime<Utc>>,
}

/// Jobs that run, in one queue or everywhere, on one worker or on all; those that have run longest first.
pub async fn list_running<'c>(
    executor: impl PgExecutor<'c>,
    queue: Option<&str>,
    worker: Option<i64>,
    limit: i32,
) -> Result<Vec<RunningJob>, sqlx::Error> {
    let query = sqlx::query(include_str!("../sql/list_running.sql")).bind(queue).bind(worker).bind(limit);
    let rows = query.fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            Ok(RunningJob {
                id: JobId(row.try_get("id")?),
                kind: row.try_get("kind")?,
                queue: row.try_get("queue")?,
                attempt: row.try_get("attempt")?,
                claimed_at: row.try_get("claimed_at")?,
                worker: (row.try_get("worker")?, row.try_get("worker_name")?),
                progress: progress(row)?,
                cancel_at: row.try_get("cancel_at")?,
            })
        })
        .collect()
}

/// A part of what waits in a queue.
#[derive(Debug, Clone)]
pub struct Waiting<T> {
    /// Which part.
    pub what: T,
    /// How many jobs.
    pub jobs: i64,
    /// Since when the oldest of them waits.
    pub oldest: Option<DateTime<Utc>>,
}

/// What waits in a queue by priority, counted to 10,001 each.
pub async fn count_lines<'c>(executor: impl PgExecutor<'c>, queue: &str) -> Result<Vec<Waiting<Priority>>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/count_lines.sql")).bind(queue).fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            Ok(Waiting { what: Priority::from_code(row.try_get("priority")?)?, jobs: row.try_get("jobs")?, oldest: row.try_get("oldest")? })
        })
        .collect()
}

/// Which kinds wait in a queue, among the first 2,500 of each of its lines, most first.
pub async fn sample_kinds<'c>(executor: impl PgExecutor<'c>, queue: &str, limit: i32) -> Result<Vec<Waiting<String>>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/sample_kinds.sql")).bind(queue).bind(limit).fetch_all(executor).await?;
    rows.iter().map(|row| Ok(Waiting { what: row.try_get("kind")?, jobs: row.try_get("jobs")?, oldest: row.try_get("oldest")? })).collect()
}

/// How many workers are known, and how many of them live.
pub async fn count_workers<'c>(executor: impl PgExecutor<'c>) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/count_workers.sql")).fetch_one(executor).await?;
    Ok((row.try_get("known")?, row.try_get("alive")?))
}
