//! What ended since it was last written, by queue and kind: charts are drawn from what the duties write of it, about once a minute.
//!
//! Counting costs a settled attempt some tens of nanoseconds and nothing is allocated for it; a queue and kind take room when they are
//! first seen. What can't be written is counted on with what follows.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::Timelike;
use haulage_queue::{
    Lengths,
    store::{Counted, Rescued, Tally},
};

use crate::{context::Attempt, execute::Resolution, shared::Shared};

/// Pairs of queue and kind that a process tells apart; beyond them the kind is "other". Each is three rows a minute.
const MOST: usize = 500;
/// How long after the end of a minute by the database's clock it is written: not all processes at once.
const LATE: std::ops::Range<f64> = 0.2..3.0;
/// Places of [`Tally::outcomes`].
const COMPLETED: usize = 0;
const RETRIED: usize = 1;
const DEAD: usize = 2;
const CANCELLED: usize = 3;
const SNOOZED: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Minutes {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: Vec<Counted>,
    /// By queue and kind: places in `all`.
    places: HashMap<String, HashMap<String, usize>>,
    /// The place asked for last: most jobs of a batch share it.
    last: usize,
    /// Since when this was counted; `None`: nothing was.
    since: Option<Instant>,
}

/// What is to be written, and since when it was counted.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) counted: Vec<Counted>,
    since: Instant,
}

impl Taken {
    /// How many seconds ago the middle of the time was in which it was counted.
    pub(crate) fn ago_s(&self) -> f64 {
        self.since.elapsed().as_secs_f64() / 2.0
    }
}

impl Minutes {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The result of an attempt is written.
    pub(crate) fn settled(&self, attempt: &Attempt, resolution: &Resolution) {
        let outcome = match resolution {
            Resolution::Complete { .. } => COMPLETED,
            Resolution::Later { end, .. } if end.failed => RETRIED,
            Resolution::Later { .. } => SNOOZED,
            Resolution::Bury { cancelled: true, .. } => CANCELLED,
            Resolution::Bury { .. } => DEAD,
            Resolution::Nothing if attempt.completed() => COMPLETED,
            Resolution::Return | Resolution::Nothing => return,
        };
        // Without a handler that started there is nothing to measure.
        let times = attempt.times.run_time().map(|run| (attempt.times.wait(), run));
        let mut counts = self.counts();
        let tally = counts.tally(&attempt.queue, &attempt.kind);
        tally.outcomes[outcome] += 1;
        if let Some((wait, run)) = times {
            tally.wait_ms += millis(wait);
            tally.run_ms += millis(run);
            tally.waits[Lengths::place(wait)] += 1;
            tally.runs[Lengths::place(run)] += 1;
        }
    }

    /// A job was taken from a worker that died.
    pub(crate) fn rescued(&self, job: &Rescued) {
        self.counts().tally(&job.queue, &job.kind).outcomes[if job.died { DEAD } else { RETRIED }] += 1;
    }

    /// All that was counted; `None`: nothing.
    pub(crate) fn take(&self) -> Option<Taken> {
        let mut counts = self.counts();
        let since = counts.since.take()?;
        let empty = Tally::default();
        let taken = counts.all.iter_mut().filter(|one| one.tally != empty).map(|one| {
            let tally = std::mem::take(&mut one.tally);
            Counted { queue: one.queue.clone(), kind: one.kind.clone(), tally }
        });
        Some(Taken { counted: taken.collect(), since })
    }

    /// It could not be written: it is counted on.
    pub(crate) fn put_back(&self, taken: Taken) {
        let mut counts = self.counts();
        for Counted { queue, kind, tally } in taken.counted {
            let own = counts.tally(&queue, &kind);
            own.wait_ms += tally.wait_ms;
            own.run_ms += tally.run_ms;
            let add = |own: &mut [u64], more: &[u64]| own.iter_mut().zip(more).for_each(|(own, more)| *own += more);
            add(&mut own.outcomes, &tally.outcomes);
            add(&mut own.waits, &tally.waits);
            add(&mut own.runs, &tally.runs);
        }
        counts.since = Some(taken.since);
    }
}

impl Counts {
    fn tally(&mut self, queue: &str, kind: &str) -> &mut Tally {
        self.since.get_or_insert_with(Instant::now);
        let is_last = self.all.get(self.last).is_some_and(|last| last.kind == kind && last.queue == queue);
        if !is_last {
            self.last = self.place(queue, kind);
        }
        &mut self.all[self.last].tally
    }

    fn place(&mut self, queue: &str, kind: &str) -> usize {
        let known = |kind: &str| self.places.get(queue).and_then(|kinds| kinds.get(kind)).copied();
        if let Some(place) = known(kind) {
            return place;
        }
        // Queues are as many as the worker was given.
        let kind = if self.all.len() < MOST { kind } else { "other" };
        if let Some(place) = known(kind) {
            return place;
        }
        let place = self.all.len();
        self.places.entry(queue.to_owned()).or_default().insert(kind.to_owned(), place);
        self.all.push(Counted { queue: queue.to_owned(), kind: kind.to_owned(), tally: Tally::default() });
        place
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Until the minute that goes on is over by the database's clock, and a moment.
pub(crate) fn next(shared: &Shared) -> Duration {
    let second = shared.last_beat().map_or(0.0, |(at, ago)| f64::from(at.second()) + ago.as_secs_f64()) % 60.0;
    Duration::from_secs_f64(60.0 - second + rand::random_range(LATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_written_is_written_with_what_follows() {
        let minutes = Minutes::default();
        assert!(minutes.take().is_none());
        let count = |queue: &str, kind: &str| {
            let mut counts = minutes.counts();
            let tally = counts.tally(queue, kind);
            tally.outcomes[COMPLETED] += 1;
            tally.wait_ms += 5;
            tally.waits[3] += 1;
        };
        count("a", "x");
        count("a", "y");
        count("a", "x");
        let taken = minutes.take().unwrap();
        let since = taken.since;
        assert!(minutes.take().is_none(), "it is taken once");
        count("b", "x");
        minutes.put_back(taken);
        count("a", "x");
        let again = minutes.take().unwrap();
        assert_eq!(again.since, since, "it counts from where it began");
        let of = |queue: &str, kind: &str| again.counted.iter().find(|one| one.queue == queue && one.kind == kind).unwrap();
        assert_eq!((of("a", "x").tally.outcomes[COMPLETED], of("a", "x").tally.wait_ms, of("a", "x").tally.waits[3]), (3, 15, 3));
        assert_eq!((of("a", "y").tally.outcomes[COMPLETED], of("b", "x").tally.outcomes[COMPLETED]), (1, 1));
        assert_eq!(again.counted.len(), 3);
    }

    #[test]
    fn kinds_beyond_the_bound_are_counted_together() {
        let minutes = Minutes::default();
        for number in 0..MOST + 100 {
            minutes.counts().tally("q", &format!("kind{number}")).outcomes[DEAD] += 1;
        }
        let taken = minutes.take().unwrap().counted;
        assert_eq!(taken.len(), MOST + 1);
        let other: Vec<u64> = taken.iter().filter(|one| one.kind == "other").map(|one| one.tally.outcomes[DEAD]).collect();
        assert_eq!(other, [100]);
    }
}
