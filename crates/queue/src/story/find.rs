//! From a key to the jobs that its story is about.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::{Found, MOST_JOBS, StoryKey};
use crate::{FoundJobs, JobId, ReadError, find_jobs_by_request, find_jobs_by_trace, store};

/// The jobs of a story.
#[derive(Debug)]
pub(super) struct Jobs {
    pub(super) ids: Vec<JobId>,
    /// There are more.
    pub(super) more: bool,
    /// Whether everything was looked at to find them.
    pub(super) complete: bool,
}

/// What the key is, and the families of the jobs that it leads to.
pub(super) async fn find(connection: &mut PgConnection, key: &StoryKey) -> Result<Option<(Found, Jobs)>, ReadError> {
    if let Some(id) = key.job
        && let Some(jobs) = families(connection, vec![id], true).await?
    {
        return Ok(Some((Found::Job(id), jobs)));
    }
    if let Some(trace) = key.trace {
        let FoundJobs { mut jobs, complete } = find_jobs_by_trace(&mut *connection, trace).await?;
        jobs.extend(store::find_attempt_traces(connection, trace, limit()).await?);
        if let Some(jobs) = families(connection, jobs, complete).await? {
            return Ok(Some((Found::Trace(format!("{trace:032x}")), jobs)));
        }
    }
    if let Some(request) = &key.request {
        let FoundJobs { jobs, complete } = find_jobs_by_request(&mut *connection, request).await?;
        if let Some(jobs) = families(connection, jobs, complete).await? {
            return Ok(Some((Found::Request(request.clone()), jobs)));
        }
    }
    Ok(None)
}

/// One more than are told, to know whether there are more.
fn limit() -> i64 {
    MOST_JOBS as i64 + 1
}

/// These jobs and all that descend from the first ones of their families; `None` if none of them is there any more. Of too many the
/// asked ones stay, then the earliest.
async fn families(connection: &mut PgConnection, mut asked: Vec<JobId>, complete: bool) -> Result<Option<Jobs>, sqlx::Error> {
    asked.sort_unstable();
    asked.dedup();
    let mut more = asked.len() > MOST_JOBS;
    asked.truncate(MOST_JOBS);
    let found = store::list_story_jobs(connection, &asked).await?;
    if found.is_empty() {
        return Ok(None);
    }
    let mut ids: BTreeSet<JobId> = found.iter().map(|job| job.id).collect();
    let roots: BTreeSet<JobId> = found.iter().map(|job| job.root.unwrap_or(job.id)).collect();
    let roots: Vec<JobId> = roots.into_iter().collect();
    let family = store::list_family(connection, &roots, limit()).await?;
    for id in roots.into_iter().chain(family) {
        if ids.len() >= MOST_JOBS && !ids.contains(&id) {
            more = true;
            break;
        }
        ids.insert(id);
    }
    Ok(Some(Jobs { ids: ids.into_iter().collect(), more, complete }))
}
