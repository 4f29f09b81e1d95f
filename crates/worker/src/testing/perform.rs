//! Running one job.

use haulage_queue::{Enqueue, Enqueued, Job, JobId, job, store};
use sqlx::Connection;

use crate::{
    Worker,
    testing::{
        DrainError, Ran,
        session::{Session, Taken},
    },
};

impl Worker {
    /// Stores a job, runs its handler once, and tells how that ended. For tests of one handler: the job is claimed in the
    /// transaction that stores it, so whatever else waits is left alone, and it runs whether its time has come or not. What the
    /// handler enqueues is stored and does not run; see [`Worker::drain`].
    ///
    /// ```no_run
    /// # use haulage_queue::Job;
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct SendReceipt { order: i64 }
    /// # impl Job for SendReceipt { const KIND: &'static str = "send_receipt"; }
    /// # async fn test(mut worker: haulage_worker::Worker) -> Result<(), haulage_worker::testing::DrainError> {
    /// let ran = worker.perform(SendReceipt { order: 404 }).await?;
    /// assert_eq!(ran.error(), Some("no such order"));
    /// let last = worker.perform(SendReceipt { order: 404 }.with().max_attempts(1)).await?;
    /// assert!(last.is_dead());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DrainError`] when the job did not run. A handler's error is no error here but an outcome.
    pub async fn perform<J: Job>(&mut self, job: impl Into<Enqueue<J>>) -> Result<Ran, DrainError> {
        let shared = &self.shared;
        if !shared.registry.kinds.contains_key(J::KIND) {
            return Err(DrainError::NoHandler { kind: J::KIND.to_owned() });
        }
        let job = job.into();
        let mut session = Session::begin(shared).await?;
        let ran = perform(&mut session, job).await;
        session.end(ran).await
    }

    /// Runs a stored job once, whether its time has come or not, and tells how that ended. For tests.
    ///
    /// # Errors
    /// [`DrainError`] when it did not run: it is running, finished or set aside, or this worker does not handle its kind.
    pub async fn work_one(&mut self, id: JobId) -> Result<Ran, DrainError> {
        let mut session = Session::begin(&self.shared).await?;
        let ran = work_one(&mut session, id).await;
        session.end(ran).await
    }
}

async fn perform<J: Job>(session: &mut Session<'_>, job: Enqueue<J>) -> Result<Ran, DrainError> {
    let (token, worker, shared) = (session.draw(), session.worker_id(), session.shared);
    let mut tx = session.connection().await?.begin().await?;
    let id = match job.enqueue(&mut *tx).await? {
        Enqueued::New(id) => id,
        Enqueued::Duplicate(id) => return Err(DrainError::Held { job: id }),
    };
    let claimed = store::claim_job(&mut tx, token, worker, &shared.kinds, id).await?;
    tx.commit().await?;
    let Some(job) = claimed else { return Err(DrainError::NotFound { job: id }) };
    session.run(Taken { job, lease: token }).await
}

async fn work_one(session: &mut Session<'_>, id: JobId) -> Result<Ran, DrainError> {
    let (token, worker, shared) = (session.draw(), session.worker_id(), session.shared);
    let connection = session.connection().await?;
    if let Some(job) = store::claim_job(&mut *connection, token, worker, &shared.kinds, id).await? {
        return session.run(Taken { job, lease: token }).await;
    }
    let Some(job) = job(&mut *connection, id).await? else { return Err(DrainError::NotFound { job: id }) };
    if !shared.kinds.names.contains(&job.kind) {
        return Err(DrainError::NoHandler { kind: job.kind });
    }
    Err(DrainError::NotRunnable { job: id, state: job.state })
}
