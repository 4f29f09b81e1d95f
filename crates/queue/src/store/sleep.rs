//! Telling enqueuers whether anybody sleeps. The locks belong to the session, so these run on the listener's own connection.

use sqlx::PgExecutor;

/// The worker is about to sleep on these queues; false: it must poll instead.
pub async fn sleep_on_queues<'c>(executor: impl PgExecutor<'c>, queues: &[String]) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/sleep_on_queues.sql")).bind(queues).fetch_one(executor).await
}

/// The worker sleeps until the next scheduled job is due, for as long as the connection lives.
pub async fn sleep_until_due<'c>(executor: impl PgExecutor<'c>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/sleep_until_due.sql")).fetch_one(executor).await
}

/// Calls the connection itself, on a channel that it listens to.
pub async fn call_oneself<'c>(executor: impl PgExecutor<'c>, channel: &str) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/call_oneself.sql")).bind(channel).execute(executor).await?;
    Ok(())
}

/// The worker no longer sleeps on these queues.
pub async fn stay_awake<'c>(executor: impl PgExecutor<'c>, queues: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/stay_awake.sql")).bind(queues).execute(executor).await?;
    Ok(())
}
