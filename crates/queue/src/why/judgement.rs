//! What follows from a finding: how bad it is, who moves and by when, since when it has been so, what it is about.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    facts::Session,
    finding::{Finding, LOCK, SLO},
};
use crate::{CauseSubject, JobState, Mover, Severity};

type Time = DateTime<Utc>;

impl Finding {
    /// How bad it is now. A deadline that is missed is told by the caller.
    pub(crate) fn severity(&self, now: Time) -> Severity {
        let late = |since: Time| now - since > SLO;
        let if_late = |since: Time, severity| if late(since) { severity } else { Severity::Ok };
        match self {
            Self::Completed { .. } | Self::Cancelled { .. } | Self::Gone { .. } | Self::Running { .. } => Severity::Ok,
            Self::Snoozed { .. } | Self::FarFuture { .. } | Self::Scheduled { .. } => Severity::Ok,
            Self::InLine { waits_since, .. } => if_late(*waits_since, Severity::Slow),
            Self::Suspect { waits_since, .. } => if_late(*waits_since, Severity::Slow),
            Self::Ready { .. } => Severity::Ok,
            Self::Orphaned { live_workers: 0, .. } => Severity::Stuck,
            Self::Backoff { .. } | Self::Failing { .. } | Self::Cancelling { .. } | Self::Orphaned { .. } => Severity::Heals,
            Self::Paused { until: Some(_), .. } => Severity::Heals,
            Self::KeyFull { waits_since, .. } | Self::KeyRate { waits_since, .. } | Self::QueueRate { waits_since, .. } => {
                if_late(*waits_since, Severity::Heals)
            }
            Self::QueueFull { waits_since, arriving, done, .. } => {
                if_late(*waits_since, if grows(*arriving, *done) { Severity::Worse } else { Severity::Heals })
            }
            Self::SlotsFull { waits_since, arriving, done, .. } => {
                if_late(*waits_since, if grows(*arriving, *done) { Severity::Worse } else { Severity::Slow })
            }
            Self::HeadOfLine { waits_since, .. } => if_late(*waits_since, Severity::Slow),
            Self::Starved { .. } => Severity::Worse,
            // Which handlers block is not told: it may wait for a thread that one of those has.
            Self::Unexplained { busy: 1.., .. } => Severity::Slow,
            Self::LongRunning { .. } => Severity::Slow,
            Self::PromoteLate { due_at, .. } => {
                if late(*due_at) {
                    Severity::Stuck
                } else {
                    Severity::Heals
                }
            }
            // Of a session that this role may not look at the age is not known: it counts as young.
            Self::RowLocked { session, .. } if session.since.is_none_or(|since| now - since < LOCK) => Severity::Ok,
            Self::OldSnapshot { session, .. } if session.since.is_none_or(|since| now - since < TimeDelta::hours(1)) => Severity::Slow,
            Self::Clock { .. } | Self::Listener { .. } => Severity::Slow,
            Self::ScheduleMissed { .. }
            | Self::Dead { .. }
            | Self::Died { .. }
            | Self::BadArgs { .. }
            | Self::Quarantined { .. }
            | Self::OverTimeout { .. }
            | Self::Held { .. }
            | Self::RetryLoop { .. }
            | Self::DueNoWorker { .. }
            | Self::NoLiveWorkers { .. }
            | Self::NoWorker { .. }
            | Self::Paused { until: None, .. }
            | Self::NoHandler { .. }
            | Self::OldRevision { .. }
            | Self::WorkersQuiet { .. }
            | Self::TableLock { .. }
            | Self::DbLock { .. }
            | Self::SlotBlocked { .. }
            | Self::RowLocked { .. }
            | Self::Unexplained { .. }
            | Self::OldSnapshot { .. }
            | Self::Connections { .. } => Severity::Stuck,
        }
    }

    pub(crate) fn mover(&self) -> Mover {
        match self {
            Self::Completed { .. } | Self::Cancelled { .. } | Self::Gone { .. } | Self::Unexplained { .. } => Mover::Nobody,
            Self::Orphaned { live_workers: 0, .. } => Mover::Person,
            Self::Orphaned { .. } => Mover::Rescuer,
            Self::Backoff { .. } | Self::Failing { .. } => Mover::Clock,
            Self::Snoozed { .. } | Self::FarFuture { .. } | Self::Scheduled { .. } => Mover::Clock,
            Self::Paused { until: Some(_), .. } | Self::KeyRate { .. } | Self::QueueRate { .. } => Mover::Clock,
            Self::Cancelling { .. }
            | Self::OverTimeout { .. }
            | Self::LongRunning { .. }
            | Self::Running { .. }
            | Self::PromoteLate { .. }
            | Self::KeyFull { .. }
            | Self::QueueFull { .. }
            | Self::Suspect { .. }
            | Self::HeadOfLine { .. }
            | Self::SlotsFull { .. }
            | Self::InLine { .. }
            | Self::Ready { .. }
            | Self::ScheduleMissed { .. } => Mover::Worker,
            Self::TableLock { .. } | Self::DbLock { .. } | Self::RowLocked { .. } | Self::OldSnapshot { .. } => Mover::Database,
            _ => Mover::Person,
        }
    }

    /// When it began.
    pub(crate) fn since(&self) -> Option<Time> {
        match self {
            Self::Completed { story } | Self::Cancelled { story, .. } | Self::Dead { story, .. } => Some(story.finished_at),
            Self::BadArgs { since, .. } | Self::Quarantined { since, .. } | Self::Died { since, .. } => Some(*since),
            Self::Gone { deleted_by } => deleted_by.as_ref().map(|act| act.at),
            Self::Orphaned { silent_since, .. } => *silent_since,
            Self::OverTimeout { deadline, .. } => Some(*deadline),
            Self::Cancelling { asked_at, .. } => Some(*asked_at),
            Self::LongRunning { started_at, .. } | Self::Running { started_at, .. } => Some(*started_at),
            Self::Held { by, .. } => by.as_ref().map(|act| act.at),
            Self::RetryLoop { first_at, .. } => Some(*first_at),
            Self::Backoff { since, .. } | Self::Failing { since, .. } => *since,
            Self::DueNoWorker { due_at, .. } | Self::PromoteLate { due_at, .. } | Self::ScheduleMissed { due_at, .. } => Some(*due_at),
            Self::NoLiveWorkers { last_beat, .. } | Self::NoWorker { last_beat, .. } | Self::NoHandler { last_beat, .. } => *last_beat,
            Self::Paused { paused_at, .. } => *paused_at,
            Self::WorkersQuiet { quiet_at, .. } => *quiet_at,
            Self::TableLock { waiting_since, .. } | Self::DbLock { waiting_since, .. } => Some(*waiting_since),
            Self::RowLocked { session, .. } | Self::OldSnapshot { session, .. } => session.since,
            Self::KeyFull { waits_since, .. }
            | Self::KeyRate { waits_since, .. }
            | Self::QueueFull { waits_since, .. }
            | Self::QueueRate { waits_since, .. }
            | Self::HeadOfLine { waits_since, .. }
            | Self::Starved { waits_since, .. }
            | Self::SlotsFull { waits_since, .. }
            | Self::InLine { waits_since, .. }
            | Self::Ready { waits_since }
            | Self::Suspect { waits_since, .. }
            | Self::Unexplained { waits_since, .. } => Some(*waits_since),
            Self::Listener { heard_at, .. } => *heard_at,
            _ => None,
        }
    }

    /// By when whoever moves it should have.
    pub(crate) fn due(&self, now: Time) -> Option<Time> {
        let eta =
            |seconds: &Option<f64>| seconds.and_then(|seconds| TimeDelta::try_milliseconds((seconds * 1e3) as i64)).map(|eta| now + eta);
        match self {
            Self::Orphaned { rescue_at, .. } => *rescue_at,
            Self::Cancelling { asked_at, .. } => Some(*asked_at + SLO),
            Self::RetryLoop { next_at, .. } | Self::Backoff { next_at, .. } | Self::Failing { next_at, .. } => Some(*next_at),
            Self::Snoozed { next_at } => Some(*next_at),
            Self::FarFuture { at, .. } | Self::Scheduled { at } => Some(*at),
            Self::PromoteLate { due_at, .. } => Some(*due_at + SLO),
            Self::Paused { until, .. } => *until,
            Self::KeyRate { next_at, .. } | Self::QueueRate { next_at, .. } => Some(*next_at),
            Self::QueueFull { eta_s, .. } | Self::SlotsFull { eta_s, .. } | Self::InLine { eta_s, .. } => eta(eta_s),
            Self::Ready { waits_since } => Some(*waits_since + SLO),
            _ => None,
        }
    }

    /// What it is about, but for the job.
    pub(crate) fn subject(&self) -> CauseSubject {
        let all = |queue: &str, kind: Option<&str>| CauseSubject {
            queue: Some(queue.to_owned()),
            kind: kind.map(ToOwned::to_owned),
            ..CauseSubject::default()
        };
        let state = |subject: CauseSubject, state| CauseSubject { state: Some(state), ..subject };
        let session = |session: &Session| CauseSubject { pid: Some(session.pid), ..CauseSubject::default() };
        match self {
            Self::BadArgs { queue, kind, .. } | Self::Quarantined { queue, kind, .. } | Self::Died { queue, kind, .. } => {
                state(all(queue, Some(kind)), JobState::Dead)
            }
            Self::Orphaned { worker, .. } | Self::Running { worker, .. } => {
                state(CauseSubject { worker: worker.clone(), ..CauseSubject::default() }, JobState::Running)
            }
            Self::OverTimeout { kind, worker, .. } | Self::LongRunning { kind, worker, .. } => {
                state(CauseSubject { worker: worker.clone(), kind: Some(kind.clone()), ..CauseSubject::default() }, JobState::Running)
            }
            Self::Cancelling { worker, .. } => state(CauseSubject { worker: worker.clone(), ..CauseSubject::default() }, JobState::Running),
            Self::Held { queue, .. } => state(all(queue, None), JobState::Parked),
            Self::RetryLoop { queue, kind, .. } | Self::Backoff { queue, kind, .. } | Self::Failing { queue, kind, .. } => {
                state(all(queue, Some(kind)), JobState::Scheduled)
            }
            Self::DueNoWorker { .. } | Self::PromoteLate { .. } => state(CauseSubject::default(), JobState::Scheduled),
            Self::NoHandler { queue, kind, .. } | Self::OldRevision { queue, kind, .. } | Self::WorkersQuiet { queue, kind, .. } => {
                all(queue, Some(kind))
            }
            Self::NoWorker { queue, .. } | Self::Paused { queue, .. } | Self::QueueFull { queue, .. } | Self::QueueRate { queue, .. } => {
                all(queue, None)
            }
            Self::HeadOfLine { queue, .. }
            | Self::Starved { queue, .. }
            | Self::SlotsFull { queue, .. }
            | Self::InLine { queue, .. }
            | Self::Unexplained { queue, .. } => state(all(queue, None), JobState::Available),
            Self::KeyFull { key, .. } | Self::KeyRate { key, .. } => {
                state(CauseSubject { key: Some(key.clone()), ..CauseSubject::default() }, JobState::Parked)
            }
            Self::SlotBlocked { by, .. } => all(&by.queue, Some(&by.kind)),
            Self::RowLocked { session: of, .. }
            | Self::TableLock { session: of, .. }
            | Self::DbLock { session: of, .. }
            | Self::OldSnapshot { session: of, .. } => session(of),
            Self::ScheduleMissed { schedule, .. } => CauseSubject { schedule: Some(schedule.clone()), ..CauseSubject::default() },
            Self::Clock { worker, .. } | Self::Listener { worker, .. } => {
                CauseSubject { worker: Some(worker.clone()), ..CauseSubject::default() }
            }
            _ => CauseSubject::default(),
        }
    }
}

/// Whether a line grows, and not just by chance.
pub(crate) fn grows(arriving: f64, done: f64) -> bool {
    done > 0.0 && arriving > done * 1.05
}
