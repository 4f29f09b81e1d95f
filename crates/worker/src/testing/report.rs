//! What ran, and how it ended.

use std::{collections::HashSet, fmt, time::Duration};

use haulage_queue::JobId;
use serde::de::DeserializeOwned;

use crate::{context::Attempt, execute::Resolution};

/// One attempt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ran {
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// The attempt's number.
    pub attempt: i32,
    /// How it ended.
    pub ended: Ended,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Ended {
    /// The job is completed.
    Completed {
        /// What the handler recorded.
        output: Option<serde_json::Value>,
    },
    /// The attempt failed, and another follows.
    Failed {
        /// The error with its sources; a panic's message and place; that it timed out.
        error: String,
        /// After this long.
        retry_in: Duration,
    },
    /// The job is dead: its failures are used up, or the error was fatal.
    Dead {
        /// The last error.
        error: String,
    },
    /// The handler wants to run again after this long.
    Snoozed(Duration),
    /// The handler cancelled its job.
    Cancelled {
        /// Why.
        reason: String,
    },
    /// Given back without a failure: a blocking handler found every blocking thread taken for a second.
    Returned,
    /// The attempt lost its lease while it ran; nothing is written.
    LeaseLost,
}

impl Ran {
    pub(super) fn new(attempt: &Attempt, resolution: &Resolution) -> Self {
        let output = || attempt.output().and_then(|json| serde_json::from_str(&json).ok());
        let ended = match resolution {
            Resolution::Complete { .. } => Ended::Completed { output: output() },
            Resolution::Nothing if attempt.completed() => Ended::Completed { output: output() },
            Resolution::Nothing => Ended::LeaseLost,
            Resolution::Return => Ended::Returned,
            Resolution::Later { delay, end } if end.failed => {
                Ended::Failed { error: end.message.clone().unwrap_or_default(), retry_in: *delay }
            }
            Resolution::Later { delay, .. } => Ended::Snoozed(*delay),
            Resolution::Bury { cancelled: true, end } => Ended::Cancelled { reason: end.message.clone().unwrap_or_default() },
            Resolution::Bury { end, .. } => Ended::Dead { error: end.message.clone().unwrap_or_default() },
        };
        Self { id: attempt.settled.id, kind: attempt.kind.to_string(), queue: attempt.queue.to_string(), attempt: attempt.number, ended }
    }

    /// Whether the job is completed.
    pub fn is_completed(&self) -> bool {
        matches!(self.ended, Ended::Completed { .. })
    }

    /// Whether the attempt failed and another follows.
    pub fn is_failed(&self) -> bool {
        matches!(self.ended, Ended::Failed { .. })
    }

    /// Whether the job is dead.
    pub fn is_dead(&self) -> bool {
        matches!(self.ended, Ended::Dead { .. })
    }

    /// Whether the handler wants to run again later.
    pub fn is_snoozed(&self) -> bool {
        matches!(self.ended, Ended::Snoozed(_))
    }

    /// Whether the handler cancelled its job.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.ended, Ended::Cancelled { .. })
    }

    /// The error of an attempt that failed, the last one included.
    pub fn error(&self) -> Option<&str> {
        match &self.ended {
            Ended::Failed { error, .. } | Ended::Dead { error } => Some(error),
            _ => None,
        }
    }

    /// What the handler recorded, as `T`; `None` when it recorded nothing or did not complete.
    ///
    /// # Errors
    /// When the output is not a `T`.
    pub fn output_as<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        match &self.ended {
            Ended::Completed { output: Some(output) } => T::deserialize(output).map(Some),
            _ => Ok(None),
        }
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {} {} attempt {}: {}", self.id, self.kind, self.attempt, self.ended)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed { output: None } => f.write_str("completed"),
            Self::Completed { output: Some(output) } => write!(f, "completed with {output}"),
            Self::Failed { error, retry_in } => write!(f, "failed, again in {retry_in:.1?}: {error}"),
            Self::Dead { error } => write!(f, "dead: {error}"),
            Self::Snoozed(time) => write!(f, "snoozed for {time:.1?}"),
            Self::Cancelled { reason } => write!(f, "cancelled: {reason}"),
            Self::Returned => f.write_str("given back"),
            Self::LeaseLost => f.write_str("lost its lease"),
        }
    }
}

/// What a drain ran; displays as a line an attempt.
#[derive(Debug, Clone)]
pub struct Drained {
    attempts: Vec<Ran>,
    /// Where it looked, if nothing ran.
    idle: String,
}

impl Drained {
    pub(super) fn new(attempts: Vec<Ran>, idle: String) -> Self {
        Self { attempts, idle }
    }

    /// Every attempt, in the order in which they ran.
    pub fn attempts(&self) -> &[Ran] {
        &self.attempts
    }

    /// The attempts of one job, in order.
    pub fn of(&self, id: JobId) -> impl Iterator<Item = &Ran> {
        self.attempts.iter().filter(move |ran| ran.id == id)
    }

    /// How many jobs completed.
    pub fn completed(&self) -> usize {
        self.count(Ran::is_completed)
    }

    /// How many attempts failed and are followed by another.
    pub fn failed(&self) -> usize {
        self.count(Ran::is_failed)
    }

    /// How many jobs died.
    pub fn dead(&self) -> usize {
        self.count(Ran::is_dead)
    }

    /// How many attempts were snoozed.
    pub fn snoozed(&self) -> usize {
        self.count(Ran::is_snoozed)
    }

    /// How many jobs their handlers cancelled.
    pub fn cancelled(&self) -> usize {
        self.count(Ran::is_cancelled)
    }

    fn count(&self, ended: impl Fn(&Ran) -> bool) -> usize {
        self.attempts.iter().filter(|ran| ended(ran)).count()
    }

    /// Jobs ran, and every one of them is completed, be it after failures; returns how many.
    ///
    /// # Panics
    /// When one is not; the message lists every attempt. When none ran: a job in a queue that the worker does not serve, or for later,
    /// would go unnoticed; the message says what waits that the worker does not take.
    #[track_caller]
    pub fn assert_completed(&self) -> usize {
        assert!(!self.attempts.is_empty(), "expected jobs to run and complete, nothing ran: {}", self.idle);
        let jobs: HashSet<JobId> = self.attempts.iter().map(|ran| ran.id).collect();
        assert!(
            jobs.len() == self.completed(),
            "expected every job that ran to complete, {} of {} did:\n{self}",
            self.completed(),
            jobs.len()
        );
        jobs.len()
    }
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attempts.is_empty() {
            return f.write_str("nothing ran");
        }
        for (n, ran) in self.attempts.iter().enumerate() {
            write!(f, "{}{ran}", if n == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}
