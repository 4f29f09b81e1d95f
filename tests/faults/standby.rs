//! A replica that can be promoted. It follows synchronously, so that what was said to be committed is there when it takes over; what was
//! committed without waiting, as claims are, may be forgotten as by a crash.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use haulage::dev::Server;
use sqlx::PgPool;
use tokio::{task::spawn_blocking, time::sleep};

use crate::{basebackup::copy, clock::uptime, server::start};

/// It has caught up within this time.
const PATIENCE: f64 = 30.0;

#[derive(Debug)]
pub(crate) struct Standby {
    pub(crate) server: Server,
    pub(crate) data: PathBuf,
}

impl Standby {
    /// Follows the server whose data this is. `None`: its programs come without `pg_basebackup`.
    pub(crate) async fn follow(primary: PathBuf, pool: &PgPool, url: String, data: PathBuf) -> anyhow::Result<Option<Self>> {
        let programs: String = sqlx::query_scalar("SELECT setting FROM pg_config WHERE name = 'BINDIR'").fetch_one(pool).await?;
        let folder = data.clone();
        if !spawn_blocking(move || copy(&primary, &folder, Path::new(&programs), &url)).await?? {
            return Ok(None);
        }
        let standby = Self { server: start(data.clone()).await?, data };
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
