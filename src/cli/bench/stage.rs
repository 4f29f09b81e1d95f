//! Where scenarios play: a private durable server, a database for each, and worker processes.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::Context;
use haulage::{dev::Server, enqueue_all};
use sqlx::{Connection, PgConnection, PgPool, postgres::PgPoolOptions};

use super::{jobs::Noop, process::Process};

pub(crate) struct Stage {
    server: Server,
    pub(crate) server_pid: Option<u32>,
    pub(crate) concurrency: u32,
    databases: AtomicU32,
}

/// A database with the schema.
pub(crate) struct Database {
    pub(crate) pool: PgPool,
    pub(crate) url: String,
    name: String,
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
        self.config_with(self.concurrency)
    }

    /// The same with so many slots a queue.
    pub(crate) fn config_with(&self, concurrency: u32) -> String {
        let settings = SETTINGS.map(|(name, value)| format!("{name}={value}")).join(" ");
        format!("concurrency={concurrency} postgres={} {settings}", self.server.version())
    }

    /// A fresh database.
    pub(crate) async fn database(&self) -> anyhow::Result<Database> {
        let name = format!("bench_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.on_server(format!("CREATE DATABASE {name}")).await?;
        let url = self.server.database_url(&name);
        let pool = PgPoolOptions::new().max_connections(80).connect(&url).await?;
        haulage::migrate(&pool).await?;
        let database = Database { pool, url, name };
        database.settle_down().await?;
        Ok(database)
    }

    /// Removes a database: the disk need not hold all of them.
    pub(crate) async fn remove(&self, database: Database) -> anyhow::Result<()> {
        database.pool.close().await;
        self.on_server(format!("DROP DATABASE {} WITH (FORCE)", database.name)).await
    }

    async fn on_server(&self, statement: String) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(self.server.url()).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// A worker process in its default configuration, ready to go.
    pub(crate) async fn worker(&self, database: &Database, queues: u32) -> anyhow::Result<Process> {
        self.worker_with(database, self.concurrency, &["--queues", &queues.to_string()]).await
    }

    /// With other options.
    pub(crate) async fn worker_with(&self, database: &Database, concurrency: u32, options: &[&str]) -> anyhow::Result<Process> {
        let concurrency = concurrency.to_string();
        Process::spawn(&[&["bench-worker", "--concurrency", &concurrency], options].concat(), &database.url).await
    }

    pub(crate) fn close(self) -> anyhow::Result<()> {
        self.server.stop().context("the private server did not stop in order")
    }
}

impl Database {
    /// Stores so many no-op jobs.
    pub(crate) async fn fill(&self, jobs: u64) -> anyhow::Result<()> {
        enqueue_all(&self.pool, (0..jobs).map(Noop::new)).await?;
        self.settle_down().await
    }

    /// Statistics as a running system has them, and nothing of what went before still being written out.
    pub(crate) async fn settle_down(&self) -> anyhow::Result<()> {
        sqlx::raw_sql("ANALYZE haulage.live_jobs").execute(&self.pool).await?;
        sqlx::raw_sql("CHECKPOINT").execute(&self.pool).await?;
        Ok(())
    }

    /// Waits until so many workers sleep on their queue: each then holds a shared advisory lock.
    pub(crate) async fn asleep(&self, workers: u32) -> anyhow::Result<()> {
        while sqlx::query_scalar::<_, i64>(include_str!("count_sleepers.sql")).fetch_one(&self.pool).await? < i64::from(workers) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Waits until nothing is claimed: what has run is settled.
    pub(crate) async fn settled(&self) -> anyhow::Result<()> {
        while sqlx::query_scalar("SELECT EXISTS (SELECT FROM haulage.leases)").fetch_one(&self.pool).await? {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}
