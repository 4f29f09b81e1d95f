//! Workers that somebody has told to claim nothing more.

use sqlx::{PgExecutor, Row};

use crate::manage::WorkerStanding;

/// What somebody has said about a worker; `None` when it is not known, or dead.
pub(crate) async fn look_at_worker<'c>(executor: impl PgExecutor<'c>, worker: i64) -> Result<Option<WorkerStanding>, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/look_at_worker.sql")).bind(worker).fetch_optional(executor).await?;
    row.map(|row| {
        Ok(WorkerStanding {
            name: row.try_get("name")?,
            quiet_at: row.try_get("at")?,
            quiet_by: row.try_get("by")?,
            quiet_why: row.try_get("why")?,
        })
    })
    .transpose()
}

/// Tells a worker to claim nothing more.
pub(crate) async fn quiet_worker<'c>(executor: impl PgExecutor<'c>, worker: i64, by: &str, why: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/quiet_worker.sql")).bind(worker).bind(by).bind(why).execute(executor).await?;
    Ok(())
}

/// Lets a worker claim again.
pub(crate) async fn resume_worker<'c>(executor: impl PgExecutor<'c>, worker: i64) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/resume_worker.sql")).bind(worker).execute(executor).await?;
    Ok(())
}
