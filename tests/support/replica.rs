//! A server and a replica that follows it by streaming.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use haulage::dev::Server;
use sqlx::{PgPool, postgres::PgPoolOptions};

use super::{basebackup::copy, eventually};

pub(crate) struct Replicated {
    // In this order they end: the folder of the replica is in that of the primary, which goes with it.
    replica: Option<Server>,
    primary: Server,
    folder: PathBuf,
}

impl Replicated {
    /// A primary with the schema, and a replica of it that gives a query no time when its replay needs what the query reads.
    pub(crate) async fn start() -> Self {
        let start = || Server::builder().from_env().setting("synchronous_commit", "on").start().unwrap();
        let primary = tokio::task::spawn_blocking(start).await.unwrap();
        let pool = PgPool::connect(primary.url()).await.unwrap();
        haulage::migrate(&pool).await.unwrap();
        let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&pool).await.unwrap();
        let programs: String = sqlx::query_scalar("SELECT setting FROM pg_config WHERE name = 'BINDIR'").fetch_one(&pool).await.unwrap();
        pool.close().await;
        let data = Path::new(&data).parent().unwrap();
        let folder = data.join("replica");
        assert!(copy(data, &folder, Path::new(&programs), primary.url()).unwrap(), "there is no pg_basebackup in {programs}");
        let mut replicated = Self { replica: None, primary, folder };
        replicated.start_replica().await;
        replicated
    }

    pub(crate) async fn start_replica(&mut self) {
        let server = Server::builder().from_env().data_dir(&self.folder).durable(false).setting("max_standby_streaming_delay", "0");
        self.replica = Some(tokio::task::spawn_blocking(move || server.start().unwrap()).await.unwrap());
    }

    pub(crate) async fn stop_replica(&mut self) {
        let replica = self.replica.take();
        tokio::task::spawn_blocking(move || drop(replica)).await.unwrap();
    }

    pub(crate) fn primary_url(&self) -> String {
        self.primary.url().to_owned()
    }

    /// The same after a restart.
    pub(crate) fn replica_url(&self) -> String {
        self.replica.as_ref().unwrap().url().to_owned()
    }

    pub(crate) async fn primary(&self) -> PgPool {
        PgPool::connect(&self.primary_url()).await.unwrap()
    }

    /// A pool as `haulage dashboard` has it.
    pub(crate) fn replica(&self) -> PgPool {
        PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_millis(1_500)).connect_lazy(&self.replica_url()).unwrap()
    }
}

/// Waits until the replica has all that the primary has.
pub(crate) async fn caught_up(primary: &PgPool, replica: &PgPool) {
    let end: String = sqlx::query_scalar("SELECT pg_current_wal_insert_lsn()::text").fetch_one(primary).await.unwrap();
    eventually("the replica has all that the primary has", async || {
        let reached = sqlx::query_scalar("SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn");
        reached.bind(&end).fetch_one(replica).await.unwrap()
    })
    .await;
}

/// From here on the replica shows nothing new.
pub(crate) async fn pause(replica: &PgPool) {
    sqlx::query("SELECT pg_wal_replay_pause()").execute(replica).await.unwrap();
    eventually("the replay is paused", async || {
        sqlx::query_scalar("SELECT pg_get_wal_replay_pause_state() = 'paused'").fetch_one(replica).await.unwrap()
    })
    .await;
}

pub(crate) async fn resume(replica: &PgPool) {
    sqlx::query("SELECT pg_wal_replay_resume()").execute(replica).await.unwrap();
}
