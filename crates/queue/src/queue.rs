//! Queues: what is said about them, who serves them, what waits in them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{Acquire, PgConnection, PgExecutor, Postgres};

use crate::{Limit, ManageError, Operator, check_name, manage::Target, store};

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
    /// Their concurrency in all, but for those that are kept quiet.
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
    Ok(store::list_queues(executor, None, None).await?)
}

/// What operators have said about a queue, for the audit.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct QueueStanding {
    pub(crate) paused_at: Option<DateTime<Utc>>,
    pub(crate) paused_until: Option<DateTime<Utc>>,
    pub(crate) paused_by: Option<String>,
    pub(crate) paused_why: Option<String>,
    pub(crate) limit: Limit,
}

impl Operator {
    /// Stops the whole fleet from starting jobs of a queue, for a time or until it is resumed; returns until when. What runs goes on,
    /// and so does what a worker has claimed ahead, at most a second's work. A queue that is paused already gets the new reason and
    /// end.
    ///
    /// # Errors
    /// [`ManageError::Name`], and the others.
    pub async fn pause_queue<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        queue: &'c str,
        length: Option<Duration>,
    ) -> Result<Option<DateTime<Utc>>, ManageError> {
        self.check()?;
        check_name("queue", queue)?;
        let length = length.map(|length| length.min(LONGEST_PAUSE));
        let mut tx = database.begin().await?;
        let before = store::look_at_queue(&mut tx, queue).await?;
        let until = store::pause_queue(&mut tx, queue, &self.who, self.reason.as_deref(), length).await?;
        self.write_down(&mut tx, queue, "pause", before).await?;
        tx.commit().await?;
        Ok(until)
    }

    /// Lets the fleet start jobs of a queue again; returns whether it was paused.
    ///
    /// # Errors
    /// [`ManageError::Name`], and the others.
    pub async fn resume_queue<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        queue: &'c str,
    ) -> Result<bool, ManageError> {
        self.check()?;
        check_name("queue", queue)?;
        let mut tx = database.begin().await?;
        let before = store::look_at_queue(&mut tx, queue).await?;
        if before.paused_at.is_none() {
            tx.rollback().await?;
            return Ok(false);
        }
        store::resume_queue(&mut tx, queue).await?;
        self.write_down(&mut tx, queue, "resume", before).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Sets the limits of a queue in the whole fleet, all of them anew; `None` takes them away. What runs goes on, and counts. Limits
    /// that it has already are left as they are, and not written to the audit: so an application may set them each time it starts.
    ///
    /// # Errors
    /// [`ManageError::Limit`] says what is wrong with the limit; and the others.
    pub async fn limit_queue<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        queue: &'c str,
        limit: impl Into<Option<Limit>> + Send + 'c,
    ) -> Result<(), ManageError> {
        self.check()?;
        check_name("queue", queue)?;
        let limit = limit.into();
        limit.as_ref().map_or(Ok(()), Limit::check)?;
        let (verb, limit) = (if limit.is_some() { "limit" } else { "unlimit" }, limit.unwrap_or_default());
        let mut tx = database.begin().await?;
        let before = store::look_at_queue(&mut tx, queue).await?;
        if before.limit == limit {
            tx.rollback().await?;
            return Ok(());
        }
        store::limit_queue(&mut tx, queue, limit).await?;
        self.write_down(&mut tx, queue, verb, before).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn write_down(&self, tx: &mut PgConnection, queue: &str, verb: &str, before: QueueStanding) -> Result<(), ManageError> {
        let after = store::look_at_queue(tx, queue).await?;
        self.write_audit(tx, verb, Target::Queue(queue), &[], Some(json!(before)), Some(json!(after))).await?;
        Ok(())
    }
}
