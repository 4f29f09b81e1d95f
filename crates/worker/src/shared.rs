//! What all parts of one worker share: its settings, its lanes and leases, what runs.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use haulage_queue::{
    JobId,
    store::{self, Kinds, Registration, Rescued, Settled},
};
use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::{
    DeadJob, Duty, KeepLogs,
    admit::Freed,
    context::{Attempt, Stop},
    errors::Errors,
    execute::{Entry, Registry, Resolution, Resolved},
    lane::Lane,
    leases::Leases,
    logs::Tails,
    minutes::Minutes,
    settle,
    telemetry::{Meters, OwnTraces},
};

/// What every part of one worker shares.
pub(crate) struct Shared {
    /// The application's pool: for handlers.
    pub(crate) pool: PgPool,
    pub(crate) name: String,
    pub(crate) kinds: Kinds,
    /// Those of the kinds whose handlers need no blocking thread.
    pub(crate) async_kinds: Kinds,
    pub(crate) lanes: Vec<Lane<(Arc<Attempt>, String)>>,
    pub(crate) registry: Registry,
    pub(crate) settings: Settings,
    on_dead: Option<OnDead>,
    pub(crate) leases: Leases,
    worker_id: AtomicI64,
    /// Raised each time all leases were lost: what was under way then is void.
    epoch: AtomicU64,
    running: Mutex<HashMap<Settled, Arc<Attempt>>>,
    /// Runners and hooks.
    pub(crate) tasks: TaskTracker,
    /// Something may be there to claim.
    pub(crate) wake: Notify,
    /// The number of the listening connection: what was locked on an earlier one is locked no more.
    pub(crate) listening: AtomicU64,
    /// A scheduled job may be due.
    pub(crate) due: Notify,
    /// A closed day of the history may lack an index.
    pub(crate) index: Notify,
    pub(crate) progress: ProgressReports,
    pub(crate) tails: Tails,
    pub(crate) minutes: Minutes,
    pub(crate) errors: Errors,
    pub(crate) freed: Freed,
    /// Whether a queue has a limit: then an end is room for another job.
    pub(crate) limited: AtomicBool,
    /// Whether a suspect waits.
    pub(crate) suspects: AtomicBool,
    pub(crate) suspect_running: AtomicBool,
    /// Whether somebody has told this worker to claim nothing more.
    quiet: AtomicBool,
    /// Whether somebody has asked to cancel a job that ran.
    pub(crate) cancels: AtomicBool,
    pub(crate) meters: Meters,
    pub(crate) own_traces: OwnTraces,
    /// When a heartbeat got no answer, or told of a step of the clock: from then on the others need time to say that they live.
    unsure: Mutex<Option<Instant>>,
    /// When the listening connection heard itself last.
    heard: Mutex<Option<Instant>>,
    /// The last heartbeat that was answered: its time by the database's clock, and when its answer came by ours.
    last_beat: Mutex<Option<(DateTime<Utc>, Instant)>>,
}

/// Called with a job that died.
pub(crate) type OnDead = Arc<dyn Fn(DeadJob) -> BoxFuture<'static, ()> + Send + Sync>;

pub(crate) struct Settings {
    pub(crate) grace: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) lease: Duration,
    /// Poll only, at this interval when idle.
    pub(crate) poll: Option<Duration>,
    pub(crate) backoff: Arc<dyn Fn(u16) -> Duration + Send + Sync>,
    /// Days.
    pub(crate) keep_completed: i32,
    pub(crate) keep_failed: i32,
    pub(crate) keep_audit: i32,
    pub(crate) without: HashSet<Duty>,
    pub(crate) keep_logs: KeepLogs,
    /// Where the enqueue has not said it.
    #[cfg(feature = "otel")]
    pub(crate) trace_relation: Option<haulage_queue::TraceRelation>,
    #[cfg(feature = "otel")]
    pub(crate) trace_waits: bool,
}

impl Shared {
    pub(crate) fn new(
        pool: PgPool,
        name: Option<String>,
        queues: Vec<(String, usize)>,
        registry: Registry,
        on_dead: Option<OnDead>,
        settings: Settings,
    ) -> Self {
        let name = name.unwrap_or_else(|| format!("{}:{}", host(), std::process::id()));
        let mut sorted: Vec<_> = registry.kinds.iter().collect();
        sorted.sort_by_key(|(kind, _)| **kind);
        let named = |(kind, entry): &(&&str, &Entry)| ((**kind).to_owned(), entry.traits.revision);
        let kinds = sorted.iter().map(named).collect();
        let async_kinds = sorted.iter().filter(|(_, entry)| !entry.blocking).map(named).collect();
        let names: Vec<String> = queues.iter().map(|(queue, _)| queue.clone()).collect();
        let meters = Meters::new(&registry, &names);
        Self {
            pool,
            name,
            meters,
            kinds,
            async_kinds,
            lanes: queues.into_iter().map(|(queue, slots)| Lane::new(queue, slots)).collect(),
            registry,
            settings,
            on_dead,
            leases: Leases::default(),
            worker_id: AtomicI64::new(rand::random_range(1..=i64::MAX)),
            epoch: AtomicU64::new(0),
            running: Mutex::default(),
            tasks: TaskTracker::new(),
            wake: Notify::new(),
            listening: AtomicU64::new(0),
            due: Notify::new(),
            index: Notify::new(),
            progress: ProgressReports::default(),
            tails: Tails::default(),
            minutes: Minutes::default(),
            errors: Errors::default(),
            freed: Freed::default(),
            limited: AtomicBool::new(false),
            suspects: AtomicBool::new(false),
            quiet: AtomicBool::new(false),
            suspect_running: AtomicBool::new(false),
            cancels: AtomicBool::new(false),
            own_traces: OwnTraces::default(),
            unsure: Mutex::new(None),
            heard: Mutex::new(None),
            last_beat: Mutex::new(None),
        }
    }

    /// Notifications reach the listening connection.
    pub(crate) fn hears(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// How long ago it was that the listening connection heard itself.
    pub(crate) fn heard(&self) -> Option<Duration> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// For the worker's own connections, with the pool's password of now.
    pub(crate) fn options(&self) -> PgConnectOptions {
        store::worker_options(&self.pool.connect_options(), &self.name)
    }

    pub(crate) fn worker_id(&self) -> i64 {
        self.worker_id.load(Ordering::Acquire)
    }

    pub(crate) fn set_worker_id(&self, id: i64) {
        self.worker_id.store(id, Ordering::Release);
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(crate) fn registration(&self) -> Registration {
        Registration {
            name: self.name.clone(),
            queues: self.lanes.iter().map(|lane| lane.queue.clone()).collect(),
            slots: self.lanes.iter().map(|lane| i32::try_from(lane.slots).unwrap_or(i32::MAX)).collect(),
            kinds: self.kinds.clone(),
            lease_ms: i32::try_from(self.settings.lease.as_millis()).unwrap_or(i32::MAX),
        }
    }

    /// The names of its queues, in the order of the lanes.
    pub(crate) fn queues(&self) -> Vec<&str> {
        self.lanes.iter().map(|lane| lane.queue.as_str()).collect()
    }

    fn lock_running(&self) -> MutexGuard<'_, HashMap<Settled, Arc<Attempt>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Attempts whose handlers run or whose results are not settled yet.
    pub(crate) fn running(&self) -> usize {
        self.lock_running().len()
    }

    /// Those of them that are so.
    pub(crate) fn attempts(&self, are: impl Fn(&Attempt) -> bool) -> Vec<Arc<Attempt>> {
        self.lock_running().values().filter(|attempt| are(attempt)).map(Arc::clone).collect()
    }

    pub(crate) fn started(&self, attempt: &Arc<Attempt>) {
        self.lock_running().insert(attempt.settled, Arc::clone(attempt));
    }

    /// The attempt is settled, or lost.
    pub(crate) fn ended(&self, attempt: &Attempt) {
        self.lock_running().remove(&attempt.settled);
        if let Some(record) = attempt.record() {
            record.end();
        }
        if attempt.suspect {
            self.suspect_running.store(false, Ordering::Release);
            // The next one need not wait: a machine that went down twice leaves a crowd of them.
            self.wake.notify_one();
        }
        if let Some(key) = &attempt.limit_key {
            self.freed.add(key);
        }
        if self.limited.load(Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }

    pub(crate) fn cancel(&self, id: JobId) {
        for attempt in self.lock_running().values().filter(|attempt| attempt.settled.id == id) {
            attempt.stop(Stop::Cancel);
        }
    }

    pub(crate) fn stop_all(&self, reason: Stop) -> usize {
        let running = self.lock_running();
        running.values().for_each(|attempt| attempt.stop(reason));
        running.len()
    }

    /// The worker was declared dead, or must take it that it was: nothing it holds is its own any more. Returns how many attempts
    /// were told.
    pub(crate) fn lose_leases(&self) -> usize {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        let unstarted: usize = self.lanes.iter().map(|lane| lane.drain().len()).sum();
        let told = self.stop_all(Stop::LeaseLost);
        self.leases.clear();
        self.wake.notify_one();
        self.meters.lost(told + unstarted);
        told + unstarted
    }

    /// Whether it claims nothing, because somebody said so.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// As the heartbeat has it.
    pub(crate) fn set_quiet(&self, quiet: bool) {
        if self.quiet.swap(quiet, Ordering::Relaxed) != quiet {
            let does = if quiet { "claims nothing more and finishes what it runs" } else { "claims again" };
            tracing::info!(worker = self.name, "somebody has said so: this worker {does}");
            // What waits for a runner is given back at once, and what waits in the database looked for.
            self.wake.notify_one();
        }
    }

    /// A heartbeat of this time, by the database's clock, has just been answered; `None`: the row that it was in is dead.
    pub(crate) fn set_last_beat(&self, at: Option<DateTime<Utc>>) {
        *self.last_beat.lock().unwrap_or_else(PoisonError::into_inner) = at.map(|at| (at, Instant::now()));
    }

    /// The time of the last heartbeat that was answered, by the database's clock, and how long ago the answer came, by ours.
    pub(crate) fn last_beat(&self) -> Option<(DateTime<Utc>, Duration)> {
        self.last_beat.lock().unwrap_or_else(PoisonError::into_inner).map(|(at, answered)| (at, answered.elapsed()))
    }

    /// Our own heartbeat got no answer, so perhaps nobody's did; or the database's clock was set, and the others have not told it
    /// yet that they live.
    pub(crate) fn put_off_rescue(&self) {
        *self.unsure.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// How long ago the rescue was last put off; `None`: never.
    pub(crate) fn calm(&self) -> Option<Duration> {
        self.unsure.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }

    pub(crate) fn may_rescue(&self) -> bool {
        self.calm().is_none_or(|calm| calm >= self.settings.lease)
    }

    /// Tells the log of an attempt that did not simply succeed, and the hook of a job that died.
    pub(crate) fn tell(&self, resolved: &Resolved) {
        self.meters.settled(resolved);
        let Resolved { attempt, resolution } = resolved;
        let (job, kind, number) = (attempt.settled.id, &*attempt.kind, attempt.number);
        match resolution {
            Resolution::Later { delay, end } if end.failed => {
                let error = end.message.as_deref().unwrap_or_default();
                tracing::warn!(%job, kind, attempt = number, error, retry_in_s = delay.as_secs_f64(), "the attempt {}", end.outcome);
            }
            Resolution::Bury { cancelled: false, end } => self.call_on_dead(settle::dead_job(attempt, end)),
            Resolution::Bury { cancelled: true, end } => {
                tracing::info!(%job, kind, attempt = number, reason = end.message.as_deref(), "the job is cancelled");
            }
            _ => {}
        }
    }

    /// A handler that was found to block its thread does not any more.
    pub(crate) fn stalled(&self, attempt: &Attempt, time: Duration) {
        let (job, kind) = (attempt.settled.id, &*attempt.kind);
        tracing::info!(%job, kind, queue = &*attempt.queue, seconds = time.as_secs_f64(), "the handler has blocked a thread of the runtime");
        self.meters.stalled(attempt, time);
    }

    /// Calls the hook for a job that rescue buried.
    pub(crate) fn quarantined(&self, job: Rescued) {
        self.call_on_dead(DeadJob {
            error: format!("quarantined: its process died {} times while it ran", job.crashes),
            id: job.id,
            kind: job.kind,
            queue: job.queue,
            attempt: job.attempt,
            failures: job.failures,
        });
    }

    fn call_on_dead(&self, dead: DeadJob) {
        tracing::error!(job = %dead.id, kind = dead.kind, queue = dead.queue, attempt = dead.attempt, error = dead.error, "the job died");
        if let Some(hook) = self.on_dead.clone() {
            // All of the hook inside the task: it may panic before its first await.
            self.tasks.spawn(async move { hook(dead).await });
        }
    }
}

/// Attempts that have reported progress since it was last written.
#[derive(Debug, Default)]
pub(crate) struct ProgressReports {
    attempts: Mutex<HashMap<Settled, Arc<Attempt>>>,
    reported: Notify,
}

impl ProgressReports {
    pub(crate) fn report(&self, attempt: &Arc<Attempt>) {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).insert(attempt.settled, Arc::clone(attempt));
        self.reported.notify_one();
    }

    pub(crate) async fn reported(&self) {
        self.reported.notified().await;
    }

    /// What was reported last by each.
    pub(crate) fn take(&self) -> Vec<(Settled, i16, Option<String>)> {
        let attempts = std::mem::take(&mut *self.attempts.lock().unwrap_or_else(PoisonError::into_inner));
        attempts
            .into_iter()
            .filter_map(|(settled, attempt)| {
                attempt.take_progress().map(|(percent, message)| (settled, percent, (!message.is_empty()).then_some(message)))
            })
            .collect()
    }
}

/// The host's name, for people.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}
