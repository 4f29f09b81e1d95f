//! Where scenarios play: a private durable server with the settings of `haulage bench`, and a new database for each run.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use haulage::dev::Server;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgPoolOptions};

pub(crate) struct Stage {
    server: Server,
    pub(crate) server_pid: Option<u32>,
    databases: AtomicU32,
}

/// The same as `SETTINGS` in `src/cli/bench/stage.rs`: room for the working set, and no checkpoint in the middle of a scenario.
const SETTINGS: [(&str, &str); 4] =
    [("shared_buffers", "1GB"), ("max_wal_size", "8GB"), ("checkpoint_timeout", "30min"), ("max_connections", "300")];

impl Stage {
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let mut builder = Server::builder().from_env().durable(true);
        for (name, value) in SETTINGS {
            builder = builder.setting(name, value);
        }
        let server = tokio::task::spawn_blocking(move || builder.start()).await?.context("could not start a private server")?;
        let mut connection = PgConnection::connect(server.url()).await?;
        let file: String = sqlx::query_scalar("SELECT pg_read_file('postmaster.pid')").fetch_one(&mut connection).await?;
        connection.close().await?;
        let server_pid = file.lines().next().and_then(|line| line.parse().ok());
        Ok(Self { server, server_pid, databases: AtomicU32::new(0) })
    }

    pub(crate) fn describe(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let settings = SETTINGS.map(|(name, value)| format!("{name}={value}")).join(" ");
        format!("PostgreSQL {} ({settings}), {cores} cores shared by client and server", self.server.version())
    }

    pub(crate) async fn database(&self) -> anyhow::Result<Database> {
        let name = format!("peers_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.command(format!("CREATE DATABASE {name}")).await?;
        let url = self.server.database_url(&name);
        let pool = PgPoolOptions::new().max_connections(4).connect(&url).await?;
        Ok(Database { name, url, pool })
    }

    /// So that nothing vacuums or analyzes it while the next one is measured.
    pub(crate) async fn remove(&self, database: Database) -> anyhow::Result<()> {
        database.pool.close().await;
        self.command(format!("DROP DATABASE {} WITH (FORCE)", database.name)).await
    }

    async fn command(&self, sql: String) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(self.server.url()).await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    pub(crate) fn close(self) -> anyhow::Result<()> {
        self.server.stop().context("the private server did not stop in order")
    }
}

/// One run's database, and connections for our own looks at it.
pub(crate) struct Database {
    name: String,
    pub(crate) url: String,
    pub(crate) pool: PgPool,
}
