//! `awa` on its queue-storage engine, which is the default of a new database once it is activated.

use std::{ops::Range, time::Duration};

use async_trait::async_trait;
use awa::{Client, InsertOpts, InsertParams, JobResult, QueueConfig, QueueStorage, QueueStorageConfig, model::insert::params};
use sqlx::PgPool;
use sqlx_for_awa::{PgPool as AwaPool, postgres::PgPoolOptions};

use super::{Aim, Producer, Queue, Running};
use crate::job::{Handler, Noop};

pub(crate) struct Awa {
    pub(crate) best: bool,
}

pub(crate) const BEST: &str = "1024 workers, 2 claimers, claims of 512, 4 shards, no deadlines, COPY";

const QUEUE: &str = "default";

#[async_trait(?Send)]
impl Queue for Awa {
    async fn install(&self, database: &str) -> anyhow::Result<()> {
        let pool = AwaPool::connect(database).await?;
        awa::migrations::run(&pool).await?;
        // The first worker would do it; but jobs that are stored before it starts would land on the old engine.
        storage()?.install(&pool).await?;
        if self.best {
            sqlx_for_awa::query("INSERT INTO awa.queue_meta (queue, enqueue_shards) VALUES ($1, 4)").bind(QUEUE).execute(&pool).await?;
        }
        pool.close().await;
        Ok(())
    }

    async fn producer(&self, database: &str) -> anyhow::Result<Box<dyn Producer>> {
        Ok(Box::new(Copying { pool: connect(database, super::PRODUCER_CONNECTIONS).await?, storage: storage()? }))
    }

    async fn usual_producer(&self, database: &str) -> anyhow::Result<Box<dyn Producer>> {
        Ok(Box::new(Inserting(connect(database, super::PRODUCER_CONNECTIONS).await?)))
    }

    async fn start(&self, database: &str, _: Aim, handler: Handler) -> anyhow::Result<Box<dyn Running>> {
        let (pool, config) = if self.best {
            let config = QueueConfig {
                max_workers: 1_024,
                // One claims while the other waits for its answer.
                claimers: 2,
                claim_batch_size: 512,
                // Its own benchmark does without deadlines, too: its cheap way to claim and complete is for jobs that have none.
                deadline_duration: Duration::ZERO,
                poll_interval: Duration::from_millis(50),
                ..QueueConfig::default()
            };
            (connect(database, super::WORKER_CONNECTIONS).await?, config)
        } else {
            (AwaPool::connect(database).await?, QueueConfig::default())
        };
        let client = Client::builder(pool)
            .queue(QUEUE, config)
            .register::<Noop, _, _>(move |job, _| {
                handler.handle(&job);
                async { Ok(JobResult::Completed) }
            })
            .build()?;
        client.start().await?;
        Ok(Box::new(Started(client)))
    }

    /// Completions are rows of batches without deadlines, and rows of jobs with them.
    async fn finished(&self, pool: &PgPool, stored: u64) -> anyhow::Result<bool> {
        let done: i64 = sqlx::query_scalar(
            "SELECT coalesce((SELECT sum(completed_count) FROM awa.receipt_completion_batches), 0)::bigint
                  + (SELECT count(*) FROM awa.done_entries)
                  + coalesce((SELECT sum(pruned_completed_count) FROM awa.queue_terminal_rollups), 0)::bigint",
        )
        .fetch_one(pool)
        .await?;
        Ok(done >= i64::try_from(stored)?)
    }
}

async fn connect(database: &str, connections: u32) -> anyhow::Result<AwaPool> {
    Ok(PgPoolOptions::new().max_connections(connections).connect(database).await?)
}

fn storage() -> anyhow::Result<QueueStorage> {
    Ok(QueueStorage::new(QueueStorageConfig::default())?)
}

/// Right into the queue-storage tables: COPY, and a statement for a single job.
struct Copying {
    pool: AwaPool,
    storage: QueueStorage,
}

#[async_trait(?Send)]
impl Producer for Copying {
    async fn enqueue(&self, n: u64) -> anyhow::Result<()> {
        // `insert` fails when 16 connections at once are the first to use the shards: "unique conflict".
        self.storage.enqueue_params_batch(&self.pool, &rows(n..n + 1)?).await?;
        Ok(())
    }

    async fn enqueue_many(&self, numbers: Range<u64>) -> anyhow::Result<()> {
        self.storage.enqueue_params_copy(&self.pool, &rows(numbers)?).await?;
        Ok(())
    }

    fn batch(&self) -> u64 {
        100_000
    }
}

fn rows(numbers: Range<u64>) -> anyhow::Result<Vec<InsertParams>> {
    Ok(numbers.map(|n| params(&Noop::new(n))).collect::<Result<_, _>>()?)
}

/// The functions that its guide shows.
struct Inserting(AwaPool);

#[async_trait(?Send)]
impl Producer for Inserting {
    async fn enqueue(&self, n: u64) -> anyhow::Result<()> {
        awa::insert_with(&self.0, &Noop::new(n), InsertOpts::default()).await?;
        Ok(())
    }

    async fn enqueue_many(&self, numbers: Range<u64>) -> anyhow::Result<()> {
        awa::insert_many(&self.0, &rows(numbers)?).await?;
        Ok(())
    }

    fn batch(&self) -> u64 {
        1_000
    }
}

struct Started(Client);

#[async_trait(?Send)]
impl Running for Started {
    async fn stop(self: Box<Self>) {
        self.0.shutdown(Duration::from_secs(10)).await;
    }
}
