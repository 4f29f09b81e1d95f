//! Haulage as it comes. There is nothing to tune but the number of slots.

use std::ops::Range;

use anyhow::Context;
use async_trait::async_trait;
use haulage::{Job, Worker, WorkerHandle, enqueue_all};
use sqlx::{PgPool, postgres::PgPoolOptions};

use super::{Aim, Producer, Queue, Running};
use crate::job::{Handler, Noop};

pub(crate) struct Haulage;

const SLOTS: usize = 50;

#[async_trait(?Send)]
impl Queue for Haulage {
    async fn install(&self, database: &str) -> anyhow::Result<()> {
        let pool = PgPool::connect(database).await?;
        haulage::migrate(&pool).await?;
        pool.close().await;
        Ok(())
    }

    async fn producer(&self, database: &str) -> anyhow::Result<Box<dyn Producer>> {
        Ok(Box::new(Client(PgPoolOptions::new().max_connections(super::PRODUCER_CONNECTIONS).connect(database).await?)))
    }

    async fn start(&self, database: &str, _: Aim, handler: Handler) -> anyhow::Result<Box<dyn Running>> {
        let worker = Worker::builder(PgPool::connect(database).await?)
            .queue("default", SLOTS)
            .handle(move |job: Noop| {
                handler.handle(&job);
                async {}
            })
            .build()
            .context("the worker is not complete")?;
        Ok(Box::new(Started(worker.start().await?)))
    }

    async fn finished(&self, pool: &PgPool, _: u64) -> anyhow::Result<bool> {
        Ok(sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM haulage.live_jobs)").fetch_one(pool).await?)
    }
}

struct Client(PgPool);

#[async_trait(?Send)]
impl Producer for Client {
    async fn enqueue(&self, n: u64) -> anyhow::Result<()> {
        Noop::new(n).enqueue(&self.0).await?;
        Ok(())
    }

    async fn enqueue_many(&self, numbers: Range<u64>) -> anyhow::Result<()> {
        enqueue_all(&self.0, numbers.map(Noop::new)).await?;
        Ok(())
    }

    /// It cuts a call into statements by itself.
    fn batch(&self) -> u64 {
        u64::MAX
    }
}

struct Started(WorkerHandle);

#[async_trait(?Send)]
impl Running for Started {
    async fn stop(self: Box<Self>) {
        self.0.shutdown().await;
    }
}
