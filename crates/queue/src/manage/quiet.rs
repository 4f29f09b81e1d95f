//! Telling a worker to claim nothing more.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{Acquire, Postgres};

use super::audit::Target;
use crate::{ManageError, Operator, store};

/// What operators have said about a worker, for the audit.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WorkerStanding {
    pub(crate) name: String,
    pub(crate) quiet_at: Option<DateTime<Utc>>,
    pub(crate) quiet_by: Option<String>,
    pub(crate) quiet_why: Option<String>,
}

impl Operator {
    /// Tells a worker process to claim nothing more: it gives back what it has not started, finishes what it runs, and lives on. It learns
    /// that by its next heartbeat. One that is quiet already gets the new reason. A process that is started again is not quiet.
    ///
    /// `worker` is the number in [`WorkerInfo::id`](crate::WorkerInfo::id).
    ///
    /// # Errors
    /// [`ManageError::NoWorker`], and the others.
    pub async fn quiet_worker<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        worker: i64,
    ) -> Result<(), ManageError> {
        self.check()?;
        let mut tx = database.begin().await?;
        let before = store::look_at_worker(&mut *tx, worker).await?.ok_or(ManageError::NoWorker { id: worker })?;
        store::quiet_worker(&mut *tx, worker, &self.who, self.reason.as_deref()).await?;
        let after = store::look_at_worker(&mut *tx, worker).await?;
        self.write_audit(&mut tx, "quiet", Target::Worker(worker), &[], Some(json!(before)), Some(json!(after))).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Lets a quiet worker claim again; returns whether it was quiet.
    ///
    /// # Errors
    /// [`ManageError::NoWorker`], and the others.
    pub async fn resume_worker<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        worker: i64,
    ) -> Result<bool, ManageError> {
        self.check()?;
        let mut tx = database.begin().await?;
        let before = store::look_at_worker(&mut *tx, worker).await?.ok_or(ManageError::NoWorker { id: worker })?;
        if before.quiet_at.is_none() {
            tx.rollback().await?;
            return Ok(false);
        }
        store::resume_worker(&mut *tx, worker).await?;
        let after = store::look_at_worker(&mut *tx, worker).await?;
        self.write_audit(&mut tx, "resume", Target::Worker(worker), &[], Some(json!(before)), Some(json!(after))).await?;
        tx.commit().await?;
        Ok(true)
    }
}
