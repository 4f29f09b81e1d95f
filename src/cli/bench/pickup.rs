//! From the enqueue's answer to the handler's start, on an idle worker; beside a bare notification and claim.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use haulage::{
    Job,
    store::{self, Settled},
};
use sqlx::{PgPool, postgres::PgListener};

use super::{
    bare::{FLOOR, claim, claimer, lines},
    jobs::Timed,
    measure::{Meter, peak_rss_mb},
    process::{Process, now_us},
    report::{Row, percentile},
    stage::{Database, Stage},
};

const TIMES: u64 = 400;
const EVERY: Duration = Duration::from_millis(50);
/// Jobs a second of the phase with a snapshot: one in this time.
const STEADY: Duration = Duration::from_millis(20);

pub(crate) async fn run(stage: &Stage) -> anyhow::Result<Row> {
    let database = stage.database().await?;
    let mut floor = floor(&database.pool).await?;
    stage.remove(database).await?;
    floor.sort_by(f64::total_cmp);

    let database = stage.database().await?;
    let mut worker = stage.worker(&database, 1).await?;
    worker.go().await?;
    database.asleep(1).await?;
    let mut row = paced(stage, &database, &mut worker, "pickup", EVERY).await?;
    worker.stop().await?;
    stage.remove(database).await?;
    row.floor_p50_ms = percentile(&floor, 50);
    row.ratio_to_floor = row.p50_ms.zip(row.floor_p50_ms).map(|(ours, bare)| ours / bare);
    let (ratio, spread) = (row.ratio_to_floor, row.p99_ms.zip(row.p50_ms).map(|(p99, p50)| p99 / p50));
    Ok(row.at_most("p50 to a bare notification and claim", ratio, 1.2).at_most("p99 to p50", spread, 5.0))
}

/// At a steady 50 jobs a second.
pub(crate) async fn measure(stage: &Stage, database: &Database, worker: &mut Process, name: &str) -> anyhow::Result<Row> {
    paced(stage, database, worker, name, STEADY).await
}

async fn paced(stage: &Stage, database: &Database, worker: &mut Process, name: &str, every: Duration) -> anyhow::Result<Row> {
    let meter = Meter::start(&database.pool, stage.server_pid, &[worker.pid()]).await?;
    let mut times = Vec::new();
    for n in 0..TIMES {
        tokio::time::sleep(every).await;
        Timed { n, text: "x".repeat(120) }.enqueue(&database.pool).await?;
        let answered = now_us();
        let (job, at) = worker.start().await?;
        anyhow::ensure!(job == n, "job {job} was started when job {n} was waited for");
        times.push(ms(at, answered));
    }
    let mut row = Row::new(name, TIMES, &meter.stop().await?, stage.config()).times(&mut times);
    row.jobs_per_s = None;
    row.peak_rss_mb = peak_rss_mb(worker.pid());
    Ok(row)
}

/// Milliseconds from the answer to the start; none if the start came first.
#[expect(clippy::cast_precision_loss, reason = "a time for people")]
fn ms(start_us: u64, answered_us: u64) -> f64 {
    start_us.saturating_sub(answered_us) as f64 / 1e3
}

/// A job and its notification in one statement; a bare listener that claims on it.
async fn floor(pool: &PgPool) -> anyhow::Result<Vec<f64>> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen("haulage_wake").await?;
    let mut claimer = claimer(pool, FLOOR).await?;
    let answered = AtomicU64::new(0);
    let args = serde_json::to_string(&Timed { n: 1, text: "x".repeat(120) })?;
    let produce = async {
        for _ in 0..TIMES {
            tokio::time::sleep(EVERY).await;
            sqlx::query(include_str!("insert_and_notify.sql")).bind(&args).execute(pool).await?;
            answered.store(now_us(), Ordering::Relaxed);
        }
        anyhow::Ok(())
    };
    let consume = async {
        let mut times = Vec::new();
        for token in 1..=i64::try_from(TIMES)? {
            listener.recv().await?;
            let claimed = claim(&mut claimer, token, FLOOR, 50, &lines()).await?;
            let start = now_us();
            // Let the producer note its answer.
            tokio::task::yield_now().await;
            times.push(ms(start, answered.load(Ordering::Relaxed)));
            let attempts: Vec<Settled> = claimed.jobs.iter().map(|job| Settled { id: job.id, lease: token }).collect();
            store::complete_jobs(&mut claimer, FLOOR, &attempts, &[token], &[]).await?;
        }
        anyhow::Ok(times)
    };
    let (_, times) = tokio::try_join!(produce, consume)?;
    Ok(times)
}
