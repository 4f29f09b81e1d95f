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
    bare::{FLOOR, claim, claimer},
    jobs::Timed,
    measure::{Meter, peak_rss_mb},
    process::{Process, now_us},
    report::{Row, percentile},
    stage::{Database, Stage},
};

/// Jobs of the floor and of the pick-up beside it, and the time between them.
const TIMES: u64 = 400;
const EVERY: Duration = Duration::from_millis(50);
/// A steady 50 jobs a second, for a minute: longer than the time between two sweeps.
const STEADY: (u64, Duration) = (3_000, Duration::from_millis(20));
/// A stream, in which workers stay awake and nobody notifies.
const STREAM: (u64, Duration) = (5_000, Duration::from_millis(2));

pub(crate) async fn run(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let database = stage.database().await?;
    let mut floor = floor(&database.pool).await?;
    stage.remove(database).await?;
    floor.sort_by(f64::total_cmp);

    let database = stage.database().await?;
    let mut worker = stage.worker(&database, 1).await?;
    worker.go().await?;
    database.asleep(1).await?;
    let mut row = paced(stage, &database, &mut worker, "pickup", (TIMES, EVERY)).await?;
    let stream = paced(stage, &database, &mut worker, "pickup, 500 jobs/s", STREAM).await?;
    worker.stop().await?;
    stage.remove(database).await?;
    row.floor_p50_ms = percentile(&floor, 50);
    row.ratio_to_floor = row.p50_ms.zip(row.floor_p50_ms).map(|(ours, bare)| ours / bare);
    let (ratio, spread) = (row.ratio_to_floor, row.p99_ms.zip(row.p50_ms).map(|(p99, p50)| p99 / p50));
    Ok(vec![row.at_most("p50 to a bare notification and claim", ratio, 1.2).at_most("p99 to p50", spread, 5.0), stream])
}

/// At a steady 50 jobs a second.
pub(crate) async fn steady(stage: &Stage, database: &Database, worker: &mut Process, name: &str) -> anyhow::Result<Row> {
    paced(stage, database, worker, name, STEADY).await
}

/// Enqueues in time whether or not the worker keeps up: a stall shows in every job that it delays.
async fn paced(
    stage: &Stage,
    database: &Database,
    worker: &mut Process,
    name: &str,
    (jobs, every): (u64, Duration),
) -> anyhow::Result<Row> {
    let meter = Meter::start(&database.pool, stage.server_pid, &[worker.pid()]).await?;
    let mut clock = tokio::time::interval(every);
    let mut answered = Vec::new();
    for n in 0..jobs {
        clock.tick().await;
        Timed { n, text: "x".repeat(120) }.enqueue(&database.pool).await?;
        answered.push(now_us());
    }
    let mut times = Vec::new();
    for _ in 0..jobs {
        let (job, at) = worker.start().await?;
        let Some(answered) = answered.get(usize::try_from(job)?) else { anyhow::bail!("job {job} was started, of {jobs}") };
        times.push(ms(at, *answered));
    }
    let mut row = Row::new(name, jobs, &meter.stop().await?, stage.config()).times(&mut times);
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
            let claimed = claim(&mut claimer, token, FLOOR, 50, &[0; 4]).await?;
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
