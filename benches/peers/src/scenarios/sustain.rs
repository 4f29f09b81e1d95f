//! Jobs are stored and run at once, for a time; with or without a session that holds an old snapshot.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{LIMIT, Play, stop};
use crate::{
    measure::{Meter, peak_rss_mb},
    participants::Aim,
    report::Measured,
};

/// The producer keeps so many jobs ahead of the worker.
const AHEAD: u64 = 20_000;
const BATCH: u64 = 1_000;

/// The producer is this process, the worker a child; the processor time of both counts.
pub(super) async fn run(play: &Play, time: Duration, snapshot: bool) -> anyhow::Result<Measured> {
    let pool = &play.database.pool;
    let mut holder = pool.begin().await?;
    if snapshot {
        sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class").execute(&mut *holder).await?;
    }
    let producer = play.producer().await?;
    let mut stored = 0;
    let store = async |stored: &mut u64| {
        producer.enqueue_many(*stored..*stored + BATCH).await?;
        *stored += BATCH;
        anyhow::Ok(())
    };
    while stored < AHEAD {
        store(&mut stored).await?;
    }
    let mut worker = play.worker(Aim::Throughput).await?;
    let pid = worker.pid();
    worker.go().await?;
    let begun = Instant::now();
    while worker.ran() == 0 {
        worker.check()?;
        ensure!(begun.elapsed() < LIMIT, "no job ran in {} s", LIMIT.as_secs());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    let meter = Meter::start(pool, play.server_pid, &[std::process::id(), pid]).await?;
    let started = Instant::now();
    let before = worker.ran();
    let mut thirds = Thirds { time, marks: vec![before] };
    while started.elapsed() < time {
        thirds.mark(started.elapsed(), worker.ran());
        if stored.saturating_sub(worker.ran()) < AHEAD {
            store(&mut stored).await?;
        } else {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    // What has run is counted; what still waits is not.
    let ran = worker.ran();
    let mut measured = Measured::of(ran - before, &meter.stop().await?);
    measured.peak_rss_mb = peak_rss_mb(pid);
    measured.last_to_first = thirds.last_to_first(ran);
    holder.rollback().await?;
    stop(worker).await;
    Ok(measured)
}

/// How many jobs had run at the start, after a third of the time, and after two.
struct Thirds {
    time: Duration,
    marks: Vec<u64>,
}

impl Thirds {
    fn mark(&mut self, elapsed: Duration, ran: u64) {
        if self.marks.len() < 3 && elapsed * 3 >= self.time * u32::try_from(self.marks.len()).unwrap_or(u32::MAX) {
            self.marks.push(ran);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn last_to_first(&self, ran: u64) -> Option<f64> {
        let [start, first, second] = self.marks.as_slice() else { return None };
        (first > start).then(|| (ran - second) as f64 / (first - start) as f64)
    }
}
