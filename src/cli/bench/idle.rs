//! What a worker costs that has nothing to do: processor time, statements, memory.

use std::time::Duration;

use sqlx::PgPool;

use super::{
    measure::{self, Meter},
    report::Row,
    stage::Stage,
};

pub(crate) async fn run(stage: &Stage, seconds: u32) -> anyhow::Result<Row> {
    let pool = stage.database().await?;
    let (worker, _) = stage.worker(&pool).await?;
    stage.asleep(&pool, 1).await?;
    // Its poll backs off to a second within two.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (before, statements) = (measure::client_us(), transactions(&pool).await?);
    let meter = Meter::start(&pool, stage.server_pid).await?;
    tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await;
    let mut row = meter.stop("idle", 0, stage.config()).await?;
    let done = transactions(&pool).await? - statements;
    worker.shutdown().await;
    pool.close().await;
    row.statements_per_s = Some(done / f64::from(seconds));
    row.core_percent = measure::client_us().zip(before).map(|(now, before)| (now - before) / (f64::from(seconds) * 1e4));
    (row.jobs_per_s, row.client_cpu_us_per_job, row.server_cpu_us_per_job, row.wal_bytes_per_job) = (None, None, None, None);
    Ok(row)
}

/// Transactions of the database so far; an idle worker has one statement in each.
async fn transactions(pool: &PgPool) -> anyhow::Result<f64> {
    // A session reports its counters a second after its statement at the latest.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    Ok(sqlx::query_scalar("SELECT xact_commit::double precision FROM pg_stat_database WHERE datname = current_database()")
        .fetch_one(pool)
        .await?)
}
