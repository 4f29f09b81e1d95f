//! What operators read of schedules and do to them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{Acquire, PgConnection, PgExecutor, Postgres};

use crate::{
    JobId, ManageError, Operator,
    manage::Target,
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
    /// The job that was made last, also by [`Operator::run_schedule`].
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
    Ok(store::list_schedules(executor, None, "", None).await?)
}

/// One schedule.
///
/// # Errors
/// [`ScheduleError::NotFound`], or another of the database.
pub async fn schedule<'c>(executor: impl PgExecutor<'c>, name: &str) -> Result<ScheduleStatus, ScheduleError> {
    store::list_schedules(executor, Some(name), "", None).await?.pop().ok_or_else(|| not_found(name))
}

impl Operator {
    /// Stops a schedule from firing, for a time or until it is resumed; returns until when. Its jobs stay. What comes while it is paused
    /// is not made up.
    ///
    /// # Errors
    /// [`ScheduleError::NotFound`] as [`ManageError::Schedule`]; and the others.
    pub async fn pause_schedule<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        name: &'c str,
        length: Option<Duration>,
    ) -> Result<Option<DateTime<Utc>>, ManageError> {
        let length = length.map(|length| length.min(LONGEST_PAUSE));
        let mut tx = database.begin().await?;
        let before = self.find(&mut tx, name).await?;
        let until = store::pause_schedule(&mut tx, name, &self.who, self.reason.as_deref(), length).await?;
        self.write_change(&mut tx, name, "pause", &before).await?;
        tx.commit().await?;
        Ok(until)
    }

    /// Lets a schedule fire again, from its next instant after now; returns whether it was paused. One that was not, or whose pause is
    /// over, stays as it is: what it has missed is still made up.
    ///
    /// # Errors
    /// [`ScheduleError::NotFound`], or [`ScheduleError::Cron`] if this version can't read its expression, as
    /// [`ManageError::Schedule`]; and the others.
    pub async fn resume_schedule<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        name: &'c str,
    ) -> Result<bool, ManageError> {
        let mut tx = database.begin().await?;
        let before = self.find(&mut tx, name).await?;
        if before.paused_at.is_none() || before.paused_until.is_some_and(|until| until <= before.clock) {
            tx.rollback().await?;
            return Ok(false);
        }
        let cron = Cron::new(&before.cron, &before.zone).map_err(|source| ScheduleError::Cron { schedule: name.to_owned(), source })?;
        store::resume_schedule(&mut tx, name, cron.next_after(before.clock)).await?;
        self.write_change(&mut tx, name, "resume", &before).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Enqueues a schedule's job now, paused or not; its times stay as they are.
    ///
    /// # Errors
    /// [`ScheduleError::NotFound`] as [`ManageError::Schedule`]; and the others.
    pub async fn run_schedule<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        name: &'c str,
    ) -> Result<JobId, ManageError> {
        let mut tx = database.begin().await?;
        let before = self.find(&mut tx, name).await?;
        let id = store::run_schedule(&mut tx, name).await?;
        self.write_audit(&mut tx, "run-now", Target::Schedule(name), &[id.0], Some(json!(before)), Some(json!({ "job": id }))).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Removes a schedule, whoever owns it; its jobs stay. A service that still declares it makes it anew when it starts.
    ///
    /// # Errors
    /// [`ScheduleError::NotFound`] as [`ManageError::Schedule`]; and the others.
    pub async fn delete_schedule<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        name: &'c str,
    ) -> Result<(), ManageError> {
        let mut tx = database.begin().await?;
        let before = self.find(&mut tx, name).await?;
        store::delete_schedule(&mut tx, name).await?;
        self.write_audit(&mut tx, "delete", Target::Schedule(name), &[], Some(json!(before)), None).await?;
        tx.commit().await?;
        Ok(())
    }

    /// How a schedule stands; it stays locked.
    async fn find(&self, tx: &mut PgConnection, name: &str) -> Result<ScheduleStatus, ManageError> {
        self.check()?;
        if !store::lock_schedule(tx, name).await? {
            return Err(not_found(name).into());
        }
        stands(tx, name).await
    }

    async fn write_change(&self, tx: &mut PgConnection, name: &str, verb: &str, before: &ScheduleStatus) -> Result<(), ManageError> {
        let after = stands(tx, name).await?;
        self.write_audit(tx, verb, Target::Schedule(name), &[], Some(json!(before)), Some(json!(after))).await?;
        Ok(())
    }
}

async fn stands(tx: &mut PgConnection, name: &str) -> Result<ScheduleStatus, ManageError> {
    Ok(store::list_schedules(tx, Some(name), "", None).await?.pop().ok_or_else(|| not_found(name))?)
}

fn not_found(name: &str) -> ScheduleError {
    ScheduleError::NotFound { schedule: name.chars().take(200).collect() }
}
