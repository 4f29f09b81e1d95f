//! One job: its row, who has it, and what became of it before.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{Result, server::session};
use crate::{
    JobId, JobState, Priority,
    store::inspect::parked_for,
    why::{
        facts::{Act, Holder, JobFacts, Past, Session},
        finished::FinishedFacts,
    },
};

/// A job's row; what else there is to know of it is left empty. With it, whether a transaction has touched the row, and its key.
pub(crate) async fn why_job(connection: &mut PgConnection, id: JobId) -> Result<Option<(JobFacts, bool, Option<String>)>> {
    let row = sqlx::query(include_str!("../../sql/why_job.sql")).bind(id.0).fetch_optional(connection).await?;
    row.map(|row| {
        let state = JobState::from_code(row.try_get("state")?)?;
        let holder = (state == JobState::Running).then(|| holder(&row)).transpose()?;
        let cancel_at: Option<DateTime<Utc>> = row.try_get("cancel_at")?;
        let why = row.try_get("cancel_why")?;
        let job = JobFacts {
            place: row.try_get("place")?,
            parked_for: parked_for(&row)?,
            revision: row.try_get("kind_revision")?,
            priority: Priority::from_code(row.try_get("priority")?)?,
            pos: row.try_get("pos")?,
            run_at: row.try_get("run_at")?,
            claimed_at: row.try_get("claimed_at")?,
            attempt: row.try_get("attempt")?,
            failures: row.try_get("failures")?,
            max_attempts: row.try_get("max_attempts")?,
            crashes: row.try_get("crashes")?,
            timeout_ms: row.try_get("timeout_ms")?,
            percent: row.try_get("percent")?,
            holder,
            cancel: cancel_at.map(|at| Act { who: None, at, why }),
            ..sketch(&row, id, state, row.try_get("eligible_at")?)?
        };
        Ok((job, row.try_get("touched")?, row.try_get("limit_key")?))
    })
    .transpose()
}

/// A finished job; its attempts, and what is usual for its kind, are left empty.
pub(crate) async fn why_finished(connection: &mut PgConnection, id: JobId) -> Result<Option<FinishedFacts>> {
    let row = sqlx::query(include_str!("../../sql/why_finished.sql")).bind(id.0).fetch_optional(connection).await?;
    row.map(|row| {
        Ok(FinishedFacts {
            state: JobState::from_code(row.try_get("state")?)?,
            queue: row.try_get("queue")?,
            kind: row.try_get("kind")?,
            created_at: row.try_get("created_at")?,
            run_at: row.try_get("run_at")?,
            eligible_at: row.try_get("eligible_at")?,
            claimed_at: row.try_get("claimed_at")?,
            finished_at: row.try_get("finished_at")?,
            attempt: row.try_get("attempt")?,
            failures: row.try_get("failures")?,
            max_attempts: row.try_get("max_attempts")?,
            crashes: row.try_get("crashes")?,
            error: row.try_get("error")?,
            attempts: Vec::new(),
            p50_s: None,
            p95_s: None,
        })
    })
    .transpose()
}

/// Whether an id was ever handed out, and who deleted its job.
pub(crate) async fn why_gone(connection: &mut PgConnection, id: JobId) -> Result<(bool, Option<Act>)> {
    let row = sqlx::query(include_str!("../../sql/why_gone.sql")).bind(id.0).fetch_one(connection).await?;
    Ok((row.try_get("handed_out")?, deed(&row)?))
}

/// Who held a job last.
pub(crate) async fn why_held(connection: &mut PgConnection, id: JobId) -> Result<Option<Act>> {
    let row = sqlx::query(include_str!("../../sql/why_held.sql")).bind(id.0).fetch_optional(connection).await?;
    row.map_or(Ok(None), |row| deed(&row))
}

fn deed(row: &PgRow) -> Result<Option<Act>> {
    let Some(at) = row.try_get::<Option<DateTime<Utc>>, _>("at")? else { return Ok(None) };
    Ok(Some(Act { who: row.try_get("who")?, at, why: row.try_get("reason")? }))
}

/// The newest attempts of these jobs, newest first.
pub(crate) async fn why_attempts(connection: &mut PgConnection, jobs: &[i64], most: i32) -> Result<BTreeMap<i64, Vec<Past>>> {
    let rows = sqlx::query(include_str!("../../sql/why_attempts.sql")).bind(jobs).bind(most).fetch_all(connection).await?;
    let mut attempts = BTreeMap::<i64, Vec<Past>>::new();
    for row in rows {
        attempts.entry(row.try_get("job_id")?).or_default().push(Past {
            attempt: row.try_get("attempt")?,
            outcome: row.try_get("outcome")?,
            error_class: row.try_get("error_class")?,
            message: row.try_get("message")?,
            eligible_at: row.try_get("eligible_at")?,
            claimed_at: row.try_get("claimed_at")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
            next_run_at: row.try_get("next_run_at")?,
        });
    }
    Ok(attempts)
}

/// Who has locked a job's row alone.
pub(crate) async fn why_locker(connection: &mut PgConnection, id: JobId) -> Result<Option<Session>> {
    let row = sqlx::query(include_str!("../../sql/why_locker.sql")).bind(id.0).fetch_optional(connection).await?;
    row.map_or(Ok(None), |row| session(&row))
}

/// Who has locked a job's row together with others. An error if nobody has.
pub(crate) async fn why_lockers(connection: &mut PgConnection, id: JobId) -> Result<Option<Session>> {
    let row = sqlx::query(include_str!("../../sql/why_lockers.sql")).bind(id.0).fetch_optional(connection).await?;
    row.map_or(Ok(None), |row| session(&row))
}

/// A job of which nothing is known but what every row of jobs tells; `run_at` is the time given.
pub(super) fn sketch(row: &PgRow, id: JobId, state: JobState, eligible_at: DateTime<Utc>) -> Result<JobFacts> {
    Ok(JobFacts {
        id,
        state,
        place: 0,
        parked_for: None,
        queue: row.try_get("queue")?,
        kind: row.try_get("kind")?,
        revision: 0,
        priority: Priority::Normal,
        pos: 0,
        run_at: eligible_at,
        eligible_at,
        created_at: row.try_get("created_at")?,
        claimed_at: None,
        attempt: 0,
        failures: 0,
        max_attempts: 0,
        crashes: 0,
        timeout_ms: None,
        percent: None,
        holder: None,
        cancel: None,
        held: None,
        attempts: Vec::new(),
        locker: None,
        key: None,
        before_in_key: 0,
        before_in_line: 0,
        overtaken: false,
    })
}

/// Who has a running job.
pub(super) fn holder(row: &PgRow) -> Result<Holder> {
    Ok(Holder {
        worker: row.try_get("worker")?,
        heartbeat_at: row.try_get("heartbeat_at")?,
        dead_at: row.try_get("dead_at")?,
        lease_ms: row.try_get::<Option<i32>, _>("lease_ms")?.unwrap_or(0),
    })
}
