//! A backlog is worked off: by a worker process, and by the bare statements.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    bare::{Bare, time_claims},
    measure::{Meter, peak_rss_mb},
    process::Process,
    report::{Row, median},
    stage::{Database, Stage},
};
use crate::cli::output;

/// Short scenarios are run so often, each time beside what they are compared with; the middle one is reported.
pub(crate) const ROUNDS: u32 = 5;
/// Claims that are timed, and the jobs of each.
const CLAIMS: u32 = 200;
const CLAIMED: i32 = 100;

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    None,
    /// A million jobs of a kind that nobody handles, at the head of the line.
    Strangers,
    /// One row of the backlog is locked by another session.
    LockedRow,
    /// The worker gathers what handlers log.
    Logs,
    /// The worker has set up telemetry, and no trace is sampled.
    Unsampled,
}

impl Obstacle {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "drain",
            Self::Strangers => "strangers",
            Self::LockedRow => "locked",
            Self::Logs => "logs",
            Self::Unsampled => "traced, none sampled",
        }
    }

    /// Of the worker.
    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::None | Self::Strangers | Self::LockedRow => &[],
            Self::Logs => &["--logs"],
            Self::Unsampled => &["--unsampled"],
        }
    }
}

/// Whether the time until the first job, in which a worker connects and walks over what stands before the jobs it handles, is a
/// part of what is measured, or told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    Within,
    Apart,
}

/// The plain drain, beside the floor.
pub(crate) async fn plain(stage: &Stage, jobs: u64) -> anyhow::Result<Row> {
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        let floor = floor(stage, jobs).await?;
        rows.push(once(stage, jobs, stage.concurrency, Obstacle::None, Walk::Within).await?.beside(floor));
    }
    Ok(median(rows, |row| row.ratio_to_floor)?.with_drain_figures())
}

/// The drain by a process with a thousand slots: for its memory.
pub(crate) async fn wide(stage: &Stage, jobs: u64) -> anyhow::Result<Row> {
    let mut row = once(stage, jobs, 1_000, Obstacle::None, Walk::Within).await?;
    row.scenario = "drain, 1000 slots".into();
    let rss = row.peak_rss_mb;
    Ok(row.at_most("peak RSS in MB", rss, 40.0))
}

/// The drain with something in its way, beside the drain without; both from the first job on.
pub(crate) async fn hindered(stage: &Stage, jobs: u64, obstacle: Obstacle) -> anyhow::Result<Row> {
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        let empty = once(stage, jobs, stage.concurrency, Obstacle::None, Walk::Apart).await?;
        let mut row = once(stage, jobs, stage.concurrency, obstacle, Walk::Apart).await?;
        row.ratio_to_baseline = row.jobs_per_s.zip(empty.jobs_per_s).map(|(rate, empty)| rate / empty);
        rows.push(row);
    }
    let row = median(rows, |row| row.ratio_to_baseline)?;
    let ratio = row.ratio_to_baseline;
    Ok(row.at_least("ratio to empty", ratio, 0.95))
}

/// What OpenTelemetry costs when it is set up: metrics collected, no trace sampled, beside the same without any of it.
pub(crate) async fn traced(stage: &Stage, jobs: u64) -> anyhow::Result<Row> {
    let (mut rows, mut more_us) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let without = once(stage, jobs, stage.concurrency, Obstacle::None, Walk::Within).await?;
        let mut row = once(stage, jobs, stage.concurrency, Obstacle::Unsampled, Walk::Within).await?;
        row.ratio_to_baseline = row.jobs_per_s.zip(without.jobs_per_s).map(|(rate, without)| rate / without);
        more_us.extend(row.client_cpu_us_per_job.zip(without.client_cpu_us_per_job).map(|(with, without)| with - without));
        rows.push(row);
    }
    let row = median(rows, |row| row.ratio_to_baseline)?;
    if let Ok(more) = median(more_us, |us| Some(*us)) {
        output::remark(&format!("  {}: {more:.2} us of the client's CPU a job more than without", row.scenario));
    }
    let ratio = row.ratio_to_baseline;
    Ok(row.at_least("ratio to without", ratio, 0.95))
}

async fn once(stage: &Stage, jobs: u64, concurrency: u32, obstacle: Obstacle, walk: Walk) -> anyhow::Result<Row> {
    let database = stage.database().await?;
    if obstacle == Obstacle::Strangers {
        sqlx::raw_sql(include_str!("strangers.sql")).execute(&database.pool).await?;
    }
    database.fill(jobs).await?;
    let mut lock = database.pool.begin().await?;
    let mut left = 0;
    if obstacle == Obstacle::LockedRow {
        sqlx::raw_sql("SELECT FROM haulage.live_jobs ORDER BY id LIMIT 1 FOR UPDATE").execute(&mut *lock).await?;
        left = 1;
    }
    let mut worker = stage.worker_with(&database, concurrency, obstacle.options()).await?;
    let mut meter = Meter::start(&database.pool, stage.server_pid, &[worker.pid()]).await?;
    let asked = Instant::now();
    worker.go().await?;
    let mut before = 0;
    if walk == Walk::Apart {
        until(&mut worker, 1).await?;
        before = worker.ran();
        meter = Meter::start(&database.pool, stage.server_pid, &[worker.pid()]).await?;
    }
    let first_job_ms = asked.elapsed().as_secs_f64() * 1e3;
    until(&mut worker, jobs - left).await?;
    database.settled().await?;
    let mut row = Row::new(obstacle.name(), jobs - left - before, &meter.stop().await?, stage.config_with(concurrency));
    row.first_job_ms = (walk == Walk::Apart).then_some(first_job_ms);
    row.peak_rss_mb = peak_rss_mb(worker.pid());
    lock.rollback().await?;
    worker.stop().await?;
    stage.remove(database).await?;
    Ok(row)
}

/// Works off all jobs that the database holds, so many, in so many queues.
pub(crate) async fn work_off(stage: &Stage, database: &Database, name: &str, jobs: u64, queues: u32) -> anyhow::Result<Row> {
    let mut worker = stage.worker(database, queues).await?;
    let meter = Meter::start(&database.pool, stage.server_pid, &[worker.pid()]).await?;
    worker.go().await?;
    until(&mut worker, jobs).await?;
    database.settled().await?;
    let mut row = Row::new(name, jobs, &meter.stop().await?, stage.config());
    row.peak_rss_mb = peak_rss_mb(worker.pid());
    worker.stop().await?;
    Ok(row)
}

/// Works off so many jobs of what the database holds, and times claims on the rest.
pub(crate) async fn stretch(stage: &Stage, database: &Database, name: &str, jobs: u64, round: u32) -> anyhow::Result<Row> {
    let mut worker = stage.worker(database, 1).await?;
    let meter = Meter::start(&database.pool, stage.server_pid, &[worker.pid()]).await?;
    worker.go().await?;
    until(&mut worker, jobs).await?;
    // What has run meanwhile counts too.
    let ran = worker.ran();
    let mut row = Row::new(name, ran, &meter.stop().await?, stage.config());
    row.peak_rss_mb = peak_rss_mb(worker.pid());
    worker.stop().await?;
    Ok(row.times(&mut time_claims(&database.pool, round, CLAIMS, CLAIMED).await?))
}

/// Waits until the worker has run so many jobs.
pub(crate) async fn until(worker: &mut Process, jobs: u64) -> anyhow::Result<()> {
    while worker.ran() < jobs {
        worker.check()?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Jobs a second by the bare statements.
pub(crate) async fn floor(stage: &Stage, jobs: u64) -> anyhow::Result<f64> {
    let database = stage.database().await?;
    database.fill(jobs).await?;
    let meter = Meter::start(&database.pool, stage.server_pid, &[std::process::id()]).await?;
    Bare::connect(&database.pool).await?.work(move |taken| taken < jobs, Arc::default()).await?;
    let row = Row::new("floor", jobs, &meter.stop().await?, String::new());
    stage.remove(database).await?;
    row.jobs_per_s.ok_or_else(|| anyhow::anyhow!("nothing was measured"))
}

impl Row {
    fn with_drain_figures(self) -> Self {
        let (ratio, client) = (self.ratio_to_floor, self.client_cpu_us_per_job);
        self.at_least("ratio to floor", ratio, 0.75).at_most("client's us of CPU a job", client, 5.0)
    }
}
