//! What a gate found, with the facts that its sentence needs. The names of the fields are those in [`Verdict::facts`](crate::Verdict),
//! so they stay.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{
    facts::{Act, Idle, Session},
    finished::Story,
    verdict::{text_of, text_of_some},
};
use crate::{CauseSubject, JobId, JobState, Limit, Mover, Priority, Severity, WhyCode};

/// What lasts longer than this without a job of the queue being started is no ordinary wait.
pub(crate) const SLO: TimeDelta = TimeDelta::seconds(60);
/// Beyond this a deadline is missed, not just met late.
pub(crate) const GRACE: TimeDelta = TimeDelta::seconds(10);
/// A lock that is held for less is an ordinary transaction.
pub(crate) const LOCK: TimeDelta = TimeDelta::seconds(5);

type Time = DateTime<Utc>;

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub(crate) enum Finding {
    Completed {
        story: Story,
    },
    Cancelled {
        story: Story,
        error: Option<String>,
    },
    Dead {
        story: Story,
        error: Option<String>,
    },
    BadArgs {
        queue: String,
        kind: String,
        #[serde(serialize_with = "text_of_some")]
        job: Option<JobId>,
        error: Option<String>,
        since: Time,
    },
    Quarantined {
        #[serde(serialize_with = "text_of_some")]
        job: Option<JobId>,
        queue: String,
        kind: String,
        since: Time,
    },
    Died {
        queue: String,
        kind: String,
        error_class: Option<String>,
        error: Option<String>,
        since: Time,
        last_at: Time,
    },
    Gone {
        deleted_by: Option<Act>,
    },

    Orphaned {
        worker: Option<String>,
        silent_since: Option<Time>,
        rescue_at: Option<Time>,
        live_workers: i64,
    },
    OverTimeout {
        #[serde(serialize_with = "text_of")]
        job: JobId,
        kind: String,
        worker: Option<String>,
        timeout_ms: i32,
        deadline: Time,
    },
    Cancelling {
        #[serde(serialize_with = "text_of")]
        job: JobId,
        worker: Option<String>,
        asked_at: Time,
        reason: Option<String>,
    },
    LongRunning {
        #[serde(serialize_with = "text_of")]
        job: JobId,
        kind: String,
        worker: Option<String>,
        started_at: Time,
        p50_s: f64,
        p95_s: f64,
    },
    Running {
        worker: Option<String>,
        started_at: Time,
        percent: Option<i16>,
    },

    Held {
        queue: String,
        by: Option<Act>,
    },

    RetryLoop {
        queue: String,
        kind: String,
        failures: i16,
        max_attempts: i16,
        error: String,
        error_class: Option<String>,
        first_at: Time,
        next_at: Time,
    },
    Backoff {
        queue: String,
        kind: String,
        failures: i16,
        max_attempts: i16,
        error: Option<String>,
        error_class: Option<String>,
        since: Option<Time>,
        next_at: Time,
    },
    Snoozed {
        next_at: Time,
    },
    FarFuture {
        at: Time,
        in_days: i64,
    },
    Scheduled {
        at: Time,
    },
    DueNoWorker {
        due_at: Time,
        last_beat: Option<Time>,
    },
    PromoteLate {
        due_at: Time,
        live_workers: i64,
    },

    NoLiveWorkers {
        last_worker: Option<String>,
        last_beat: Option<Time>,
    },
    NoWorker {
        queue: String,
        last_worker: Option<String>,
        last_beat: Option<Time>,
        nearest: Option<String>,
    },
    Paused {
        queue: String,
        by: Option<String>,
        reason: Option<String>,
        paused_at: Option<Time>,
        until: Option<Time>,
    },
    NoHandler {
        queue: String,
        kind: String,
        workers: i64,
        last_worker: Option<String>,
        last_beat: Option<Time>,
    },
    OldRevision {
        queue: String,
        kind: String,
        revision: i16,
        known: i16,
        workers: i64,
    },

    TableLock {
        session: Session,
        waiters: i64,
        workers: i64,
        waiting_since: Time,
        relation: Option<String>,
    },
    DbLock {
        session: Session,
        waiters: i64,
        workers: i64,
        waiting_since: Time,
    },

    SlotBlocked {
        what: String,
        limit: i64,
        ownerless: i64,
        by: Idle,
    },
    KeyFull {
        key: String,
        limited_by: String,
        limit: i64,
        limits: Limit,
        held: i64,
        before: i64,
        #[serde(serialize_with = "text_of_some")]
        holder: Option<JobId>,
        holder_kind: Option<String>,
        holder_since: Option<Time>,
        waits_since: Time,
    },
    KeyRate {
        key: String,
        limited_by: String,
        rate: Limit,
        before: i64,
        next_at: Time,
        waits_since: Time,
    },
    QueueFull {
        queue: String,
        limit: i64,
        limits: Limit,
        held: i64,
        before: i64,
        eta_s: Option<f64>,
        arriving: f64,
        done: f64,
        waits_since: Time,
    },
    QueueRate {
        queue: String,
        rate: Limit,
        before: i64,
        next_at: Time,
        waits_since: Time,
    },
    RowLocked {
        session: Session,
        locked_since: Option<Time>,
    },

    Suspect {
        crashes: i16,
        waits_since: Time,
    },
    HeadOfLine {
        queue: String,
        kind: String,
        holding: i64,
        slots: i64,
        longest_since: Time,
        waits_since: Time,
    },
    Starved {
        queue: String,
        priority: Priority,
        waits_since: Time,
    },
    SlotsFull {
        queue: String,
        running: i64,
        slots: i64,
        workers: i64,
        before: i64,
        eta_s: Option<f64>,
        arriving: f64,
        done: f64,
        waits_since: Time,
    },
    InLine {
        queue: String,
        before: i64,
        eta_s: Option<f64>,
        waits_since: Time,
    },
    Ready {
        waits_since: Time,
    },
    Unexplained {
        queue: String,
        waits_since: Time,
        last_claim: Option<Time>,
        workers: i64,
        running: i64,
        slots: i64,
        /// Jobs that run on the workers that would take it, or on others that know their kinds.
        busy: i64,
    },

    ScheduleMissed {
        schedule: String,
        owner: String,
        due_at: Time,
        live_workers: i64,
    },
    OldSnapshot {
        session: Session,
        dead_rows: i64,
    },
    Connections {
        used: i64,
        most: i64,
    },
    Clock {
        worker: String,
        offset_ms: i64,
    },
    Listener {
        worker: String,
        heard_at: Option<Time>,
    },
}

impl Finding {
    pub(crate) fn code(&self) -> WhyCode {
        match self {
            Self::Completed { .. } => WhyCode::Completed,
            Self::Cancelled { .. } => WhyCode::Cancelled,
            Self::Dead { .. } | Self::Died { .. } => WhyCode::Dead,
            Self::BadArgs { .. } => WhyCode::BadArgs,
            Self::Quarantined { .. } => WhyCode::Quarantined,
            Self::Gone { .. } => WhyCode::Gone,
            Self::Orphaned { .. } => WhyCode::Orphaned,
            Self::OverTimeout { .. } => WhyCode::OverTimeout,
            Self::Cancelling { .. } => WhyCode::Cancelling,
            Self::LongRunning { .. } => WhyCode::LongRunning,
            Self::Running { .. } => WhyCode::Running,
            Self::Held { .. } => WhyCode::Held,
            Self::RetryLoop { .. } => WhyCode::RetryLoop,
            Self::Backoff { .. } => WhyCode::Backoff,
            Self::Snoozed { .. } => WhyCode::Snoozed,
            Self::FarFuture { .. } => WhyCode::FarFuture,
            Self::Scheduled { .. } => WhyCode::Scheduled,
            Self::DueNoWorker { .. } => WhyCode::DueNoWorker,
            Self::PromoteLate { .. } => WhyCode::PromoteLate,
            Self::NoLiveWorkers { .. } => WhyCode::NoLiveWorkers,
            Self::NoWorker { .. } => WhyCode::NoWorker,
            Self::Paused { .. } => WhyCode::Paused,
            Self::NoHandler { .. } => WhyCode::NoHandler,
            Self::OldRevision { .. } => WhyCode::OldRevision,
            Self::TableLock { .. } => WhyCode::TableLock,
            Self::DbLock { .. } => WhyCode::DbLock,
            Self::SlotBlocked { .. } => WhyCode::SlotBlocked,
            Self::KeyFull { .. } => WhyCode::KeyFull,
            Self::KeyRate { .. } => WhyCode::KeyRate,
            Self::QueueFull { .. } => WhyCode::QueueFull,
            Self::QueueRate { .. } => WhyCode::QueueRate,
            Self::RowLocked { .. } => WhyCode::RowLocked,
            Self::Suspect { .. } => WhyCode::Suspect,
            Self::HeadOfLine { .. } => WhyCode::HeadOfLine,
            Self::Starved { .. } => WhyCode::Starved,
            Self::SlotsFull { .. } => WhyCode::SlotsFull,
            Self::InLine { .. } => WhyCode::InLine,
            Self::Ready { .. } => WhyCode::Ready,
            Self::Unexplained { .. } => WhyCode::Unexplained,
            Self::ScheduleMissed { .. } => WhyCode::ScheduleMissed,
            Self::OldSnapshot { .. } => WhyCode::OldSnapshot,
            Self::Connections { .. } => WhyCode::Connections,
            Self::Clock { .. } => WhyCode::Clock,
            Self::Listener { .. } => WhyCode::Listener,
        }
    }

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
            Self::Backoff { .. } | Self::Cancelling { .. } | Self::Orphaned { .. } => Severity::Heals,
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
            Self::Backoff { .. } | Self::Snoozed { .. } | Self::FarFuture { .. } | Self::Scheduled { .. } => Mover::Clock,
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
            Self::Backoff { since, .. } => *since,
            Self::DueNoWorker { due_at, .. } | Self::PromoteLate { due_at, .. } | Self::ScheduleMissed { due_at, .. } => Some(*due_at),
            Self::NoLiveWorkers { last_beat, .. } | Self::NoWorker { last_beat, .. } | Self::NoHandler { last_beat, .. } => *last_beat,
            Self::Paused { paused_at, .. } => *paused_at,
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
            Self::RetryLoop { next_at, .. } | Self::Backoff { next_at, .. } | Self::Snoozed { next_at } => Some(*next_at),
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
            Self::RetryLoop { queue, kind, .. } | Self::Backoff { queue, kind, .. } => state(all(queue, Some(kind)), JobState::Scheduled),
            Self::DueNoWorker { .. } | Self::PromoteLate { .. } => state(CauseSubject::default(), JobState::Scheduled),
            Self::NoHandler { queue, kind, .. } | Self::OldRevision { queue, kind, .. } => all(queue, Some(kind)),
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

    pub(crate) fn facts(&self) -> BTreeMap<String, Value> {
        let Ok(Value::Object(mut facts)) = serde_json::to_value(self) else { return BTreeMap::new() };
        facts.remove("code");
        facts.into_iter().collect()
    }
}

/// Whether a line grows, and not just by chance.
pub(crate) fn grows(arriving: f64, done: f64) -> bool {
    done > 0.0 && arriving > done * 1.05
}
