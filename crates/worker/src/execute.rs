//! One attempt: from a claimed job to what is to be written about it.

use std::{
    any::Any,
    collections::HashMap,
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::BoxFuture};
use haulage_queue::{fingerprint, store};
use tokio::sync::{Mutex, Semaphore};
use tower::ServiceExt;

use crate::{
    Ctx, JobError, JobService, Outcome, Retry, Run,
    context::{Attempt, Stop},
    default_backoff, middleware, panics,
    shared::Shared,
    telemetry::{AttemptSpan, Inside},
};

/// How long a handler may go on after it was told to stop for a cancel or a timeout, before it is dropped.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(5);
/// The same when the worker is stopping: its grace period is over already.
const LAST_WORDS_AT_SHUTDOWN: Duration = Duration::from_secs(1);

/// How long a claimed job waits for a blocking thread before it is given back.
const THREAD_PATIENCE: Duration = Duration::from_secs(1);

type Answer = Result<Outcome, JobError>;

/// A handler with its job type erased: args in, answer out.
pub(crate) type Call = Arc<dyn Fn(Run) -> BoxFuture<'static, Answer> + Send + Sync>;

/// What a kind's attempts run.
pub(crate) enum Target {
    /// The handler itself.
    Plain(Call),
    /// The handler inside layers. The lock is held only to clone: `BoxCloneSyncService` needs `&mut` to be called.
    Layered(Box<Mutex<JobService>>),
}

/// Everything the worker can run.
pub(crate) struct Registry {
    pub(crate) kinds: HashMap<&'static str, Entry>,
    /// Blocking handlers at once: as many as there are cores.
    pub(crate) blocking: Arc<Semaphore>,
}

pub(crate) struct Entry {
    pub(crate) kind: &'static str,
    pub(crate) traits: Traits,
    pub(crate) target: Arc<Target>,
    pub(crate) blocking: bool,
}

/// What the worker must know of a kind besides its handler; aliases have those of their job type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traits {
    /// The last revision whose args the handler reads.
    pub(crate) revision: i16,
    /// Whether a completed job goes to the history.
    pub(crate) keep_completed: bool,
}

impl Registry {
    /// Whether completed jobs of the kind go to the history.
    pub(crate) fn keeps_completed(&self, kind: &str) -> bool {
        self.kinds.get(kind).is_none_or(|entry| entry.traits.keep_completed)
    }
}

/// What is to be written about an attempt.
#[derive(Debug)]
pub(crate) enum Resolution {
    /// Completed, with what was recorded; or without a trace.
    Complete { output: Option<String>, keep: bool },
    /// Runs again later.
    Later { delay: Duration, end: End },
    /// Dead, or cancelled.
    Bury { cancelled: bool, end: End },
    /// Given back unharmed.
    Return,
    /// Nothing: `ctx.complete()` wrote it, or the lease is lost.
    Nothing,
}

impl Resolution {
    pub(crate) fn end(&self) -> Option<&End> {
        match self {
            Self::Later { end, .. } | Self::Bury { end, .. } => Some(end),
            _ => None,
        }
    }

    pub(crate) fn end_mut(&mut self) -> Option<&mut End> {
        match self {
            Self::Later { end, .. } | Self::Bury { end, .. } => Some(end),
            _ => None,
        }
    }
}

/// How an attempt did not simply succeed.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) outcome: &'static str,
    pub(crate) class: Option<&'static str>,
    pub(crate) message: Option<String>,
    pub(crate) ran: Option<Duration>,
    pub(crate) failed: bool,
    /// "Not before": what the job's queue and key wait for, if they have a rate.
    pub(crate) hold: Option<Duration>,
    /// Of the error, if it failed.
    pub(crate) fingerprint: Option<String>,
}

/// An attempt and what is to be written about it.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) attempt: Arc<Attempt>,
    pub(crate) resolution: Resolution,
}

/// Runs one attempt to its end. Does not panic, whatever the handler, its error's text, its destructors or the backoff do.
pub(crate) async fn execute(shared: &Shared, attempt: &Arc<Attempt>, args: String) -> Resolution {
    let mut span = AttemptSpan::default();
    let resolution = match AssertUnwindSafe(run(shared, attempt, args, &mut span)).catch_unwind().await {
        Ok(resolution) => resolution,
        // Not in the handler's own body, which is caught inside; the default backoff, because the worker's own may be the cause.
        Err(payload) => fail(attempt, &panicked(payload.as_ref()), None, &default_backoff),
    };
    span.ended(attempt, &resolution);
    resolution
}

async fn run(shared: &Shared, attempt: &Arc<Attempt>, args: String, span: &mut AttemptSpan) -> Resolution {
    let Some(entry) = shared.registry.kinds.get(&*attempt.kind) else {
        // Only kinds we registered are claimed.
        return Resolution::Return;
    };
    // A blocking handler's clock starts when it has its thread.
    if entry.blocking {
        tokio::select! {
            permit = Arc::clone(&shared.registry.blocking).acquire_owned() => permit.into_iter().for_each(|permit| attempt.keep_thread(permit)),
            () = attempt.token.cancelled() => {}
            // Another process may have a thread for it.
            () = tokio::time::sleep(THREAD_PATIENCE) => return Resolution::Return,
        }
    }
    if let Some(stop) = attempt.stopped() {
        return stopped(shared, attempt, stop, None, None);
    }
    let started = Instant::now();
    attempt.pulse.begin(started);
    let run = Run { kind: entry.kind, args, ctx: Ctx { attempt: Arc::clone(attempt) } };
    *span = AttemptSpan::open(shared, attempt);
    let work = pin!(Some(AssertUnwindSafe(call(Arc::clone(&entry.target), run)).catch_unwind()));
    let mut inside = Inside::new(span, work);
    let mut work = poll_fn(|context| {
        let (answer, stalled) = attempt.pulse.poll(|| Pin::new(&mut inside).poll(context));
        if let Some(time) = stalled {
            shared.stalled(attempt, time);
        }
        answer
    });
    let answer = tokio::select! {
        biased;
        answer = &mut work => Some(answer),
        () = time_out(attempt.timeout) => {
            attempt.stop(Stop::Timeout);
            None
        }
        () = attempt.token.cancelled() => None,
    };
    let answer = match answer {
        Some(answer) => Some(answer),
        None => {
            let patience = if attempt.stopped() == Some(Stop::Shutdown) { LAST_WORDS_AT_SHUTDOWN } else { LAST_WORDS };
            tokio::time::timeout(patience, &mut work).await.ok()
        }
    };
    // With its last words: it ran while it said them.
    let ran = started.elapsed();
    attempt.times.ran(started, ran);
    if attempt.completed() {
        return Resolution::Nothing;
    }
    let answer: Option<Answer> = answer.map(|caught| caught.unwrap_or_else(|payload| Err(panicked(payload.as_ref()))));
    match (attempt.stopped(), answer) {
        (Some(Stop::LeaseLost), _) => Resolution::Nothing,
        // It made it all the same.
        (_, Some(Ok(Outcome::Done))) => Resolution::Complete { output: attempt.output(), keep: entry.traits.keep_completed },
        (Some(stop), answer) => stopped(shared, attempt, stop, answer, Some(ran)),
        (None, Some(Ok(Outcome::Snooze(delay)))) => snoozed(delay, Some(ran)),
        (None, Some(Ok(Outcome::Cancel(reason)))) => cancelled(Some(&reason), Some(ran)),
        (None, Some(Err(error))) => failure(shared, attempt, &error, ran),
        // Not reached: without a reason to stop the handler's answer is awaited.
        (None, None) => Resolution::Return,
    }
}

/// As far ahead as an enqueue may go: 100 years.
const MAX_DELAY: Duration = Duration::from_secs(36_525 * 86_400);

async fn call(target: Arc<Target>, run: Run) -> Answer {
    match &*target {
        Target::Plain(call) => call(run).await,
        Target::Layered(service) => {
            let service = service.lock().await.clone();
            service.oneshot(run).await.map_err(middleware::verdict)
        }
    }
}

async fn time_out(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// A handler that was told to stop and gave no completed answer.
fn stopped(shared: &Shared, attempt: &Attempt, stop: Stop, answer: Option<Answer>, ran: Option<Duration>) -> Resolution {
    match stop {
        Stop::LeaseLost => Resolution::Nothing,
        Stop::Shutdown => match answer {
            // The handler had decided already; only "stopped by the shutdown" errors are no verdict.
            Some(Ok(Outcome::Snooze(delay))) => snoozed(delay, ran),
            Some(Ok(Outcome::Cancel(reason))) => cancelled(Some(&reason), ran),
            _ => Resolution::Return,
        },
        Stop::Cancel => match answer {
            Some(Ok(Outcome::Cancel(reason))) => cancelled(Some(&reason), ran),
            _ => cancelled(None, ran),
        },
        Stop::Timeout => {
            // The runtime's own handlers know more about it, such as a program's last words.
            if let Some(Err(error)) = &answer
                && error.class() == TIMEOUT
            {
                return failure(shared, attempt, error, ran.unwrap_or_default());
            }
            let limit = attempt.timeout.unwrap_or_default();
            let error = JobError::from(format!("timed out after {limit:?}: raise the job's TIMEOUT or make the handler quicker"))
                .with_class(TIMEOUT);
            failure(shared, attempt, &error, ran.unwrap_or(limit))
        }
    }
}

/// A snooze is about this job alone: it holds up no rate.
fn snoozed(delay: Duration, ran: Option<Duration>) -> Resolution {
    let end = End { outcome: "snoozed", class: None, message: None, ran, failed: false, hold: None, fingerprint: None };
    Resolution::Later { delay: delay.min(MAX_DELAY), end }
}

/// Without a reason of the handler's own, that of the request to cancel is stored.
fn cancelled(reason: Option<&str>, ran: Option<Duration>) -> Resolution {
    let end = End {
        outcome: "cancelled",
        class: None,
        message: reason.map(store::clean_text),
        ran,
        failed: false,
        hold: None,
        fingerprint: None,
    };
    Resolution::Bury { cancelled: true, end }
}

fn failure(shared: &Shared, attempt: &Attempt, error: &JobError, ran: Duration) -> Resolution {
    fail(attempt, error, Some(ran), &*shared.settings.backoff)
}

fn fail(attempt: &Attempt, error: &JobError, ran: Option<Duration>, backoff: &dyn Fn(u16) -> Duration) -> Resolution {
    let outcome = match error.class() {
        PANIC => "panicked",
        TIMEOUT => "timed out",
        _ => "failed",
    };
    let failures = u16::try_from(attempt.failures).unwrap_or(u16::MAX).saturating_add(1);
    // Also of the last attempt: the others hold to it.
    let hold = if let Retry::After(delay) = error.retry() { Some(delay) } else { None };
    let message = store::clean_text(&error.message());
    let fingerprint = Some(fingerprint(&attempt.kind, error.class(), &message));
    let end = End { outcome, class: Some(error.class()), message: Some(message), ran, failed: true, hold, fingerprint };
    if i32::from(failures) >= i32::from(attempt.max_attempts) {
        return Resolution::Bury { cancelled: false, end };
    }
    match error.retry() {
        Retry::Never => Resolution::Bury { cancelled: false, end },
        Retry::After(delay) => Resolution::Later { delay: delay.min(MAX_DELAY), end },
        Retry::Backoff => Resolution::Later { delay: backoff(failures).min(MAX_DELAY), end },
    }
}

/// Classes of errors that no handler returned.
const PANIC: &str = "panic";
pub(crate) const TIMEOUT: &str = "timeout";

/// Call it on the thread that panicked.
pub(crate) fn panicked(payload: &(dyn Any + Send)) -> JobError {
    JobError::from(panics::describe(payload)).with_class(PANIC)
}
