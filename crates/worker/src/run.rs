//! A worker's life: who is started, and in what order they stop.
//!
//! Stopping: fetch stops claiming and gives back what has not started; running jobs have the grace period; then they are told to
//! stop and given back; settling writes everything; heartbeat, duties and listener end last; the worker's row goes.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::future::BoxFuture;
use haulage_queue::{
    JobId, SchemaError, check_schema,
    store::{self, Failure, Registration, Rescued, Settled},
};
use sqlx::{ConnectOptions, Connection, PgPool, postgres::PgConnectOptions};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    DeadJob, Duty,
    context::{Attempt, Stop},
    duties,
    execute::{Registry, Resolution, Resolved},
    fetch, heartbeat,
    lane::Lane,
    leases::Leases,
    listen, panics, prune, settle,
};

/// How long a stopping worker tries to settle what its jobs decided.
const SETTLE_AT_STOP: Duration = Duration::from_secs(10);
/// What is told to stop at the end of the grace period has this long.
const RUNNERS_AT_STOP: Duration = Duration::from_secs(3);
/// Results that wait for settling; more hold the runners up.
const RESULTS: usize = 4_096;

/// Runs jobs. Built by [`Worker::builder`].
#[must_use = "a worker does nothing until it is run"]
pub struct Worker {
    shared: Arc<Shared>,
}

/// A worker that was started in the background.
#[must_use = "dropping the handle stops the worker without waiting for its jobs"]
pub struct WorkerHandle {
    shared: Arc<Shared>,
    stop_fetch: CancellationToken,
    stop_rest: CancellationToken,
    fetch: JoinHandle<()>,
    settle: JoinHandle<()>,
    rest: TaskTracker,
    heartbeat: thread::JoinHandle<()>,
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The schema does not fit this program.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The database accepts no writes.
    #[error("the database is read-only: a worker needs the primary")]
    ReadOnly(#[source] sqlx::Error),
    /// The database can't be reached.
    #[error("the database can't be reached: check that it runs and that the pool's URL is right")]
    Unavailable(#[source] sqlx::Error),
    /// Any other error of the database.
    #[error("the worker could not be registered")]
    Database(#[source] sqlx::Error),
    /// The heartbeat's thread could not be started.
    #[error("the heartbeat's thread could not be started")]
    Thread(#[from] std::io::Error),
}

impl From<sqlx::Error> for RunError {
    fn from(error: sqlx::Error) -> Self {
        match store::failure(&error) {
            Failure::ReadOnly => Self::ReadOnly(error),
            Failure::Unavailable => Self::Unavailable(error),
            _ => Self::Database(error),
        }
    }
}

impl Worker {
    pub(crate) fn new(
        pool: PgPool,
        name: Option<String>,
        queues: Vec<(String, usize)>,
        registry: Registry,
        on_dead: Option<OnDead>,
        settings: Settings,
    ) -> Self {
        let name = name.unwrap_or_else(|| format!("{}:{}", host(), std::process::id()));
        let mut kinds: Vec<String> = registry.kinds.keys().map(ToString::to_string).collect();
        kinds.sort();
        let async_kinds =
            kinds.iter().filter(|kind| registry.kinds.get(kind.as_str()).is_some_and(|entry| !entry.blocking)).cloned().collect();
        let shared = Shared {
            options: store::worker_options(&pool.connect_options(), &name),
            pool,
            name,
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
            progress: ProgressReports::default(),
            suspects: AtomicBool::new(false),
            suspect_running: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Runs until the process is told to stop: SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// [`RunError`] when it could not start. Once started it outlives the database's absence.
    pub async fn run(self) -> Result<(), RunError> {
        self.run_until(stop_signal()).await
    }

    /// Runs until the future completes, then stops in order.
    ///
    /// # Errors
    /// [`RunError`] when it could not start.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), RunError> {
        let handle = self.start().await?;
        stop.await;
        handle.shutdown().await;
        Ok(())
    }

    /// Starts the worker in the background: in a web process, or in a test.
    ///
    /// # Errors
    /// [`RunError`] when it could not start.
    pub async fn start(self) -> Result<WorkerHandle, RunError> {
        let shared = self.shared;
        panics::remember_places();
        let mut connection = shared.options.connect().await?;
        check_schema(&mut connection).await?;
        store::register_worker(&mut connection, shared.worker_id(), &shared.registration()).await?;
        if !shared.settings.without.contains(&Duty::Prune) {
            store::make_partitions(&mut connection, prune::DAYS_AHEAD).await?;
        }
        connection.close().await?;

        let (stop_fetch, stop_rest) = (CancellationToken::new(), CancellationToken::new());
        let (results, settling) = mpsc::channel(RESULTS);
        let (asks, asked) = mpsc::channel(16);
        let rest = TaskTracker::new();
        let heartbeat = heartbeat::spawn(Arc::clone(&shared), stop_rest.clone())?;
        let settle = rest.spawn(settle::run(Arc::clone(&shared), settling, SETTLE_AT_STOP));
        let fetch = rest.spawn(fetch::run(Arc::clone(&shared), results, asks, stop_fetch.clone()));
        rest.spawn(duties::run(Arc::clone(&shared), stop_rest.clone()));
        if shared.settings.poll.is_none() {
            rest.spawn(listen::run(Arc::clone(&shared), asked, stop_rest.clone()));
        }
        rest.close();
        tracing::info!(worker = shared.worker_id(), name = shared.name, kinds = shared.kinds.len(), "worker started");
        Ok(WorkerHandle { shared, stop_fetch, stop_rest, fetch, settle, rest, heartbeat })
    }
}

impl WorkerHandle {
    /// The worker's id in `haulage.workers`.
    pub fn id(&self) -> i64 {
        self.shared.worker_id()
    }

    /// Stops in order: no more claims, the grace period for running jobs, the rest given back without a failure.
    pub async fn shutdown(mut self) {
        let shared = Arc::clone(&self.shared);
        self.stop_fetch.cancel();
        (&mut self.fetch).await.ok();
        shared.tasks.close();
        if timeout(shared.settings.grace, shared.tasks.wait()).await.is_err() {
            let told = shared.stop_all(Stop::Shutdown);
            tracing::info!(jobs = told, "the grace period is over; running jobs are told to stop and given back");
            if timeout(RUNNERS_AT_STOP, shared.tasks.wait()).await.is_err() {
                tracing::warn!("a handler does not yield; its job is left to rescue");
            }
        }
        // Settling ends when every runner has: its channel is closed then.
        if timeout(SETTLE_AT_STOP, &mut self.settle).await.is_err() {
            self.settle.abort();
        }
        self.stop_rest.cancel();
        timeout(RUNNERS_AT_STOP, self.rest.wait()).await.ok();
        let gone = async {
            let mut connection = shared.options.connect().await?;
            store::remove_worker(&mut connection, shared.worker_id()).await?;
            connection.close().await
        };
        if !matches!(timeout(RUNNERS_AT_STOP, gone).await, Ok(Ok(()))) {
            tracing::warn!("the worker could not take itself off the list; it will be declared dead");
        }
        tracing::info!(worker = shared.worker_id(), "worker stopped");
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.stop_fetch.cancel();
        if !self.heartbeat.is_finished() {
            self.stop_rest.cancel();
        }
    }
}

/// What every part of one worker shares.
pub(crate) struct Shared {
    /// The application's pool: for handlers.
    pub(crate) pool: PgPool,
    /// For the worker's own connections.
    pub(crate) options: PgConnectOptions,
    pub(crate) name: String,
    pub(crate) kinds: Vec<String>,
    /// Those of the kinds whose handlers need no blocking thread.
    pub(crate) async_kinds: Vec<String>,
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
    pub(crate) progress: ProgressReports,
    /// Whether a suspect waits.
    pub(crate) suspects: AtomicBool,
    pub(crate) suspect_running: AtomicBool,
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
    pub(crate) without: HashSet<Duty>,
}

impl Shared {
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

    fn lock_running(&self) -> MutexGuard<'_, HashMap<Settled, Arc<Attempt>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Attempts whose handlers run or whose results are not settled yet.
    pub(crate) fn running(&self) -> usize {
        self.lock_running().len()
    }

    pub(crate) fn started(&self, attempt: &Arc<Attempt>) {
        self.lock_running().insert(attempt.settled, Arc::clone(attempt));
    }

    /// The attempt is settled, or lost.
    pub(crate) fn ended(&self, attempt: &Attempt) {
        self.lock_running().remove(&attempt.settled);
        if attempt.suspect {
            self.suspect_running.store(false, Ordering::Release);
        }
    }

    pub(crate) fn cancel(&self, id: JobId) {
        for attempt in self.lock_running().values().filter(|attempt| attempt.settled.id == id) {
            attempt.stop(Stop::Cancel);
        }
    }

    fn stop_all(&self, reason: Stop) -> usize {
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
        told + unstarted
    }

    /// Calls the hook if the attempt buried its job as dead.
    pub(crate) fn died(&self, resolved: &Resolved) {
        if let Resolution::Bury { cancelled: false, end } = &resolved.resolution {
            self.call_on_dead(settle::dead_job(&resolved.attempt, end));
        }
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
        tracing::warn!(job = %dead.id, kind = dead.kind, queue = dead.queue, attempt = dead.attempt, "the job died");
        if let Some(hook) = &self.on_dead {
            self.tasks.spawn(hook(dead));
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

async fn stop_signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = async {
            match signal(SignalKind::terminate()) {
                Ok(mut signal) => drop(signal.recv().await),
                Err(_) => std::future::pending::<()>().await,
            }
        };
        tokio::select! {
            () = interrupt => {}
            () = terminate => {}
        }
    }
    #[cfg(not(unix))]
    interrupt.await;
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("name", &self.shared.name).field("kinds", &self.shared.kinds).finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle").field("id", &self.id()).finish_non_exhaustive()
    }
}
