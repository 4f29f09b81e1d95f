//! What a worker process costs that has nothing to do: processor time, statements, memory.

use std::time::Duration;

use sqlx::PgPool;

use super::{
    measure::{Meter, peak_rss_mb},
    report::Row,
    stage::Stage,
};

/// At least so long: this scenario's own look at the server costs some dozen statements.
const LEAST_S: u32 = 60;

pub(crate) async fn run(stage: &Stage, seconds: u32) -> anyhow::Result<Row> {
    let database = stage.database().await?;
    let mut worker = stage.worker(&database, 1).await?;
    worker.go().await?;
    database.asleep(1).await?;
    // Its poll backs off to a second within two.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let statements = transactions(&database.pool).await?;
    let meter = Meter::start(&database.pool, stage.server_pid, &[worker.pid()]).await?;
    tokio::time::sleep(Duration::from_secs(u64::from(seconds.max(LEAST_S)))).await;
    let cost = meter.stop().await?;
    let done = transactions(&database.pool).await? - statements;
    let mut row = Row { scenario: "idle".into(), other_cpu: cost.other_cpu, config: stage.config(), ..Row::default() };
    row.peak_rss_mb = peak_rss_mb(worker.pid());
    worker.stop().await?;
    stage.remove(database).await?;
    row.statements_per_s = Some(done / cost.seconds);
    row.core_percent = cost.client_us.map(|us| us / (cost.seconds * 1e4));
    let (rss, core, statements) = (row.peak_rss_mb, row.core_percent, row.statements_per_s);
    Ok(row.at_most("peak RSS in MB", rss, 15.0).at_most("percent of a core", core, 0.5).at_most("statements a second", statements, 5.0))
}

/// Transactions of the database so far; an idle worker has one statement in each.
async fn transactions(pool: &PgPool) -> anyhow::Result<f64> {
    // A session reports its counters a second after its statement at the latest.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    Ok(sqlx::query_scalar("SELECT xact_commit::double precision FROM pg_stat_database WHERE datname = current_database()")
        .fetch_one(pool)
        .await?)
}
