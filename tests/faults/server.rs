//! The private Postgres of a run: crashed, stopped, restarted, on a disk that fills up, and in the end another one, its replica.

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

use crate::{disk::Disk, process::signal, standby::Standby};

/// What it says when its disk is full, and within what time, under load.
pub(crate) const FULL: &str = "No space left on device";
const NOTICED: Duration = Duration::from_secs(10);
/// A server that was killed is back within this time, or the run is void.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Postgres {
    data: PathBuf,
    /// `None` while it is down.
    server: Option<Server>,
    /// Whether there is, or was, a replica.
    pub(crate) followed: bool,
    /// Until it is promoted.
    standby: Option<Standby>,
    /// The last, so that the server ends before it goes.
    disk: Option<Disk>,
    pid_file: PathBuf,
    /// Straight to the server, for whoever breaks and checks.
    pub(crate) pool: PgPool,
    pub(crate) port: u16,
    pub(crate) version: String,
}

pub(crate) async fn start(data: PathBuf) -> anyhow::Result<Server> {
    let mut builder = Server::builder().from_env().data_dir(data).durable(true);
    for (name, value) in [
        // What a crash of the server forgets is in its own buffers, not in the disk's; `fsync` decides only how slow it is.
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("max_wal_size", "256MB"),
        // A replica that was away finds what it has missed, and soon.
        ("wal_keep_size", "256MB"),
        ("wal_retrieve_retry_interval", "200ms"),
    ] {
        builder = builder.setting(name, value);
    }
    Ok(spawn_blocking(move || builder.start()).await??)
}

async fn connect(options: PgConnectOptions) -> anyhow::Result<PgPool> {
    let options = options.application_name("faults");
    Ok(PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(5)).connect_with(options).await?)
}

impl Postgres {
    /// `all`: with a disk that can be filled and a replica that can be promoted, where that can be had.
    pub(crate) async fn start(folder: &Path, all: bool) -> anyhow::Result<Self> {
        let disk = all.then(|| Disk::mount(folder.join("disk"))).flatten();
        let data = disk.as_ref().map_or(folder, Disk::path).join("postgres");
        let server = start(data.clone()).await?;
        let pool = connect(server.url().parse()?).await?;
        let port = pool.connect_options().get_port();
        let version = server.version().to_owned();
        let pid_file = data.join("pg/postmaster.pid");
        let mut postgres = Self { data, server: Some(server), followed: false, standby: None, disk, pid_file, pool, port, version };
        if all {
            postgres.standby = Standby::follow(postgres.data.clone(), &postgres.pool, postgres.url(), folder.join("replica")).await?;
            postgres.followed = postgres.standby.is_some();
        }
        Ok(postgres)
    }

    fn url(&self) -> String {
        self.server.as_ref().map(Server::url).unwrap_or_default().to_owned()
    }

    pub(crate) fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// For a process that connects through the relay at this port.
    pub(crate) fn url_through(&self, port: u16) -> String {
        format!("{}?sslmode=disable", self.url().replace(&format!(":{}/", self.port), &format!(":{port}/")))
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
        self.start_again().await?;
        self.answers().await
    }

    async fn start_again(&mut self) -> anyhow::Result<()> {
        let server = self.server.take();
        // The shell around it ends with it; its status is that of a server that was killed.
        spawn_blocking(move || drop(server)).await?;
        self.server = Some(start(self.data.clone()).await?);
        Ok(())
    }

    /// Its disk is full until it has noticed, and for so long after that. A server that can't write its log ends, and one that can't
    /// recover does not come back by itself.
    pub(crate) async fn fill_disk(&mut self, time: Duration) -> anyhow::Result<bool> {
        let Some(disk) = self.disk.as_ref().filter(|disk| self.data.starts_with(disk.path())) else { return Ok(false) };
        // What is written meanwhile makes it fail.
        if !(0..10).any(|_| disk.fill()) {
            return Ok(false);
        }
        // Pages that the server has room in are used up first.
        let (before, noticed_by) = (self.said(FULL), Instant::now() + NOTICED);
        while self.said(FULL) == before && Instant::now() < noticed_by {
            sleep(Duration::from_millis(50)).await;
        }
        sleep(time).await;
        disk.free();
        let deadline = Instant::now() + PATIENCE;
        while sqlx::query("SELECT 1").execute(&self.pool).await.is_err() {
            anyhow::ensure!(Instant::now() < deadline, "Postgres has not come back after its disk was full");
            if !self.postmaster().is_ok_and(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
                self.start_again().await?;
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(true)
    }

    /// The server dies, and for so long only its replica is there, which takes no writes; then it is promoted. `to` sends everybody to the
    /// port of the replica. Returns whether there is one.
    pub(crate) async fn promote(&mut self, time: Duration, to: impl FnOnce(u16)) -> anyhow::Result<bool> {
        let Some(Standby { server: replica, data }) = self.standby.take() else { return Ok(false) };
        let port = replica.url().parse::<PgConnectOptions>()?.get_port();
        // As its machine would be lost: nothing of it waits for anything.
        let postmaster = self.postmaster()?;
        let children = children_of(postmaster);
        [postmaster].iter().chain(&children).for_each(|process| signal("KILL", *process));
        let lost = self.server.replace(replica);
        spawn_blocking(move || drop(lost)).await?;
        to(port);
        sleep(time).await;
        self.pool = connect((*self.pool.connect_options()).clone().port(port)).await?;
        sqlx::query("SELECT pg_promote()").execute(&self.pool).await?;
        self.port = port;
        self.pid_file = data.join("pg/postmaster.pid");
        self.data = data;
        self.answers().await?;
        Ok(true)
    }

    /// How often its log says so.
    pub(crate) fn said(&self, text: &str) -> u64 {
        let logs = [Some(self.data.join("log")), self.disk.as_ref().map(|disk| disk.path().join("postgres/log"))];
        let mut logs: Vec<PathBuf> = logs.into_iter().flatten().collect();
        logs.dedup();
        logs.iter().filter_map(|log| fs::read(log).ok()).map(|log| String::from_utf8_lossy(&log).matches(text).count() as u64).sum()
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
