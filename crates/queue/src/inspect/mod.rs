//! Reading jobs: one by id, cheaply, as a web page does to show how its job fares; many by filter, for operators; what handlers said; who
//! works, and what waits for a worker that is not there.

mod filter;
mod found;
mod log;
mod unhandled;
mod worker;

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{PgExecutor, PgPool};

use crate::{JobId, JobState, ParkedFor, Priority, store};

pub use filter::JobFilter;
pub use found::{FoundJobs, find_jobs_by_request, find_jobs_by_trace};
pub use log::{AttemptLog, LogLevel, LogLine, RunningSpan, attempt_logs};
pub use unhandled::{MissingWorker, UnhandledKind, unhandled_kinds};
pub use worker::{WorkerInfo, WorkerLife, list_workers};

/// How one job fares.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct JobStatus {
    /// Its id.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// Where it stands.
    pub state: JobState,
    /// Claims so far.
    pub attempt: i32,
    /// Failed attempts so far.
    pub failures: i16,
    /// How many may fail.
    pub max_attempts: i16,
    /// Not before this time.
    pub run_at: DateTime<Utc>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When the last attempt was claimed.
    pub claimed_at: Option<DateTime<Utc>>,
    /// When it reached its final state.
    pub finished_at: Option<DateTime<Utc>>,
    /// What the running attempt last reported.
    pub progress: Option<Progress>,
    /// What the handler recorded.
    pub output: Option<serde_json::Value>,
    /// Why it is dead or cancelled; while it is retried, what its last attempt said.
    pub error: Option<String>,
}

impl JobStatus {
    /// The recorded output as `T`; `None` when there is none.
    ///
    /// # Errors
    /// When the output is not a `T`.
    pub fn output_as<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        self.output.as_ref().map(|output| T::deserialize(output)).transpose()
    }
}

/// How far a running attempt has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// 0 to 100.
    pub percent: u8,
    /// What it is doing.
    pub message: Option<String>,
}

/// A job in a list.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// Where it stands.
    pub state: JobState,
    /// Claims so far.
    pub attempt: i32,
    /// Failed attempts so far.
    pub failures: i16,
    /// How many may fail.
    pub max_attempts: i16,
    /// Its priority.
    pub priority: Priority,
    /// Not before this time.
    pub run_at: DateTime<Utc>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When the last attempt was claimed.
    pub claimed_at: Option<DateTime<Utc>>,
    /// When it reached its final state.
    pub finished_at: Option<DateTime<Utc>>,
    /// What a parked job waits for.
    pub parked_for: Option<ParkedFor>,
    /// Why it is dead or cancelled; while it is retried, what its last attempt said.
    pub error: Option<String>,
}

/// Some of the jobs that match a filter, newest id first.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct JobPage {
    /// At most as many as the filter asks for; fewer, even none, when the search ended before it had as many.
    pub jobs: Vec<JobSummary>,
    /// Everything from this id on has been looked at: pass it to [`JobFilter::before`] for the next page. `None`: nothing is left.
    pub next: Option<JobId>,
}

/// Everything about one job.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct JobDetail {
    /// How it fares.
    #[serde(flatten)]
    pub status: JobStatus,
    /// What it was given.
    pub args: serde_json::Value,
    /// Its priority.
    pub priority: Priority,
    /// Limit of an attempt in ms.
    pub timeout_ms: Option<i32>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its meta.
    pub meta: Option<serde_json::Value>,
    /// The job whose handler enqueued it.
    pub parent: Option<JobId>,
    /// The first job of its family.
    pub root: Option<JobId>,
    /// What a parked job waits for.
    pub parked_for: Option<ParkedFor>,
    /// Where it came from, as JSON; `{"again_of": 42, "by": "ana"}` for one that repeats job 42.
    pub origin: Option<serde_json::Value>,
    /// Times its process died while it held the job.
    pub crashes: i16,
    /// The revision of its kind: a worker that knows only earlier ones leaves it alone.
    pub revision: i16,
    /// The key whose limits it shares.
    pub limit_key: Option<String>,
    /// Host and process id of the worker that runs it now.
    pub worker: Option<String>,
    /// Where its handler is, if it has run for longer than the lease of its worker and the worker has the layer that tells.
    pub span: Option<RunningSpan>,
    /// The attempts that did not simply succeed, oldest first, at most 1,000.
    pub attempts: Vec<Attempt>,
    /// What attempts logged, as far as it was kept, by attempt.
    pub logs: Vec<AttemptLog>,
}

/// An attempt that failed, crashed, timed out, was snoozed or cancelled.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Attempt {
    /// Its number: claims up to this one.
    pub attempt: i32,
    /// "failed", "timed out", "panicked", "worker lost", "snoozed", "cancelled".
    pub outcome: String,
    /// Low-cardinality class of the error.
    pub error_class: Option<String>,
    /// What went wrong.
    pub message: Option<String>,
    /// Host and process id of the worker.
    pub worker: Option<String>,
    /// When it was claimed.
    pub claimed_at: Option<DateTime<Utc>>,
    /// When its handler started; `None` if it never did or is unknown.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// When the next may run; `None`: at once, or never.
    pub next_run_at: Option<DateTime<Utc>>,
}

/// Why jobs could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The schema `haulage` is missing or older than this version.
    #[error("the schema \"haulage\" is missing or too old: run `haulage migrate` or call `haulage::migrate(&pool)`")]
    Schema(#[source] sqlx::Error),
    /// The database can't be reached, or the pool had no connection in time.
    #[error("no connection to the database: check that it runs, that the URL is right and that the pool is not exhausted")]
    Unavailable(#[source] sqlx::Error),
    /// Any other error of the database.
    #[error("the database could not answer")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        match store::failure(&error) {
            store::Failure::Schema => Self::Schema(error),
            store::Failure::Unavailable => Self::Unavailable(error),
            _ => Self::Database(error),
        }
    }
}

/// One job, live or finished: a look-up by primary key, cheap enough for a page that polls. `None` when no job has this id, or
/// its history is past its retention.
///
/// # Errors
/// [`ReadError`].
pub async fn job<'c>(executor: impl PgExecutor<'c>, id: JobId) -> Result<Option<JobStatus>, ReadError> {
    Ok(store::get_job(executor, id).await?)
}

/// Everything about one job, its attempts included.
///
/// # Errors
/// [`ReadError`].
pub async fn job_detail(pool: &PgPool, id: JobId) -> Result<Option<JobDetail>, ReadError> {
    let Some(status) = store::get_job(pool, id).await? else { return Ok(None) };
    let Some(mut detail) = store::get_job_detail(pool, status).await? else { return Ok(None) };
    detail.attempts = store::list_attempts(pool, id).await?;
    detail.logs = store::list_attempt_logs(pool, &[id]).await?;
    Ok(Some(detail))
}

/// Jobs by filter, newest id first. Searches until it has as many as asked for, or everything: with a rare match in a long history
/// that takes long, and [`job_page`] is the better choice.
///
/// # Errors
/// [`ReadError`].
pub async fn list_jobs<'c>(executor: impl PgExecutor<'c>, filter: &JobFilter) -> Result<Vec<JobSummary>, ReadError> {
    Ok(store::search_jobs(executor, filter, store::Parts::of(filter), None).await?.jobs)
}

/// A page of jobs by filter, newest id first, in bounded time: it looks at no more than the newest 20,000 unfinished and 20,000
/// finished jobs below [`JobFilter::before`] and says where to go on.
///
/// ```no_run
/// # use haulage_queue::{JobFilter, JobState, job_page};
/// # async fn f(pool: sqlx::PgPool) -> Result<(), haulage_queue::ReadError> {
/// let mut filter = JobFilter::new().state(JobState::Dead).error("timed out");
/// loop {
///     let page = job_page(&pool, &filter).await?;
///     for job in page.jobs {
///         println!("{} {}", job.id, job.kind);
///     }
///     let Some(next) = page.next else { break };
///     filter = filter.before(next);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ReadError`].
pub async fn job_page<'c>(executor: impl PgExecutor<'c>, filter: &JobFilter) -> Result<JobPage, ReadError> {
    Ok(store::search_jobs(executor, filter, store::Parts::of(filter), Some(store::PAGE_REACH)).await?)
}
