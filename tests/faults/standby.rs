//! A replica that can be promoted. It follows synchronously, so that what was said to be committed is there when it takes over; what was
//! committed without waiting, as claims are, may be forgotten as by a crash.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::{fs::MetadataExt, fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context;
use sqlx::PgPool;
use tokio::{task::spawn_blocking, time::sleep};

use crate::clock::uptime;

/// Ends the server when we are gone, however that comes: then nobody holds the other end of its standard input any more.
const SCRIPT: &str = r#"exec 3<&0; "$@" </dev/null 3<&- & server=$!; (read -r _ <&3; kill -INT "$server") & wait "$server""#;
/// It has caught up within this time.
const PATIENCE: f64 = 30.0;

#[derive(Debug)]
pub(crate) struct Standby {
    shell: Child,
    /// Its folder is made as that of a private server, so that it can be started as one later.
    pub(crate) data: PathBuf,
    pub(crate) port: u16,
}

impl Standby {
    /// Follows the server whose data this is. `None`: its programs come without `pg_basebackup`.
    pub(crate) async fn follow(primary: &Path, postmaster: u32, pool: &PgPool, url: &str, data: PathBuf) -> anyhow::Result<Option<Self>> {
        let programs = fs::read_link(format!("/proc/{postmaster}/exe"))?.parent().context("a program without a folder")?.to_owned();
        if !programs.join("pg_basebackup").exists() {
            return Ok(None);
        }
        let owner = fs::metadata(primary.join("pg"))?;
        let (uid, gid) = (owner.uid(), owner.gid());
        let as_owner = move |program: &Path| {
            let mut command = Command::new(program);
            command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
            if uid != fs::metadata("/proc/self").map_or(uid, |own| own.uid()) {
                command.uid(uid).gid(gid);
            }
            command
        };
        fs::create_dir(&data)?;
        fs::copy(primary.join("password"), data.join("password"))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        fs::write(data.join("port"), format!("{port}\n"))?;
        let log = File::create(data.join("log"))?;
        for path in [data.clone(), data.join("password"), data.join("port"), data.join("log")] {
            chown(path, Some(uid), Some(gid))?;
        }
        let mut copy = as_owner(&programs.join("pg_basebackup"));
        copy.args(["-R", "-N", "-X", "stream", "-c", "fast", "-d", url, "-D"]).arg(data.join("pg")).stderr(log.try_clone()?);
        let copied = spawn_blocking(move || copy.status()).await??;
        anyhow::ensure!(copied.success(), "pg_basebackup failed: see {}", data.join("log").display());

        let mut server = as_owner(Path::new("/bin/sh"));
        server.args(["-c", SCRIPT, "standby"]).arg(programs.join("postgres")).arg("-D").arg(data.join("pg"));
        let port_setting = format!("port={port}");
        for setting in [
            "listen_addresses=127.0.0.1",
            &port_setting,
            "unix_socket_directories=",
            "max_connections=200",
            "fsync=off",
            "full_page_writes=off",
            "wal_retrieve_retry_interval=200ms",
        ] {
            server.args(["-c", setting]);
        }
        let shell = server.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).process_group(0).spawn()?;
        let standby = Self { shell, data, port };
        standby.synchronous(pool).await?;
        Ok(Some(standby))
    }

    /// From now on a COMMIT waits for it.
    async fn synchronous(&self, pool: &PgPool) -> anyhow::Result<()> {
        let deadline = uptime() + PATIENCE;
        let standing = async |state: &str| {
            let there = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = $1)";
            while !sqlx::query_scalar::<_, bool>(there).bind(state).fetch_one(pool).await? {
                anyhow::ensure!(uptime() < deadline, "the replica does not follow: see {}", self.data.join("log").display());
                sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        };
        standing("async").await?;
        sqlx::query("ALTER SYSTEM SET synchronous_standby_names = '*'").execute(pool).await?;
        sqlx::query("SELECT pg_reload_conf()").execute(pool).await?;
        standing("sync").await
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().ok();
    }
}
