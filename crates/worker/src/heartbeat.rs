//! Says that the worker lives, from an operating-system thread of its own with a connection of its own: a handler that blocks
//! the runtime must not cost the other jobs of its process their leases. The same thread tells where attempts are that run for long.
//!
//! ```text
//!  beat every 5 s ──> answered ──> cancel requests to the running attempts; stranded leases given back
//!                 └─> "declared dead" ──> every attempt is told its lease is lost; the worker registers anew
//!  no answer for as long as the lease ──> every attempt is told its lease is lost (the local deadline)
//! ```

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use haulage_queue::store::{self, Beat, Settled};
use tokio_util::sync::CancellationToken;

use crate::{
    link::{CONNECT, Link},
    shared::{Settings, Shared},
};

/// A smaller step of the database's clock, or one smaller than a beat, makes nobody look dead: a lease is three beats at least, but that
/// of another worker may be shorter than a beat of ours. Without a step the database counts less between two beats than we do, from
/// before the first was sent until the second was answered.
const SMALL_STEP: Duration = Duration::from_secs(1);

/// Telling where attempts are must not put off the next beat: a lease is three of them.
const SPANS_PATIENCE: Duration = Duration::from_millis(500);
/// What only people ask for is told this often.
const TELL: Duration = Duration::from_secs(15);
/// And waited for so long.
const TELL_PATIENCE: Duration = Duration::from_secs(1);

/// Starts the thread; it ends when `stop` is cancelled. The worker's row was made after `registered`.
pub(crate) fn spawn(shared: Arc<Shared>, registered: Instant, stop: CancellationToken) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("haulage-heartbeat".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(run(&shared, registered, &stop)),
            Err(error) => tracing::error!(%error, "the heartbeat could not start; other workers will take this worker's jobs"),
        }
    })
}

async fn run(shared: &Shared, registered: Instant, stop: &CancellationToken) {
    let mut link = Link::new(shared, "heartbeat");
    let mut spans = Spans::default();
    let interval = shared.settings.heartbeat;
    let mut answered = registered;
    let mut told: Option<Instant> = None;
    loop {
        let asked = Instant::now();
        let patience = patience(&shared.settings, link.is_connected(), answered.elapsed());
        let pause = match tokio::time::timeout(patience, beat(shared, &mut link, answered, stop)).await {
            Ok(Ok(())) => {
                answered = asked;
                link.succeeded();
                // Both together: the next beat must not wait for them.
                let until = Instant::now() + interval / 2;
                spans.tell(shared, &mut link, SPANS_PATIENCE.min(interval / 2)).await;
                if told.is_none_or(|told| told.elapsed() >= TELL) {
                    told = Some(asked);
                    tell(shared, &mut link, TELL_PATIENCE.min(until.saturating_duration_since(Instant::now()))).await;
                }
                interval
            }
            Ok(Err(error)) => {
                shared.put_off_rescue();
                link.failed(&error).min(interval)
            }
            Err(_) => {
                shared.put_off_rescue();
                let pause = link.failed(&sqlx::Error::PoolTimedOut).min(interval);
                tracing::warn!("the database did not answer a heartbeat in time");
                pause
            }
        };
        if answered.elapsed() >= shared.settings.lease && shared.lose_leases() > 0 {
            tracing::warn!(lease = ?shared.settings.lease, "no heartbeat was answered for as long as the lease; other workers take over");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause.saturating_sub(asked.elapsed().min(pause))) => {}
        }
    }
    link.close().await;
}

/// An answer that takes longer than a beat is as good as none: the local deadline must not wait for it. But a connection that takes longer,
/// because everybody connects at once, would never be made if it were begun anew with each beat: it has until the deadline, and once that
/// is past there is nothing left to lose.
fn patience(settings: &Settings, connected: bool, silent: Duration) -> Duration {
    let beat = settings.heartbeat.max(Duration::from_secs(1));
    match settings.lease.saturating_sub(silent) {
        _ if connected => beat,
        Duration::ZERO => CONNECT.max(beat),
        left => left.max(beat),
    }
}

/// Says how the worker is. Nothing depends on it, so it must not cost the heartbeat.
async fn tell(shared: &Shared, link: &mut Link, patience: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the database is told this clock, to say how far it is off; nothing is reckoned by it")]
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let clock_ms = i64::try_from(clock.as_millis()).unwrap_or(i64::MAX);
    let told = async {
        let connection = link.get().await?;
        store::tell_worker(connection, shared.worker_id(), clock_ms, shared.settings.poll.is_none(), shared.heard()).await
    };
    match tokio::time::timeout(patience, told).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the worker's clock and listener were not told"),
        // The statement is under way; only a new connection is free of it.
        Err(_) => link.give_up(),
    }
}

/// `last`: when the last one that was answered was sent.
async fn beat(shared: &Shared, link: &mut Link, last: Instant, stop: &CancellationToken) -> Result<(), sqlx::Error> {
    let connection = link.get().await?;
    let held = shared.leases.held();
    let running = i32::try_from(shared.running()).unwrap_or(i32::MAX);
    match store::beat_worker(connection, shared.worker_id(), &held, running).await? {
        Some(Beat { cancel, stranded, suspects, at, since_s, quiet }) => {
            if since_s > (last.elapsed() + shared.settings.heartbeat.min(SMALL_STEP)).as_secs_f64() {
                tracing::warn!(
                    seconds = since_s,
                    "the database's clock was set forward, or this process stood still; it declares no other worker dead for as long as the lease"
                );
                shared.put_off_rescue();
            }
            // Only now: whoever reads this time knows of the step too.
            shared.set_last_beat(Some(at));
            shared.meters.renewed();
            shared.suspects.store(suspects, Ordering::Relaxed);
            shared.set_quiet(quiet);
            shared.cancels.store(!cancel.is_empty(), Ordering::Relaxed);
            for id in cancel {
                shared.cancel(id);
            }
            if stranded > 0 {
                let returned = store::return_stranded(connection, shared.worker_id(), &shared.leases.held()).await?;
                tracing::warn!(jobs = returned, "gave back jobs whose claim had lost its answer");
            }
        }
        // It has taken itself off the list.
        None if stop.is_cancelled() => {}
        None => {
            tracing::warn!(worker = shared.worker_id(), "this worker was declared dead; its attempts are dropped and it registers anew");
            shared.lose_leases();
            shared.set_last_beat(None);
            let id = rand::random_range(1..=i64::MAX);
            store::register_worker(connection, id, &shared.registration(), Some(shared.worker_id())).await?;
            shared.set_worker_id(id);
        }
    }
    Ok(())
}

/// Where attempts are that have run for longer than a lease: a person who looks for a stuck job sees what it is at. What has not changed is
/// not written again.
#[derive(Default)]
struct Spans {
    told: HashMap<Settled, (String, Instant)>,
}

impl Spans {
    async fn tell(&mut self, shared: &Shared, link: &mut Link, patience: Duration) {
        let lease = shared.settings.lease;
        let long = shared.attempts(|attempt| attempt.pulse.age().is_some_and(|age| age >= lease));
        let now: HashMap<_, _> = long.iter().filter_map(|attempt| Some((attempt.settled, attempt.record()?.path()))).collect();
        self.told.retain(|attempt, _| now.contains_key(attempt));
        let new: Vec<_> = now.into_iter().filter(|(attempt, place)| self.told.get(attempt) != Some(place)).collect();
        if new.is_empty() {
            return;
        }
        let rows: Vec<_> = new.iter().map(|(attempt, (path, since))| (*attempt, path.clone(), since.elapsed().as_secs_f64())).collect();
        let Ok(connection) = link.get().await else { return };
        match tokio::time::timeout(patience, store::save_spans(connection, &rows)).await {
            Ok(Ok(true)) => self.told.extend(new),
            // The next beat tries again; and if the connection is gone, it finds that out.
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "where long attempts are could not be stored"),
            Err(_) => drop(link.failed(&sqlx::Error::PoolTimedOut)),
        }
    }
}
