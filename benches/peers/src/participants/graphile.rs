//! `graphile_worker`, the port to Rust. Its local queue and its batched completions are off unless asked for; without a local queue
//! it starts at most as many jobs as its concurrency each time it polls.

use std::{ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use graphile_worker::{JobSpec, LocalQueueConfig, Worker, WorkerOptions, WorkerUtils};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::task::JoinHandle;

use super::{Aim, Producer, Queue, Running};
use crate::{
    job::{Handler, Noop},
    output,
};

/// Without tuning: its defaults.
pub(crate) struct Graphile(pub(crate) Option<Tuning>);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    concurrency: usize,
    /// How many local queues there are, and how many jobs each takes.
    local_queues: (usize, usize),
    pub(crate) describe: &'static str,
}

/// As the crate's own `perf_test`.
pub(crate) const WIDE: Tuning =
    Tuning { concurrency: 500, local_queues: (1, 5_000), describe: "concurrency 500, local queue 5000, completions each 5 ms, poll 5 ms" };
/// As the `perfTest` of the Node original.
pub(crate) const NARROW: Tuning =
    Tuning { concurrency: 24, local_queues: (1, 500), describe: "concurrency 24, local queue 500, completions each 5 ms, poll 5 ms" };
/// What we found to drain fastest on two cores: one local queue fetches while the other is worked off.
pub(crate) const TWIN: Tuning = Tuning {
    concurrency: 24,
    local_queues: (2, 2_000),
    describe: "concurrency 24, 2 local queues of 2000, completions each 5 ms, poll 5 ms",
};

const SCHEMA: &str = "graphile_worker";

#[async_trait(?Send)]
impl Queue for Graphile {
    async fn install(&self, database: &str) -> anyhow::Result<()> {
        let pool = PgPool::connect(database).await?;
        WorkerUtils::new(pool.clone(), SCHEMA).migrate().await?;
        pool.close().await;
        Ok(())
    }

    async fn producer(&self, database: &str) -> anyhow::Result<Box<dyn Producer>> {
        let pool = PgPoolOptions::new().max_connections(super::PRODUCER_CONNECTIONS).connect(database).await?;
        Ok(Box::new(Client(WorkerUtils::new(pool, SCHEMA))))
    }

    async fn start(&self, database: &str, _: Aim, handler: Handler) -> anyhow::Result<Box<dyn Running>> {
        let mut options = WorkerOptions::default().schema(SCHEMA).add_extension(handler).define_job::<Noop>();
        options = match self.0 {
            None => options.database_url(database),
            Some(tuning) => options
                .pg_pool(PgPoolOptions::new().max_connections(super::WORKER_CONNECTIONS).connect(database).await?)
                .concurrency(tuning.concurrency)
                .local_queue(LocalQueueConfig::default().with_queue_count(tuning.local_queues.0).with_size(tuning.local_queues.1))
                .complete_job_batch_delay(Duration::from_millis(5))
                .poll_interval(Duration::from_millis(5)),
        };
        let worker = Arc::new(options.init().await?);
        let runs = Arc::clone(&worker);
        let task = tokio::spawn(async move {
            if let Err(error) = runs.run().await {
                output::remark(&format!("graphile_worker ended: {error}"));
            }
        });
        Ok(Box::new(Started { worker, task }))
    }

    /// Finished jobs are deleted.
    async fn finished(&self, pool: &PgPool, _: u64) -> anyhow::Result<bool> {
        Ok(sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM graphile_worker._private_jobs)").fetch_one(pool).await?)
    }
}

struct Client(WorkerUtils);

#[async_trait(?Send)]
impl Producer for Client {
    async fn enqueue(&self, n: u64) -> anyhow::Result<()> {
        self.0.add_job(Noop::new(n), JobSpec::default()).await?;
        Ok(())
    }

    async fn enqueue_many(&self, numbers: Range<u64>) -> anyhow::Result<()> {
        let spec = JobSpec::default();
        let jobs: Vec<_> = numbers.map(|n| (Noop::new(n), &spec)).collect();
        self.0.add_jobs(&jobs).await?;
        Ok(())
    }

    fn batch(&self) -> u64 {
        1_000
    }
}

struct Started {
    worker: Arc<Worker>,
    task: JoinHandle<()>,
}

#[async_trait(?Send)]
impl Running for Started {
    async fn stop(self: Box<Self>) {
        self.worker.request_shutdown();
        self.task.await.ok();
    }
}
