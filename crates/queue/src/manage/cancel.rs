//! Cancelling a job on behalf of an application.

use sqlx::PgExecutor;

use crate::{JobId, JobState, ManageError, store};

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

/// Cancels a job, with a reason for people (cut after 8 KiB). For applications, in one round trip: it writes no audit. What a person
/// does goes through [`Operator::cancel`](crate::Operator::cancel).
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
