//! Handlers that block the thread they run on: found while they do, and named.
//!
//! An async handler that computes for seconds, sleeps or waits for a lock without an await keeps its thread of the runtime from everything
//! else: other handlers, fetching, settling. The runtime can't tell, because what would tell it is blocked too. So each attempt notes when
//! a poll of its handler begins and ends, two stores and a look at the clock, and a thread of its own looks at these notes. It is not that of
//! the heartbeat: to say what it has found it may have to wait for whoever reads the log, and no beat may wait for that.
//!
//! Besides, one blocked thread of many can hold up all: of the runtime's idle threads one waits for sockets and timers, the others only for
//! to be told of work. When the waiting one takes up the handler that blocks, nobody waits for sockets and timers until another thread is
//! told of something. So while a handler blocks the runtime is given a task that does nothing, from outside; the thread that does it
//! waits for them from then on. (That no task of ours is kept for the blocked thread is seen to in `fetch.rs`.)
//!
//! Not seen: what blocks inside a task that the handler has spawned. Seen although it is allowed: `block_in_place`.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use haulage_queue::store::Settled;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// A poll that takes longer blocks the thread: ten to a hundred microseconds are good, a tenth of a second is bad, and this is felt by
/// everybody.
const STALL: Duration = Duration::from_secs(1);
/// How often it is looked at while something runs.
const LOOK: Duration = Duration::from_millis(250);
/// So often the same poll is seen before it is told: a process that stood still as a whole sees each but once.
const LOOKS: u32 = 4;

/// In the number of a poll: it was told of.
const TOLD: u64 = 1 << 63;

/// When an attempt began, and when the poll that is under way.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    began: OnceLock<Instant>,
    /// Microseconds after the attempt began, and one more; 0: no poll is under way.
    poll: AtomicU64,
}

impl Pulse {
    pub(crate) fn begin(&self, now: Instant) {
        self.began.set(now).ok();
    }

    /// How long the attempt has run; `None`: its handler has not started.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.began.get().map(Instant::elapsed)
    }

    fn now(&self) -> u64 {
        self.age().and_then(|age| u64::try_from(age.as_micros()).ok()).map_or(1, |age| (age + 1) & !TOLD)
    }

    /// Polls; returns for how long this blocked the thread, if somebody was told that it did.
    pub(crate) fn poll<T>(&self, poll: impl FnOnce() -> T) -> (T, Option<Duration>) {
        self.poll.store(self.now(), Ordering::Relaxed);
        let answer = poll();
        let noted = self.poll.swap(0, Ordering::Relaxed);
        let stalled = (noted & TOLD > 0).then(|| self.since(noted));
        (answer, stalled)
    }

    fn since(&self, noted: u64) -> Duration {
        Duration::from_micros(self.now().saturating_sub(noted & !TOLD))
    }

    /// The number of the poll under way, and for how long it is.
    fn under_way(&self) -> Option<(u64, Duration)> {
        let noted = self.poll.load(Ordering::Relaxed);
        (noted > 0).then(|| (noted, self.since(noted)))
    }

    /// Whether the poll that is under way was told of.
    #[cfg(any(feature = "otel", test))]
    pub(crate) fn is_stalled(&self) -> bool {
        self.poll.load(Ordering::Relaxed) & TOLD > 0
    }

    /// Notes that this poll is told of, if it is still under way and was not yet.
    fn tell(&self, noted: u64) -> bool {
        noted & TOLD == 0 && self.poll.compare_exchange(noted, noted | TOLD, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Starts the thread that looks for handlers that block theirs, those of the runtime that this is called in. It ends when `stop` is
/// cancelled; nobody waits for it.
pub(crate) fn spawn(shared: Arc<Shared>, stop: CancellationToken) -> std::io::Result<()> {
    let watched = Handle::current();
    thread::Builder::new().name("haulage-stall".into()).spawn(move || {
        match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime.block_on(watch(&shared, &watched, &stop)),
            Err(error) => tracing::error!(%error, "handlers that block their thread will not be found"),
        }
    })?;
    Ok(())
}

async fn watch(shared: &Shared, watched: &Handle, stop: &CancellationToken) {
    let mut seen: HashMap<Settled, (u64, u32)> = HashMap::new();
    loop {
        // While nothing runs nothing has to be seen; what begins meanwhile is seen a little later.
        let pause = if shared.running() > 0 { LOOK } else { STALL };
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
        let mut now = HashMap::new();
        for attempt in shared.attempts(|attempt| attempt.pulse.under_way().is_some_and(|(_, time)| time >= LOOK)) {
            let Some((noted, time)) = attempt.pulse.under_way() else { continue };
            let looks = seen.get(&attempt.settled).filter(|(before, _)| *before == noted).map_or(1, |(_, looks)| looks + 1);
            now.insert(attempt.settled, (noted, looks));
            if looks >= LOOKS && time >= STALL && attempt.pulse.tell(noted) {
                tracing::warn!(
                    job = %attempt.settled.id,
                    kind = &*attempt.kind,
                    queue = &*attempt.queue,
                    attempt = attempt.number,
                    seconds = time.as_secs_f64(),
                    "the handler blocks a thread of the runtime: make it await, or move what takes long to `handle_blocking` or `spawn_blocking`"
                );
            }
        }
        if !now.is_empty() {
            drop(watched.spawn(async {}));
        }
        seen = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_is_told_of_once_and_its_end_tells_how_long_it_was() {
        let pulse = Pulse::default();
        assert_eq!((pulse.age(), pulse.under_way()), (None, None));
        pulse.begin(Instant::now());
        let ((), stalled) = pulse.poll(|| {
            let (noted, _) = pulse.under_way().unwrap();
            assert!(!pulse.is_stalled() && pulse.tell(noted));
            assert!(pulse.is_stalled() && !pulse.tell(noted));
            let (noted, _) = pulse.under_way().unwrap();
            assert!(noted & TOLD > 0, "a later look sees the same");
        });
        assert!(stalled.is_some() && pulse.under_way().is_none() && !pulse.is_stalled());
        assert_eq!(pulse.poll(|| 7), (7, None));
        assert!(!pulse.tell(1), "it is over");
    }
}
