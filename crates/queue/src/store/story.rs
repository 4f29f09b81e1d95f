//! What stories are made of.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, Postgres, Row, Transaction};
use uuid::Uuid;

use super::{
    ids,
    inspect::{json, parked_for},
};
use crate::{
    JobId, JobState, TraceContext,
    story::{QueueAct, QueueNow, StoryAct, StoryAttempt, StoryJob},
};

/// A trace that an attempt has of its own.
#[derive(Debug, Clone, Copy)]
pub struct AttemptTrace {
    /// The job.
    pub job: JobId,
    /// The attempt's number.
    pub attempt: i32,
    /// Its span. Whether it was sampled is not stored.
    pub trace: TraceContext,
}

/// Stores traces that attempts have of their own. False: somebody has locked the table, and nothing is stored.
pub async fn write_attempt_traces(connection: &mut PgConnection, traces: &[AttemptTrace]) -> Result<bool, sqlx::Error> {
    let (trace_ids, span_ids): (Vec<Uuid>, Vec<i64>) =
        traces.iter().map(|own| own.trace.stored()).map(|(trace, span, _)| (trace, span)).unzip();
    sqlx::query_scalar(include_str!("../sql/write_attempt_traces.sql"))
        .bind(trace_ids)
        .bind(span_ids)
        .bind(traces.iter().map(|own| own.job.0).collect::<Vec<_>>())
        .bind(traces.iter().map(|own| own.attempt).collect::<Vec<_>>())
        .fetch_one(connection)
        .await
}

/// A transaction of reads that all see the same moment.
pub(crate) async fn begin_reading(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with(include_str!("../sql/begin_reading.sql")).await
}

/// The jobs of which an attempt has this trace as its own.
pub(crate) async fn find_attempt_traces(connection: &mut PgConnection, trace: u128, limit: i64) -> Result<Vec<JobId>, sqlx::Error> {
    let ids: Vec<i64> = sqlx::query_scalar(include_str!("../sql/find_attempt_traces.sql"))
        .bind(Uuid::from_u128(trace))
        .bind(limit)
        .fetch_all(connection)
        .await?;
    Ok(ids.into_iter().map(JobId).collect())
}

/// The traces that attempts of these jobs have of their own.
pub(crate) async fn list_attempt_traces(
    connection: &mut PgConnection,
    jobs: &[JobId],
    limit: i64,
) -> Result<Vec<AttemptTrace>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_attempt_traces.sql")).bind(ids(jobs)).bind(limit).fetch_all(connection).await?;
    let traces = rows.iter().map(|row| {
        let Some(trace) = TraceContext::from_stored(row.try_get("trace_id")?, row.try_get("span_id")?, None) else { return Ok(None) };
        Ok(Some(AttemptTrace { job: JobId(row.try_get("job_id")?), attempt: row.try_get("attempt")?, trace }))
    });
    traces.filter_map(Result::transpose).collect()
}

/// The jobs that descend from these, themselves not.
pub(crate) async fn list_family(connection: &mut PgConnection, roots: &[JobId], limit: i64) -> Result<Vec<JobId>, sqlx::Error> {
    let found: Vec<i64> =
        sqlx::query_scalar(include_str!("../sql/list_family.sql")).bind(ids(roots)).bind(limit).fetch_all(connection).await?;
    Ok(found.into_iter().map(JobId).collect())
}

/// Jobs, by id.
pub(crate) async fn list_story_jobs(connection: &mut PgConnection, jobs: &[JobId]) -> Result<Vec<StoryJob>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_story_jobs.sql")).bind(ids(jobs)).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(StoryJob {
                id: JobId(row.try_get("id")?),
                kind: row.try_get("kind")?,
                queue: row.try_get("queue")?,
                state: JobState::from_code(row.try_get("state")?)?,
                parked_for: parked_for(row)?,
                attempt: row.try_get("attempt")?,
                failures: row.try_get("failures")?,
                max_attempts: row.try_get("max_attempts")?,
                crashes: row.try_get("crashes")?,
                revision: row.try_get("kind_revision")?,
                created_at: row.try_get("created_at")?,
                run_at: row.try_get("run_at")?,
                eligible_at: row.try_get("eligible_at")?,
                claimed_at: row.try_get("claimed_at")?,
                finished_at: row.try_get("finished_at")?,
                parent: row.try_get::<Option<i64>, _>("parent_id")?.map(JobId),
                root: row.try_get::<Option<i64>, _>("root_id")?.map(JobId),
                limit_key: row.try_get("limit_key")?,
                has_unique_key: row.try_get("has_unique_key")?,
                trace: TraceContext::from_stored(row.try_get("trace_id")?, row.try_get("span_id")?, row.try_get("trace_flags")?),
                origin: json(row.try_get("origin")?),
                schedule: row.try_get("schedule")?,
                instant: row.try_get("instant")?,
                error: row.try_get("error")?,
                worker: row.try_get("worker")?,
                worker_started_at: row.try_get("worker_started_at")?,
                now: row.try_get("now")?,
            })
        })
        .collect()
}

/// Attempts that did not simply succeed, of each job the last ones that ended since a time, oldest first.
pub(crate) async fn list_story_attempts(
    connection: &mut PgConnection,
    jobs: &[JobId],
    limit: i64,
    since: DateTime<Utc>,
) -> Result<Vec<StoryAttempt>, sqlx::Error> {
    let rows =
        sqlx::query(include_str!("../sql/list_story_attempts.sql")).bind(ids(jobs)).bind(limit).bind(since).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(StoryAttempt {
                job: JobId(row.try_get("job_id")?),
                number: row.try_get("attempt")?,
                outcome: row.try_get("outcome")?,
                error_class: row.try_get("error_class")?,
                message: row.try_get("message")?,
                worker: row.try_get("worker_name")?,
                due_at: row.try_get("due_at")?,
                eligible_at: row.try_get("eligible_at")?,
                claimed_at: row.try_get("claimed_at")?,
                started_at: row.try_get("started_at")?,
                beat_at: row.try_get("beat_at")?,
                ended_at: row.try_get("ended_at")?,
                next_run_at: row.try_get("next_run_at")?,
                trace: TraceContext::from_stored(row.try_get("trace_id")?, row.try_get("span_id")?, None),
            })
        })
        .collect()
}

/// What operators did last to these jobs, oldest first.
pub(crate) async fn list_story_acts(connection: &mut PgConnection, jobs: &[JobId], limit: i64) -> Result<Vec<StoryAct>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_story_acts.sql")).bind(ids(jobs)).bind(limit).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(StoryAct {
                at: row.try_get("at")?,
                who: row.try_get("who")?,
                verb: row.try_get("verb")?,
                reason: row.try_get("reason")?,
                queue_before: row.try_get("queue_before")?,
                jobs: row.try_get::<Vec<i64>, _>("jobs")?.into_iter().map(JobId).collect(),
            })
        })
        .collect()
}

/// When these queues were paused, resumed, limited and unlimited, of each the last acts up to a time, oldest first.
pub(crate) async fn list_queue_acts(
    connection: &mut PgConnection,
    queues: &[&str],
    until: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<QueueAct>, sqlx::Error> {
    let targets: BTreeMap<String, &str> = queues.iter().map(|queue| (crate::manage::Target::Queue(queue).to_string(), *queue)).collect();
    let rows = sqlx::query(include_str!("../sql/list_queue_acts.sql"))
        .bind(targets.keys().cloned().collect::<Vec<_>>())
        .bind(until)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let queue = targets.get(row.try_get::<&str, _>("target")?).copied().unwrap_or_default();
            Ok(QueueAct {
                queue: queue.to_owned(),
                at: row.try_get("at")?,
                verb: row.try_get("verb")?,
                who: row.try_get("who")?,
                reason: row.try_get("reason")?,
                paused_until: row.try_get("paused_until")?,
            })
        })
        .collect()
}

/// How queues stand for jobs of a kind and revision.
pub(crate) async fn list_story_queues(connection: &mut PgConnection, jobs: &[(&str, &str, i16)]) -> Result<Vec<QueueNow>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_story_queues.sql"))
        .bind(jobs.iter().map(|(queue, ..)| *queue).collect::<Vec<_>>())
        .bind(jobs.iter().map(|(_, kind, _)| *kind).collect::<Vec<_>>())
        .bind(jobs.iter().map(|(.., revision)| *revision).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let running = row.try_get::<Option<i32>, _>("max_running")?.map(|most| format!("at most {most} at once"));
            let rate = row.try_get::<Option<i32>, _>("rate_count")?.zip(row.try_get::<Option<i32>, _>("rate_ms")?);
            let rate = rate.map(|(count, ms)| format!("{count} starts in {} s", f64::from(ms) / 1000.0));
            let limit: Vec<String> = running.into_iter().chain(rate).collect();
            Ok(QueueNow {
                queue: row.try_get("queue")?,
                kind: row.try_get("kind")?,
                revision: row.try_get("revision")?,
                paused_at: row.try_get("paused_at")?,
                paused_until: row.try_get("paused_until")?,
                paused_by: row.try_get("paused_by")?,
                paused_why: row.try_get("paused_why")?,
                limit: (!limit.is_empty()).then(|| limit.join(", ")),
                limited_at: row.try_get("limited_at")?,
                workers: row.try_get("workers")?,
            })
        })
        .collect()
}
