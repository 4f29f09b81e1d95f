//! A backlog is worked off.

use std::time::{Duration, Instant};

use super::{LIMIT, Play, STOPPED, stop, store};
use crate::{
    measure::{Meter, peak_rss_mb},
    participants::Aim,
    report::Measured,
};

/// The clock runs from the moment the worker is told to begin, so its connections count, its program's start does not.
pub(super) async fn run(play: &Play, jobs: u64) -> anyhow::Result<Measured> {
    let pool = &play.database.pool;
    store(&*play.producer().await?, jobs).await?;
    // Statistics as a running system has them.
    sqlx::raw_sql("ANALYZE").execute(pool).await?;
    let mut worker = play.worker(Aim::Throughput).await?;
    let pid = worker.pid();
    let meter = Meter::start(pool, play.server_pid, &[pid]).await?;
    let started = Instant::now();
    worker.go().await?;
    while worker.ran() < jobs && started.elapsed() < LIMIT {
        worker.check()?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let ran = worker.ran();
    // A handler has started for each; now what it did is written down. Many a queue has to read dead rows to tell, so not too often.
    let mut finished = ran >= jobs && play.queue.finished(pool, jobs).await?;
    while ran >= jobs && !finished && started.elapsed() < LIMIT {
        tokio::time::sleep(Duration::from_millis(5)).await;
        finished = play.queue.finished(pool, jobs).await?;
    }
    let mut measured = Measured::of(ran, &meter.stop().await?);
    measured.peak_rss_mb = peak_rss_mb(pid);
    measured.note = (!finished).then_some(STOPPED);
    stop(worker).await;
    Ok(measured)
}
