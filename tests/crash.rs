//! Real worker processes that are killed: their jobs are taken from them, the innocent run on, the culprit is quarantined.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use chrono::{DateTime, Utc};
use haulage::{Ctx, Job, JobError, JobState, Outcome, enqueue_all, job_detail, store};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::support::{Count, Database, database, eventually, jobs_in, wait_for_state, worker};

/// Ends its process each time it runs.
#[derive(Serialize, Deserialize)]
struct Bomb;

impl Job for Bomb {
    const KIND: &'static str = "bomb";
}

/// Not a test: the body of the worker processes below, which are this binary started anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the other tests as a process of its own"]
async fn worker_process() {
    let Ok(url) = std::env::var("HAULAGE_TEST_WORKER") else { return };
    let pool = PgPool::connect(&url).await.unwrap();
    worker(&pool)
        .handle(|job: Count, ctx: Ctx| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let mut tx = ctx.begin().await?;
            sqlx::query("INSERT INTO effects VALUES ($1)").bind(job.n).execute(&mut *tx).await?;
            ctx.complete(tx).await
        })
        .handle(|_: Bomb| async {
            std::process::abort();
            #[expect(unreachable_code, reason = "gives the block its type")]
            Ok::<_, JobError>(Outcome::Done)
        })
        .build()
        .unwrap()
        .run()
        .await
        .unwrap();
}

struct Process(Child);

impl Process {
    fn start(database: &Database) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::worker_process", "--ignored", "--nocapture"])
            .env("HAULAGE_TEST_WORKER", database.url())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn kill(&mut self) {
        self.0.kill().unwrap(); // SIGKILL
        self.0.wait().unwrap();
    }

    fn terminate(&mut self) -> std::process::ExitStatus {
        assert!(Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap().success());
        self.0.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

async fn workers_alive(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM haulage.workers WHERE dead_at IS NULL").fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn jobs_of_a_killed_worker_are_taken_from_it_and_their_effects_appear_once() {
    let database = database().await;
    let pool = database.pool();
    sqlx::query("CREATE TABLE effects (n bigint)").execute(&pool).await.unwrap();
    enqueue_all(&pool, (0..400).map(|n| Count { n })).await.unwrap();
    let mut victim = Process::start(&database);
    let mut heir = Process::start(&database);
    eventually("both work", async || {
        let busy: i64 = sqlx::query_scalar("SELECT count(DISTINCT worker) FROM haulage.leases").fetch_one(&pool).await.unwrap();
        busy == 2 && jobs_in(&pool, JobState::Completed).await > 20
    })
    .await;
    victim.kill();
    eventually("all are completed", async || jobs_in(&pool, JobState::Completed).await == 400).await;

    let (effects, distinct): (i64, i64) = sqlx::query_as("SELECT count(*), count(DISTINCT n) FROM effects").fetch_one(&pool).await.unwrap();
    assert_eq!((effects, distinct), (400, 400));
    let lost: Vec<(i64, String, i64)> = sqlx::query_as(
        "SELECT job_id, message, (extract(epoch FROM ended_at - w.heartbeat_at) * 1000)::bigint FROM haulage.attempts AS a JOIN haulage.workers AS w ON w.id = a.worker WHERE outcome = 'worker lost'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(!lost.is_empty(), "the killed worker held jobs");
    for (id, message, after_ms) in lost {
        assert!(message.contains("died while it held the job"), "{message}");
        // The lease (1.5 s) and one rescue interval (0.1 s), with room for a loaded machine.
        assert!((1_500..8_000).contains(&after_ms), "rescued {after_ms} ms after the last heartbeat");
        let detail = job_detail(&pool, haulage::JobId(id)).await.unwrap().unwrap();
        assert_eq!((detail.status.failures, detail.crashes), (0, 1));
    }
    assert!(heir.terminate().success());
}

#[tokio::test]
async fn a_job_that_kills_its_process_three_times_is_quarantined_and_its_neighbours_complete() {
    let database = database().await;
    let pool = database.pool();
    sqlx::query("CREATE TABLE effects (n bigint)").execute(&pool).await.unwrap();
    let bomb = Bomb.enqueue(&pool).await.unwrap().id();
    enqueue_all(&pool, (0..50).map(|n| Count { n })).await.unwrap();
    // A supervisor that restarts what dies.
    let mut process = Process::start(&database);
    let deadline = tokio::time::Instant::now() + crate::support::PATIENCE * 2;
    while job_detail(&pool, bomb).await.unwrap().unwrap().status.state != JobState::Dead || jobs_in(&pool, JobState::Completed).await < 50 {
        if process.0.try_wait().unwrap().is_some() {
            process = Process::start(&database);
        }
        assert!(tokio::time::Instant::now() < deadline, "{:#?}", job_detail(&pool, bomb).await.unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let detail = job_detail(&pool, bomb).await.unwrap().unwrap();
    assert_eq!((detail.crashes, detail.status.failures, detail.attempts.len()), (3, 0, 3));
    assert!(detail.status.error.as_deref().unwrap().starts_with("quarantined: its process died 3 times"), "{:?}", detail.status.error);
    let (effects, distinct): (i64, i64) = sqlx::query_as("SELECT count(*), count(DISTINCT n) FROM effects").fetch_one(&pool).await.unwrap();
    assert_eq!((effects, distinct), (50, 50));
}

/// The look at others asked whether the worker's own heartbeat was younger than its whole lease: a step of the clock by a little less made
/// the others look dead, whose heartbeats were a little older.
#[tokio::test]
async fn a_step_of_the_clock_that_was_not_told_yet_makes_nobody_dead() {
    let pool = database().await.pool();
    let heartbeats = async |mine: f64, others: f64| -> DateTime<Utc> {
        sqlx::query("DELETE FROM haulage.workers").execute(&pool).await.unwrap();
        let written: Vec<DateTime<Utc>> = sqlx::query_scalar(
            "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, heartbeat_at)
             SELECT id, name, '0', '{}', '{}', '{}', lease_ms, now() - make_interval(secs => age)
             FROM (VALUES (1, 'mine', 30000, $1::double precision), (2, 'other', 30000, $2::double precision), (3, 'patient', 600000, $2)) AS w (id, name, lease_ms, age)
             RETURNING heartbeat_at",
        )
        .bind(mine)
        .bind(others)
        .fetch_all(&pool)
        .await
        .unwrap();
        written[0]
    };
    let dead = async |beat: DateTime<Utc>, answered: u64, calm: Option<u64>| {
        let beat = Some((beat, Duration::from_secs(answered)));
        store::mark_dead_workers(&mut pool.acquire().await.unwrap(), 1, beat, calm.map(Duration::from_secs)).await.unwrap()
    };
    // A second after its beat was answered the clock stepped by 26 s: the other's last beat is 5 s old.
    let mine = heartbeats(27.0, 31.0).await;
    assert!(dead(mine, 1, None).await.is_empty());
    // By its own clock too the other has been silent for so long.
    assert_eq!(dead(mine, 27, None).await, ["other"]);
    // After a step that it has been told of the others have their own leases, not its own, to say that they live.
    let mine = heartbeats(1.0, 3_600.0).await;
    assert_eq!(dead(mine, 1, Some(31)).await, ["other"]);
    assert_eq!(dead(mine, 1, Some(601)).await, ["patient"]);
    // Set back, the clock makes nobody older either.
    let mine = heartbeats(-3_600.0, 5.0).await;
    assert!(dead(mine, 1, None).await.is_empty());
}

#[tokio::test]
async fn a_terminated_worker_leaves_in_order() {
    let database = database().await;
    let pool = database.pool();
    sqlx::query("CREATE TABLE effects (n bigint)").execute(&pool).await.unwrap();
    let mut process = Process::start(&database);
    eventually("it is registered", async || workers_alive(&pool).await == 1).await;
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Completed).await;
    assert!(process.terminate().success());
    let workers: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.workers").fetch_one(&pool).await.unwrap();
    assert_eq!(workers, 0);
}

#[tokio::test]
async fn a_blocked_runtime_does_not_cost_the_worker_its_leases() {
    let pool = database().await.pool();
    let worker = worker(&pool)
        .handle(|_: Count| async {
            // Blocks the only thread of this test's runtime for longer than the lease.
            std::thread::sleep(Duration::from_millis(2_500));
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    let detail = job_detail(&pool, id).await.unwrap().unwrap();
    assert_eq!((detail.status.attempt, detail.crashes), (1, 0));
}
