//! What can be done, as data.

use std::time::Duration;

use chrono::{DateTime, Utc};
use haulage_queue::{FixAct, JobFilter, JobId, Limit, OperationId, Verb};

use super::Role;

/// Something that somebody wants done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// A verb on one job.
    Job { id: JobId, verb: Verb },
    /// A finished job is repeated as a new one. `seen`: the newest entry of the audit on this job that whoever asks knew of; if it was run
    /// again since, it is not once more. `None`: whatever happened.
    RunAgain { id: JobId, seen: Option<i64> },
    /// Other args for a job that does not run. Where they hold the mask of a secret, the secret stays. `seen`: the
    /// [fingerprint](super::args::fingerprint) of the args that were edited.
    EditArgs { id: JobId, args: String, seen: Option<String> },
    /// A verb on all jobs that match, as an operation that goes on by itself. `seen`: the newest operation that whoever asks knew of; if
    /// they have started the same since, that one is answered.
    Jobs { verb: Verb, filter: Box<JobFilter>, seen: Option<OperationId> },
    /// An open operation stops where it is.
    CancelOperation { id: OperationId },
    /// A cancelled operation, or an open one that nobody drives any more, goes on.
    ResumeOperation { id: OperationId },
    /// A queue starts no job, for a time or until it is resumed.
    PauseQueue { queue: String, length: Option<Duration> },
    /// A paused queue goes on.
    ResumeQueue { queue: String },
    /// A worker claims nothing more.
    QuietWorker { worker: i64 },
    /// A quiet worker claims again.
    ResumeWorker { worker: i64 },
    /// All limits of a queue anew.
    LimitQueue { queue: String, limit: Option<Limit> },
    /// All limits of a key, or of a class of keys, anew.
    LimitKey { key: String, limit: Option<Limit> },
    /// A schedule does not fire, for a time or until it is resumed.
    PauseSchedule { schedule: String, length: Option<Duration> },
    /// A paused schedule goes on.
    ResumeSchedule { schedule: String },
    /// A schedule's job is enqueued now. `seen` as for [`Action::RunAgain`].
    RunSchedule { schedule: String, seen: Option<i64> },
    /// A session of the database is ended.
    EndSession { pid: i32, backend_start: DateTime<Utc> },
}

impl Action {
    /// Who may do it.
    pub(crate) const fn needs(&self) -> Role {
        match self {
            Self::Job { verb, .. } | Self::Jobs { verb, .. } => Self::verb_needs(verb),
            Self::RunAgain { .. }
            | Self::CancelOperation { .. }
            | Self::ResumeOperation { .. }
            | Self::PauseQueue { .. }
            | Self::ResumeQueue { .. }
            | Self::QuietWorker { .. }
            | Self::ResumeWorker { .. }
            | Self::PauseSchedule { .. }
            | Self::ResumeSchedule { .. }
            | Self::RunSchedule { .. } => Role::Operator,
            Self::EditArgs { .. } | Self::LimitQueue { .. } | Self::LimitKey { .. } | Self::EndSession { .. } => Role::Admin,
        }
    }

    /// Who may do this to jobs.
    pub(crate) const fn verb_needs(verb: &Verb) -> Role {
        match verb {
            Verb::Retry
            | Verb::RunNow
            | Verb::Cancel
            | Verb::Discard
            | Verb::Hold
            | Verb::Release
            | Verb::Move { .. }
            | Verb::Reprioritise { .. } => Role::Operator,
            // Whatever a later version adds is for those who may do everything, until somebody has thought about it.
            _ => Role::Admin,
        }
    }

    /// What a fix would do; `None`: this version does not know how.
    pub(crate) fn of_fix(act: &FixAct) -> Option<Self> {
        Some(match act {
            FixAct::Job { id, verb } => Self::Job { id: *id, verb: verb.clone() },
            FixAct::Jobs { filter, verb } => Self::Jobs { verb: verb.clone(), filter: filter.clone(), seen: None },
            FixAct::ResumeQueue { queue } => Self::ResumeQueue { queue: queue.clone() },
            FixAct::ResumeWorker { worker } => Self::ResumeWorker { worker: *worker },
            FixAct::LimitQueue { queue, limit } => Self::LimitQueue { queue: queue.clone(), limit: Some(*limit) },
            FixAct::LimitKey { key, limit } => Self::LimitKey { key: key.clone(), limit: Some(*limit) },
            FixAct::RunSchedule { schedule } => Self::RunSchedule { schedule: schedule.clone(), seen: None },
            FixAct::EndSession { pid, backend_start } => Self::EndSession { pid: *pid, backend_start: *backend_start },
            _ => return None,
        })
    }
}
