//! The floor: the statements of the engine driven by plain loops, without the runtime.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use haulage::{
    Job,
    store::{self, Claim, Kinds, Registration, Request, Settled},
};
use sqlx::{ConnectOptions, PgConnection, PgPool};
use tokio::sync::mpsc;

use super::jobs::{Noop, Timed};

/// Jobs a claim: what a worker takes at most.
const CLAIM: i32 = 1_000;
/// Ids of the workers that these loops claim for; the rounds of one database have one each.
pub(crate) const FLOOR: i64 = 1;
const TIMER: i64 = 2;

/// One connection claims, another completes what the first has claimed. The bound moves as a worker moves it when nothing else
/// runs: to the last position claimed.
pub(crate) struct Bare {
    claimer: PgConnection,
    settler: PgConnection,
    bounds: Bounds,
}

/// Of the four lines of the queue "default".
pub(crate) type Bounds = [i64; 4];

impl Bare {
    pub(crate) async fn connect(pool: &PgPool) -> anyhow::Result<Self> {
        Ok(Self { claimer: claimer(pool, FLOOR).await?, settler: connect(pool).await?, bounds: [0; 4] })
    }

    /// Claims and completes until so many jobs are claimed, counted in `done` as they complete; each half is a task, as in a worker.
    pub(crate) async fn work(self, until: impl Fn(u64) -> bool + Send + 'static, done: Arc<AtomicU64>) -> anyhow::Result<()> {
        let Self { mut claimer, mut settler, mut bounds } = self;
        let (claimed, mut to_settle) = mpsc::channel::<(i64, Vec<Settled>)>(2);
        let settle = tokio::spawn(async move {
            while let Some((token, attempts)) = to_settle.recv().await {
                store::complete_jobs(&mut settler, FLOOR, &attempts, &[token], &[]).await?;
                done.fetch_add(attempts.len() as u64, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
        let claim_all = tokio::spawn(async move {
            let (mut taken, mut token) = (0, 0);
            while until(taken) {
                token += 1;
                let claim = claim(&mut claimer, token, FLOOR, CLAIM, &bounds).await?;
                if claim.jobs.is_empty() {
                    tokio::time::sleep(Duration::from_micros(500)).await;
                    continue;
                }
                taken += claim.jobs.len() as u64;
                bounds[1] = claim.jobs.iter().map(|job| job.pos).max().unwrap_or(bounds[1]);
                claimed.send((token, claim.jobs.iter().map(|job| Settled { id: job.id, lease: token }).collect())).await?;
            }
            anyhow::Ok(())
        });
        claim_all.await??;
        settle.await?
    }
}

/// How long claims of so many jobs take, in ms. The jobs stay claimed.
pub(crate) async fn time_claims(pool: &PgPool, round: u32, claims: u32, want: i32) -> anyhow::Result<Vec<f64>> {
    let timer = TIMER + i64::from(round);
    let (mut connection, mut bounds) = (claimer(pool, timer).await?, [0; 4]);
    let tokens = i64::MAX - timer * i64::from(claims);
    let mut times = Vec::new();
    for token in 0..i64::from(claims) {
        let started = Instant::now();
        let claim = claim(&mut connection, tokens - token, timer, want, &bounds).await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        bounds[1] = claim.jobs.iter().map(|job| job.pos).max().unwrap_or(bounds[1]);
    }
    Ok(times)
}

/// One claim on the queue "default".
pub(crate) async fn claim(connection: &mut PgConnection, token: i64, worker: i64, want: i32, bounds: &Bounds) -> anyhow::Result<Claim> {
    let kinds = [Noop::KIND, Timed::KIND].map(|kind| (kind.to_owned(), 0)).into_iter().collect();
    let request = Request { token, worker, kinds: &kinds, queues: &["default"], wants: &[want], bounds, exempt: 0, in_turn: &[false] };
    Ok(store::claim_jobs(connection, &request).await?)
}

/// A connection that may claim as this worker, which must not be registered yet.
pub(crate) async fn claimer(pool: &PgPool, worker: i64) -> anyhow::Result<PgConnection> {
    let mut connection = connect(pool).await?;
    let who = Registration { name: "floor".into(), queues: Vec::new(), slots: Vec::new(), kinds: Kinds::default(), lease_ms: 3_600_000 };
    store::register_worker(&mut connection, worker, &who, None).await?;
    Ok(connection)
}

async fn connect(pool: &PgPool) -> anyhow::Result<PgConnection> {
    Ok(store::worker_options(&pool.connect_options(), "floor").connect().await?)
}
