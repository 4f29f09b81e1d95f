//! What operators read of schedules and do to them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Acquire, PgExecutor, Postgres};

use crate::{
    JobId,
    queue::LONGEST_PAUSE,
    schedule::{Cron, ScheduleError},
    store,
};

/// A schedule as it stands.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ScheduleStatus {
    /// Its name.
    pub name: String,
    /// The service that declares it.
    pub owner: String,
    /// Its cron expression.
    pub cron: String,
    /// The zone of the expression.
    pub zone: String,
    /// The kind of its jobs.
    pub kind: String,
    /// Their queue.
    pub queue: String,
    /// What becomes of missed instants: "skip", "one" or "all within" a time.
    pub missed: String,
    /// What happens when the job before has not finished: "allow", "skip" or "queue one".
    pub overlap: String,
    /// When it fires next, unless it is paused; `None`: its expression names no time any more.
    pub next_at: Option<DateTime<Utc>>,
    /// The last instant that made a job.
    pub last_at: Option<DateTime<Utc>>,
    /// The job that was made last, also by [`run_schedule`].
    pub last_job: Option<JobId>,
    /// Since when it is paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// When the pause ends by itself.
    pub paused_until: Option<DateTime<Utc>>,
    /// Who paused it.
    pub paused_by: Option<String>,
    /// Why.
    pub paused_why: Option<String>,
    /// The database's clock when this was read.
    #[serde(skip)]
    pub(crate) clock: DateTime<Utc>,
}

impl ScheduleStatus {
    /// The next instants after it was read, whether it is paused or not; none if this program can't read the expression.
    pub fn upcoming(&self, many: usize) -> Vec<DateTime<Utc>> {
        Cron::new(&self.cron, &self.zone).map_or_else(|_| Vec::new(), |cron| cron.after(self.clock).take(many).collect())
    }
}

/// All schedules, by name.
///
/// # Errors
/// [`ScheduleError`] of the database.
pub async fn list_schedules<'c>(executor: impl PgExecutor<'c>) -> Result<Vec<ScheduleStatus>, ScheduleError> {
    Ok(store::list_schedules(executor, None).await?)
}

/// One schedule.
///
/// # Errors
/// [`ScheduleError::NotFound`], or another of the database.
pub async fn schedule<'c>(executor: impl PgExecutor<'c>, name: &str) -> Result<ScheduleStatus, ScheduleError> {
    store::list_schedules(executor, Some(name)).await?.pop().ok_or_else(|| not_found(name))
}

/// Stops a schedule from firing, with a reason for people, for a time or until it is resumed; returns until when. Its jobs stay. What
/// comes while it is paused is not made up.
///
/// # Errors
/// [`ScheduleError::NotFound`], or another of the database; nothing is changed then.
pub async fn pause_schedule<'c>(
    database: impl Acquire<'c, Database = Postgres>,
    name: &str,
    who: &str,
    why: &str,
    length: Option<Duration>,
) -> Result<Option<DateTime<Utc>>, ScheduleError> {
    let length = length.map(|length| length.min(LONGEST_PAUSE));
    let mut tx = database.begin().await?;
    let paused = store::pause_schedule(&mut tx, name, &store::clean_text(who), &store::clean_text(why), length).await?;
    let until = paused.ok_or_else(|| not_found(name))?;
    tx.commit().await?;
    Ok(until)
}

/// Lets a schedule fire again, from its next instant after now.
///
/// # Errors
/// [`ScheduleError::NotFound`], or another of the database; nothing is changed then.
pub async fn resume_schedule<'c>(database: impl Acquire<'c, Database = Postgres>, name: &str) -> Result<(), ScheduleError> {
    let mut tx = database.begin().await?;
    let status = store::list_schedules(&mut *tx, Some(name)).await?.pop().ok_or_else(|| not_found(name))?;
    let cron = Cron::new(&status.cron, &status.zone).map_err(|source| ScheduleError::Cron { schedule: name.to_owned(), source })?;
    store::resume_schedule(&mut tx, name, cron.next_after(status.clock)).await?;
    tx.commit().await?;
    Ok(())
}

/// Enqueues a schedule's job now, paused or not; its times stay as they are.
///
/// # Errors
/// [`ScheduleError::NotFound`], or another of the database; nothing is changed then.
pub async fn run_schedule<'c>(database: impl Acquire<'c, Database = Postgres>, name: &str) -> Result<JobId, ScheduleError> {
    let mut tx = database.begin().await?;
    let id = store::run_schedule(&mut tx, name).await?.ok_or_else(|| not_found(name))?;
    tx.commit().await?;
    Ok(id)
}

/// Removes a schedule, whoever owns it; its jobs stay. A service that still declares it makes it anew when it starts.
///
/// # Errors
/// [`ScheduleError::NotFound`], or another of the database; nothing is changed then.
pub async fn delete_schedule<'c>(database: impl Acquire<'c, Database = Postgres>, name: &str) -> Result<(), ScheduleError> {
    let mut tx = database.begin().await?;
    if !store::delete_schedule(&mut tx, name).await? {
        return Err(not_found(name));
    }
    tx.commit().await?;
    Ok(())
}

fn not_found(name: &str) -> ScheduleError {
    ScheduleError::NotFound { schedule: name.chars().take(200).collect() }
}
