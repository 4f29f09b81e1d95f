//! Puts scheduled jobs in line when they are due. Any worker may; rows that another one is moving are skipped.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use haulage_queue::store;
use sqlx::PgConnection;

/// Jobs a statement.
const BATCH: i32 = 1_000;
/// Looked at least this often; jobs enqueued for sooner notify.
const LATEST: Duration = Duration::from_secs(1);
/// A crowd is moved for this long before the other duties have their turn.
const TURN: Duration = Duration::from_millis(250);
/// The bound trails the clock by this much, so that a row locked at its moment is found at the next looks.
const TRAIL: chrono::TimeDelta = chrono::TimeDelta::seconds(5);
/// From the start, in case something was passed all the same: a `run_at` set back, an insert that committed late.
const SWEEP: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Promote {
    /// Index entries before this time are dead: looking at them again costs.
    bound: DateTime<Utc>,
    swept: Instant,
}

impl Promote {
    pub(crate) fn new() -> Self {
        Self { bound: DateTime::UNIX_EPOCH, swept: Instant::now() }
    }

    /// Promotes what is due; returns how long to sleep until the next job is due, a second at most, and whether a job waits for its
    /// key.
    pub(crate) async fn run(&mut self, connection: &mut PgConnection) -> Result<(Duration, bool), sqlx::Error> {
        if self.swept.elapsed() >= SWEEP {
            self.swept = Instant::now();
            self.bound = DateTime::UNIX_EPOCH;
        }
        let started = Instant::now();
        loop {
            let promoted = store::promote_jobs(connection, self.bound, BATCH).await?;
            if promoted.moved >= i64::from(BATCH) {
                if started.elapsed() < TURN {
                    continue;
                }
                // More is due; but the other duties have a turn first.
                return Ok((Duration::ZERO, promoted.waiting));
            }
            self.bound = promoted.clock - TRAIL;
            let next = promoted.next_s.map_or(LATEST, |seconds| Duration::from_secs_f64(seconds.max(0.0)).min(LATEST));
            return Ok((next, promoted.waiting));
        }
    }
}
