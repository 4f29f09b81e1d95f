//! Debian's pgbouncer between a worker and the server.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use haulage::{Job, JobState, RunError, WorkerHandle};
use sqlx::{PgPool, postgres::PgPoolOptions, postgres::PgSslMode};

use crate::support::{Count, database, eventually, wait_for_state, worker};

/// A running pgbouncer; ends with this value.
struct Pgbouncer {
    process: Child,
    folder: PathBuf,
    pool: PgPool,
}

impl Pgbouncer {
    /// Before the server of the pool. `mode`: its pool_mode. `ignored`: what of a connection's start it drops instead of refusing it.
    async fn start(server: &PgPool, mode: &str, ignored: &str) -> Self {
        let options = server.connect_options();
        let folder = std::env::temp_dir().join(format!("haulage-pgbouncer-{:08x}", rand::random::<u32>()));
        fs::create_dir(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {folder}/users\npool_mode = {mode}\ndefault_pool_size = 20\nignore_startup_parameters = {ignored}\n",
            options.get_host(),
            options.get_port(),
            folder = folder.display(),
        );
        fs::write(folder.join("config"), config).unwrap();
        fs::write(folder.join("users"), format!("\"{}\" \"{}\"\n", options.get_username(), password(server))).unwrap();
        let mut command = Command::new("pgbouncer");
        // It does not run as root.
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        if root {
            assert!(Command::new("chown").arg("-R").arg("postgres").arg(&folder).status().unwrap().success());
            command.args(["-u", "postgres"]);
        }
        let log = fs::File::create(folder.join("log")).unwrap();
        let process = command.arg(folder.join("config")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let options = (*options).clone().host("127.0.0.1").port(port).ssl_mode(PgSslMode::Disable).statement_cache_capacity(0);
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(options);
        eventually("pgbouncer listens", async || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
        Self { process, folder, pool }
    }

    async fn worker(&self) -> Result<WorkerHandle, RunError> {
        worker(&self.pool).handle(|_: Count| async {}).build().unwrap().start().await
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// It is read where sqlx shows it to nobody.
fn password(pool: &PgPool) -> String {
    let url = sqlx::ConnectOptions::to_url_lossy(&*pool.connect_options());
    url.password().unwrap_or_default().to_owned()
}

// It failed with what a pooler answers to a startup parameter, or ran, and now and then a statement did not.
#[tokio::test]
async fn a_worker_behind_a_transaction_pooler_does_not_start_and_says_why() {
    let pool = database().await.pool();
    for ignored in ["extra_float_digits", "extra_float_digits,options"] {
        let pgbouncer = Pgbouncer::start(&pool, "transaction", ignored).await;
        let error = pgbouncer.worker().await.map(|worker| worker.id()).unwrap_err();
        assert!(matches!(error, RunError::Pooler(_)), "{ignored}: {error:?}");
        assert!(error.to_string().contains("leads to the server itself"), "{error}");
    }
}

#[tokio::test]
async fn a_pooler_that_keeps_sessions_serves_a_worker() {
    let pool = database().await.pool();
    let pgbouncer = Pgbouncer::start(&pool, "session", "extra_float_digits,options").await;
    let worker = pgbouncer.worker().await.unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
}
