//! The server: its sessions, who holds locks that others wait for; and the schedules.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{Result, seconds};
use crate::why::facts::{DatabaseFacts, LockWait, MissedFacts, Session};

/// Sessions that others wait for.
pub(crate) async fn why_lock_waits(connection: &mut PgConnection, longer_than: TimeDelta) -> Result<Vec<LockWait>> {
    lock_waits(&sqlx::query(include_str!("../../sql/why_lock_waits.sql")).bind(seconds(longer_than)).fetch_all(connection).await?)
}

/// Sessions that have locked a table of ours against everybody, whether somebody waits for it or not.
pub(crate) async fn why_table_lockers(connection: &mut PgConnection) -> Result<Vec<LockWait>> {
    lock_waits(&sqlx::query(include_str!("../../sql/why_table_lockers.sql")).fetch_all(connection).await?)
}

fn lock_waits(rows: &[PgRow]) -> Result<Vec<LockWait>> {
    let wait = |row: &PgRow| {
        let Some(session) = session(row)? else { return Ok(None) };
        Ok(Some(LockWait {
            session,
            waiters: row.try_get("waiters")?,
            workers: row.try_get("workers")?,
            since: row.try_get("since")?,
            exclusive: row.try_get("exclusive")?,
            relation: row.try_get("relation")?,
        }))
    };
    rows.iter().filter_map(|row| wait(row).transpose()).collect()
}

/// How the server is.
pub(crate) async fn why_database(connection: &mut PgConnection) -> Result<DatabaseFacts> {
    let row = sqlx::query(include_str!("../../sql/why_database.sql")).fetch_one(connection).await?;
    Ok(DatabaseFacts {
        oldest: session(&row)?,
        dead_rows: row.try_get("dead")?,
        connections: row.try_get("connections")?,
        most_connections: i64::from(row.try_get::<i32, _>("most")?),
    })
}

/// Schedules that should have fired longer ago than this.
pub(crate) async fn why_schedules(connection: &mut PgConnection, late: TimeDelta) -> Result<Vec<MissedFacts>> {
    let rows = sqlx::query(include_str!("../../sql/why_schedules.sql")).bind(seconds(late)).fetch_all(connection).await?;
    rows.iter()
        .map(|row| Ok(MissedFacts { schedule: row.try_get("name")?, owner: row.try_get("owner")?, due_at: row.try_get("next_at")? }))
        .collect()
}

/// Ends a session, if it is still this one; returns whether it was.
pub(crate) async fn end_session(connection: &mut PgConnection, pid: i32, backend_start: DateTime<Utc>) -> Result<bool> {
    sqlx::query_scalar(include_str!("../../sql/end_session.sql")).bind(pid).bind(backend_start).fetch_one(connection).await
}

/// The server's process behind this connection.
pub async fn get_backend(connection: &mut PgConnection) -> Result<i32> {
    sqlx::query_scalar(include_str!("../../sql/get_backend.sql")).fetch_one(connection).await
}

/// A session, if there is one.
pub(super) fn session(row: &PgRow) -> Result<Option<Session>> {
    let Some(pid) = row.try_get("pid")? else { return Ok(None) };
    Ok(Some(Session {
        pid,
        backend_start: row.try_get("backend_start")?,
        application: row.try_get::<Option<String>, _>("application_name")?.unwrap_or_default(),
        user: row.try_get("usename")?,
        state: row.try_get("state")?,
        since: row.try_get("xact_start")?,
        // What the server says to roles that may not see it.
        query: row.try_get::<Option<String>, _>("query")?.filter(|query| query != "<insufficient privilege>"),
    }))
}
