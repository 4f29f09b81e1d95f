//! One queue's jobs inside the process: claimed ones that wait for a runner, and the runners.
//!
//! A runner takes a job, runs it, hands the result to settling, takes the next, and ends when none waits; so a fast job costs no
//! hop through a dispatcher. The buffer lets one claim feed many short jobs. It is kept to what the lane will start within half a
//! second, and what has waited for longer than a second is given back, so that no job waits behind another process's hoard.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// Claimed ahead of free slots: what the lane starts in this time at its recent rate.
const AHEAD: Duration = Duration::from_millis(500);
/// Given back unstarted after this long.
const STALE: Duration = Duration::from_secs(1);
/// Most jobs in hand of all lanes together, running ones included, unless the slots are more: a claim of 1,000 has all the throughput
/// that batching gives.
const MOST: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Lane<J> {
    pub(crate) queue: String,
    pub(crate) slots: usize,
    inner: Mutex<Inner<J>>,
    /// Told whenever the lane could take more.
    pub(crate) room: Notify,
}

#[derive(Debug)]
struct Inner<J> {
    waiting: VecDeque<(Instant, J)>,
    runners: usize,
    started: u64,
    /// Starts a second, smoothed.
    rate: f64,
    measured: (Instant, u64),
    /// Its share of what may be in hand.
    most: usize,
}

impl<J> Lane<J> {
    pub(crate) fn new(queue: String, slots: usize) -> Self {
        let inner = Inner { waiting: VecDeque::new(), runners: 0, started: 0, rate: 0.0, measured: (Instant::now(), 0), most: MOST };
        Self { queue, slots, inner: Mutex::new(inner), room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<J>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has jobs, or had until a moment ago.
    pub(crate) fn is_busy(&self) -> bool {
        let inner = self.lock();
        inner.runners > 0 || !inner.waiting.is_empty() || inner.rate > 1.0
    }

    /// How many jobs to claim now, while so many lanes are busy: none until a slot is free with nothing waiting for it, or half of
    /// what is allowed ahead is used.
    pub(crate) fn want(&self, busy: usize) -> usize {
        let mut inner = self.lock();
        inner.measure();
        inner.most = MOST / busy.max(1);
        let allowed = allowed(self.slots, inner.rate, inner.most);
        let in_hand = inner.waiting.len() + inner.runners;
        let starved = inner.waiting.is_empty() && inner.runners < self.slots;
        if starved || in_hand * 2 <= allowed { allowed.saturating_sub(in_hand) } else { 0 }
    }

    /// Takes claimed jobs in; returns how many runners to spawn for them.
    pub(crate) fn push(&self, jobs: impl IntoIterator<Item = J>) -> usize {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.waiting.extend(jobs.into_iter().map(|job| (now, job)));
        let spawn = (self.slots - inner.runners.min(self.slots)).min(inner.waiting.len());
        inner.runners += spawn;
        spawn
    }

    /// The next job for a runner; `None` ends the runner.
    pub(crate) fn next(&self) -> Option<J> {
        let mut inner = self.lock();
        let next = inner.waiting.pop_front();
        match &next {
            Some(_) => inner.started += 1,
            None => inner.runners -= 1,
        }
        let low = inner.waiting.len() * 2 <= allowed(self.slots, inner.rate, inner.most).saturating_sub(inner.runners);
        drop(inner);
        if low {
            self.room.notify_one();
        }
        next.map(|(_, job)| job)
    }

    /// How many jobs run.
    #[cfg(feature = "otel")]
    pub(crate) fn runners(&self) -> usize {
        self.lock().runners
    }

    /// Jobs that have waited too long for a runner.
    pub(crate) fn stale(&self) -> Vec<J> {
        let mut inner = self.lock();
        if inner.waiting.front().is_some_and(|(since, _)| since.elapsed() > STALE) {
            // The lane is slower than it was thought to be.
            inner.rate = 0.0;
            return inner.waiting.drain(..).map(|(_, job)| job).collect();
        }
        Vec::new()
    }

    /// Every waiting job: the worker is stopping or has lost its leases.
    pub(crate) fn drain(&self) -> Vec<J> {
        self.lock().waiting.drain(..).map(|(_, job)| job).collect()
    }
}

impl<J> Inner<J> {
    fn measure(&mut self) {
        let (since, started) = self.measured;
        let elapsed = since.elapsed();
        if elapsed >= Duration::from_millis(20) {
            #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
            let rate = (self.started - started) as f64 / elapsed.as_secs_f64();
            // Half of the new, half of the old: follows a change within a few looks.
            self.rate = f64::midpoint(self.rate, rate);
            self.measured = (Instant::now(), self.started);
        }
    }
}

fn allowed(slots: usize, rate: f64, most: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is not negative, and the cast saturates")]
    let ahead = (rate * AHEAD.as_secs_f64()) as usize;
    ahead.min(most).max(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_lane_claims_no_more_than_its_slots() {
        let lane: Lane<u32> = Lane::new("q".into(), 5);
        assert_eq!(lane.want(1), 5);
        assert_eq!(lane.push(0..5), 5);
        for _ in 0..5 {
            lane.next();
        }
        assert_eq!(lane.want(1), 0);
        assert_eq!(lane.next(), None);
        assert_eq!(lane.want(1), 1, "one runner ended, so one slot is free");
    }

    #[test]
    fn runners_are_spawned_up_to_the_slots() {
        let lane: Lane<u32> = Lane::new("q".into(), 2);
        assert_eq!(lane.push(0..10), 2);
        assert_eq!(lane.push(10..12), 0);
        assert_eq!(lane.drain().len(), 12);
        assert_eq!(lane.next(), None);
        assert_eq!(lane.next(), None);
        assert_eq!(lane.want(1), 2);
    }
}
