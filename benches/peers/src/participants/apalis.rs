//! `apalis` with `apalis-postgres`. A worker fetches a batch, runs it, acknowledges it, and only then fetches again, so two workers in
//! one process do more than one.

use std::{io, ops::Range, time::Duration};

use apalis::prelude::{BackendExt, BoxDynError, TaskBuilder, TaskSink, WorkerBuilder, WorkerError};
use apalis_postgres::{Config, PgTask, PostgresStorage, queries::push_tasks};
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{Aim, Producer, Queue, Running};
use crate::{
    job::{Handler, Noop},
    output,
};

pub(crate) struct Apalis {
    pub(crate) best: bool,
}

pub(crate) const BEST: &str = "2 workers, batch 5000, tasks not locked, poll 10 ms (pickup: 1 worker, pubsub)";

const QUEUE: &str = "noop";

impl Apalis {
    fn storage(&self, pool: &PgPool) -> PostgresStorage<Noop> {
        let config = Config::default().queue(QUEUE);
        PostgresStorage::new(pool).with_config(if self.best { config.batch_size(5_000).lock_tasks(false) } else { config })
    }
}

#[async_trait(?Send)]
impl Queue for Apalis {
    async fn install(&self, database: &str) -> anyhow::Result<()> {
        let pool = PgPool::connect(database).await?;
        PostgresStorage::setup(&pool).await?;
        pool.close().await;
        Ok(())
    }

    async fn producer(&self, database: &str) -> anyhow::Result<Box<dyn Producer>> {
        Ok(Box::new(Direct(PgPoolOptions::new().max_connections(super::PRODUCER_CONNECTIONS).connect(database).await?)))
    }

    async fn usual_producer(&self, database: &str) -> anyhow::Result<Box<dyn Producer>> {
        let pool = PgPoolOptions::new().max_connections(super::PRODUCER_CONNECTIONS).connect(database).await?;
        Ok(Box::new(Sink(self.storage(&pool))))
    }

    async fn start(&self, database: &str, aim: Aim, handler: Handler) -> anyhow::Result<Box<dyn Running>> {
        let storage = self.storage(&PgPool::connect(database).await?);
        let handle = move |job: Noop| {
            handler.handle(&job);
            async { Ok::<(), BoxDynError>(()) }
        };
        // Three types of backend, so three types of worker.
        let workers = match (self.best, aim) {
            (false, _) => vec![started(|stopped| WorkerBuilder::new("peers").backend(storage).build(handle).run_until(stopped))],
            (true, Aim::Throughput) => ["peers-1", "peers-2"]
                .map(|name| {
                    let backend = storage.clone().poll_with_interval(POLL);
                    started(|stopped| WorkerBuilder::new(name).backend(backend).build(handle.clone()).run_until(stopped))
                })
                .into(),
            (true, Aim::Pickup) => {
                vec![started(|stopped| WorkerBuilder::new("peers").backend(storage.with_pubsub()).build(handle).run_until(stopped))]
            }
        };
        Ok(Box::new(workers))
    }

    async fn finished(&self, pool: &PgPool, _: u64) -> anyhow::Result<bool> {
        Ok(sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM apalis.jobs WHERE status IN ('Pending', 'Queued', 'Running'))")
            .fetch_one(pool)
            .await?)
    }
}

const POLL: Duration = Duration::from_millis(10);

/// Starts a worker that runs until the future it is given ends.
fn started<F>(run: impl FnOnce(BoxFuture<'static, io::Result<()>>) -> F) -> Started
where
    F: Future<Output = Result<(), WorkerError>> + Send + 'static,
{
    let (stop, stopped) = oneshot::channel();
    let running = run(Box::pin(async {
        stopped.await.ok();
        Ok(())
    }));
    let task = tokio::spawn(async {
        if let Err(error) = running.await {
            output::remark(&format!("apalis ended: {error}"));
        }
    });
    Started { stop, task }
}

/// Statements of its own, on a connection: no transaction around a single insert.
struct Direct(PgPool);

#[async_trait(?Send)]
impl Producer for Direct {
    async fn enqueue(&self, n: u64) -> anyhow::Result<()> {
        self.enqueue_many(n..n + 1).await
    }

    async fn enqueue_many(&self, numbers: Range<u64>) -> anyhow::Result<()> {
        let tasks = numbers.map(task).collect::<anyhow::Result<_>>()?;
        push_tasks(&mut *self.0.acquire().await?, QUEUE, tasks).await?;
        Ok(())
    }

    fn batch(&self) -> u64 {
        5_000
    }
}

fn task(n: u64) -> anyhow::Result<PgTask> {
    Ok(TaskBuilder::new(serde_json::to_vec(&Noop::new(n))?).build())
}

/// The storage itself, as in its examples.
struct Sink(PostgresStorage<Noop>);

#[async_trait(?Send)]
impl Producer for Sink {
    async fn enqueue(&self, n: u64) -> anyhow::Result<()> {
        self.0.clone().push(Noop::new(n)).await?;
        Ok(())
    }

    async fn enqueue_many(&self, numbers: Range<u64>) -> anyhow::Result<()> {
        self.0.clone().push_bulk(numbers.map(Noop::new).collect()).await?;
        Ok(())
    }

    fn batch(&self) -> u64 {
        5_000
    }
}

struct Started {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

#[async_trait(?Send)]
impl Running for Vec<Started> {
    async fn stop(self: Box<Self>) {
        let (stops, tasks): (Vec<_>, Vec<_>) = self.into_iter().map(|worker| (worker.stop, worker.task)).unzip();
        for stop in stops {
            stop.send(()).ok();
        }
        for task in tasks {
            task.await.ok();
        }
    }
}
