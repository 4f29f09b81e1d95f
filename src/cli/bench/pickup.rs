//! From the enqueue's answer to the handler's start, on an idle worker; beside a bare notification and claim.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use haulage::{
    Job, Worker,
    store::{self, Line, Registration, Settled},
};
use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::mpsc;

use super::{
    drain::connect,
    measure::Meter,
    report::{Row, percentile},
    stage::{Noop, Stage},
};

const TIMES: u32 = 200;
const EVERY: Duration = Duration::from_millis(50);

pub(crate) async fn run(stage: &Stage) -> anyhow::Result<Row> {
    let mut floor = floor(&stage.database().await?).await?;
    floor.sort_by(f64::total_cmp);
    let pool = stage.database().await?;
    let (started, mut starts) = mpsc::unbounded_channel();
    let worker = Worker::builder(pool.clone())
        .queue("default", usize::try_from(stage.concurrency)?)
        .handle(move |_: Noop| {
            // The receiver ends after the worker.
            started.send(Instant::now()).ok();
            async {}
        })
        .build()?
        .start()
        .await?;
    stage.asleep(&pool, 1).await?;
    let meter = Meter::start(&pool, stage.server_pid).await?;
    let mut times = Vec::new();
    for n in 0..TIMES {
        tokio::time::sleep(EVERY).await;
        Noop::new(u64::from(n)).enqueue(&pool).await?;
        let answered = Instant::now();
        let start = starts.recv().await.ok_or_else(|| anyhow::anyhow!("the worker has gone"))?;
        times.push(start.saturating_duration_since(answered).as_secs_f64() * 1e3);
    }
    let mut row = meter.stop("pickup", u64::from(TIMES), stage.config()).await?.times(&mut times);
    row.jobs_per_s = None;
    row.floor_p50_ms = percentile(&floor, 50);
    row.ratio_to_floor = row.p50_ms.zip(row.floor_p50_ms).map(|(ours, bare)| ours / bare);
    worker.shutdown().await;
    pool.close().await;
    Ok(row)
}

/// A job and its notification in one statement; a bare listener that claims on it.
async fn floor(pool: &PgPool) -> anyhow::Result<Vec<f64>> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen("haulage_wake").await?;
    let mut claimer = connect(pool).await?;
    let who = Registration { name: "floor".into(), queues: Vec::new(), slots: Vec::new(), kinds: Vec::new(), lease_ms: 3_600_000 };
    store::register_worker(&mut claimer, 1, &who).await?;
    let sent = Arc::new(Mutex::new(Instant::now()));
    let args = serde_json::to_string(&Noop::new(1))?;
    let produce = async {
        for _ in 0..TIMES {
            tokio::time::sleep(EVERY).await;
            sqlx::query(include_str!("insert_and_notify.sql")).bind(&args).execute(pool).await?;
            *sent.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        anyhow::Ok(())
    };
    let consume = async {
        let lines: Vec<Line> = (0..4).map(|priority| Line { queue: "default".into(), priority, bound: 0 }).collect();
        let mut times = Vec::new();
        for token in 1..=i64::from(TIMES) {
            listener.recv().await?;
            let claim = store::claim_jobs(&mut claimer, token, 1, &["noop".to_owned()], &["default"], &[50], &lines).await?;
            let answered = *sent.lock().unwrap_or_else(PoisonError::into_inner);
            times.push(Instant::now().saturating_duration_since(answered).as_secs_f64() * 1e3);
            let attempts: Vec<Settled> = claim.jobs.iter().map(|job| Settled { id: job.id, lease: token }).collect();
            store::complete_jobs(&mut claimer, 1, &attempts, &[token], &[]).await?;
        }
        anyhow::Ok(times)
    };
    let (_, times) = tokio::try_join!(produce, consume)?;
    Ok(times)
}
