//! Jobs are enqueued, claimed and completed at once, for a time; with or without a session that holds an old snapshot.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use haulage::enqueue_all;
use sqlx::PgPool;

use super::{
    drain::Bare,
    measure::Meter,
    report::Row,
    stage::{Noop, Stage},
};

/// The producer keeps so many jobs ahead of the worker.
const AHEAD: u64 = 20_000;
const BATCH: u64 = 1_000;

pub(crate) async fn run(stage: &Stage, seconds: u32, snapshot: bool) -> anyhow::Result<Row> {
    let time = Duration::from_secs(u64::from(seconds));
    let floor = floor(stage, time).await?;
    let pool = stage.database().await?;
    let mut holder = pool.begin().await?;
    if snapshot {
        sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM haulage.live_jobs")
            .execute(&mut *holder)
            .await?;
    }
    let (worker, ran) = stage.worker(&pool).await?;
    let meter = Meter::start(&pool, stage.server_pid).await?;
    let started = Instant::now();
    let mut stored = 0;
    while started.elapsed() < time {
        if stored - ran.load(Ordering::Relaxed) < AHEAD {
            enqueue_all(&pool, (stored..stored + BATCH).map(Noop::new)).await?;
            stored += BATCH;
        } else {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    // What has run is counted; what still waits is not.
    let name = if snapshot { "snapshot" } else { "sustain" };
    let row = meter.stop(name, ran.load(Ordering::Relaxed), stage.config()).await?;
    holder.rollback().await?;
    worker.shutdown().await;
    pool.close().await;
    Ok(row.beside(floor))
}

/// The same by the bare statements.
async fn floor(stage: &Stage, time: Duration) -> anyhow::Result<f64> {
    let pool = stage.database().await?;
    let mut bare = Bare::connect(&pool).await?;
    let started = Instant::now();
    // A stretch ahead, as the worker's producer is.
    produce(&pool, AHEAD).await?;
    let mut jobs = 0;
    while started.elapsed() < time {
        tokio::try_join!(produce(&pool, AHEAD), bare.work(AHEAD))?;
        jobs += AHEAD;
    }
    pool.close().await;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    Ok(jobs as f64 / started.elapsed().as_secs_f64())
}

async fn produce(pool: &PgPool, jobs: u64) -> anyhow::Result<()> {
    for first in (0..jobs).step_by(usize::try_from(BATCH)?) {
        enqueue_all(pool, (first..first + BATCH).map(Noop::new)).await?;
    }
    Ok(())
}
