//! Reads of one job, and of the workers.

use sqlx::{PgExecutor, Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    Attempt, FoundJobs, JobDetail, JobId, JobState, JobStatus, MissingWorker, ParkedFor, Priority, Progress, RunningSpan, UnhandledKind,
    WorkerInfo, WorkerLife,
};

/// One job, live or finished.
pub(crate) async fn get_job<'c>(executor: impl PgExecutor<'c>, id: JobId) -> Result<Option<JobStatus>, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/get_job.sql")).bind(id.0).fetch_optional(executor).await?;
    row.map(|row| status(&row)).transpose()
}

/// What a job was given; its attempts and their logs are left empty.
pub(crate) async fn get_job_detail<'c>(executor: impl PgExecutor<'c>, status: JobStatus) -> Result<Option<JobDetail>, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/get_job_detail.sql")).bind(status.id.0).fetch_optional(executor).await?;
    row.map(|row| {
        Ok(JobDetail {
            status,
            args: json(row.try_get("args")?).unwrap_or_default(),
            priority: Priority::from_code(row.try_get("priority")?)?,
            timeout_ms: row.try_get("timeout_ms")?,
            tags: row.try_get::<Option<Vec<String>>, _>("tags")?.unwrap_or_default(),
            meta: json(row.try_get("meta")?),
            parent: row.try_get::<Option<i64>, _>("parent_id")?.map(JobId),
            root: row.try_get::<Option<i64>, _>("root_id")?.map(JobId),
            crashes: row.try_get("crashes")?,
            revision: row.try_get("kind_revision")?,
            parked_for: parked_for(&row)?,
            origin: json(row.try_get("origin")?),
            limit_key: row.try_get("limit_key")?,
            worker: row.try_get("worker")?,
            span: match row.try_get("span_path")? {
                Some(path) => Some(RunningSpan { path, since: row.try_get("span_since")? }),
                None => None,
            },
            attempts: Vec::new(),
            logs: Vec::new(),
        })
    })
    .transpose()
}

/// The attempts of a job that did not simply succeed, oldest first.
pub(crate) async fn list_attempts<'c>(executor: impl PgExecutor<'c>, id: JobId) -> Result<Vec<Attempt>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_attempts.sql")).bind(id.0).fetch_all(executor).await?;
    rows.iter().map(attempt).collect()
}

/// The jobs of a trace, at most so many; reads what has no index for so long.
pub(crate) async fn find_jobs_by_trace<'c>(
    executor: impl PgExecutor<'c>,
    trace_id: u128,
    most: i32,
    budget_ms: i32,
) -> Result<FoundJobs, sqlx::Error> {
    let sql = include_str!("../sql/find_jobs_by_trace.sql");
    let row = sqlx::query(sql).bind(Uuid::from_u128(trace_id)).bind(most).bind(budget_ms).fetch_one(executor).await?;
    found(&row)
}

/// The jobs enqueued in a request, at most so many; reads what has no index for so long.
pub(crate) async fn find_jobs_by_request<'c>(
    executor: impl PgExecutor<'c>,
    request_id: &str,
    most: i32,
    budget_ms: i32,
) -> Result<FoundJobs, sqlx::Error> {
    // A text that Postgres can't hold is no job's.
    if request_id.contains('\0') {
        return Ok(FoundJobs { jobs: Vec::new(), complete: true });
    }
    let sql = include_str!("../sql/find_jobs_by_request.sql");
    let row = sqlx::query(sql).bind(request_id).bind(most).bind(budget_ms).fetch_one(executor).await?;
    found(&row)
}

fn found(row: &PgRow) -> Result<FoundJobs, sqlx::Error> {
    let ids: Vec<i64> = row.try_get("ids")?;
    Ok(FoundJobs { jobs: ids.into_iter().map(JobId).collect(), complete: row.try_get("complete")? })
}

/// Every worker that is known, the living first.
pub(crate) async fn list_workers<'c>(executor: impl PgExecutor<'c>) -> Result<Vec<WorkerInfo>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_workers.sql")).fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            let dead_at = row.try_get("dead_at")?;
            Ok(WorkerInfo {
                id: row.try_get::<i64, _>("id")?.to_string(),
                name: row.try_get("name")?,
                version: row.try_get("version")?,
                life: match (dead_at, row.try_get("overdue")?) {
                    (Some(_), _) => WorkerLife::Dead,
                    (None, true) => WorkerLife::Silent,
                    (None, false) => WorkerLife::Alive,
                },
                queues: row.try_get("queues")?,
                slots: row.try_get("slots")?,
                kinds: row.try_get("kinds")?,
                revisions: row.try_get::<Option<_>, _>("revisions")?.unwrap_or_default(),
                running: row.try_get("running")?,
                heartbeat_age_s: row.try_get("heartbeat_age_s")?,
                started_at: row.try_get("started_at")?,
                dead_at,
                quiet_at: row.try_get("quiet_at")?,
                quiet_by: row.try_get("quiet_by")?,
                quiet_why: row.try_get("quiet_why")?,
            })
        })
        .collect()
}

/// Entries that are looked at of each of a queue's four lines: 10,000 of a queue.
const DEPTH: i32 = 2_500;

/// Waiting jobs that no live worker takes; none if `worker` is given and another live one has a lower id, or its own heartbeat looks old.
pub async fn list_unhandled<'c>(executor: impl PgExecutor<'c>, worker: Option<i64>) -> Result<Vec<UnhandledKind>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_unhandled.sql")).bind(DEPTH).bind(worker).fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            Ok(UnhandledKind {
                queue: row.try_get("queue")?,
                kind: row.try_get("kind")?,
                revision: row.try_get("revision")?,
                jobs: row.try_get("jobs")?,
                at_least: row.try_get("at_least")?,
                oldest_s: row.try_get("oldest_s")?,
                missing: match (row.try_get("served")?, row.try_get("known_revision")?) {
                    (_, Some(known)) => MissingWorker::Revision { known },
                    (true, None) => MissingWorker::Kind,
                    (false, None) => MissingWorker::Queue,
                },
            })
        })
        .collect()
}

pub(super) fn attempt(row: &PgRow) -> Result<Attempt, sqlx::Error> {
    Ok(Attempt {
        attempt: row.try_get("attempt")?,
        outcome: row.try_get("outcome")?,
        error_class: row.try_get("error_class")?,
        message: row.try_get("message")?,
        worker: row.try_get("worker_name")?,
        claimed_at: row.try_get("claimed_at")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
        next_run_at: row.try_get("next_run_at")?,
    })
}

fn status(row: &PgRow) -> Result<JobStatus, sqlx::Error> {
    Ok(JobStatus {
        id: JobId(row.try_get("id")?),
        kind: row.try_get("kind")?,
        queue: row.try_get("queue")?,
        state: JobState::from_code(row.try_get("state")?)?,
        attempt: row.try_get("attempt")?,
        failures: row.try_get("failures")?,
        max_attempts: row.try_get("max_attempts")?,
        run_at: row.try_get("run_at")?,
        created_at: row.try_get("created_at")?,
        claimed_at: row.try_get("claimed_at")?,
        finished_at: row.try_get("finished_at")?,
        progress: progress(row)?,
        output: json(row.try_get("output")?),
        error: row.try_get("error")?,
    })
}

/// What a parked job waits for.
pub(super) fn parked_for(row: &PgRow) -> Result<Option<ParkedFor>, sqlx::Error> {
    row.try_get::<Option<i16>, _>("parked_for")?.map(ParkedFor::from_code).transpose()
}

/// What the running attempt last reported.
pub(super) fn progress(row: &PgRow) -> Result<Option<Progress>, sqlx::Error> {
    let Some(percent) = row.try_get::<Option<i16>, _>("percent")? else { return Ok(None) };
    Ok(Some(Progress { percent: u8::try_from(percent).unwrap_or(0), message: row.try_get("message")? }))
}

/// A value that Postgres can hold and this program can't read is shown as its text, so that it hides nothing else.
pub(super) fn json(text: Option<String>) -> Option<serde_json::Value> {
    text.map(|text| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text)))
}
