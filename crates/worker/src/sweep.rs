//! Finds what the bounds have passed: an insert that committed late, a row that was locked at the wrong moment, a claim that was
//! rolled back. A sweep walks the dead entries below the bound, so it paces itself by its own cost.

use std::time::{Duration, Instant};

use haulage_queue::store;

use crate::{bounds::Bounds, link::Link};

/// Not more often than this, but for a line where something is known to have come.
const SOONEST: Duration = Duration::from_secs(1);
/// Every line about this often, also one where nothing can be left behind: a row that drew its position before its transaction had
/// a number is known to no snapshot.
const LATEST: Duration = Duration::from_secs(30);
/// The next sweep waits this many times as long as the last one took: at most 2 % of a connection's time.
const COST: u32 = 50;
/// What one sweep of a line takes at most, as its statement says. As much as that is no stray job but a backlog, such as a bulk
/// enqueue that was under way for longer than the bound waits: claims then go on behind what the sweep has taken.
const MOST: i64 = 1_000;

#[derive(Debug)]
pub(crate) struct Sweep {
    /// When the last one began, and how long it took.
    last: Instant,
    took: Duration,
    next: Instant,
    all: Instant,
}

impl Sweep {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { last: now, took: Duration::ZERO, next: now + SOONEST, all: now + LATEST }
    }

    /// A claim took so long. One that walked over much left that to be walked again by the next sweep, which then waits as it would
    /// after a sweep of that cost.
    pub(crate) fn put_off(&mut self, claim: Duration) {
        self.next = self.next.max(self.last + (claim * COST).min(LATEST));
    }

    /// Sweeps the lines that need it, if it is time. Comes after a claim; returns whether it put jobs in line.
    pub(crate) async fn due(&mut self, link: &mut Link, bounds: &mut Bounds, kinds: &[String]) -> Result<bool, sqlx::Error> {
        let started = Instant::now();
        let (time, all) = (started >= self.next, started >= self.next && started >= self.all);
        let affordable = started >= self.last + self.took * COST;
        let lines: Vec<usize> = (0..bounds.lines().len())
            .filter(|index| bounds.lines()[*index].bound > 0)
            .filter(|index| all || time && bounds.needs_sweep(*index) || affordable && bounds.needs_sweep_now(*index))
            .collect();
        if !time && lines.is_empty() {
            return Ok(false);
        }
        let mut found = false;
        for index in lines {
            let line = &bounds.lines()[index];
            let missed = store::sweep_line(link.get().await?, &line.queue, line.priority, line.bound, kinds).await?;
            if missed.jobs > 0 {
                found = true;
                tracing::debug!(queue = line.queue, jobs = missed.jobs, "a sweep found jobs that the bound had passed");
            }
            match missed.last_pos {
                Some(to) if missed.jobs >= MOST => bounds.turn_back(index, to),
                _ => bounds.swept(index),
            }
        }
        (self.last, self.took) = (started, started.elapsed());
        self.next = started + (self.took * COST).max(SOONEST);
        if all {
            self.all = started + LATEST;
        }
        Ok(found)
    }
}
