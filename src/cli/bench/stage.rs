//! Where scenarios play: a private durable server or one that is named, a database for each, and worker processes.

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::Context;
use haulage::{dev::Server, enqueue_all};
use sqlx::{
    ConnectOptions, Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{jobs::Noop, process::Process};
use crate::cli::connect;

pub(crate) struct Stage {
    /// None if the server is somebody's.
    private: Option<Server>,
    options: PgConnectOptions,
    version: String,
    settings: String,
    /// Its main process, where that runs on this machine: for its processor time.
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
    /// Starts a private server, or takes the one at this URL.
    pub(crate) async fn open(concurrency: u32, server: Option<&str>) -> anyhow::Result<Self> {
        let (private, options) = match server {
            Some(url) => (None, connect::options(url)?),
            None => {
                let server = start().await?;
                let options = connect::options(server.url())?;
                (Some(server), options)
            }
        };
        let mut connection = options.connect().await.with_context(|| format!("can't connect to {}", connect::place(&options)))?;
        let (version, settings): (String, String) = sqlx::query_as(include_str!("describe_server.sql")).fetch_one(&mut connection).await?;
        let file: String =
            sqlx::query_scalar("SELECT pg_read_file('postmaster.pid')").fetch_one(&mut connection).await.with_context(|| {
                format!("the user at {} must be a superuser, who may make databases and checkpoints", connect::place(&options))
            })?;
        connection.close().await?;
        let server_pid = file.lines().next().and_then(|line| line.parse().ok()).filter(|pid| private.is_some() || is_postgres(*pid));
        Ok(Self { private, options, version, settings, server_pid, concurrency, databases: AtomicU32::new(0) })
    }

    pub(crate) fn describe(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = if self.server_pid.is_some() { "shared by client and server" } else { "for the client" };
        format!("haulage {}, PostgreSQL {}, {cores} cores {shared}", env!("CARGO_PKG_VERSION"), self.version)
    }

    /// What the rows say of the configuration.
    pub(crate) fn config(&self) -> String {
        self.config_with(self.concurrency)
    }

    /// The same with so many slots a queue.
    pub(crate) fn config_with(&self, concurrency: u32) -> String {
        format!("concurrency={concurrency} postgres={} {}", self.version, self.settings)
    }

    /// A fresh database.
    pub(crate) async fn database(&self) -> anyhow::Result<Database> {
        // A run that was killed may have left some on a server that is not private.
        let name = format!("haulage_bench_{}_{}", std::process::id(), self.databases.fetch_add(1, Ordering::Relaxed));
        self.on_server(format!("CREATE DATABASE {name}")).await?;
        let options = self.options.clone().database(&name);
        let url = options.to_url_lossy().into();
        let pool = PgPoolOptions::new().max_connections(80).connect_with(options).await?;
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
        let mut connection = self.options.connect().await?;
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
        self.private.map_or(Ok(()), Server::stop).context("the private server did not stop in order")
    }
}

async fn start() -> anyhow::Result<Server> {
    let mut builder = Server::builder().from_env().durable(true);
    for (name, value) in SETTINGS {
        builder = builder.setting(name, value);
    }
    tokio::task::spawn_blocking(move || builder.start()).await?.context("could not start a private server")
}

/// Whether it is a server's process: on another machine the number is somebody else's here, or nobody's.
fn is_postgres(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "postgres")
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
