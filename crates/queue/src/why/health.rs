//! How the server and the workers are: what a person asks when nothing is wrong yet.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{begin, wording};
use crate::{ReadError, store};

/// How the server and the workers are.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// The database's clock.
    pub clock: DateTime<Utc>,
    /// Live workers.
    pub workers: i64,
    /// Of these, workers that listen for notifications.
    pub listening: i64,
    /// Workers that only poll.
    pub polling: i64,
    /// How far the worst of their clocks is off, in ms, of those that tell.
    pub clock_off_ms: Option<i64>,
    /// Whether this role may see what the sessions of others do: that of a superuser, or one with `pg_read_all_stats`.
    pub sees_sessions: bool,
    /// Who has the oldest transaction open, of those that this role may see: "Session 42 (`psql`) of ana".
    pub oldest_session: Option<String>,
    /// The server's process of that session.
    pub oldest_pid: Option<i32>,
    /// For how long it has been open, in seconds.
    pub oldest_s: Option<f64>,
    /// Dead rows of the job table, as the server estimates them.
    pub dead_rows: i64,
    /// Connections in use.
    pub connections: i64,
    /// How many there can be, those for superusers not counted.
    pub most_connections: i64,
    /// Whether the history has a partition for today.
    pub partition_today: bool,
    /// And for tomorrow.
    pub partition_tomorrow: bool,
}

/// How the server and the workers are, good or bad; [`causes`](crate::causes) tells what is wrong.
///
/// # Errors
/// [`ReadError`].
pub async fn health(connection: &mut PgConnection) -> Result<Health, ReadError> {
    let mut tx = begin(connection).await?;
    let mut health = store::why_health(&mut tx).await?;
    let database = store::why_database(&mut tx).await?;
    tx.rollback().await?;
    (health.dead_rows, health.connections, health.most_connections) = (database.dead_rows, database.connections, database.most_connections);
    if let Some(session) = database.oldest {
        health.oldest_session = Some(wording::who(&session));
        health.oldest_pid = Some(session.pid);
        health.oldest_s = session.since.map(|since| (health.clock - since).num_milliseconds().max(0) as f64 / 1e3);
    }
    Ok(health)
}
