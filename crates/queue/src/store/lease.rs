//! Workers and their leases.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, Row};

use crate::{JobId, store::Kinds};

/// What a worker says of itself.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Shown to people: host and process id.
    pub name: String,
    /// Queues served.
    pub queues: Vec<String>,
    /// Jobs at once, parallel to `queues`.
    pub slots: Vec<i32>,
    /// Kinds handled.
    pub kinds: Kinds,
    /// Silent for longer than this, in ms: dead.
    pub lease_ms: i32,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone)]
pub struct Beat {
    /// Jobs that somebody asked to cancel, of any worker.
    pub cancel: Vec<JobId>,
    /// Leases of this worker that it does not know of.
    pub stranded: i64,
    /// Whether a suspect waits in one of its queues.
    pub suspects: bool,
    /// The time of this heartbeat, by the database's clock.
    pub at: DateTime<Utc>,
    /// Seconds since the one before, by the same clock.
    pub since_s: f64,
    /// Whether somebody has told it to claim nothing more.
    pub quiet: bool,
}

/// Makes a worker known under `id`; `before`: what that was before it was declared dead.
pub async fn register_worker<'c>(
    executor: impl PgExecutor<'c>,
    id: i64,
    who: &Registration,
    before: Option<i64>,
) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/register_worker.sql"))
        .bind(id)
        .bind(&who.name)
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(&who.queues)
        .bind(&who.slots)
        .bind(&who.kinds.names)
        .bind(who.lease_ms)
        .bind(&who.kinds.revisions)
        .bind(before)
        .execute(executor)
        .await?;
    Ok(())
}

/// What a worker says of itself now and then: its clock in ms since 1970, whether it listens, and how long ago it heard itself.
pub async fn tell_worker<'c>(
    executor: impl PgExecutor<'c>,
    worker: i64,
    clock_ms: i64,
    listens: bool,
    heard: Option<std::time::Duration>,
) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/tell_worker.sql"))
        .bind(worker)
        .bind(clock_ms)
        .bind(listens)
        .bind(heard.map(|heard| heard.as_secs_f64()))
        .execute(executor)
        .await?;
    Ok(())
}

/// A heartbeat; `None` when the worker was declared dead.
pub async fn beat_worker(connection: &mut PgConnection, worker: i64, held: &[i64], running: i32) -> Result<Option<Beat>, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/beat_worker.sql")).bind(worker).bind(held).bind(running).fetch_optional(connection).await?;
    row.map(|row| {
        Ok(Beat {
            cancel: row.try_get::<Vec<i64>, _>(0)?.into_iter().map(JobId).collect(),
            stranded: row.try_get(1)?,
            suspects: row.try_get(2)?,
            at: row.try_get(3)?,
            since_s: row.try_get(4)?,
            quiet: row.try_get(5)?,
        })
    })
    .transpose()
}

/// Gives back jobs of leases outside `held`; returns how many.
pub async fn return_stranded(connection: &mut PgConnection, worker: i64, held: &[i64]) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/return_stranded.sql")).bind(worker).bind(held).fetch_one(connection).await
}

/// Removes leases of which no job is left.
pub async fn delete_leases(connection: &mut PgConnection, worker: i64, leases: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/delete_leases.sql")).bind(leases).bind(worker).execute(connection).await?;
    Ok(())
}

/// Takes a worker that stopped in order off the list.
pub async fn remove_worker<'c>(executor: impl PgExecutor<'c>, worker: i64) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/remove_worker.sql")).bind(worker).execute(executor).await?;
    Ok(())
}

/// Lets the server end each later statement of this transaction that takes longer.
pub async fn limit_statement<'c>(executor: impl PgExecutor<'c>, limit: std::time::Duration) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/limit_statement.sql")).bind(limit.as_millis().to_string()).execute(executor).await?;
    Ok(())
}

/// Ends each later statement of this transaction that waits longer for a lock.
pub async fn limit_lock<'c>(executor: impl PgExecutor<'c>, limit: std::time::Duration) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/limit_lock.sql")).bind(limit.as_millis().to_string()).execute(executor).await?;
    Ok(())
}

/// Lets the server end this transaction when it sits idle for longer than the lease.
pub async fn limit_idle_transaction<'c>(executor: impl PgExecutor<'c>, lease: std::time::Duration) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/limit_idle_transaction.sql")).bind(lease.as_millis().to_string()).execute(executor).await?;
    Ok(())
}

/// A session of the server: its process, and when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    pid: i32,
    began: DateTime<Utc>,
}

/// The session of this connection; ends the one of a connection of ours that was given up, and tells whether that was still there.
pub async fn take_over_session(connection: &mut PgConnection, left: Option<Session>) -> Result<(Session, bool), sqlx::Error> {
    let (pid, began, ended) = sqlx::query_as(include_str!("../sql/take_over_session.sql"))
        .bind(left.map(|left| left.pid))
        .bind(left.map(|left| left.began))
        .fetch_one(connection)
        .await?;
    Ok((Session { pid, began }, ended))
}

/// The process of this connection's session, and whether that has the options of a worker's connections.
pub async fn ask_session(connection: &mut PgConnection) -> Result<(i32, bool), sqlx::Error> {
    let row = sqlx::raw_sql(include_str!("../sql/ask_session.sql")).fetch_one(connection).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
