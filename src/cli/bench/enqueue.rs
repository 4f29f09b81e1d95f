//! Enqueueing: singly by several clients with and without sleepers, and in bulk.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use haulage::{Job, enqueue_all};
use sqlx::PgPool;

use super::{
    measure::Meter,
    report::Row,
    stage::{Noop, Stage},
};

/// Clients, idle workers.
const SINGLES: [(u32, u32); 9] = [(1, 0), (16, 0), (64, 0), (1, 1), (16, 1), (64, 1), (1, 8), (16, 8), (64, 8)];

/// The idle workers serve the queue but not the kind, so that they sleep all the while.
pub(crate) async fn singles(stage: &Stage, seconds: u32) -> anyhow::Result<Vec<Row>> {
    let time = Duration::from_secs_f64(f64::from(seconds) / 5.0);
    let mut rows = Vec::new();
    for (clients, workers) in SINGLES {
        let pool = stage.database().await?;
        let (_, floor) = repeat(clients, time, || insert_bare(&pool)).await?;
        let mut idle = Vec::new();
        for _ in 0..workers {
            idle.push(stage.sleeper(&pool).await?);
        }
        stage.asleep(&pool, workers).await?;
        let meter = Meter::start(&pool, stage.server_pid).await?;
        let (jobs, rate) = repeat(clients, time, || async {
            Noop::new(1).enqueue(&pool).await?;
            Ok(())
        })
        .await?;
        let mut row = meter.stop(&format!("enqueue {clients}c {workers}w"), jobs, stage.config()).await?;
        row.jobs_per_s = Some(rate);
        for worker in idle {
            worker.shutdown().await;
        }
        pool.close().await;
        rows.push(row.beside(floor));
    }
    Ok(rows)
}

/// Repeats the act by so many clients for a time; returns how often, and how often a second.
async fn repeat<Fut>(clients: u32, time: Duration, act: impl Fn() -> Fut) -> anyhow::Result<(u64, f64)>
where
    Fut: Future<Output = anyhow::Result<()>>,
{
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

pub(crate) async fn bulk(stage: &Stage, jobs: u32) -> anyhow::Result<Row> {
    let pool = stage.database().await?;
    let started = Instant::now();
    let mut tx = pool.begin().await?;
    for first in (0..u64::from(jobs)).step_by(1_000) {
        let args: Vec<String> =
            (first..(first + 1_000).min(u64::from(jobs))).map(|n| serde_json::to_string(&Noop::new(n))).collect::<Result<_, _>>()?;
        sqlx::query(include_str!("insert_bare_batch.sql")).bind(args).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    let floor = f64::from(jobs) / started.elapsed().as_secs_f64();
    pool.close().await;

    let pool = stage.database().await?;
    let meter = Meter::start(&pool, stage.server_pid).await?;
    enqueue_all(&pool, (0..u64::from(jobs)).map(Noop::new)).await?;
    let row = meter.stop("bulk", u64::from(jobs), stage.config()).await?;
    pool.close().await;
    Ok(row.beside(floor))
}
