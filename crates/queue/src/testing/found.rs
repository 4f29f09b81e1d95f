//! A job that a test has found.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;

use crate::{Job, JobId, JobState, Priority, store::Listed};

/// Most jobs that a message lists of the kind asked for; of others the statement reads 20.
const MOST_LISTED: usize = 50;
/// Most characters of a job's args in a message.
const MOST_ARGS: usize = 200;

/// A stored job with its arguments.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Found<T> {
    /// Its id.
    pub id: JobId,
    /// Its arguments.
    pub args: T,
    /// Its queue.
    pub queue: String,
    /// Where it stands.
    pub state: JobState,
    /// Its priority.
    pub priority: Priority,
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
    /// When it reached its final state.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its meta.
    pub meta: Option<serde_json::Value>,
    /// What its handler recorded.
    pub output: Option<serde_json::Value>,
    /// Why it is dead or cancelled, or what its last attempt that did not succeed said.
    pub error: Option<String>,
}

impl<T: Job> Found<T> {
    pub(super) fn read(job: &Listed) -> Result<Self, String> {
        let args = serde_json::from_str(&job.args).map_err(|error| {
            format!("the args of the job {} do not parse as \"{}\": {error}; they are {}", job.id, T::KIND, cut(&job.args))
        })?;
        let job = job.clone();
        Ok(Self {
            id: job.id,
            args,
            queue: job.queue,
            state: job.state,
            priority: job.priority,
            attempt: job.attempt,
            failures: job.failures,
            max_attempts: job.max_attempts,
            run_at: job.run_at,
            created_at: job.created_at,
            finished_at: job.finished_at,
            tags: job.tags,
            meta: job.meta,
            output: job.output,
            error: job.error,
        })
    }
}

impl<T> Found<T> {
    /// The recorded output as `O`; `None` when there is none.
    ///
    /// # Errors
    /// When the output is not an `O`.
    pub fn output_as<O: DeserializeOwned>(&self) -> Result<Option<O>, serde_json::Error> {
        self.output.as_ref().map(|output| O::deserialize(output)).transpose()
    }
}

/// The jobs as the end of a message: those of the kind, then others.
pub(super) fn listing(jobs: &[Listed]) -> String {
    let (ours, others): (Vec<_>, Vec<_>) = jobs.iter().partition(|job| job.ours);
    let mut text = String::new();
    for job in ours.iter().take(MOST_LISTED) {
        text += &line(job);
    }
    if ours.len() > MOST_LISTED {
        text += &format!("\n  and {} more of the kind", ours.len() - MOST_LISTED);
    }
    text += if others.is_empty() { "\nthere is no job of another kind" } else { "\njobs of other kinds:" };
    for job in others {
        text += &line(job);
    }
    text
}

fn line(job: &Listed) -> String {
    let mut line = format!("\n  {} {} {} in \"{}\"", job.id, job.kind, job.state, job.queue);
    if job.state == JobState::Scheduled {
        line += &format!(" for {}", job.run_at.format("%Y-%m-%d %H:%M:%S UTC"));
    }
    line += &format!(": {}", cut(&job.args));
    if let Some(error) = &job.error {
        // Writing to a string does not fail.
        write!(line, " ({error})").ok();
    }
    line
}

fn cut(args: &str) -> String {
    match args.char_indices().nth(MOST_ARGS) {
        Some((end, _)) => format!("{}…", &args[..end]),
        None => args.to_owned(),
    }
}
