//! Describing a worker.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use haulage_queue::{Job, NameError, Schedule, check_name, valid_name};
use sqlx::PgPool;
use tokio::sync::{Mutex, Semaphore};
use tower::{Layer, Service};

use crate::{
    BlockingHandler, BoxError, DeadJob, Extract, Handler, IntoOutcome, JobError, JobService, KeepLogs, Outcome, Run, Worker,
    default_backoff,
    execute::{Call, Entry, Registry, Target, Traits, panicked},
    middleware, misfit,
    shared::{OnDead, Settings, Shared},
    telemetry::Current,
};

type Answer = Result<Outcome, JobError>;
type Erased<S> = Arc<dyn Fn(Run, &S) -> BoxFuture<'static, Answer> + Send + Sync>;
type Wrap = Box<dyn Fn(JobService) -> JobService + Send + Sync>;

/// Most jobs of one queue at once in one process.
const MAX_CONCURRENCY: usize = 100_000;

/// A worker being described; made by [`Worker::builder`].
#[must_use = "a worker does nothing until it is built and run"]
pub struct Builder<S = ()> {
    pool: PgPool,
    state: S,
    name: Option<String>,
    queues: Vec<(String, usize)>,
    handlers: Vec<Registered<S>>,
    layers: Vec<Wrap>,
    on_dead: Option<OnDead>,
    schedules: Option<(String, Vec<Schedule>)>,
    settings: Settings,
    state_was_late: bool,
}

struct Registered<S> {
    kind: &'static str,
    aliases: &'static [&'static str],
    traits: Traits,
    call: Erased<S>,
    blocking: bool,
}

/// A duty of the fleet that a process can be relieved of. Some process must do each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Duty {
    /// Putting scheduled jobs in line when they are due.
    Promote,
    /// Letting jobs in that wait for their key.
    Admit,
    /// Taking jobs from dead workers.
    Rescue,
    /// Firing schedules.
    Schedule,
    /// Counting the queues: for metrics, while somebody reads them, and once a minute for charts.
    Sample,
    /// Making and dropping partitions of the history, removing what is old of the audit, and rows beside jobs that are gone.
    Prune,
    /// Building indexes for days of the history that are over.
    Index,
}

/// Why a worker could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No queue was named.
    #[error("the worker serves no queue: add `.queue(\"default\", 20)`")]
    NoQueue,
    /// No handler was given.
    #[error("the worker has no handler: add `.handle(your_function)`")]
    NoHandler,
    /// Two handlers for one kind, or a kind that is another's alias.
    #[error("two handlers for the kind \"{kind}\": keep one, or give one of the jobs another KIND")]
    DuplicateKind {
        /// The kind.
        kind: String,
    },
    /// A queue was named twice.
    #[error("the queue \"{queue}\" is named twice: keep one")]
    DuplicateQueue {
        /// The queue.
        queue: String,
    },
    /// A kind or queue name is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A concurrency out of range.
    #[error("the concurrency {value} of the queue \"{queue}\" is out of range: use 1 to {MAX_CONCURRENCY}")]
    Concurrency {
        /// The queue.
        queue: String,
        /// The value as given.
        value: usize,
    },
    /// `state` after `handle`.
    #[error("the state was set after a handler was added: call `.state(..)` before the first `.handle(..)`")]
    StateAfterHandle,
    /// A setting out of range.
    #[error("the {setting} {value:?} is out of range: use {range}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// The value as given.
        value: Duration,
        /// What is allowed.
        range: &'static str,
    },
}

impl Worker {
    /// Starts the description of a worker. The pool is what handlers use; the runtime makes its own connections, five at most,
    /// with the pool's options.
    pub fn builder(pool: PgPool) -> Builder<()> {
        Builder {
            pool,
            state: (),
            name: None,
            queues: Vec::new(),
            handlers: Vec::new(),
            layers: Vec::new(),
            on_dead: None,
            schedules: None,
            settings: Settings {
                grace: Duration::from_secs(25),
                heartbeat: Duration::from_secs(5),
                lease: Duration::from_secs(30),
                poll: None,
                backoff: Arc::new(default_backoff),
                keep_completed: 7,
                keep_failed: 30,
                keep_audit: 365,
                without: HashSet::new(),
                keep_logs: KeepLogs::default(),
                #[cfg(feature = "otel")]
                trace_relation: None,
                #[cfg(feature = "otel")]
                trace_waits: false,
            },
            state_was_late: false,
        }
    }
}

impl Builder<()> {
    /// Sets the state whose parts handlers ask for with `State<T>`. Comes before the first `handle`.
    pub fn state<S: Clone + Send + Sync + 'static>(self, state: S) -> Builder<S> {
        Builder {
            pool: self.pool,
            state,
            name: self.name,
            queues: self.queues,
            state_was_late: !self.handlers.is_empty(),
            handlers: Vec::new(),
            layers: self.layers,
            on_dead: self.on_dead,
            schedules: self.schedules,
            settings: self.settings,
        }
    }
}

impl<S: Clone + Send + Sync + 'static> Builder<S> {
    /// Serves a queue, with at most so many jobs at once in this process.
    pub fn queue(mut self, name: impl Into<String>, concurrency: usize) -> Self {
        self.queues.push((name.into(), concurrency));
        self
    }

    /// Adds an async handler; its kind is that of its first argument.
    pub fn handle<H, M>(mut self, handler: H) -> Self
    where
        H: Handler<M>,
        H::Job: Job,
        H::Args: Extract<S> + 'static,
        H::Output: IntoOutcome + Send,
    {
        let call: Erased<S> = Arc::new(move |run, state| {
            let handler = handler.clone();
            let prepared = prepare::<H::Job, H::Args, S>(&run, state);
            Box::pin(async move {
                let (job, args) = prepared?;
                handler.call(job, args).await.into_outcome()
            })
        });
        self.register::<H::Job>(call, false);
        self
    }

    /// Adds a plain function as a handler; it runs on a blocking thread, at most as many at once as there are cores. A blocking
    /// handler can't be dropped: one that should stop on a timeout or a cancel looks at `ctx.is_cancelled()` now and then.
    pub fn handle_blocking<H, M>(mut self, handler: H) -> Self
    where
        H: BlockingHandler<M>,
        H::Job: Job,
        H::Args: Extract<S> + 'static,
        H::Output: IntoOutcome,
    {
        let call: Erased<S> = Arc::new(move |run, state| {
            let handler = handler.clone();
            let prepared = prepare::<H::Job, H::Args, S>(&run, state);
            Box::pin(async move {
                let (job, args) = prepared?;
                let thread = run.ctx.attempt.take_thread();
                // On that thread the attempt's span is the current one, too.
                let current = Current::take();
                let work = move || {
                    let _thread = thread;
                    current.run(|| {
                        let call = std::panic::AssertUnwindSafe(|| handler.call(job, args).into_outcome());
                        // Described here, on the thread that panicked.
                        std::panic::catch_unwind(call).unwrap_or_else(|payload| Err(panicked(payload.as_ref())))
                    })
                };
                tokio::task::spawn_blocking(work).await?
            })
        });
        self.register::<H::Job>(call, true);
        self
    }

    /// Adds an async handler of a kind known only by name; it gets the args as text. The name is never freed: it comes from a
    /// configuration that a process reads once.
    #[cfg(all(feature = "exec", unix))]
    pub(crate) fn handle_named<F, Fut>(mut self, kind: String, traits: Traits, handler: F) -> Self
    where
        F: Fn(Run) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let call: Erased<S> = Arc::new(move |run, _| Box::pin(handler(run)));
        self.handlers.push(Registered { kind: kind.leak(), aliases: &[], traits, call, blocking: false });
        self
    }

    fn register<J: Job>(&mut self, call: Erased<S>, blocking: bool) {
        const { assert!(valid_name(J::KIND), "Job::KIND must be 1 to 128 of the characters A-Z a-z 0-9 _ . : / -") };
        const { assert!(J::REVISION <= i16::MAX as u16, "Job::REVISION must be 0 to 32767") };
        let traits = Traits { revision: i16::try_from(J::REVISION).unwrap_or(i16::MAX), keep_completed: J::KEEP_COMPLETED };
        self.handlers.push(Registered { kind: J::KIND, aliases: J::KIND_ALIASES, traits, call, blocking });
    }

    /// Wraps every handler in a tower layer; the last one added is the outermost.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<JobService> + Send + Sync + 'static,
        L::Service: Service<Run, Response = Outcome> + Clone + Send + Sync + 'static,
        <L::Service as Service<Run>>::Error: Into<BoxError>,
        <L::Service as Service<Run>>::Future: Send,
    {
        self.layers.push(Box::new(move |service| middleware::apply(&layer, service)));
        self
    }

    /// How long a job waits after its n-th failure, instead of [`default_backoff`].
    pub fn backoff(mut self, backoff: impl Fn(u16) -> Duration + Send + Sync + 'static) -> Self {
        self.settings.backoff = Arc::new(backoff);
        self
    }

    /// Called after a job has died: its failures used up, a fatal error, or quarantined. Called by the process that buried it, at
    /// most once; a process that crashes in between calls nobody, so don't build on it what must happen.
    pub fn on_dead<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(DeadJob) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_dead = Some(Arc::new(move |dead| Box::pin(hook(dead))));
        self
    }

    /// Declares the schedules of a service when the worker starts: the rows of this service become those given, and no others. The
    /// service is the name of your application, the same in all its processes; without this call no schedule is touched. Any
    /// worker of the fleet fires them, also those of other services.
    pub fn schedules(mut self, service: impl Into<String>, schedules: impl IntoIterator<Item = Schedule>) -> Self {
        self.schedules = Some((service.into(), schedules.into_iter().collect()));
        self
    }

    /// The name shown to people; host and process id unless set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long a stopping worker waits for running jobs before it stops them and gives them back; 25 s unless set, which is
    /// under Kubernetes' 30.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// How often the worker says that it lives, and looks for dead ones; 5 s unless set.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.settings.heartbeat = interval;
        self
    }

    /// Silent for longer than this, the worker is dead and its jobs are taken from it; 30 s unless set. At least three heartbeats.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// Only polls, backing off to this interval when idle, and opens no listening connection: for where notifications do not
    /// arrive. The worker's own connections are not made for a transaction pooler yet; give it a direct one.
    pub fn poll_only(mut self, interval: Duration) -> Self {
        self.settings.poll = Some(interval);
        self
    }

    /// How many days completed jobs, and dead or cancelled ones, are kept; 7 and 30 unless set. Whole UTC days.
    pub fn retention(mut self, completed_days: u16, failed_days: u16) -> Self {
        self.settings.keep_completed = i32::from(completed_days);
        self.settings.keep_failed = i32::from(failed_days);
        self
    }

    /// How the attempts of this worker relate to the spans that enqueued their jobs, where the enqueue has not said it;
    /// [`TraceRelation::Auto`](haulage_queue::TraceRelation) unless set.
    #[cfg(feature = "otel")]
    pub fn trace_relation(mut self, relation: haulage_queue::TraceRelation) -> Self {
        self.settings.trace_relation = Some(relation);
        self
    }

    /// Draws each wait as a span before its attempt. Without it the length of the wait is an attribute of the attempt's span.
    #[cfg(feature = "otel")]
    pub fn trace_waits(mut self) -> Self {
        self.settings.trace_waits = true;
        self
    }

    /// Of which attempts the last log lines are stored; of those that failed unless set. Without the layer [`AttemptLogs`](crate::AttemptLogs)
    /// in the program's tracing subscriber there are none.
    pub fn keep_logs(mut self, of: KeepLogs) -> Self {
        self.settings.keep_logs = of;
        self
    }

    /// How many days the audit is kept, and the acts on many jobs that have ended; 365 unless set.
    pub fn audit_retention(mut self, days: u16) -> Self {
        self.settings.keep_audit = i32::from(days);
        self
    }

    /// Relieves this process of a duty of the fleet.
    pub fn without(mut self, duty: Duty) -> Self {
        self.settings.without.insert(duty);
        self
    }

    /// Checks the description.
    ///
    /// # Errors
    /// [`BuildError`] says what is wrong, with which value.
    pub fn build(self) -> Result<Worker, BuildError> {
        if self.state_was_late {
            return Err(BuildError::StateAfterHandle);
        }
        if self.queues.is_empty() {
            return Err(BuildError::NoQueue);
        }
        if self.handlers.is_empty() {
            return Err(BuildError::NoHandler);
        }
        let mut seen = HashSet::new();
        for (queue, value) in &self.queues {
            check_name("queue", queue)?;
            if !seen.insert(queue.as_str()) {
                return Err(BuildError::DuplicateQueue { queue: queue.clone() });
            }
            if !(1..=MAX_CONCURRENCY).contains(value) {
                return Err(BuildError::Concurrency { queue: queue.clone(), value: *value });
            }
        }
        self.settings.check()?;
        let mut kinds = HashMap::new();
        for handler in self.handlers {
            let (state, erased) = (self.state.clone(), handler.call);
            let call: Call = Arc::new(move |run| erased(run, &state));
            let target = Arc::new(if self.layers.is_empty() {
                Target::Plain(call)
            } else {
                let service = self.layers.iter().fold(middleware::service(call), |service, wrap| wrap(service));
                Target::Layered(Box::new(Mutex::new(service)))
            });
            for kind in std::iter::once(&handler.kind).chain(handler.aliases) {
                check_name("kind", kind)?;
                let entry = Entry { kind: handler.kind, traits: handler.traits, target: Arc::clone(&target), blocking: handler.blocking };
                if kinds.insert(*kind, entry).is_some() {
                    return Err(BuildError::DuplicateKind { kind: (*kind).to_owned() });
                }
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let registry = Registry { kinds, blocking: Arc::new(Semaphore::new(cores)) };
        let shared = Shared::new(self.pool, self.name, self.queues, registry, self.on_dead, self.settings);
        Ok(Worker { shared: Arc::new(shared), schedules: self.schedules })
    }
}

impl Settings {
    fn check(&self) -> Result<(), BuildError> {
        let out_of_range = |setting, value, range| Err(BuildError::Setting { setting, value, range });
        if self.heartbeat < Duration::from_millis(10) || self.heartbeat > Duration::from_secs(3_600) {
            return out_of_range("heartbeat", self.heartbeat, "10 ms to 1 hour");
        }
        if self.lease < self.heartbeat * 3 || self.lease > Duration::from_secs(86_400) {
            return out_of_range("lease", self.lease, "three heartbeats to 1 day");
        }
        if let Some(poll) = self.poll
            && (poll < Duration::from_millis(10) || poll > Duration::from_secs(60))
        {
            return out_of_range("poll interval", poll, "10 ms to 1 minute");
        }
        if self.grace > Duration::from_secs(86_400) {
            return out_of_range("shutdown grace", self.grace, "up to 1 day");
        }
        Ok(())
    }
}

/// The job from its args, and the extractors.
fn prepare<J: Job, A: Extract<S>, S>(run: &Run, state: &S) -> Result<(J, A), JobError> {
    let job = serde_json::from_str(&run.args).map_err(|error| {
        let (kind, misfit) = (run.kind, misfit::describe(&error));
        JobError::fatal(format!("the args no longer parse as \"{kind}\": {misfit}; deploy a handler that reads them")).with_class("args")
    })?;
    Ok((job, A::extract(&run.ctx, state)?))
}

impl<S> fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.handlers.iter().map(|handler| handler.kind).collect();
        f.debug_struct("Builder").field("queues", &self.queues).field("kinds", &kinds).finish_non_exhaustive()
    }
}
