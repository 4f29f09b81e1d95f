//! A worker's life: who is started, and in what order they stop.
//!
//! Stopping: fetch stops claiming and gives back what has not started; running jobs have the grace period; then they are told to
//! stop and given back; settling writes everything; heartbeat, duties and listener end last; the worker's row goes.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use haulage_queue::{
    Schedule, ScheduleError, SchemaError, check_schema, declare_schedules,
    store::{self, Failure},
};
use sqlx::{ConnectOptions, Connection};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    Duty,
    context::Stop,
    duties, fetch, heartbeat, index,
    listen::{self, Ask},
    panics, pooler, prune, settle,
    shared::Shared,
    stall,
    telemetry::Meters,
};

/// How long a stopping worker tries to settle what its jobs decided.
const SETTLE_AT_STOP: Duration = Duration::from_secs(10);
/// How long fetch has for its last claim and for handing over what it has not started.
const FETCH_AT_STOP: Duration = Duration::from_secs(5);
/// What is told to stop at the end of the grace period has this long.
const RUNNERS_AT_STOP: Duration = Duration::from_secs(3);
/// Results that wait for settling; more hold the runners up.
const RESULTS: usize = 4_096;

/// Runs jobs. Built by [`Worker::builder`].
#[must_use = "a worker does nothing until it is run"]
pub struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) schedules: Option<(String, Vec<Schedule>)>,
}

/// A worker that was started in the background. Dropping the handle stops it in the same order as [`WorkerHandle::shutdown`], in the
/// background, as long as the runtime lives.
#[must_use = "dropping the handle stops the worker"]
pub struct WorkerHandle {
    shared: Arc<Shared>,
    stop: DropGuard,
    broken: CancellationToken,
    stopping: JoinHandle<()>,
}

/// Why a worker did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The schema does not fit this program.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The schedules could not be declared; no row of them was changed.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The database accepts no writes.
    #[error("the database is read-only: a worker needs the primary")]
    ReadOnly(#[source] sqlx::Error),
    /// The way to the database leads through a pooler that keeps no session for the worker, or takes no options.
    #[error(
        "the database is reached through a pooler that keeps no session for the worker, such as pgbouncer in transaction mode: give the \
         worker a URL that leads to the server itself"
    )]
    Pooler(#[source] Option<sqlx::Error>),
    /// The database can't be reached.
    #[error("no connection to the database: check that it runs and that the pool's URL is right")]
    Unavailable(#[source] sqlx::Error),
    /// Any other error of the database.
    #[error("the worker could not be registered")]
    Database(#[source] sqlx::Error),
    /// A part of the runtime panicked, and the worker stopped. That is a defect: please report it with the log.
    #[error("a part of the worker panicked, and the worker stopped; its log says where")]
    Panicked,
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
    /// Runs until the process is told to stop: SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// [`RunError`] when it could not start, or a part of it panicked. It outlives the database's absence.
    pub async fn run(self) -> Result<(), RunError> {
        self.run_until(stop_signal()).await
    }

    /// Runs until the future completes, then stops in order.
    ///
    /// # Errors
    /// [`RunError`] when it could not start.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), RunError> {
        let handle = self.start().await?;
        let broken = tokio::select! {
            () = stop => false,
            () = handle.broken() => true,
        };
        handle.shutdown().await;
        if broken { Err(RunError::Panicked) } else { Ok(()) }
    }

    /// Starts the worker in the background: in a web process, or in a test.
    ///
    /// # Errors
    /// [`RunError`] when it could not start.
    pub async fn start(self) -> Result<WorkerHandle, RunError> {
        let shared = self.shared;
        panics::remember_places();
        let mut connection = pooler::connect(shared.options()).await?;
        check_schema(&mut connection).await?;
        if let Some((service, schedules)) = self.schedules {
            declare_schedules(&mut connection, &service, schedules).await?;
        }
        let registered = Instant::now();
        store::register_worker(&mut connection, shared.worker_id(), &shared.registration(), None).await?;
        if !shared.settings.without.contains(&Duty::Prune) {
            store::make_partitions(&mut connection, prune::DAYS_AHEAD).await?;
        }

        let (stop, stop_fetch, stop_rest, broken) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let (results, settling) = mpsc::channel(RESULTS);
        let (asks, asked) = mpsc::channel(16);
        let tracker = TaskTracker::new();
        stall::spawn(Arc::clone(&shared), stop_rest.clone())?;
        let parts = Parts {
            heartbeat: heartbeat::spawn(Arc::clone(&shared), registered, stop_rest.clone())?,
            settle: tracker.spawn(part("settle", settle::run(Arc::clone(&shared), settling, SETTLE_AT_STOP), broken.clone())),
            fetch: tracker.spawn(part(
                "fetch",
                fetch::run(Arc::clone(&shared), connection, results, asks.clone(), stop_fetch.clone()),
                broken.clone(),
            )),
            rest: tracker.clone(),
            _asks: asks,
            stop_fetch,
            stop_rest: stop_rest.clone(),
            shared: Arc::clone(&shared),
        };
        tracker.spawn(part("duties", duties::run(Arc::clone(&shared), stop_rest.clone()), broken.clone()));
        if !shared.settings.without.contains(&Duty::Index) {
            tracker.spawn(part("index", index::run(Arc::clone(&shared), stop_rest.clone()), broken.clone()));
        }
        if shared.settings.poll.is_none() {
            tracker.spawn(part("listen", listen::run(Arc::clone(&shared), asked, stop_rest), broken.clone()));
        }
        tracker.close();
        Meters::observe(&shared);
        tracing::info!(worker = shared.worker_id(), name = shared.name, kinds = shared.kinds.names.len(), "worker started");
        let ended = TaskTracker::new();
        let stopping = ended.spawn({
            let (stop, broken) = (stop.clone(), broken.clone());
            async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = broken.cancelled() => {}
                }
                parts.shut_down().await;
            }
        });
        Ok(WorkerHandle { shared, stop: stop.drop_guard(), broken, stopping })
    }
}

/// A part of the worker that must not end by itself: if it panics, the whole worker stops, or it would look healthy while its jobs
/// stay where they are.
async fn part(name: &'static str, work: impl Future<Output = ()>, broken: CancellationToken) {
    if let Err(payload) = AssertUnwindSafe(work).catch_unwind().await {
        tracing::error!(part = name, error = panics::describe(payload.as_ref()), "a part of the worker panicked; the worker stops");
        broken.cancel();
    }
}

impl WorkerHandle {
    /// The worker's id in `haulage.workers`.
    pub fn id(&self) -> i64 {
        self.shared.worker_id()
    }

    /// Completes if the worker has stopped by itself, because a part of it panicked. Its jobs are left to rescue.
    pub async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Stops in order: no more claims, the grace period for running jobs, the rest given back without a failure.
    pub async fn shutdown(self) {
        drop(self.stop);
        self.stopping.await.ok();
    }
}

/// What runs, and how it is stopped.
struct Parts {
    shared: Arc<Shared>,
    stop_fetch: CancellationToken,
    stop_rest: CancellationToken,
    fetch: JoinHandle<()>,
    settle: JoinHandle<()>,
    rest: TaskTracker,
    heartbeat: thread::JoinHandle<()>,
    /// Kept, so that the listener goes on listening for cancels when fetch has ended.
    _asks: mpsc::Sender<Ask>,
}

impl Parts {
    async fn shut_down(mut self) {
        let shared = self.shared;
        self.stop_fetch.cancel();
        if timeout(FETCH_AT_STOP, &mut self.fetch).await.is_err() {
            self.fetch.abort();
        }
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
        // Hooks that the last burials called.
        timeout(RUNNERS_AT_STOP, shared.tasks.wait()).await.ok();
        self.stop_rest.cancel();
        timeout(RUNNERS_AT_STOP, self.rest.wait()).await.ok();
        // A beat in flight must not find the row gone.
        let heartbeat = self.heartbeat;
        timeout(RUNNERS_AT_STOP, tokio::task::spawn_blocking(move || heartbeat.join())).await.ok();
        let gone = async {
            let mut connection = shared.options().connect().await?;
            store::remove_worker(&mut connection, shared.worker_id()).await?;
            connection.close().await
        };
        if !matches!(timeout(RUNNERS_AT_STOP, gone).await, Ok(Ok(()))) {
            tracing::warn!("the worker could not take itself off the list; it will be declared dead");
        }
        tracing::info!(worker = shared.worker_id(), "worker stopped");
    }
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
        f.debug_struct("Worker").field("name", &self.shared.name).field("kinds", &self.shared.kinds.names).finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle").field("id", &self.id()).finish_non_exhaustive()
    }
}
