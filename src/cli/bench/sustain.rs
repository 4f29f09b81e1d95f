//! Jobs are enqueued, claimed and completed at once, for a time; with or without a session that holds an old snapshot.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use haulage::enqueue_all;
use sqlx::PgPool;

use super::{
    bare::Bare,
    drain::ROUNDS,
    jobs::Noop,
    measure::{Meter, peak_rss_mb},
    pickup,
    process::Process,
    report::{Row, median},
    stage::{Database, Stage},
};

/// The producer keeps so many jobs ahead of the worker.
const AHEAD: u64 = 20_000;
const BATCH: u64 = 1_000;
/// Before a worker is measured it has run so many jobs.
const WARM: u64 = 20_000;

/// Beside the floor.
pub(crate) async fn sustain(stage: &Stage, seconds: u32) -> anyhow::Result<Row> {
    let time = Duration::from_secs_f64(f64::from(seconds) / f64::from(ROUNDS)).max(Duration::from_secs(2));
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        let floor = floor(stage, time).await?;
        let database = stage.database().await?;
        let mut worker = stage.worker(&database, 1).await?;
        worker.go().await?;
        let (row, _) = measure(stage, &database, &mut worker, "sustain", time).await?;
        worker.stop().await?;
        stage.remove(database).await?;
        rows.push(row.beside(floor));
    }
    let row = median(rows, |row| row.ratio_to_floor)?;
    let ratio = row.ratio_to_floor;
    Ok(row.at_least("ratio to floor", ratio, 0.75))
}

/// For a time beside a held snapshot, the last fifth beside the first; then at 50 jobs a second, beside the same without a snapshot.
pub(crate) async fn snapshot(stage: &Stage, seconds: u32) -> anyhow::Result<Vec<Row>> {
    let free = stage.database().await?;
    let mut worker = stage.worker(&free, 1).await?;
    worker.go().await?;
    let calm = pickup::steady(stage, &free, &mut worker, "50 jobs/s, no snapshot").await?;
    worker.stop().await?;
    stage.remove(free).await?;

    let database = stage.database().await?;
    let mut holder = database.pool.begin().await?;
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM haulage.live_jobs").execute(&mut *holder).await?;
    let mut worker = stage.worker(&database, 1).await?;
    worker.go().await?;
    let (mut busy, fifths) = measure(stage, &database, &mut worker, "snapshot", Duration::from_secs(u64::from(seconds))).await?;
    busy.last_to_first = fifths.last().zip(fifths.first()).map(|(last, first)| last / first);
    let last_to_first = busy.last_to_first;
    database.settled().await?;
    let slow = pickup::steady(stage, &database, &mut worker, "50 jobs/s, snapshot").await?;
    holder.rollback().await?;
    worker.stop().await?;
    stage.remove(database).await?;
    let p99 = slow.p99_ms.zip(calm.p99_ms).map(|(slow, calm)| slow / calm);
    Ok(vec![busy.at_least("last fifth to first", last_to_first, 0.95), calm, slow.at_most("p99 to that without a snapshot", p99, 3.0)])
}

/// What has run is counted; what still waits is not. Also returns the jobs of each fifth of the time.
async fn measure(stage: &Stage, database: &Database, worker: &mut Process, name: &str, time: Duration) -> anyhow::Result<(Row, Vec<f64>)> {
    let mut stored = 0;
    while worker.ran() < WARM {
        keep_ahead(database, worker, &mut stored).await?;
    }
    let meter = Meter::start(&database.pool, stage.server_pid, &[worker.pid(), std::process::id()]).await?;
    let (started, mut marks) = (Instant::now(), vec![worker.ran()]);
    for fifth in 1..=5_u32 {
        while started.elapsed() < time * fifth / 5 {
            keep_ahead(database, worker, &mut stored).await?;
        }
        marks.push(worker.ran());
    }
    let ran = marks[marks.len() - 1] - marks[0];
    let mut row = Row::new(name, ran, &meter.stop().await?, stage.config());
    row.peak_rss_mb = peak_rss_mb(worker.pid());
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let fifths = marks.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
    Ok((row, fifths))
}

async fn keep_ahead(database: &Database, worker: &mut Process, stored: &mut u64) -> anyhow::Result<()> {
    worker.check()?;
    produce(&database.pool, stored, worker.ran()).await
}

/// Stores a batch unless enough is ahead.
async fn produce(pool: &PgPool, stored: &mut u64, ran: u64) -> anyhow::Result<()> {
    if *stored < ran + AHEAD {
        enqueue_all(pool, (*stored..*stored + BATCH).map(Noop::new)).await?;
        *stored += BATCH;
    } else {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    Ok(())
}

/// The same by the bare statements: they claim and complete while the same producer stores.
async fn floor(stage: &Stage, time: Duration) -> anyhow::Result<f64> {
    let database = stage.database().await?;
    let (done, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let work = tokio::spawn(Bare::connect(&database.pool).await?.work(
        {
            let over = over.clone();
            move |_| !over.load(Ordering::Relaxed)
        },
        done.clone(),
    ));
    let mut stored = 0;
    while done.load(Ordering::Relaxed) < WARM && !work.is_finished() {
        produce(&database.pool, &mut stored, done.load(Ordering::Relaxed)).await?;
    }
    let (started, before) = (Instant::now(), done.load(Ordering::Relaxed));
    while started.elapsed() < time && !work.is_finished() {
        produce(&database.pool, &mut stored, done.load(Ordering::Relaxed)).await?;
    }
    let (ran, seconds) = (done.load(Ordering::Relaxed) - before, started.elapsed().as_secs_f64());
    over.store(true, Ordering::Relaxed);
    work.await??;
    stage.remove(database).await?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    Ok(ran as f64 / seconds)
}
