//! Enqueueing: singly by several clients with and without idle workers, and in bulk.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use haulage::{Job, enqueue_all};
use sqlx::PgPool;

use super::{
    drain::ROUNDS,
    jobs::Noop,
    measure::Meter,
    report::{Row, median},
    stage::Stage,
};

/// Clients, idle workers.
const SINGLES: [(u32, u32); 9] = [(1, 0), (16, 0), (64, 0), (1, 1), (16, 1), (64, 1), (1, 8), (16, 8), (64, 8)];

/// Workers go to sleep and are woken again within seconds: a shorter time sees only the beginning of a stream.
const SHORTEST: Duration = Duration::from_secs(3);

pub(crate) async fn singles(stage: &Stage, seconds: u32) -> anyhow::Result<Vec<Row>> {
    let time = Duration::from_secs_f64(f64::from(seconds) / 10.0).max(SHORTEST);
    let mut rows = Vec::new();
    for (clients, workers) in SINGLES {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS.min(3) {
            rounds.push(single(stage, clients, workers, time).await?);
        }
        let row = median(rounds, |row| row.ratio_to_floor)?;
        let ratio = row.ratio_to_floor;
        rows.push(match (clients, workers) {
            (16, 0) => row.at_least("ratio to a bare insert", ratio, 0.9),
            (16, _) => row.at_least("ratio to a bare insert", ratio, 0.7),
            _ => row,
        });
    }
    Ok(rows)
}

/// The idle workers serve the queue but not the kind, so that they have nothing to do however much is enqueued.
async fn single(stage: &Stage, clients: u32, workers: u32, time: Duration) -> anyhow::Result<Row> {
    let database = stage.database().await?;
    let pool = &database.pool;
    let (_, floor) = repeat(clients, time, || insert_bare(pool)).await?;
    let mut idle = Vec::new();
    for _ in 0..workers {
        let mut worker = stage.worker_with(&database, 1, &["--never"]).await?;
        worker.go().await?;
        idle.push(worker);
    }
    database.asleep(workers).await?;
    let meter = Meter::start(pool, stage.server_pid, &[std::process::id()]).await?;
    let (jobs, rate) = repeat(clients, time, || async {
        Noop::new(1).enqueue(pool).await?;
        Ok(())
    })
    .await?;
    let mut row = Row::new(format!("enqueue, {clients} clients, {workers} idle"), jobs, &meter.stop().await?, stage.config());
    row.jobs_per_s = Some(rate);
    for worker in idle {
        worker.stop().await?;
    }
    stage.remove(database).await?;
    Ok(row.beside(floor))
}

/// Repeats the act by so many clients for a time; returns how often, and how often a second.
async fn repeat<Fut>(clients: u32, time: Duration, act: impl Fn() -> Fut) -> anyhow::Result<(u64, f64)>
where
    Fut: Future<Output = anyhow::Result<()>>,
{
    // Every client has its connection, and its statement prepared.
    try_join_all((0..clients).map(|_| act())).await?;
    let started = Instant::now();
    let counts = try_join_all((0..clients).map(|_| async {
        let mut count = 0_u64;
        while started.elapsed() < time {
            act().await?;
            count += 1;
        }
        anyhow::Ok(count)
    }))
    .await?;
    let count: u64 = counts.into_iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    Ok((count, count as f64 / started.elapsed().as_secs_f64()))
}

/// The same row, without checks and without a wake-up.
async fn insert_bare(pool: &PgPool) -> anyhow::Result<()> {
    let args = serde_json::to_string(&Noop::new(1))?;
    sqlx::query(include_str!("insert_bare.sql")).bind(args).execute(pool).await?;
    Ok(())
}

pub(crate) async fn bulk(stage: &Stage, jobs: u64) -> anyhow::Result<Row> {
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        let database = stage.database().await?;
        let floor = bulk_bare(&database.pool, jobs).await?;
        stage.remove(database).await?;

        let database = stage.database().await?;
        let meter = Meter::start(&database.pool, stage.server_pid, &[std::process::id()]).await?;
        enqueue_all(&database.pool, (0..jobs).map(Noop::new)).await?;
        let row = Row::new("bulk", jobs, &meter.stop().await?, stage.config());
        stage.remove(database).await?;
        rows.push(row.beside(floor));
    }
    let row = median(rows, |row| row.ratio_to_floor)?;
    let ratio = row.ratio_to_floor;
    Ok(row.at_least("ratio to bare unnest", ratio, 0.8))
}

/// The same rows in the same batches, in one transaction; returns rows a second.
async fn bulk_bare(pool: &PgPool, jobs: u64) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut tx = pool.begin().await?;
    for first in (0..jobs).step_by(1_000) {
        let args: Vec<String> =
            (first..(first + 1_000).min(jobs)).map(|n| serde_json::to_string(&Noop::new(n))).collect::<Result<_, _>>()?;
        sqlx::query(include_str!("insert_bare_batch.sql")).bind(args).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    Ok(jobs as f64 / started.elapsed().as_secs_f64())
}
