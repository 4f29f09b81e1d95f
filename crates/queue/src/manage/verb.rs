//! What can be done to a job.

use serde::{Deserialize, Serialize};

use crate::{JobState, NameError, Priority, check_name};

/// What can be done to a job. Every write is guarded by the state that it needs, so it never races a worker: a job that a worker has
/// claimed meanwhile is refused, or told to stop.
///
/// As JSON: `{"verb": "move", "queue": "mail"}`, with names that stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verb {
    /// A dead or cancelled job runs again: the same id, its attempts kept, its failures counted from zero. It goes to the end of its
    /// line. One that was quarantined comes back as a suspect and runs alone.
    Retry,
    /// A scheduled job, one that backs off or snoozes, is available now. One alone goes before the line of its queue; many go to
    /// the end of it.
    RunNow,
    /// The job ends as cancelled; a running one is told to stop and may complete first.
    Cancel,
    /// The job ends as dead. Not for running jobs.
    Discard,
    /// The job is set aside until somebody releases it. Not for running jobs.
    Hold,
    /// A held job goes on: to the end of its line, or to its time if that is still to come.
    Release,
    /// The job is removed for good, with its attempts and the unique key it holds. Not for running jobs.
    Delete,
    /// The job goes to another queue, to the end of the line there. Not for running jobs.
    Move {
        /// Its new queue.
        queue: String,
    },
    /// The job gets another priority, and goes to the end of that line. Not for running jobs.
    Reprioritise {
        /// Its new priority.
        priority: Priority,
    },
}

impl Verb {
    /// The name as the command and the audit have it: lower case, with hyphens.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::RunNow => "run-now",
            Self::Cancel => "cancel",
            Self::Discard => "discard",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Delete => "delete",
            Self::Move { .. } => "move",
            Self::Reprioritise { .. } => "reprioritise",
        }
    }

    /// The states in which it can be done to a job.
    pub const fn states(&self) -> &'static [JobState] {
        use JobState::{Available, Cancelled, Completed, Dead, Parked, Running, Scheduled};
        match self {
            Self::Retry => &[Dead, Cancelled],
            Self::RunNow => &[Scheduled],
            Self::Cancel => &[Scheduled, Available, Running, Parked],
            Self::Discard | Self::Hold | Self::Move { .. } | Self::Reprioritise { .. } => &[Scheduled, Available, Parked],
            Self::Release => &[Parked],
            Self::Delete => &[Scheduled, Available, Parked, Completed, Dead, Cancelled],
        }
    }

    /// The state that a filter without one means. Who retries all jobs of a queue means the dead ones, not those that somebody has
    /// cancelled.
    pub const fn default_state(&self) -> Option<JobState> {
        match self {
            Self::Retry => Some(JobState::Dead),
            Self::RunNow => Some(JobState::Scheduled),
            Self::Release => Some(JobState::Parked),
            _ => None,
        }
    }

    /// Whether it is done to unfinished jobs only.
    pub(crate) const fn is_for_live_jobs(&self) -> bool {
        !matches!(self, Self::Retry | Self::Delete)
    }

    /// Refuses what the database would store and no worker could use.
    pub(crate) fn check(&self) -> Result<(), NameError> {
        match self {
            Self::Move { queue } => check_name("queue", queue),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_is_stored_under_its_name_and_read_again() {
        for (verb, text) in [
            (Verb::RunNow, r#"{"verb":"run-now"}"#),
            (Verb::Move { queue: "mail".into() }, r#"{"verb":"move","queue":"mail"}"#),
            (Verb::Reprioritise { priority: Priority::Low }, r#"{"verb":"reprioritise","priority":"low"}"#),
        ] {
            assert_eq!(serde_json::to_string(&verb).unwrap(), text);
            assert_eq!(serde_json::from_str::<Verb>(text).unwrap(), verb);
            assert!(text.contains(&format!("\"{}\"", verb.as_str())));
        }
    }
}
