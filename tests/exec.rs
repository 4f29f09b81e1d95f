//! Kinds from a config file: programs, HTTP endpoints, and what is refused before anything is claimed.

mod config;
mod endpoint;
mod program;
mod worker;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use haulage::{JobDetail, JobState, NamedJob, WorkerHandle, enqueue_named, exec::Config, job_detail};
use sqlx::PgPool;

use crate::support::{eventually, wait_for_state};

/// What the endpoints of the tests know too.
const SECRET: &str = "whsec_test";

/// A worker's environment.
fn environment(name: &str) -> Option<OsString> {
    match name {
        "PATH" => std::env::var_os("PATH"),
        "STOCK_SECRET" => Some(SECRET.into()),
        "EMPTY_SECRET" => Some(OsString::new()),
        _ => None,
    }
}

/// Starts a worker with these kinds.
async fn start(pool: &PgPool, folder: &Folder, kinds: &str) -> WorkerHandle {
    let file = folder.write("worker.toml", &format!("shutdown_grace = \"100ms\"\n[queues]\ndefault = 10\n{kinds}"));
    let config = Config::read(&file, &environment).unwrap_or_else(|error| panic!("{error}"));
    let quick = Duration::from_millis(100);
    let builder = config.builder(pool.clone()).heartbeat(quick).lease(quick * 15).backoff(|_| Duration::from_millis(10));
    builder.build().unwrap().start().await.unwrap()
}

/// Runs one job to the state and tells its story.
async fn story(pool: &PgPool, folder: &Folder, kinds: &str, job: NamedJob, state: JobState) -> JobDetail {
    let id = enqueue_named(pool, &job).await.unwrap().id();
    let worker = start(pool, folder, kinds).await;
    wait_for_state(pool, id, state).await;
    worker.shutdown().await;
    job_detail(pool, id).await.unwrap().unwrap()
}

fn message(detail: &JobDetail) -> &str {
    detail.attempts[0].message.as_deref().unwrap_or_default()
}

/// A job of this kind that has one attempt.
fn once(kind: &str) -> NamedJob {
    NamedJob::new(kind, serde_json::json!({})).max_attempts(1)
}

/// Waits until the process whose id is in the file has ended.
async fn gone(file: &Path) {
    let pid = fs::read_to_string(file).unwrap().trim().to_owned();
    eventually(&format!("process {pid} has ended"), async || match fs::read_to_string(format!("/proc/{pid}/stat")) {
        // Ended, and nobody has taken its status yet.
        Ok(stat) => stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')),
        Err(_) => true,
    })
    .await;
}

/// Waits until the program has written to the file.
async fn written(file: &Path) {
    eventually(&format!("{} is written", file.display()), async || fs::metadata(file).is_ok_and(|file| file.len() > 0)).await;
}

/// A folder for a config file and its programs, gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("haulage-exec-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// A kind that runs the script; `more` are further fields.
    fn kind(&self, kind: &str, script: &str, more: &str) -> String {
        self.write(&format!("{kind}.sh"), script);
        format!("[kinds.{kind}]\ncommand = [\"sh\", \"{kind}.sh\"]\n{more}\n")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
