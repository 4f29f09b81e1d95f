//! Looking jobs up by what a log line says: a trace id or a request id.

use serde::Serialize;
use sqlx::PgExecutor;

use crate::{JobId, ReadError, store};

/// No story has so many jobs.
const MOST: i32 = 1_000;
/// For reading what has no index, live jobs and today's: some five million of them if they are in memory.
const BUDGET_MS: i32 = 1_000;

/// Jobs that belong to a trace or a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundJobs {
    /// Their ids, the lowest first; at most 1,000.
    pub jobs: Vec<JobId>,
    /// Whether everything was looked at. If not there may be more: among the jobs that are unfinished or have finished today, if those
    /// are many millions.
    pub complete: bool,
}

/// The jobs of a trace: those enqueued in it, and those with an attempt in it that did not simply succeed.
///
/// Of days that are over an index answers, a few milliseconds for all of them. Unfinished jobs, today's, and days whose index is not
/// built yet have none: they are read, the newest first, for a second at most.
///
/// # Errors
/// [`ReadError`].
pub async fn find_jobs_by_trace<'c>(executor: impl PgExecutor<'c>, trace_id: u128) -> Result<FoundJobs, ReadError> {
    Ok(store::find_jobs_by_trace(executor, trace_id, MOST, BUDGET_MS).await?)
}

/// The jobs enqueued in a request, by the `request_id` of their [`Origin`](crate::Origin). Found as by [`find_jobs_by_trace`].
///
/// # Errors
/// [`ReadError`].
pub async fn find_jobs_by_request<'c>(executor: impl PgExecutor<'c>, request_id: &str) -> Result<FoundJobs, ReadError> {
    Ok(store::find_jobs_by_request(executor, request_id, MOST, BUDGET_MS).await?)
}
