//! Finds what the bounds have passed: an insert that committed late, a row that was locked at the wrong moment, a claim that was
//! rolled back. A sweep walks the dead entries below the bound, so it paces itself by its own cost.

use std::time::{Duration, Instant};

use haulage_queue::store;

use crate::{bounds::Bounds, link::Link};

/// Not more often than this.
const SOONEST: Duration = Duration::from_secs(1);
/// Every line at least this often, also one where nothing can be left behind: a row that drew its position before its transaction
/// had a number is known to no snapshot.
const LATEST: Duration = Duration::from_secs(30);
/// The next sweep waits this many times as long as the last one took: at most 2 % of a connection's time.
const COST: u32 = 50;
/// What one sweep of a line takes at most, as its statement says. As much as that is no stray job but a backlog, such as a bulk
/// enqueue that was under way for longer than the bound waits: the line is then looked at from its start again.
const MOST: i64 = 1_000;

#[derive(Debug)]
pub(crate) struct Sweep {
    last: Instant,
    next: Instant,
    all: Instant,
}

impl Sweep {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { last: now, next: now + SOONEST, all: now + LATEST }
    }

    /// A claim took so long. One that walked over much left that to be walked again by the next sweep, which then waits as it would
    /// after a sweep of that cost.
    pub(crate) fn put_off(&mut self, claim: Duration) {
        self.next = self.next.max(self.last + (claim * COST).min(LATEST));
    }

    /// Sweeps the lines that need it, if it is time. Comes after a claim.
    pub(crate) async fn due(&mut self, link: &mut Link, bounds: &mut Bounds, kinds: &[String]) -> Result<(), sqlx::Error> {
        if Instant::now() < self.next {
            return Ok(());
        }
        let started = Instant::now();
        let all = started >= self.all;
        if all {
            self.all = started + LATEST;
        }
        for index in 0..bounds.lines().len() {
            let line = &bounds.lines()[index];
            if line.bound == 0 || !all && !bounds.needs_sweep(index) {
                continue;
            }
            let found = store::sweep_line(link.get().await?, &line.queue, line.priority, line.bound, kinds).await?;
            if found > 0 {
                tracing::debug!(queue = line.queue, jobs = found, "a sweep found jobs that the bound had passed");
            }
            if found >= MOST {
                bounds.reset_line(index);
            } else {
                bounds.swept(index);
            }
        }
        self.last = started;
        self.next = started + (started.elapsed() * COST).clamp(SOONEST, LATEST);
        Ok(())
    }
}
