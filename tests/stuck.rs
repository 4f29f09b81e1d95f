//! Handlers that block the thread they run on: said while they do, by name, and no reason for others to lose their leases.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use haulage::{Job, JobId, JobState, Worker, job_detail, telemetry};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::Notify;
use tracing_subscriber::layer::SubscriberExt;

use crate::{
    support::{Count, database, eventually, wait_for_state, worker},
    telemetry::{Process, announce, parent_gone},
};

/// Blocks its thread, as no async handler should, until a file is there.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Block {
    until: PathBuf,
}

impl Job for Block {
    const KIND: &'static str = "block";
}

impl Block {
    fn new() -> Self {
        Self { until: std::env::temp_dir().join(format!("haulage-stuck-{}-{:x}", std::process::id(), rand::random::<u64>())) }
    }

    fn run(&self) {
        while !self.until.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Lets it end.
    async fn end(&self, pool: &PgPool, id: JobId) {
        std::fs::write(&self.until, "").unwrap();
        wait_for_state(pool, id, JobState::Completed).await;
        std::fs::remove_file(&self.until).unwrap();
    }
}

/// Waits until the worker that runs the job has beaten so long after it began that others had taken it otherwise: its lease is 1.5 s.
async fn outlives_a_lease(pool: &PgPool, id: JobId) {
    let beaten = "SELECT extract(epoch FROM w.heartbeat_at - j.claimed_at)::float8 FROM haulage.live_jobs AS j
        JOIN haulage.leases AS l ON l.id = j.lease JOIN haulage.workers AS w ON w.id = l.worker WHERE j.id = $1";
    let seconds = async || sqlx::query_scalar::<_, f64>(beaten).bind(id.0).fetch_optional(pool).await.unwrap();
    eventually("its worker goes on beating", async || seconds().await.is_some_and(|seconds| seconds > 4.0)).await;
}

/// Not a test: the body of the process below, whose runtime has one thread.
#[tokio::test]
#[ignore = "run by the other test as a process of its own"]
async fn stuck_process() {
    let Ok(url) = std::env::var("HAULAGE_TEST_STUCK") else { return };
    let telemetry = telemetry::builder("stuck").metrics(SocketAddr::from(([127, 0, 0, 1], 0))).init().unwrap();
    announce(telemetry.metrics_address().unwrap()).await;
    // One that lingers goes on when another blocks, so it can't end before that does.
    static BLOCKS: Notify = Notify::const_new();
    let lingers = async |job: Count| {
        if job.n > 0 {
            BLOCKS.notified().await;
        }
    };
    let blocks = async |job: Block| {
        BLOCKS.notify_one();
        job.run();
    };
    let worker = worker(&PgPool::connect(&url).await.unwrap()).handle(lingers).handle(blocks).build().unwrap();
    worker.run_until(parent_gone()).await.unwrap();
    drop(telemetry);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_blocks_the_only_thread_is_named_and_costs_no_other_job_its_lease() {
    let database = database().await;
    let (pool, url) = (database.pool(), database.url());
    let mut process = Process::start("stuck::stuck_process", &[("HAULAGE_TEST_STUCK", &url)]);
    let address = process.address().await;
    let beside = Count { n: 0 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, beside, JobState::Completed).await;
    // Takes over what loses its lease.
    let rescuer = worker(&pool).handle(async |_: Rescued| {}).build().unwrap().start().await.unwrap();
    let lingering = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, lingering, JobState::Running).await;
    let (block, began) = (Block::new(), Instant::now());
    let blocking = block.clone().enqueue(&pool).await.unwrap().id();

    let scrape = async || reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    let stalled = async || scrape().await.lines().any(|line| line.starts_with("haulage_runtime_stalled{") && line.ends_with(" 1"));
    eventually("it is counted while it blocks", stalled).await;
    let blocked = began.elapsed().as_secs_f64();
    outlives_a_lease(&pool, blocking).await;
    block.end(&pool, blocking).await;
    for id in [lingering, blocking] {
        wait_for_state(&pool, id, JobState::Completed).await;
        let detail = job_detail(&pool, id).await.unwrap().unwrap();
        assert_eq!((detail.status.attempt, detail.crashes), (1, 0));
    }
    assert!(!stalled().await);
    let count = |line: &str| line.starts_with("haulage_runtime_stall_seconds_count{") && line.contains("\"block\"") && line.ends_with(" 1");
    let text = scrape().await;
    assert!(text.lines().any(count), "{text}");
    rescuer.shutdown().await;

    let log = process.stop().await;
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let told: Vec<&Value> =
        lines.iter().filter(|line| line["message"].as_str().unwrap_or_default().starts_with("the handler blocks")).collect();
    assert_eq!(told.len(), 1, "once: {log}");
    let fields = &told[0]["fields"];
    assert_eq!((told[0]["level"].as_str(), fields["job"].as_str()), (Some("WARN"), Some(blocking.to_string().as_str())));
    assert_eq!((&fields["kind"], &fields["queue"]), (&"block".into(), &"default".into()));
    let seconds = fields["seconds"].as_f64().unwrap();
    assert!((1.0..blocked).contains(&seconds), "while it blocked: {seconds}");
}

/// Not a test: the body of the process below, whose runtime has several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "run by the other test as a process of its own"]
async fn blocked_thread_process() {
    let Ok(url) = std::env::var("HAULAGE_TEST_BLOCKED_THREAD") else { return };
    let blocks = async |job: Block| job.run();
    let pool = PgPool::connect(&url).await.unwrap();
    // As it is by itself: quick heartbeats would wake the runtime, too.
    let worker = Worker::builder(pool).queue("default", 10).handle(blocks).handle(async |_: Count| {}).build().unwrap();
    worker.run_until(parent_gone()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_thread_that_a_handler_blocks_stops_no_other_job_of_the_process() {
    let database = database().await;
    let (pool, url) = (database.pool(), database.url());
    let process = Process::start("stuck::blocked_thread_process", &[("HAULAGE_TEST_BLOCKED_THREAD", &url)]);
    // Nothing is under way in its runtime any more.
    let first = Count { n: 0 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, first, JobState::Completed).await;
    eventually("it sleeps", async || {
        let asleep = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1751217516 AND mode = 'ShareLock'
            AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
        sqlx::query_scalar(asleep).fetch_one(&pool).await.unwrap()
    })
    .await;
    let block = Block::new();
    let blocking = block.clone().enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, blocking, JobState::Running).await;
    for n in 0..3 {
        let beside = Count { n }.enqueue(&pool).await.unwrap().id();
        wait_for_state(&pool, beside, JobState::Completed).await;
    }
    let detail = job_detail(&pool, blocking).await.unwrap().unwrap();
    assert_eq!(detail.status.state, JobState::Running);
    block.end(&pool, blocking).await;
    process.stop().await;
}

/// Says nothing, and never comes back when it is told of a handler that blocks: as if nobody read the log.
struct Clogged;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Clogged {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        while event.metadata().target().ends_with("::stall") {
            std::thread::park();
        }
    }
}

/// Not a test: the body of the process below.
#[tokio::test]
#[ignore = "run by the other test as a process of its own"]
async fn clogged_process() {
    let Ok(url) = std::env::var("HAULAGE_TEST_CLOGGED") else { return };
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Clogged)).unwrap();
    let blocks = async |job: Block| job.run();
    let worker = worker(&PgPool::connect(&url).await.unwrap()).handle(blocks).build().unwrap();
    worker.run_until(parent_gone()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_costs_a_live_worker_no_lease() {
    let database = database().await;
    let (pool, url) = (database.pool(), database.url());
    let process = Process::start("stuck::clogged_process", &[("HAULAGE_TEST_CLOGGED", &url)]);
    let rescuer = worker(&pool).handle(async |_: Rescued| {}).build().unwrap().start().await.unwrap();
    // Told of after a second.
    let block = Block::new();
    let id = block.clone().enqueue(&pool).await.unwrap().id();
    outlives_a_lease(&pool, id).await;
    block.end(&pool, id).await;
    let detail = job_detail(&pool, id).await.unwrap().unwrap();
    assert_eq!((detail.status.attempt, detail.crashes, detail.attempts.len()), (1, 0, 0));
    rescuer.shutdown().await;
    process.stop().await;
}

/// What the rescuer handles: nothing that is here.
#[derive(Debug, Serialize, Deserialize)]
struct Rescued;

impl Job for Rescued {
    const KIND: &'static str = "rescued";
}
