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
use crate::{JobId, Limit, Priority, WhyCode};

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
    /// Many jobs of a kind back off: of a cause, as `Died` is.
    Failing {
        queue: String,
        kind: String,
        failures: i16,
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

    WorkersQuiet {
        queue: String,
        kind: String,
        workers: i64,
        #[serde(serialize_with = "text_of")]
        worker: i64,
        name: String,
        by: Option<String>,
        reason: Option<String>,
        quiet_at: Option<Time>,
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
        holder_overdue: bool,
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
            Self::Backoff { .. } | Self::Failing { .. } => WhyCode::Backoff,
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
            Self::WorkersQuiet { .. } => WhyCode::WorkersQuiet,
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

    pub(crate) fn facts(&self) -> BTreeMap<String, Value> {
        let Ok(Value::Object(mut facts)) = serde_json::to_value(self) else { return BTreeMap::new() };
        facts.remove("code");
        facts.into_iter().collect()
    }
}
