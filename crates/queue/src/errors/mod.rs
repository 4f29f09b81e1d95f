//! Errors by what they have in common, so that a thousand failed attempts are one line: since when, how often, in which queues.
//!
//! The rows are kept by the workers (see `haulage.save_errors`): reading them costs as much as there are errors, whatever the history holds.

mod fingerprint;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::{JobId, ReadError, store};

#[doc(hidden)]
pub use fingerprint::{WORKER_LOST, fingerprint};

/// Attempts that failed with one error: of one kind, with one class, and one message but for numbers, ids and what is quoted.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ErrorGroup {
    /// 16 hex digits: for [`JobFilter::error_group`](crate::JobFilter::error_group).
    pub fingerprint: String,
    /// The kind of the jobs.
    pub kind: String,
    /// Low-cardinality class of the error.
    pub error_class: String,
    /// What the last of them said, cut after 1 KiB.
    pub message: String,
    /// Queues in which it happened, up to 20.
    pub queues: Vec<String>,
    /// How many attempts, since it was first seen.
    pub attempts: i64,
    /// When it was first seen.
    pub first_at: DateTime<Utc>,
    /// When it was last seen.
    pub last_at: DateTime<Utc>,
    /// The version of Haulage in the worker that met it first.
    pub first_version: String,
    /// A job that failed with it, the first.
    pub first_job: JobId,
    /// And the last.
    pub last_job: JobId,
}

/// Errors that attempts failed with, those last seen first, at most so many. `before` is where the page before ended: the
/// [`last_at`](ErrorGroup::last_at) and [`fingerprint`](ErrorGroup::fingerprint) of its last one.
///
/// # Errors
/// [`ReadError`].
pub async fn error_groups<'c>(
    executor: impl PgExecutor<'c>,
    kind: Option<&str>,
    before: Option<(DateTime<Utc>, &str)>,
    limit: u16,
) -> Result<Vec<ErrorGroup>, ReadError> {
    Ok(store::list_errors(executor, kind, before, limit.min(1_000).into()).await?)
}

/// One of them.
///
/// # Errors
/// [`ReadError`].
pub async fn error_group<'c>(executor: impl PgExecutor<'c>, fingerprint: &str) -> Result<Option<ErrorGroup>, ReadError> {
    Ok(store::get_error(executor, fingerprint).await?)
}
