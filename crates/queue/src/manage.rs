//! What operators do to a job.

use sqlx::PgExecutor;

use crate::{JobId, JobState, store};

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
    /// The database could not do it.
    #[error("the database could not do it")]
    Database(#[from] sqlx::Error),
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
