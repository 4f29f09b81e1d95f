//! A replica, by which reads that need not be exact spare the primary.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool, Postgres, Row, Transaction};

/// How far a replica has followed its primary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Whether the server follows another one at all. If not, it takes writes itself.
    pub follows: bool,
    /// What it has replayed, as a position in the write-ahead log.
    pub replayed: Option<i64>,
    /// How long ago that was the end of the log, in seconds, as far as the clocks of both machines agree; `None`: it does not know.
    pub lag_s: Option<f64>,
    /// Whether it is connected to its primary. One that is fed from an archive never is.
    pub receives: bool,
    /// Whether somebody has paused its replay.
    pub paused: bool,
}

/// A transaction on a replica that only reads, as [`start_reading`](super::start_reading) makes one: with the clock there, and how far
/// it has followed. What the transaction reads from here on is as new as that, or newer.
pub async fn start_reading_replica(
    pool: &PgPool,
    most: Duration,
) -> Result<(Transaction<'static, Postgres>, DateTime<Utc>, Standing), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let statement = sqlx::query(include_str!("../sql/start_reading_replica.sql"));
    let row = statement.bind(most.as_millis().to_string()).fetch_one(&mut *tx).await?;
    let standing = Standing {
        follows: row.try_get("follows")?,
        replayed: row.try_get("replayed")?,
        lag_s: row.try_get("lag_s")?,
        receives: row.try_get("receives")?,
        paused: row.try_get("paused")?,
    };
    Ok((tx, row.try_get("clock")?, standing))
}

/// A position in the write-ahead log of a primary, behind all that was committed before. A replica that has replayed so far shows that.
pub async fn get_wal_position<'c>(executor: impl PgExecutor<'c>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/get_wal_position.sql")).fetch_one(executor).await
}

/// Which data a server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerIdentity {
    /// Whether it follows another server.
    pub follows: bool,
    /// The name of the database.
    pub database: String,
    /// The same for a primary and its replicas, and for no others; `None`: this role may not see it.
    pub system: Option<i64>,
}

/// Which data a server has.
pub async fn identify_server<'c>(executor: impl PgExecutor<'c>) -> Result<ServerIdentity, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/identify_server.sql")).fetch_one(executor).await?;
    Ok(ServerIdentity { follows: row.try_get("follows")?, database: row.try_get("database")?, system: row.try_get("system")? })
}

/// Whether a replica ended a statement because its replay needed what the statement was reading. The same may work the next moment.
pub fn conflicts_with_recovery(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    match error.code().as_deref() {
        // A transaction that only reads, and not serializably, fails so for no other reason.
        Some("40001" | "40P01") => true,
        Some("57014" | "57P01" | "57P04") => error.message().contains("conflict with recovery"),
        _ => false,
    }
}
