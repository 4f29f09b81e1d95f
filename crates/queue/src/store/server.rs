//! What is known of the server and of what it keeps, for people who ask what they are looking at.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgExecutor, Row};

/// The server, as a page of settings tells of it.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    /// Its version.
    pub version: String,
    /// The name of the database.
    pub database: String,
    /// Connections that it allows in all.
    pub max_connections: String,
    /// The version of the schema.
    pub schema_version: i64,
    /// How far behind its primary it is, in seconds; `None`: it is the primary.
    pub replica_lag_s: Option<f64>,
    /// The oldest entry of the audit.
    pub audit_since: Option<DateTime<Utc>>,
    /// The oldest error that is known.
    pub errors_since: Option<DateTime<Utc>>,
}

/// A part of the history, and the days that it has.
#[derive(Debug, Clone)]
pub struct HistoryDays {
    /// The table.
    pub family: String,
    /// The first day.
    pub first: NaiveDate,
    /// The last: days are made ahead.
    pub last: NaiveDate,
    /// How many.
    pub days: i64,
}

/// What is known of the server.
pub async fn describe_server<'c>(executor: impl PgExecutor<'c>) -> Result<ServerFacts, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/describe_server.sql")).fetch_one(executor).await?;
    Ok(ServerFacts {
        version: row.try_get("version")?,
        database: row.try_get("database")?,
        max_connections: row.try_get("max_connections")?,
        schema_version: row.try_get("schema_version")?,
        replica_lag_s: row.try_get("replica_lag_s")?,
        audit_since: row.try_get("audit_since")?,
        errors_since: row.try_get("errors_since")?,
    })
}

/// The days that the history has.
pub async fn list_history_days<'c>(executor: impl PgExecutor<'c>) -> Result<Vec<HistoryDays>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_history_days.sql")).fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            Ok(HistoryDays {
                family: row.try_get("family")?,
                first: row.try_get("first")?,
                last: row.try_get("last")?,
                days: row.try_get("days")?,
            })
        })
        .collect()
}
