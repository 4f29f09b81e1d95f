//! What operators do to a job.

use sqlx::PgExecutor;

use crate::{JobId, JobState, NameError, limit::LimitError, store};

/// What a cancel did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelOutcome {
    /// The job had not started: it is cancelled.
    Cancelled,
    /// The job is running: its handler is told; if it completes first, it is completed.
    Requested,
    /// No unfinished job has this id.
    NotFound,
}

/// Why an operator's act failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManageError {
    /// A name is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A limit or its key is not valid.
    #[error(transparent)]
    Limit(#[from] LimitError),
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
            _ => Self::Database(error),
        }
    }
}

/// Cancels a job, with a reason for people (cut after 8 KiB).
///
/// # Errors
/// [`ManageError`]; nothing is changed then.
pub async fn cancel<'c>(executor: impl PgExecutor<'c>, id: JobId, reason: &str) -> Result<CancelOutcome, ManageError> {
    let reason = store::clean_text(reason);
    Ok(match store::cancel_job(executor, id, &reason).await? {
        None => CancelOutcome::NotFound,
        Some(JobState::Running) => CancelOutcome::Requested,
        Some(_) => CancelOutcome::Cancelled,
    })
}
