use haulage_queue::{EnqueueError, JobId, JobState, ReadError, SchemaError};

/// Why jobs could not be run inside a test. That a handler failed is no such error; it is told in the report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrainError {
    /// The schema does not fit this program.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The database can't be reached, or refused something.
    #[error("the database failed while jobs were run")]
    Database(#[from] sqlx::Error),
    /// The job to perform was not stored.
    #[error(transparent)]
    Enqueue(#[from] EnqueueError),
    /// The job to run could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Another job holds the unique key of the job to perform.
    #[error(
        "the job was not stored: the job {job} holds its unique key; run that one with `work_one`, or perform this one with another key"
    )]
    Held {
        /// The holder.
        job: JobId,
    },
    /// The worker has no handler for the job's kind.
    #[error("the worker does not handle the kind \"{kind}\": add its handler with `.handle(..)`")]
    NoHandler {
        /// The kind.
        kind: String,
    },
    /// No job has this id.
    #[error("there is no job {job}")]
    NotFound {
        /// The id.
        job: JobId,
    },
    /// The job can't run now.
    #[error("the job {job} can't run: it is {state}")]
    NotRunnable {
        /// The job.
        job: JobId,
        /// Where it stands.
        state: JobState,
    },
    /// The job ran, and what came of it could not be written: somebody holds a lock on its row.
    #[error("the job {job} ran, and its row is locked by another transaction: commit or roll back before running jobs")]
    Locked {
        /// The job.
        job: JobId,
    },
    /// The job died, and the `on_dead` hook did not end within the worker's shutdown grace.
    #[error("the `on_dead` hook for the job {job} did not end")]
    Hook {
        /// The job.
        job: JobId,
    },
    /// The job's row could not be read.
    #[error("the row of the job {job} could not be read: {why}")]
    Unreadable {
        /// The job.
        job: JobId,
        /// What is wrong with it.
        why: String,
    },
    /// Jobs that snooze or enqueue each other for ever.
    #[error("the jobs do not come to an end: stopped after {attempts} attempts, the last of them {last}")]
    Endless {
        /// How many ran.
        attempts: usize,
        /// The last one.
        last: String,
    },
}
