//! Somebody who acts on jobs, queues, keys and schedules.

use sqlx::{Acquire, Postgres};

use super::{
    act::{act, run_again},
    edit::edit_args,
};
use crate::{JobFilter, JobId, JobState, ManageError, Operation, OperationId, Priority, Verb, manage::operation};

/// Somebody who acts on jobs, queues, keys and schedules, and why. Every act is written to the audit in its own transaction. The acts take what an enqueue takes:
/// a `&PgPool`, a `&mut PgConnection`, or an open transaction as `&mut *tx`.
///
/// ```no_run
/// # use haulage_queue::{JobFilter, JobId, JobState, Operator, Verb, run_operation};
/// # async fn f(pool: sqlx::PgPool) -> Result<(), haulage_queue::ManageError> {
/// let ana = Operator::new("ana").because("the printer is back");
/// ana.retry(&pool, JobId(42)).await?;
///
/// // All that died of it, however many.
/// let filter = JobFilter::new().state(JobState::Dead).queue("printing").error("no paper");
/// let operation = ana.start(&pool, Verb::Retry, &filter).await?;
/// let operation = run_operation(&pool, operation.id).await?;
/// println!("{} retried, {:?} left alone", operation.done, operation.skipped);
///
/// ana.resume_queue(&pool, "printing").await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Each of them: [`ManageError`], and nothing is changed. Inside a transaction of the caller's, which goes on, unless the error came
/// from the database.
#[derive(Debug, Clone)]
#[must_use = "an operator does nothing until one of the verbs is called"]
pub struct Operator {
    pub(crate) who: String,
    pub(crate) reason: Option<String>,
}

/// What was done to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acted {
    /// The job.
    pub id: JobId,
    /// The state it was in.
    pub was: JobState,
    /// The state it is in now: running still, if its cancel is a request. `None`: it is gone.
    pub now: Option<JobState>,
}

type Done<T> = Result<T, ManageError>;

impl Operator {
    /// Who acts: 1 to 128 characters.
    pub fn new(who: impl Into<String>) -> Self {
        Self { who: who.into(), reason: None }
    }

    /// Why, for people; cut after 8 KiB. It stands in the audit, with what is paused, and as the error of jobs that are cancelled or discarded.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(crate::store::clean_text(&reason.into()));
        self
    }

    /// Does it to one job.
    ///
    /// # Errors
    /// [`ManageError::Refused`] when the job's state does not fit, with what to do; and the others.
    pub async fn act<'c>(&'c self, database: impl Acquire<'c, Database = Postgres> + Send + 'c, id: JobId, verb: Verb) -> Done<Acted> {
        let mut tx = database.begin().await?;
        let acted = act(&mut tx, self, id, &verb).await?;
        tx.commit().await?;
        Ok(acted)
    }

    /// A dead or cancelled job runs again: [`Verb::Retry`].
    ///
    /// # Errors
    /// As [`Operator::act`].
    pub async fn retry<'c>(&'c self, database: impl Acquire<'c, Database = Postgres> + Send + 'c, id: JobId) -> Done<Acted> {
        self.act(database, id, Verb::Retry).await
    }

    /// A scheduled job is available now: [`Verb::RunNow`].
    ///
    /// # Errors
    /// As [`Operator::act`].
    pub async fn run_now<'c>(&'c self, database: impl Acquire<'c, Database = Postgres> + Send + 'c, id: JobId) -> Done<Acted> {
        self.act(database, id, Verb::RunNow).await
    }

    /// The job ends as cancelled, or is told to: [`Verb::Cancel`].
    ///
    /// # Errors
    /// As [`Operator::act`].
    pub async fn cancel<'c>(&'c self, database: impl Acquire<'c, Database = Postgres> + Send + 'c, id: JobId) -> Done<Acted> {
        self.act(database, id, Verb::Cancel).await
    }

    /// The job ends as dead: [`Verb::Discard`].
    ///
    /// # Errors
    /// As [`Operator::act`].
    pub async fn discard<'c>(&'c self, database: impl Acquire<'c, Database = Postgres> + Send + 'c, id: JobId) -> Done<Acted> {
        self.act(database, id, Verb::Discard).await
    }

    /// The job is set aside: [`Verb::Hold`].
    ///
    /// # Errors
    /// As [`Operator::act`].
    pub async fn hold<'c>(&'c self, database: impl Acquire<'c, Database = Postgres> + Send + 'c, id: JobId) -> Done<Acted> {
        self.act(database, id, Verb::Hold).await
    }

    /// A held job goes on: [`Verb::Release`].
    ///
    /// # Errors
    /// As [`Operator::act`].
    pub async fn release<'c>(&'c self, database: impl Acquire<'c, Database = Postgres> + Send + 'c, id: JobId) -> Done<Acted> {
        self.act(database, id, Verb::Release).await
    }

    /// The job is removed for good: [`Verb::Delete`].
    ///
    /// # Errors
    /// As [`Operator::act`].
    pub async fn delete<'c>(&'c self, database: impl Acquire<'c, Database = Postgres> + Send + 'c, id: JobId) -> Done<Acted> {
        self.act(database, id, Verb::Delete).await
    }

    /// The job goes to another queue: [`Verb::Move`].
    ///
    /// # Errors
    /// As [`Operator::act`].
    pub async fn move_to<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        id: JobId,
        queue: impl Into<String>,
    ) -> Done<Acted> {
        self.act(database, id, Verb::Move { queue: queue.into() }).await
    }

    /// The job gets another priority: [`Verb::Reprioritise`].
    ///
    /// # Errors
    /// As [`Operator::act`].
    pub async fn reprioritise<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        id: JobId,
        priority: Priority,
    ) -> Done<Acted> {
        self.act(database, id, Verb::Reprioritise { priority }).await
    }

    /// Repeats a finished job as a new one with the same kind, args and options, and returns the new one's id. The old one stays as it
    /// is. The new one has no parent; its [`origin`](crate::JobDetail::origin) is `{"again_of": 42, "by": "ana"}`.
    ///
    /// # Errors
    /// [`ManageError::Refused`] when the job is unfinished or another one holds its unique key; and the others.
    pub async fn run_again<'c>(&'c self, database: impl Acquire<'c, Database = Postgres> + Send + 'c, id: JobId) -> Done<JobId> {
        let mut tx = database.begin().await?;
        let new = run_again(&mut tx, self, id).await?;
        tx.commit().await?;
        Ok(new)
    }

    /// Gives a job that does not run other args: JSON, an object where it had one. One that is dead or cancelled has them when it is
    /// retried; one in line goes to the end of it. `seen` are the args that the edit was made from: if it has others by now, nothing is
    /// changed. Its unique key stays as it is. The audit says how long both were, never what they are.
    ///
    /// # Errors
    /// [`ManageError::Args`] says what is wrong with the args, [`ManageError::Refused`] when the job runs, has completed, or has other
    /// args than those that were seen; and the others.
    pub async fn edit_args<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        id: JobId,
        args: &'c str,
        seen: Option<&'c str>,
    ) -> Done<()> {
        let mut tx = database.begin().await?;
        edit_args(&mut tx, self, id, args, seen).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Stores an act on every job that matches; [`run_operation`](crate::run_operation) does it. Jobs that are enqueued or that finish
    /// later are not touched. A filter without a state means the verb's [default](Verb::default_state).
    ///
    /// # Errors
    /// [`ManageError::EmptyFilter`], [`ManageError::FilterState`], and the others.
    pub async fn start<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        verb: Verb,
        filter: &JobFilter,
    ) -> Done<Operation> {
        let mut tx = database.begin().await?;
        let operation = operation::start(&mut tx, self, &verb, filter.clone()).await?;
        tx.commit().await?;
        Ok(operation)
    }

    /// Stops an open operation where it is: waits for the batch under way, undoes nothing.
    ///
    /// # Errors
    /// [`ManageError::OperationState`] when it has ended; and the others.
    pub async fn cancel_operation<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        id: OperationId,
    ) -> Done<Operation> {
        let mut tx = database.begin().await?;
        let operation = operation::cancel(&mut tx, self, id).await?;
        tx.commit().await?;
        Ok(operation)
    }

    /// Opens a cancelled operation again where it stopped; an open one is left as it is. Then [`run_operation`](crate::run_operation).
    ///
    /// # Errors
    /// [`ManageError::OperationState`] when it is done; and the others.
    pub async fn resume_operation<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        id: OperationId,
    ) -> Done<Operation> {
        let mut tx = database.begin().await?;
        let operation = operation::resume(&mut tx, self, id).await?;
        tx.commit().await?;
        Ok(operation)
    }

    pub(crate) fn check(&self) -> Done<()> {
        match self.who.chars().count() {
            1..=128 => Ok(()),
            length => Err(ManageError::Who { length }),
        }
    }

    /// What stands as the error of jobs that are cancelled or discarded.
    pub(crate) fn told(&self, verb: &Verb) -> String {
        let did = if *verb == Verb::Cancel { "cancelled" } else { "discarded" };
        self.reason.clone().unwrap_or_else(|| format!("{did} by {}", self.who))
    }
}
