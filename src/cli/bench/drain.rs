//! A backlog is worked off: by a worker, and by the bare statements.

use std::{sync::atomic::Ordering, time::Duration};

use haulage::store::{self, Line, Registration, Settled};
use sqlx::{ConnectOptions, PgConnection, PgPool};
use tokio::sync::mpsc;

use super::{
    measure::Meter,
    report::Row,
    stage::{Stage, drained},
};

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    None,
    /// A million jobs of a kind that nobody handles, at the head of the line.
    Strangers,
    /// One row of the backlog is locked by another session.
    LockedRow,
}

pub(crate) async fn run(stage: &Stage, jobs: u32, obstacle: Obstacle) -> anyhow::Result<Row> {
    let floor = floor(stage, jobs).await?;
    let pool = stage.database().await?;
    if obstacle == Obstacle::Strangers {
        sqlx::raw_sql(include_str!("strangers.sql")).execute(&pool).await?;
    }
    stage.fill(&pool, jobs).await?;
    // Statistics as a running system has them.
    sqlx::raw_sql("ANALYZE haulage.live_jobs").execute(&pool).await?;
    let mut lock = pool.begin().await?;
    let mut wanted = u64::from(jobs);
    if obstacle == Obstacle::LockedRow {
        sqlx::raw_sql("SELECT FROM haulage.live_jobs ORDER BY id LIMIT 1 FOR UPDATE").execute(&mut *lock).await?;
        wanted -= 1;
    }
    let meter = Meter::start(&pool, stage.server_pid).await?;
    let (worker, ran) = stage.worker(&pool).await?;
    while ran.load(Ordering::Relaxed) < wanted {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if obstacle == Obstacle::LockedRow {
        // The last results are settled before the count is taken.
        while sqlx::query_scalar::<_, i64>("SELECT count(*) FROM haulage.live_jobs").fetch_one(&pool).await? > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    } else {
        drained(&pool).await?;
    }
    let name = match obstacle {
        Obstacle::None => "drain",
        Obstacle::Strangers => "strangers",
        Obstacle::LockedRow => "locked",
    };
    let row = meter.stop(name, wanted, stage.config()).await?;
    lock.rollback().await?;
    worker.shutdown().await;
    pool.close().await;
    Ok(row.beside(floor))
}

/// Jobs a claim: what the worker takes at most.
const CLAIM: i32 = 1_000;

/// Jobs a second by the bare statements: one connection claims, another completes what the first has claimed.
async fn floor(stage: &Stage, jobs: u32) -> anyhow::Result<f64> {
    let pool = stage.database().await?;
    stage.fill(&pool, jobs).await?;
    sqlx::raw_sql("ANALYZE haulage.live_jobs").execute(&pool).await?;
    let meter = Meter::start(&pool, stage.server_pid).await?;
    Bare::connect(&pool).await?.work(u64::from(jobs)).await?;
    let row = meter.stop("floor", u64::from(jobs), String::new()).await?;
    pool.close().await;
    Ok(row.jobs_per_s.unwrap_or_default())
}

/// Claims and completes jobs with plain loops. The bound moves as the worker moves it when nothing else runs: to the last
/// position claimed.
pub(crate) struct Bare {
    claimer: PgConnection,
    settler: PgConnection,
    lines: Vec<Line>,
    token: i64,
}

impl Bare {
    pub(crate) async fn connect(pool: &PgPool) -> anyhow::Result<Self> {
        let (mut claimer, settler) = (connect(pool).await?, connect(pool).await?);
        let who = Registration { name: "floor".into(), queues: Vec::new(), slots: Vec::new(), kinds: Vec::new(), lease_ms: 3_600_000 };
        store::register_worker(&mut claimer, 1, &who).await?;
        let lines = (0..4).map(|priority| Line { queue: "default".into(), priority, bound: 0 }).collect();
        Ok(Self { claimer, settler, lines, token: 0 })
    }

    pub(crate) async fn work(&mut self, jobs: u64) -> anyhow::Result<()> {
        let Self { claimer, settler, lines, token } = self;
        let (claimed, mut to_settle) = mpsc::channel::<(i64, Vec<Settled>)>(2);
        let claim = async move {
            let kinds = ["noop".to_owned()];
            let mut left = jobs;
            while left > 0 {
                *token += 1;
                let claim = store::claim_jobs(claimer, *token, 1, &kinds, &["default"], &[CLAIM], lines).await?;
                if claim.jobs.is_empty() {
                    tokio::time::sleep(Duration::from_micros(500)).await;
                    continue;
                }
                left = left.saturating_sub(claim.jobs.len() as u64);
                lines[1].bound = claim.jobs.iter().map(|job| job.pos).max().unwrap_or(lines[1].bound);
                claimed.send((*token, claim.jobs.iter().map(|job| Settled { id: job.id, lease: *token }).collect())).await?;
            }
            anyhow::Ok(())
        };
        let settle = async {
            while let Some((token, attempts)) = to_settle.recv().await {
                store::complete_jobs(&mut *settler, 1, &attempts, &[token], &[]).await?;
            }
            anyhow::Ok(())
        };
        tokio::try_join!(claim, settle)?;
        Ok(())
    }
}

pub(crate) async fn connect(pool: &PgPool) -> anyhow::Result<PgConnection> {
    Ok(store::worker_options(&pool.connect_options(), "floor").connect().await?)
}
