//! A worker claims, runs and completes: once each, only kinds it knows, in order.

use std::time::Duration;

use haulage::{Ctx, FromRef, Job, JobState, Outcome, Priority, State, enqueue_all, job};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgListener};

use crate::support::{Count, Log, database, eventually, jobs_in, wait_for_state, worker};

#[derive(Clone)]
struct App {
    log: Log,
    pool: PgPool,
}

impl FromRef<App> for Log {
    fn from_ref(app: &App) -> Self {
        app.log.clone()
    }
}

impl FromRef<App> for PgPool {
    fn from_ref(app: &App) -> Self {
        app.pool.clone()
    }
}

async fn count(job: Count, State(log): State<Log>) {
    log.add(job.n.to_string());
}

#[tokio::test]
async fn a_job_runs_once_and_is_completed() {
    let pool = database().await.pool();
    let log = Log::default();
    let id = Count { n: 7 }.enqueue(&pool).await.unwrap().id();
    let worker = worker(&pool).state(App { log: log.clone(), pool: pool.clone() }).handle(count).build().unwrap().start().await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;

    assert_eq!(log.entries(), ["7"]);
    let status = job(&pool, id).await.unwrap().unwrap();
    assert_eq!((status.attempt, status.failures), (1, 0));
    let (leases, workers): (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM haulage.leases), (SELECT count(*) FROM haulage.workers)")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!((leases, workers), (0, 0), "a worker that stopped in order leaves nothing behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_workers_and_a_thousand_transactions_run_exactly_the_committed_jobs() {
    let pool = database().await.pool();
    let log = Log::default();
    let mut workers = Vec::new();
    for _ in 0..10 {
        let app = App { log: log.clone(), pool: pool.clone() };
        workers.push(worker(&pool).state(app).handle(count).build().unwrap().start().await.unwrap());
    }
    let transactions = (0..1_000_i64).map(|n| {
        let pool = pool.clone();
        async move {
            let mut tx = pool.begin().await.unwrap();
            Count { n }.enqueue(&mut *tx).await.unwrap();
            if n % 3 == 0 { tx.rollback().await.unwrap() } else { tx.commit().await.unwrap() }
        }
    });
    futures_util::future::join_all(transactions).await;
    eventually("every committed job is completed", async || jobs_in(&pool, JobState::Completed).await == 666).await;
    for worker in workers {
        worker.shutdown().await;
    }
    let mut ran: Vec<i64> = log.entries().iter().map(|entry| entry.parse().unwrap()).collect();
    ran.sort_unstable();
    let committed: Vec<i64> = (0..1_000).filter(|n| n % 3 != 0).collect();
    assert_eq!(ran, committed);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.live_jobs").fetch_one(&pool).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_large_backlog_is_drained_with_every_job_run_once() {
    let pool = database().await.pool();
    let log = Log::default();
    enqueue_all(&pool, (0..20_000).map(|n| Count { n })).await.unwrap();
    let app = App { log: log.clone(), pool: pool.clone() };
    let worker = worker(&pool).state(app).handle(count).build().unwrap().start().await.unwrap();
    eventually("the backlog is drained", async || jobs_in(&pool, JobState::Completed).await == 20_000).await;
    worker.shutdown().await;
    let mut ran: Vec<i64> = log.entries().iter().map(|entry| entry.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..20_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn urgent_jobs_go_before_normal_ones_and_equals_in_order() {
    let pool = database().await.pool();
    let log = Log::default();
    for (n, priority) in [(1, Priority::Bulk), (2, Priority::Normal), (3, Priority::Urgent), (4, Priority::Normal), (5, Priority::Low)] {
        Count { n }.with().priority(priority).queue("ordered").enqueue(&pool).await.unwrap();
    }
    let app = App { log: log.clone(), pool: pool.clone() };
    let worker = worker(&pool).state(app).queue("ordered", 1).handle(count).build().unwrap().start().await.unwrap();
    eventually("all ran", async || log.len() == 5).await;
    worker.shutdown().await;
    assert_eq!(log.entries(), ["3", "2", "4", "5", "1"]);
}

#[derive(Serialize, Deserialize)]
struct Stranger;

impl Job for Stranger {
    const KIND: &'static str = "stranger";
}

#[tokio::test]
async fn a_kind_without_a_handler_waits_and_holds_nobody_up() {
    let pool = database().await.pool();
    let log = Log::default();
    let strangers = enqueue_all(&pool, (0..3_000).map(|_| Stranger)).await.unwrap();
    let known = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    let app = App { log, pool: pool.clone() };
    let worker = worker(&pool).state(app).handle(count).build().unwrap().start().await.unwrap();
    wait_for_state(&pool, known, JobState::Completed).await;
    worker.shutdown().await;
    assert_eq!(jobs_in(&pool, JobState::Available).await, 3_000);
    let first = job(&pool, strangers[0].id()).await.unwrap().unwrap();
    assert_eq!((first.state, first.attempt), (JobState::Available, 0));
}

#[derive(Serialize, Deserialize)]
struct Renamed;

impl Job for Renamed {
    const KIND: &'static str = "new_name";
    const KIND_ALIASES: &'static [&'static str] = &["old_name"];
}

#[tokio::test]
async fn a_renamed_kind_still_runs_under_its_old_name() {
    let pool = database().await.pool();
    let id: i64 = sqlx::query_scalar("SELECT job_id FROM haulage.enqueue('old_name', 'null')").fetch_one(&pool).await.unwrap();
    let worker = worker(&pool).handle(|_: Renamed| async {}).build().unwrap().start().await.unwrap();
    wait_for_state(&pool, haulage::JobId(id), JobState::Completed).await;
    worker.shutdown().await;
}

/// What is notified on the wake channel until the marker is.
async fn notified(listener: &mut PgListener, pool: &PgPool) -> Vec<String> {
    sqlx::query("SELECT pg_notify('haulage_wake', 'marker')").execute(pool).await.unwrap();
    let mut payloads = Vec::new();
    loop {
        match listener.recv().await.unwrap().payload() {
            "marker" => return payloads,
            payload => payloads.push(payload.to_owned()),
        }
    }
}

/// Whether a worker holds the shared lock of its queue, as it does while it sleeps.
async fn sleeps(pool: &PgPool) -> bool {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1751217516 AND mode = 'ShareLock' AND granted
                        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_stream_of_enqueues_keeps_a_worker_awake_and_notifies_it_rarely() {
    let pool = database().await.pool();
    let mut listener = PgListener::connect_with(&pool).await.unwrap();
    listener.listen("haulage_wake").await.unwrap();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("the worker sleeps", async || sleeps(&pool).await).await;
    let (mut enqueued, started) = (0, std::time::Instant::now());
    while started.elapsed() < Duration::from_secs(1) || enqueued < 300 {
        Count { n: enqueued }.enqueue(&pool).await.unwrap();
        enqueued += 1;
    }
    let notified = notified(&mut listener, &pool).await.len();
    assert!(notified > 0 && i64::try_from(notified).unwrap() < enqueued / 3, "{notified} notifications for {enqueued} jobs");
    eventually("every job ran", async || jobs_in(&pool, JobState::Completed).await == enqueued).await;
    eventually("the worker sleeps again", async || sleeps(&pool).await).await;
    worker.shutdown().await;
}

#[derive(Serialize, Deserialize)]
struct Blocking;

impl Job for Blocking {
    const KIND: &'static str = "blocking";
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_of_blocking_jobs_does_not_hold_up_async_ones_behind_it() {
    let pool = database().await.pool();
    let backlog = 2_000;
    enqueue_all(&pool, (0..backlog).map(|_| Blocking)).await.unwrap();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Arc::new(std::sync::Mutex::new(gate));
    let worker = worker(&pool)
        .handle(|_: Count| async {})
        .handle_blocking(move |_: Blocking| {
            // Held until the sender goes.
            gate.lock().unwrap().recv().ok();
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let cores = i64::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    eventually("every blocking thread is taken", async || jobs_in(&pool, JobState::Running).await >= cores).await;
    for round in 0..3 {
        enqueue_all(&pool, (0..500).map(|n| Count { n })).await.unwrap();
        eventually("async jobs run", async || jobs_in(&pool, JobState::Completed).await == 500 * (round + 1)).await;
    }
    drop(open);
    // What the async claims have passed is still found by the others.
    eventually("all run", async || jobs_in(&pool, JobState::Completed).await == 1_500 + backlog).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn an_enqueue_notifies_a_sleeping_worker_and_nobody_else() {
    let pool = database().await.pool();
    let mut listener = PgListener::connect_with(&pool).await.unwrap();
    listener.listen("haulage_wake").await.unwrap();
    Count { n: 1 }.enqueue(&pool).await.unwrap();
    assert_eq!(notified(&mut listener, &pool).await, [""; 0], "a notification serialises commits; nobody sleeps, so none is sent");

    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("the worker sleeps", async || sleeps(&pool).await).await;
    let id = Count { n: 2 }.enqueue(&pool).await.unwrap().id();
    assert_eq!(notified(&mut listener, &pool).await, ["default"]);
    Count { n: 3 }.with().queue("nobody_sleeps_on_this").enqueue(&pool).await.unwrap();
    assert_eq!(notified(&mut listener, &pool).await, [""; 0]);
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_only_polls_finds_its_jobs() {
    let pool = database().await.pool();
    let worker = worker(&pool).poll_only(Duration::from_millis(200)).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    for n in 0..3 {
        let id = Count { n }.enqueue(&pool).await.unwrap().id();
        wait_for_state(&pool, id, JobState::Completed).await;
    }
    let listening: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'haulage %' AND query ILIKE '%listen%'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    worker.shutdown().await;
    assert_eq!(listening, 0);
}

#[tokio::test]
async fn a_worker_process_uses_five_connections_at_most_whatever_its_concurrency() {
    let pool = database().await.pool();
    let worker = worker(&pool).queue("wide", 500).handle(|_: Count, ctx: Ctx| async move { ctx.progress(50, "half") }).build().unwrap();
    let worker = worker.start().await.unwrap();
    enqueue_all(&pool, (0..2_000).map(|n| Count { n }.with().queue("wide"))).await.unwrap();
    let mut most = 0;
    while jobs_in(&pool, JobState::Completed).await < 2_000 {
        let now: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'haulage %'",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        most = most.max(now);
    }
    worker.shutdown().await;
    assert!((1..=5).contains(&most), "{most}");
}

#[tokio::test]
async fn a_slow_queue_does_not_hold_up_another() {
    let pool = database().await.pool();
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let held = gate.clone();
    let worker = worker(&pool)
        .queue("slow", 1)
        .handle(move |job: Count| {
            let gate = held.clone();
            async move {
                if job.n == 0 {
                    gate.acquire().await.unwrap().forget();
                }
                Outcome::Done
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let slow: Vec<_> = enqueue_all(&pool, (0..5).map(|_| Count { n: 0 }.with().queue("slow"))).await.unwrap();
    let quick = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, quick, JobState::Completed).await;
    gate.add_permits(5);
    for job in slow {
        wait_for_state(&pool, job.id(), JobState::Completed).await;
    }
    worker.shutdown().await;
}
