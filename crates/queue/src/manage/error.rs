//! Why an operator's act failed.

#[cfg(feature = "schedules")]
use crate::ScheduleError;
use crate::{EnqueueError, JobId, JobState, LimitError, NameError, OperationId, Verb, store};

/// Why an operator's act failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManageError {
    /// No job has this id, or its history is past its retention.
    #[error("there is no job {id}: it never existed, or it finished so long ago that its history is gone")]
    NotFound {
        /// The id as given.
        id: JobId,
    },
    /// The act does not fit the job's state.
    #[error("{verb} does not fit job {id}: {why}")]
    Refused {
        /// What was asked for.
        verb: &'static str,
        /// The job.
        id: JobId,
        /// The state it is in.
        state: JobState,
        /// Why, and what to do instead.
        why: String,
    },
    /// Another transaction holds the job's row.
    #[error(
        "somebody else has locked job {id}, for longer than {waited} s: repeat it, or look in pg_stat_activity for an open transaction"
    )]
    Locked {
        /// The job.
        id: JobId,
        /// How long this one has waited, in seconds.
        waited: u64,
    },
    /// Who acts must be said.
    #[error("the name of who acts has {length} characters: use 1 to 128")]
    Who {
        /// Characters of the name as given.
        length: usize,
    },
    /// The queue to move to has a bad name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A limit or its key is not valid.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A job can't be enqueued.
    #[error(transparent)]
    Enqueue(#[from] EnqueueError),
    /// There is no such schedule, or this version can't read its expression.
    #[cfg(feature = "schedules")]
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// An act on all jobs there are.
    #[error("the filter is empty, so it means every job there is: name at least a state, a queue or a kind")]
    EmptyFilter,
    /// The filter asks for jobs that the act does not fit.
    #[error("{} does not fit jobs that are {state}: it takes those that are {takes}", .verb.as_str())]
    FilterState {
        /// What was asked for.
        verb: Verb,
        /// The state that the filter names.
        state: JobState,
        /// The states that it may name.
        takes: String,
    },
    /// Args that can't be stored, or that are no args.
    #[error("the new args can't be used: {problem}")]
    Args {
        /// What is wrong with them, and what to do.
        problem: String,
    },
    /// No living worker has this id.
    #[error(
        "no worker {id} lives: one that stopped in order leaves the list at once, and each has a new id when it starts; `haulage workers` has them"
    )]
    NoWorker {
        /// The id as given.
        id: i64,
    },
    /// No operation has this id.
    #[error("there is no operation {id}")]
    NoOperation {
        /// The id as given.
        id: OperationId,
    },
    /// The operation has ended, or has not been cancelled.
    #[error("operation {id} is {state}: {why}")]
    OperationState {
        /// The operation.
        id: OperationId,
        /// The state it is in.
        state: &'static str,
        /// What that means.
        why: &'static str,
    },
    /// A concurrent transaction changed the job, and the isolation level forbids looking at it; or two waited for each other.
    #[error("a concurrent transaction changed the same jobs: repeat the whole transaction")]
    Conflict(#[source] sqlx::Error),
    /// The history has no partition for today.
    #[error("the history has no partition for today: start a worker, which makes it, or call haulage.make_partitions(current_date, 5)")]
    NoPartition(#[source] sqlx::Error),
    /// The schema `haulage` is missing or older than this version.
    #[error("the schema \"haulage\" is missing or too old: run `haulage migrate` or call `haulage::migrate(&pool)`")]
    Schema(#[source] sqlx::Error),
    /// The database accepts no writes.
    #[error("the database is read-only: connect to the primary")]
    ReadOnly(#[source] sqlx::Error),
    /// The database can't be reached, or the pool had no connection in time.
    #[error("no connection to the database: check that it runs, that the URL is right and that the pool is not exhausted")]
    Unavailable(#[source] sqlx::Error),
    /// Any other error of the database.
    #[error("the database could not do it")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for ManageError {
    fn from(error: sqlx::Error) -> Self {
        match store::failure(&error) {
            store::Failure::Schema => Self::Schema(error),
            store::Failure::ReadOnly => Self::ReadOnly(error),
            store::Failure::Unavailable => Self::Unavailable(error),
            store::Failure::Serialization => Self::Conflict(error),
            store::Failure::NoPartition => Self::NoPartition(error),
            _ => Self::Database(error),
        }
    }
}
