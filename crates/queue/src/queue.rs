//! Queues: what is said about them, who serves them, what waits in them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::{Limit, ManageError, check_name, store};

/// The longest pause that ends by itself: 100 years.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(36_525 * 86_400);

/// A queue as it stands. Counts of jobs stop at 10,001 each, so that reading them costs the same however deep the queue is.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct QueueStatus {
    /// Its name.
    pub name: String,
    /// Jobs that could start.
    pub available: i64,
    /// Jobs that run, or were claimed and are about to.
    pub running: i64,
    /// Jobs that are held, wait for a key, or are suspects.
    pub parked: i64,
    /// How long the oldest available job has waited, in seconds.
    pub oldest_s: Option<f64>,
    /// Live workers that serve it.
    pub workers: i64,
    /// Their concurrency in all.
    pub slots: i64,
    /// What it may do at most.
    pub limit: Limit,
    /// Since when it is paused. A pause that has ended by itself is still shown; see `paused_until`.
    pub paused_at: Option<DateTime<Utc>>,
    /// When the pause ends by itself.
    pub paused_until: Option<DateTime<Utc>>,
    /// Who paused it.
    pub paused_by: Option<String>,
    /// Why.
    pub paused_why: Option<String>,
}

/// Every queue that has an unfinished job in line, a live worker, a pause or a limit, by name.
///
/// # Errors
/// [`ManageError`] of the database.
pub async fn queues<'c>(executor: impl PgExecutor<'c>) -> Result<Vec<QueueStatus>, ManageError> {
    Ok(store::list_queues(executor).await?)
}

/// Stops the whole fleet from starting jobs of a queue, with a reason for people, for a time or until it is resumed; returns until
/// when. What runs goes on, and so does what a worker has claimed ahead, at most a second's work. A queue that is paused already
/// gets the new reason and end.
///
/// # Errors
/// [`ManageError`]; nothing is changed then.
pub async fn pause_queue<'c>(
    executor: impl PgExecutor<'c>,
    queue: &str,
    who: &str,
    why: &str,
    length: Option<Duration>,
) -> Result<Option<DateTime<Utc>>, ManageError> {
    check_name("queue", queue)?;
    let length = length.map(|length| length.min(LONGEST_PAUSE));
    Ok(store::pause_queue(executor, queue, &store::clean_text(who), &store::clean_text(why), length).await?)
}

/// Lets the fleet start jobs of a queue again; returns whether it was paused.
///
/// # Errors
/// [`ManageError`]; nothing is changed then.
pub async fn resume_queue<'c>(executor: impl PgExecutor<'c>, queue: &str) -> Result<bool, ManageError> {
    check_name("queue", queue)?;
    Ok(store::resume_queue(executor, queue).await?)
}

/// Sets the limits of a queue in the whole fleet, all of them anew; `None` takes them away. What runs goes on, and counts.
///
/// # Errors
/// [`ManageError::Limit`] says what is wrong with the limit; nothing is changed then.
pub async fn limit_queue<'c>(executor: impl PgExecutor<'c>, queue: &str, limit: impl Into<Option<Limit>>) -> Result<(), ManageError> {
    check_name("queue", queue)?;
    let limit = limit.into();
    if let Some(limit) = limit {
        limit.check()?;
    }
    Ok(store::limit_queue(executor, queue, limit.unwrap_or_default()).await?)
}
