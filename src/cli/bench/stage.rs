//! Where scenarios play: a private durable server, a database for each, and the jobs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use haulage::{Job, Worker, WorkerHandle, dev::Server, enqueue_all};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection, PgPool, postgres::PgPoolOptions};

/// A job that does nothing, with args of a usual size: about 150 bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Noop {
    pub(crate) n: u64,
    pub(crate) text: String,
}

impl Job for Noop {
    const KIND: &'static str = "noop";
}

/// A kind that is never enqueued.
#[derive(Debug, Serialize, Deserialize)]
struct Never;

impl Job for Never {
    const KIND: &'static str = "never";
}

impl Noop {
    pub(crate) fn new(n: u64) -> Self {
        Self { n, text: "x".repeat(120) }
    }
}

/// How many no-op jobs have run.
pub(crate) type Ran = Arc<AtomicU64>;

pub(crate) struct Stage {
    server: Server,
    pub(crate) server_pid: Option<u32>,
    pub(crate) concurrency: u32,
    databases: AtomicU32,
}

/// Room for the working set, and no checkpoint in the middle of a scenario.
const SETTINGS: [(&str, &str); 4] =
    [("shared_buffers", "1GB"), ("max_wal_size", "8GB"), ("checkpoint_timeout", "30min"), ("max_connections", "300")];

impl Stage {
    pub(crate) async fn open(concurrency: u32) -> anyhow::Result<Self> {
        let mut builder = Server::builder().from_env().durable(true);
        for (name, value) in SETTINGS {
            builder = builder.setting(name, value);
        }
        let server = tokio::task::spawn_blocking(move || builder.start()).await?.context("could not start a private server")?;
        let mut connection = PgConnection::connect(server.url()).await?;
        let file: String = sqlx::query_scalar("SELECT pg_read_file('postmaster.pid')").fetch_one(&mut connection).await?;
        connection.close().await?;
        let server_pid = file.lines().next().and_then(|line| line.parse().ok());
        Ok(Self { server, server_pid, concurrency, databases: AtomicU32::new(0) })
    }

    pub(crate) fn describe(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        format!("haulage {}, PostgreSQL {}, {cores} cores shared by client and server", env!("CARGO_PKG_VERSION"), self.server.version())
    }

    /// What the rows say of the configuration.
    pub(crate) fn config(&self) -> String {
        let settings = SETTINGS.map(|(name, value)| format!("{name}={value}")).join(" ");
        format!("concurrency={} postgres={} {settings}", self.concurrency, self.server.version())
    }

    /// A fresh database with the schema.
    pub(crate) async fn database(&self) -> anyhow::Result<PgPool> {
        let name = format!("bench_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(self.server.url()).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
        connection.close().await?;
        let pool = PgPoolOptions::new().max_connections(80).connect(&self.server.database_url(&name)).await?;
        haulage::migrate(&pool).await?;
        // Nothing of the scenario before is still being written out.
        sqlx::raw_sql("CHECKPOINT").execute(&pool).await?;
        Ok(pool)
    }

    /// Stores so many no-op jobs.
    pub(crate) async fn fill(&self, pool: &PgPool, jobs: u32) -> anyhow::Result<()> {
        enqueue_all(pool, (0..u64::from(jobs)).map(Noop::new)).await?;
        Ok(())
    }

    /// A worker in its default configuration.
    pub(crate) async fn worker(&self, pool: &PgPool) -> anyhow::Result<(WorkerHandle, Ran)> {
        let ran = Ran::default();
        let count = Arc::clone(&ran);
        let worker = Worker::builder(pool.clone())
            .queue("default", usize::try_from(self.concurrency)?)
            .handle(move |_: Noop| {
                count.fetch_add(1, Ordering::Relaxed);
                async {}
            })
            .build()?;
        Ok((worker.start().await?, ran))
    }

    /// A worker that serves the queue and handles another kind: it sleeps whatever is enqueued.
    pub(crate) async fn sleeper(&self, pool: &PgPool) -> anyhow::Result<WorkerHandle> {
        Ok(Worker::builder(pool.clone()).queue("default", 1).handle(|_: Never| async {}).build()?.start().await?)
    }

    /// Waits until so many workers sleep on their queue: each then holds a shared advisory lock.
    pub(crate) async fn asleep(&self, pool: &PgPool, workers: u32) -> anyhow::Result<()> {
        while sqlx::query_scalar::<_, i64>(include_str!("count_sleepers.sql")).fetch_one(pool).await? < i64::from(workers) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub(crate) fn close(self) -> anyhow::Result<()> {
        self.server.stop().context("the private server did not stop in order")
    }
}

/// Waits until nothing of the kind is unfinished.
pub(crate) async fn drained(pool: &PgPool) -> anyhow::Result<()> {
    while sqlx::query_scalar("SELECT EXISTS (SELECT FROM haulage.live_jobs WHERE kind = 'noop')").fetch_one(pool).await? {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
