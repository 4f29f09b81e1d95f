//! Finds what the bounds have passed: an insert that committed late, a row that was locked at the wrong moment, a claim that was
//! rolled back. A sweep walks the dead entries below the bound, so it paces itself by its own cost.

use std::time::{Duration, Instant};

use haulage_queue::store::{self, Line};

use crate::link::Link;

/// Not more often than this.
const SOONEST: Duration = Duration::from_secs(1);
/// At least this often.
const LATEST: Duration = Duration::from_secs(30);
/// The next sweep waits this many times as long as the last one took: at most 2 % of a connection's time.
const COST: u32 = 50;

#[derive(Debug)]
pub(crate) struct Sweep {
    next: Instant,
}

impl Sweep {
    pub(crate) fn new() -> Self {
        Self { next: Instant::now() + SOONEST }
    }

    /// Sweeps the lines whose bound has moved, if it is time.
    pub(crate) async fn due(&mut self, link: &mut Link, lines: &[Line], kinds: &[String]) -> Result<(), sqlx::Error> {
        if Instant::now() < self.next {
            return Ok(());
        }
        let started = Instant::now();
        for line in lines.iter().filter(|line| line.bound > 0) {
            let found = store::sweep_line(link.get().await?, &line.queue, line.priority, line.bound, kinds).await?;
            if found > 0 {
                tracing::debug!(queue = line.queue, jobs = found, "a sweep found jobs that the bound had passed");
            }
        }
        self.next = started + (started.elapsed() * COST).clamp(SOONEST, LATEST);
        Ok(())
    }
}
