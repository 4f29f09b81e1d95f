//! The running attempt, as its handler sees it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use haulage_queue::{
    ArgsProblem, Enqueue, Job, JobId, MAX_OUTPUT_BYTES, Parent, TraceCarrier, TraceContext, check_json,
    store::{self, Claimed, Settled, Unsettled},
    telemetry::Speaker,
};
use serde::Serialize;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::{JobError, Outcome, logs::Record, shared::Shared, stall::Pulse, telemetry::Facts, times::Times};

/// The running attempt. Cheap to clone.
#[derive(Clone)]
pub struct Ctx {
    pub(crate) attempt: Arc<Attempt>,
}

/// The attempt has lost its lease: its process was thought dead, and another attempt may run. Nothing it writes counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the job {job} has lost its lease: another attempt may run, and nothing of this one is kept")]
pub struct LeaseLost {
    /// The job.
    pub job: JobId,
}

/// Why an output was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// It did not serialise.
    #[error("the output did not serialise")]
    Serialize(#[from] serde_json::Error),
    /// It can't be stored.
    #[error("the output can't be recorded: {0}")]
    Refused(#[from] ArgsProblem),
}

impl Ctx {
    /// The job's id.
    pub fn id(&self) -> JobId {
        self.attempt.settled.id
    }

    /// The attempt's number: how often the job was claimed, this time counted.
    pub fn attempt(&self) -> i32 {
        self.attempt.number
    }

    /// How many attempts failed before this one.
    pub fn failures(&self) -> i16 {
        self.attempt.failures
    }

    /// How many may fail.
    pub fn max_attempts(&self) -> i16 {
        self.attempt.max_attempts
    }

    /// Whether a failure of this attempt would be the last.
    pub fn is_last_attempt(&self) -> bool {
        self.attempt.failures + 1 >= self.attempt.max_attempts
    }

    /// The job's queue.
    pub fn queue(&self) -> &str {
        &self.attempt.queue
    }

    /// What to pass on so that what comes of this attempt belongs to its trace: its own span, with the feature `otel` and somebody who
    /// traces; else the context that the job was enqueued with. Jobs need nothing passed: see [`Ctx::child`].
    pub fn trace(&self) -> Option<TraceContext> {
        self.attempt.facts.span().or(self.attempt.trace.context())
    }

    /// A text that is the same in every attempt of this job and of no other: pass it to services that take an idempotency key.
    pub fn idempotency_key(&self) -> String {
        format!("haulage-{}", self.id())
    }

    /// The application's pool, as given to the builder.
    pub fn pool(&self) -> &PgPool {
        &self.attempt.shared.pool
    }

    /// Waits until the attempt should stop: cancelled, timed out, its worker stopping, or its lease lost.
    pub async fn cancelled(&self) {
        self.attempt.token.cancelled().await;
    }

    /// Whether the attempt should stop. Blocking handlers look now and then.
    pub fn is_cancelled(&self) -> bool {
        self.attempt.token.is_cancelled()
    }

    /// Begins a transaction for effects that must commit together with the completion: write, then [`Ctx::complete`]. A
    /// transaction left idle for longer than the lease is ended by the server, so that it can't hold locks for ever.
    ///
    /// # Errors
    /// When the pool has no connection.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let mut tx = self.pool().begin().await?;
        store::limit_idle_transaction(&mut *tx, self.attempt.shared.settings.lease).await?;
        Ok(tx)
    }

    /// Completes the job in the transaction and commits it: all of the effects and the completion, or none. Return the outcome
    /// from the handler.
    ///
    /// # Errors
    /// When the lease is lost or the commit fails; then none of the transaction's effects is kept.
    pub async fn complete(&self, mut tx: Transaction<'static, Postgres>) -> Result<Outcome, JobError> {
        let settled = self.attempt.settled;
        let keep = self.attempt.shared.registry.keeps_completed(&self.attempt.kind);
        let (patience, mut pause) = (Instant::now() + self.attempt.shared.settings.lease, Duration::from_millis(20));
        while self.attempt.complete(&mut tx, keep).await?.is_empty() {
            // The row is not ours any more, or somebody has locked it.
            let ours = store::find_settled(&mut *tx, &[settled]).await?.first().is_some_and(|(_, what)| *what == Unsettled::Ours);
            if !ours || Instant::now() > patience {
                if !ours {
                    self.attempt.shared.meters.fenced();
                }
                return Err(LeaseLost { job: settled.id }.into());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        match tx.commit().await {
            Ok(()) => {}
            // The commit may have happened: the row knows. One that leaves no history was locked by this transaction until its end,
            // so if it is gone, either this committed, or another attempt has completed the job since, with its own effects, or an
            // operator has deleted it. In each case nothing is left to run. If another attempt has died of it, the history has it.
            Err(error) => match store::find_settled(self.pool(), &[settled]).await?.first() {
                Some((_, Unsettled::Finished)) => {}
                Some((_, Unsettled::Gone)) if !keep => {}
                _ => return Err(error.into()),
            },
        }
        self.attempt.completed.store(true, Ordering::Release);
        Ok(Outcome::Done)
    }

    /// Reports how far the attempt has come, 0 to 100, for people who wait. Cheap: what was reported last is stored twice a
    /// second at most.
    pub fn progress(&self, percent: u8, message: impl Into<String>) {
        let message = store::clean_text(&message.into());
        *self.attempt.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some((i16::from(percent.min(100)), message));
        self.attempt.shared.progress.report(&self.attempt);
    }

    /// Records what the job made, to be read with the job once it is completed; up to 64 KiB of JSON. The last call counts.
    ///
    /// # Errors
    /// [`OutputError`] when it is too long or can't be stored; an earlier output is kept then.
    pub fn set_output(&self, output: &impl Serialize) -> Result<(), OutputError> {
        let json = serde_json::to_string(output)?;
        check_json(&json, MAX_OUTPUT_BYTES)?;
        *self.attempt.output.lock().unwrap_or_else(PoisonError::into_inner) = Some(json);
        Ok(())
    }

    /// Starts the enqueue of a child: it remembers this job as its parent, belongs to its trace, and is stored only while this
    /// attempt holds its lease.
    pub fn child<J: Job>(&self, job: J) -> Enqueue<J> {
        let trace = self.attempt.trace.clone().within(self.trace());
        job.with().parent(Parent::new(self.id(), self.attempt.root, self.attempt.settled.lease, trace))
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx").field("id", &self.id()).field("attempt", &self.attempt()).finish_non_exhaustive()
    }
}

/// Why a running attempt was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody cancelled the job.
    Cancel = 1,
    /// The worker is stopping.
    Shutdown = 2,
    /// The lease is lost; nothing may be written.
    LeaseLost = 3,
    /// The attempt ran for too long.
    Timeout = 4,
}

/// One attempt: what its handler, its runner and the settling share.
pub(crate) struct Attempt {
    pub(crate) settled: Settled,
    pub(crate) kind: Arc<str>,
    pub(crate) queue: Arc<str>,
    pub(crate) number: i32,
    pub(crate) failures: i16,
    pub(crate) max_attempts: i16,
    pub(crate) root: Option<JobId>,
    pub(crate) trace: TraceCarrier,
    pub(crate) facts: Facts,
    pub(crate) times: Times,
    pub(crate) timeout: Option<Duration>,
    pub(crate) suspect: bool,
    /// The key whose slot it has.
    pub(crate) limit_key: Option<String>,
    /// Of the claim: if leases were lost since, this one was.
    pub(crate) epoch: u64,
    pub(crate) token: CancellationToken,
    pub(crate) pulse: Pulse,
    /// What it says and where it is, if a layer keeps that.
    record: OnceLock<Arc<Record>>,
    stop: AtomicU8,
    completed: AtomicBool,
    output: Mutex<Option<String>>,
    progress: Mutex<Option<(i16, String)>>,
    /// A blocking handler's right to a thread: it goes back when the thread ends, not when the attempt does.
    thread: Mutex<Option<OwnedSemaphorePermit>>,
    shared: Arc<Shared>,
}

impl Attempt {
    /// Returns the attempt and the job's args.
    pub(crate) fn new(job: Claimed, lease: i64, epoch: u64, suspect: bool, shared: &Arc<Shared>) -> (Self, String) {
        let (facts, times) = (Facts::new(&job), Times::new(&job));
        let attempt = Self {
            settled: Settled { id: job.id, lease },
            kind: job.kind,
            queue: job.queue,
            number: job.attempt,
            failures: job.failures,
            max_attempts: job.max_attempts,
            root: job.root,
            trace: job.trace,
            facts,
            times,
            timeout: job.timeout_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis),
            suspect,
            limit_key: job.limit_key,
            epoch,
            token: CancellationToken::new(),
            pulse: Pulse::default(),
            record: OnceLock::new(),
            stop: AtomicU8::new(0),
            completed: AtomicBool::new(false),
            output: Mutex::new(None),
            progress: Mutex::new(None),
            thread: Mutex::new(None),
            shared: Arc::clone(shared),
        };
        (attempt, job.args)
    }

    pub(crate) fn record(&self) -> Option<&Arc<Record>> {
        self.record.get()
    }

    /// Its span is open.
    pub(crate) fn recorded(&self, record: Arc<Record>) {
        record.is_of(Speaker { job: self.settled.id, kind: Arc::clone(&self.kind), queue: Arc::clone(&self.queue), attempt: self.number });
        self.record.set(record).ok();
    }

    /// Tells the handler to stop; the first reason counts, but a lost lease outranks the others.
    pub(crate) fn stop(&self, reason: Stop) {
        let first = self.stop.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !first && reason == Stop::LeaseLost {
            self.stop.store(reason as u8, Ordering::Release);
        }
        self.token.cancel();
    }

    pub(crate) fn stopped(&self) -> Option<Stop> {
        match self.stop.load(Ordering::Acquire) {
            1 => Some(Stop::Cancel),
            2 => Some(Stop::Shutdown),
            3 => Some(Stop::LeaseLost),
            4 => Some(Stop::Timeout),
            _ => None,
        }
    }

    /// Completes the job in a transaction of the handler's; empty if its row is not ours, or locked.
    async fn complete(&self, tx: &mut PgConnection, keep: bool) -> Result<Vec<JobId>, sqlx::Error> {
        if !keep {
            return store::forget_jobs(tx, &[self.settled], &[]).await;
        }
        let output = self.output();
        let outputs: Vec<_> = output.as_deref().map(|output| (self.settled.id, output)).into_iter().collect();
        store::complete_jobs(tx, self.shared.worker_id(), &[self.settled], &[], &outputs).await
    }

    /// Whether `ctx.complete()` has committed the completion.
    pub(crate) fn completed(&self) -> bool {
        self.completed.load(Ordering::Acquire)
    }

    pub(crate) fn output(&self) -> Option<String> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn keep_thread(&self, permit: OwnedSemaphorePermit) {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
    }

    /// For the thread to hold while it runs.
    pub(crate) fn take_thread(&self) -> Option<OwnedSemaphorePermit> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn take_progress(&self) -> Option<(i16, String)> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("settled", &self.settled).field("kind", &self.kind).finish_non_exhaustive()
    }
}
