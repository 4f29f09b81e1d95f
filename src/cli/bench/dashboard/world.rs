//! The jobs that the dashboard stands beside, and all that is kept around them.

use chrono::NaiveDate;
use sqlx::{PgPool, Row};

use super::super::{
    depth::{grow, grow_beside},
    stage::Database,
    story,
};

/// Unfinished jobs for a hundred finished ones.
const UNFINISHED_PERCENT: u64 = 3;

/// What there is to ask for. Finished jobs have the ids from 1 to `finished`, unfinished ones the next.
#[derive(Debug)]
pub(super) struct World {
    pub(super) finished: i64,
    /// Of a job that ended on the third of the days, and of one of today.
    pub(super) old_trace: String,
    pub(super) new_trace: String,
    pub(super) old_request: String,
    pub(super) fingerprint: String,
    pub(super) operation: i64,
    /// The third of the days.
    pub(super) day: NaiveDate,
}

/// Makes them, in the form that the engine would have left them in.
pub(super) async fn build(database: &Database, finished: u64) -> anyhow::Result<World> {
    let pool = &database.pool;
    // The disk need not hold much of a log that nobody reads.
    sqlx::raw_sql("ALTER SYSTEM SET max_wal_size = '1GB'; SELECT pg_reload_conf()").execute(pool).await?;
    sqlx::raw_sql(include_str!("days.sql")).execute(pool).await?;
    grow_beside(database, include_str!("finished.sql"), finished, finished).await?;
    grow(database, include_str!("attempts.sql"), finished).await?;
    grow_beside(database, include_str!("unfinished.sql"), finished * UNFINISHED_PERCENT / 100, finished).await?;
    sqlx::raw_sql(include_str!("around.sql")).execute(pool).await?;
    story::build(database).await?;
    vacuum(pool).await?;
    sqlx::raw_sql("ALTER SYSTEM RESET max_wal_size; SELECT pg_reload_conf()").execute(pool).await?;
    database.settle_down().await?;
    let row = sqlx::query(include_str!("asked.sql")).bind(i64::try_from(finished)?).fetch_one(pool).await?;
    Ok(World {
        finished: row.try_get("finished")?,
        old_trace: row.try_get("old_trace")?,
        new_trace: row.try_get("new_trace")?,
        old_request: row.try_get("old_request")?,
        fingerprint: row.try_get("fingerprint")?,
        operation: row.try_get("operation")?,
        day: row.try_get("day")?,
    })
}

/// As autovacuum has long done it.
async fn vacuum(pool: &PgPool) -> anyhow::Result<()> {
    sqlx::raw_sql("VACUUM (ANALYZE)").execute(pool).await?;
    Ok(())
}
