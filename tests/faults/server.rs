//! The private Postgres of a run: crashed, stopped, restarted.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use haulage::dev::Server;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::process::signal;

/// A server that was killed is back within this time, or the run is void.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Postgres {
    data: PathBuf,
    /// `None` while it is down.
    server: Option<Server>,
    pid_file: PathBuf,
    /// Straight to the server, for whoever breaks and checks.
    pub(crate) pool: PgPool,
    pub(crate) port: u16,
    pub(crate) version: String,
}

async fn start(data: PathBuf) -> anyhow::Result<Server> {
    // What a crash of the server forgets is in its own buffers, not in the disk's; `fsync` decides only how slow it is.
    let builder = Server::builder().from_env().data_dir(data).durable(true).setting("fsync", "off").setting("full_page_writes", "off");
    Ok(spawn_blocking(move || builder.start()).await??)
}

impl Postgres {
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let data = folder.join("postgres");
        let server = start(data.clone()).await?;
        let options = server.url().parse::<PgConnectOptions>()?.application_name("faults");
        let pool = PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(5)).connect_with(options).await?;
        let folder: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&pool).await?;
        let port = pool.connect_options().get_port();
        Ok(Self {
            data,
            pid_file: Path::new(&folder).join("postmaster.pid"),
            pool,
            port,
            version: server.version().to_owned(),
            server: Some(server),
        })
    }

    /// For a process that connects through the relay at this port.
    pub(crate) fn url_through(&self, port: u16) -> String {
        let url = self.server.as_ref().map(Server::url).unwrap_or_default();
        format!("{}?sslmode=disable", url.replace(&format!(":{}/", self.port), &format!(":{port}/")))
    }

    fn postmaster(&self) -> anyhow::Result<u32> {
        let text = fs::read_to_string(&self.pid_file)?;
        text.lines().next().and_then(|line| line.trim().parse().ok()).context("postmaster.pid holds no number")
    }

    /// One of its processes dies, and the server restarts itself: all its shared memory is lost, and with it what was not yet flushed.
    pub(crate) async fn crash(&self) -> anyhow::Result<()> {
        let victim: i32 = sqlx::query_scalar(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1",
        )
        .fetch_one(&self.pool)
        .await?;
        signal("KILL", u32::try_from(victim)?);
        self.answers().await
    }

    /// `pg_ctl restart -m immediate`.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        signal("QUIT", self.postmaster()?);
        let server = self.server.take();
        // The shell around it ends with it; its status is that of a server that was killed.
        spawn_blocking(move || drop(server)).await?;
        self.server = Some(start(self.data.clone()).await?);
        self.answers().await
    }

    /// All its processes stand still for so long.
    pub(crate) async fn pause(&self, time: Duration) -> anyhow::Result<()> {
        let postmaster = self.postmaster()?;
        signal("STOP", postmaster);
        let children = children_of(postmaster);
        children.iter().for_each(|child| signal("STOP", *child));
        sleep(time).await;
        children.iter().for_each(|child| signal("CONT", *child));
        signal("CONT", postmaster);
        self.answers().await
    }

    /// Waits until it takes connections.
    pub(crate) async fn answers(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match sqlx::query("SELECT 1").execute(&self.pool).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error).context("Postgres has not come back"),
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

fn children_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in brackets, which may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
