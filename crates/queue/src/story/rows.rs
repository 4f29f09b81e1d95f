//! What a story is made of, as the tables have it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{MOST_ATTEMPTS, find::Jobs};
use crate::{
    AttemptLog, JobId, JobState, ParkedFor, TraceContext,
    store::{self, AttemptTrace},
};

/// Acts on the jobs of a story, and of each of their queues.
const MOST_ACTS: usize = 1_000;
const MOST_QUEUE_ACTS: i64 = 200;

/// A job.
#[derive(Debug, Clone)]
pub(crate) struct StoryJob {
    pub(crate) id: JobId,
    pub(crate) kind: String,
    pub(crate) queue: String,
    pub(crate) state: JobState,
    pub(crate) parked_for: Option<ParkedFor>,
    pub(crate) attempt: i32,
    pub(crate) failures: i16,
    pub(crate) max_attempts: i16,
    pub(crate) crashes: i16,
    pub(crate) revision: i16,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) eligible_at: DateTime<Utc>,
    pub(crate) claimed_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) parent: Option<JobId>,
    pub(crate) root: Option<JobId>,
    pub(crate) limit_key: Option<String>,
    pub(crate) has_unique_key: bool,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) origin: Option<Value>,
    pub(crate) schedule: Option<String>,
    pub(crate) instant: Option<String>,
    pub(crate) error: Option<String>,
    /// Of its last attempt, while it is known.
    pub(crate) worker: Option<String>,
    pub(crate) worker_started_at: Option<DateTime<Utc>>,
    pub(crate) now: DateTime<Utc>,
}

/// An attempt that did not simply succeed.
#[derive(Debug, Clone)]
pub(crate) struct StoryAttempt {
    pub(crate) job: JobId,
    pub(crate) number: i32,
    pub(crate) outcome: String,
    pub(crate) error_class: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) worker: Option<String>,
    pub(crate) due_at: Option<DateTime<Utc>>,
    pub(crate) eligible_at: Option<DateTime<Utc>>,
    pub(crate) claimed_at: Option<DateTime<Utc>>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    /// When its worker, which was lost, was heard last.
    pub(crate) beat_at: Option<DateTime<Utc>>,
    pub(crate) ended_at: DateTime<Utc>,
    pub(crate) next_run_at: Option<DateTime<Utc>>,
    pub(crate) trace: Option<TraceContext>,
}

/// What an operator did to jobs.
#[derive(Debug, Clone)]
pub(crate) struct StoryAct {
    pub(crate) at: DateTime<Utc>,
    pub(crate) who: String,
    pub(crate) verb: String,
    pub(crate) reason: Option<String>,
    pub(crate) queue_before: Option<String>,
    pub(crate) jobs: Vec<JobId>,
}

/// What an operator did to a queue.
#[derive(Debug, Clone)]
pub(crate) struct QueueAct {
    pub(crate) queue: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) verb: String,
    pub(crate) who: String,
    pub(crate) reason: Option<String>,
    pub(crate) paused_until: Option<DateTime<Utc>>,
}

/// How a queue stands for jobs of a kind and revision.
#[derive(Debug, Clone)]
pub(crate) struct QueueNow {
    pub(crate) queue: String,
    pub(crate) kind: String,
    pub(crate) revision: i16,
    pub(crate) paused_at: Option<DateTime<Utc>>,
    pub(crate) paused_until: Option<DateTime<Utc>>,
    pub(crate) paused_by: Option<String>,
    pub(crate) paused_why: Option<String>,
    /// "at most 2 at once", while it has one.
    pub(crate) limit: Option<String>,
    pub(crate) limited_at: Option<DateTime<Utc>>,
    /// Live workers that take them.
    pub(crate) workers: i64,
}

/// All rows of a story.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) jobs: Vec<StoryJob>,
    pub(super) attempts: Vec<StoryAttempt>,
    pub(super) acts: Vec<StoryAct>,
    /// Whether there were acts before these.
    pub(super) earlier_acts: bool,
    pub(super) queue_acts: Vec<QueueAct>,
    pub(super) queues: Vec<QueueNow>,
    pub(super) own_traces: Vec<AttemptTrace>,
    pub(super) logs: Vec<AttemptLog>,
}

/// Reads all of them.
pub(super) async fn read(connection: &mut PgConnection, found: &Jobs) -> Result<Rows, sqlx::Error> {
    let jobs = store::list_story_jobs(connection, &found.ids).await?;
    let (Some(first), Some(now)) = (jobs.iter().map(|job| job.created_at).min(), jobs.first().map(|job| job.now)) else {
        return Ok(Rows::default());
    };
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let mut acts = store::list_story_acts(connection, &ids, MOST_ACTS as i64 + 1).await?;
    let earlier_acts = acts.len() > MOST_ACTS;
    if earlier_acts {
        acts.remove(0);
    }
    let places: BTreeSet<&str> =
        jobs.iter().map(|job| job.queue.as_str()).chain(acts.iter().filter_map(|act| act.queue_before.as_deref())).collect();
    let queue_acts = store::list_queue_acts(connection, &places.into_iter().collect::<Vec<_>>(), now, MOST_QUEUE_ACTS).await?;
    let waiting: BTreeSet<_> = jobs.iter().map(|job| (job.queue.as_str(), job.kind.as_str(), job.revision)).collect();
    let queues = store::list_story_queues(connection, &waiting.into_iter().collect::<Vec<_>>()).await?;
    let attempts = store::list_story_attempts(connection, &ids, MOST_ATTEMPTS, first).await?;
    let own_traces = store::list_attempt_traces(connection, &ids, MOST_ATTEMPTS).await?;
    let logs = store::list_attempt_logs(connection, &ids).await?;
    Ok(Rows { jobs, attempts, acts, earlier_acts, queue_acts, queues, own_traces, logs })
}
