//! Schedules: declaring, firing, operating.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, Row, postgres::PgRow};

use crate::{
    JobId, TraceContext,
    schedule::{Checked, ScheduleStatus},
};

/// A schedule whose next instant has come.
#[derive(Debug, Clone)]
pub struct Due {
    /// Where its row is in the table, for as long as this transaction has it locked.
    pub place: String,
    /// Its name.
    pub name: String,
    /// Its expression.
    pub cron: String,
    /// Its zone.
    pub zone: String,
    /// The policy for missed instants, as its code.
    pub missed: i16,
    /// The window of that policy, if it has one.
    pub missed_for_s: Option<i32>,
    /// The first instant that nobody has looked at.
    pub next_at: DateTime<Utc>,
    /// When a pause ended by itself.
    pub paused_until: Option<DateTime<Utc>>,
    /// The database's clock.
    pub clock: DateTime<Utc>,
    /// Of its jobs.
    pub kind: String,
    /// Of its jobs.
    pub queue: String,
}

/// What is decided about a due schedule.
#[derive(Debug, Clone)]
pub struct Fire {
    /// [`Due::place`].
    pub place: String,
    /// Its next instant; `None`: there is none any more.
    pub next: Option<DateTime<Utc>>,
    /// The instants that make a job, in order.
    pub instants: Vec<DateTime<Utc>>,
}
/// Writes the schedules of a service; returns one that belongs to another and its owner, if there is one: then roll back.
pub(crate) async fn declare_schedules(
    connection: &mut PgConnection,
    owner: &str,
    schedules: &[Checked],
    next: &[DateTime<Utc>],
) -> Result<Option<(String, String)>, sqlx::Error> {
    let drafts = || schedules.iter().map(|schedule| &schedule.draft);
    sqlx::query_as(include_str!("../sql/declare_schedules.sql"))
        .bind(owner)
        .bind(schedules.iter().map(|schedule| schedule.name.as_str()).collect::<Vec<_>>())
        .bind(schedules.iter().map(|schedule| schedule.cron.expression()).collect::<Vec<_>>())
        .bind(schedules.iter().map(|schedule| schedule.cron.zone()).collect::<Vec<_>>())
        .bind(schedules.iter().map(|schedule| schedule.missed).collect::<Vec<_>>())
        .bind(schedules.iter().map(|schedule| schedule.missed_for_s).collect::<Vec<_>>())
        .bind(schedules.iter().map(|schedule| schedule.overlap).collect::<Vec<_>>())
        .bind(schedules.iter().map(|schedule| schedule.jitter_ms).collect::<Vec<_>>())
        .bind(drafts().map(|draft| draft.kind).collect::<Vec<_>>())
        .bind(drafts().map(|draft| draft.queue.as_ref()).collect::<Vec<_>>())
        .bind(drafts().map(|draft| draft.args.as_str()).collect::<Vec<_>>())
        .bind(drafts().map(|draft| draft.priority).collect::<Vec<_>>())
        .bind(drafts().map(|draft| draft.max_attempts).collect::<Vec<_>>())
        .bind(drafts().map(|draft| draft.timeout_ms).collect::<Vec<_>>())
        .bind(drafts().map(|draft| draft.tags.as_deref()).collect::<Vec<_>>())
        .bind(drafts().map(|draft| draft.meta.as_deref()).collect::<Vec<_>>())
        .bind(next)
        .bind(drafts().map(|draft| draft.limit_key.as_deref()).collect::<Vec<_>>())
        .bind(drafts().map(|draft| draft.revision).collect::<Vec<_>>())
        .fetch_optional(connection)
        .await
}

/// Removes the schedules of a service that it does not declare.
pub(crate) async fn drop_schedules(connection: &mut PgConnection, owner: &str, keep: &[Checked]) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/drop_schedules.sql"))
        .bind(owner)
        .bind(keep.iter().map(|schedule| schedule.name.as_str()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// Expressions, each with its zone, that a program can't read.
#[derive(Debug, Default)]
pub struct Unreadable {
    /// The expressions.
    pub crons: Vec<String>,
    /// Their zones, parallel.
    pub zones: Vec<String>,
}

/// Locks schedules that are due and not left to others.
pub(crate) async fn lock_due_schedules(
    connection: &mut PgConnection,
    limit: i32,
    unreadable: &Unreadable,
) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/lock_due_schedules.sql"))
        .bind(limit)
        .bind(&unreadable.crons)
        .bind(&unreadable.zones)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Due {
                place: row.try_get("place")?,
                name: row.try_get("name")?,
                cron: row.try_get("cron")?,
                zone: row.try_get("zone")?,
                missed: row.try_get("missed")?,
                missed_for_s: row.try_get("missed_for_s")?,
                next_at: row.try_get("next_at")?,
                paused_until: row.try_get("paused_until")?,
                clock: row.try_get("clock")?,
                kind: row.try_get("kind")?,
                queue: row.try_get("queue")?,
            })
        })
        .collect()
}

/// A job that a schedule made at an instant.
#[derive(Debug, Clone)]
pub struct Fired {
    /// The schedule.
    pub schedule: String,
    /// The instant.
    pub instant: DateTime<Utc>,
    /// The job.
    pub job: JobId,
}

/// Enqueues what fires and moves the schedules on; returns the jobs there are now. The schedules are locked by [`lock_due_schedules`] in the same transaction.
pub(crate) async fn fire_schedules(connection: &mut PgConnection, fires: &[Fire]) -> Result<Vec<Fired>, sqlx::Error> {
    let (mut places, mut instants, mut firsts, mut nexts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for fire in fires {
        // One without instants moves on all the same.
        for n in 0..fire.instants.len().max(1) {
            places.push(fire.place.as_str());
            instants.push(fire.instants.get(n).copied());
            firsts.push(n == 0);
            nexts.push(fire.next);
        }
    }
    let rows = sqlx::query(include_str!("../sql/fire_schedules.sql"))
        .bind(places)
        .bind(instants)
        .bind(firsts)
        .bind(nexts)
        .fetch_all(connection)
        .await?;
    let mut fired = Vec::new();
    for row in rows {
        // One row says so when no job was made.
        if let Some(job) = row.try_get::<Option<i64>, _>(2)? {
            fired.push(Fired { schedule: row.try_get(0)?, instant: row.try_get(1)?, job: JobId(job) });
        }
    }
    Ok(fired)
}

/// Says which traces jobs begin.
pub(crate) async fn trace_jobs(connection: &mut PgConnection, jobs: &[(JobId, TraceContext)]) -> Result<(), sqlx::Error> {
    let traces: Vec<_> = jobs.iter().map(|(_, trace)| trace.stored()).collect();
    sqlx::query(include_str!("../sql/trace_jobs.sql"))
        .bind(jobs.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind(traces.iter().map(|trace| trace.0).collect::<Vec<_>>())
        .bind(traces.iter().map(|trace| trace.1).collect::<Vec<_>>())
        .bind(traces.iter().map(|trace| trace.2).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// Seconds until the next schedule is due that is not left to others.
pub(crate) async fn next_schedule(connection: &mut PgConnection, unreadable: &Unreadable) -> Result<Option<f64>, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/next_schedule.sql")).bind(&unreadable.crons).bind(&unreadable.zones).fetch_one(connection).await
}

/// Schedules by name: one, or those after `after`.
pub async fn list_schedules<'c>(
    executor: impl PgExecutor<'c>,
    name: Option<&str>,
    after: &str,
    limit: Option<i32>,
) -> Result<Vec<ScheduleStatus>, sqlx::Error> {
    let query = sqlx::query(include_str!("../sql/list_schedules.sql")).bind(name).bind(after).bind(limit);
    let rows = query.fetch_all(executor).await?;
    rows.iter().map(status).collect()
}

/// An instant that a schedule has come to.
#[derive(Debug, Clone)]
pub struct Instant {
    /// When the expression says.
    pub at: DateTime<Utc>,
    /// When it was come to.
    pub fired_at: DateTime<Utc>,
    /// The job that it made; `None`: skipped, because the one before had not finished.
    pub job: Option<JobId>,
}

/// The instants that a schedule has come to, newest first.
pub async fn list_fires<'c>(executor: impl PgExecutor<'c>, schedule: &str, limit: i32) -> Result<Vec<Instant>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_fires.sql")).bind(schedule).bind(limit).fetch_all(executor).await?;
    let instant = |row: &PgRow| {
        Ok(Instant {
            at: row.try_get("instant")?,
            fired_at: row.try_get("fired_at")?,
            job: row.try_get::<Option<i64>, _>("job_id")?.map(JobId),
        })
    };
    rows.iter().map(instant).collect()
}

/// Locks a schedule; returns whether there is one.
pub(crate) async fn lock_schedule(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/lock_schedule.sql")).bind(name).fetch_optional(connection).await?;
    Ok(row.is_some())
}

/// Pauses a schedule; returns until when.
pub(crate) async fn pause_schedule(
    connection: &mut PgConnection,
    name: &str,
    who: &str,
    why: Option<&str>,
    length: Option<Duration>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/pause_schedule.sql"))
        .bind(name)
        .bind(who)
        .bind(why)
        .bind(length.map(|length| length.as_secs_f64()))
        .fetch_one(connection)
        .await
}

/// Resumes a schedule from this instant on.
pub(crate) async fn resume_schedule(connection: &mut PgConnection, name: &str, next: Option<DateTime<Utc>>) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/resume_schedule.sql")).bind(name).bind(next).execute(connection).await?;
    Ok(())
}

/// Enqueues a schedule's job now.
pub(crate) async fn run_schedule(connection: &mut PgConnection, name: &str) -> Result<JobId, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/run_schedule.sql")).bind(name).fetch_one(connection).await.map(JobId)
}

/// Removes a schedule.
pub(crate) async fn delete_schedule(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/delete_schedule.sql")).bind(name).execute(connection).await?;
    Ok(())
}

fn status(row: &PgRow) -> Result<ScheduleStatus, sqlx::Error> {
    Ok(ScheduleStatus {
        name: row.try_get("name")?,
        owner: row.try_get("owner")?,
        cron: row.try_get("cron")?,
        zone: row.try_get("zone")?,
        kind: row.try_get("kind")?,
        queue: row.try_get("queue")?,
        missed: row.try_get("missed")?,
        overlap: row.try_get("overlap")?,
        next_at: row.try_get("next_at")?,
        last_at: row.try_get("last_at")?,
        last_job: row.try_get::<Option<i64>, _>("last_job")?.map(JobId),
        paused_at: row.try_get("paused_at")?,
        paused_until: row.try_get("paused_until")?,
        paused_by: row.try_get("paused_by")?,
        paused_why: row.try_get("paused_why")?,
        clock: row.try_get("clock")?,
    })
}
