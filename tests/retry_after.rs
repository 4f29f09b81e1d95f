//! When a handler answers "not before", the rate of the job's key and of its queue holds to it, also for the other jobs; without a rate
//! nobody else is held up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use haulage::{Job, JobError, JobId, JobState, Limit, Outcome, WorkerHandle, enqueue_all, job_detail, store};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::support::{ana, database, eventually, jobs_in, wait_for_state, worker};

const SECOND: Duration = Duration::from_secs(1);

/// A call of a partner, who may say "not before".
#[derive(Debug, Serialize, Deserialize)]
struct Call {
    tenant: i64,
    /// The answer of the first attempt, in seconds.
    retry_after_s: Option<u64>,
}

impl Job for Call {
    const KIND: &'static str = "call";

    fn limit_key(&self) -> Option<String> {
        Some(format!("tenant:{}", self.tenant))
    }
}

fn calls(tenant: i64, count: usize) -> impl Iterator<Item = Call> {
    (0..count).map(move |_| Call { tenant, retry_after_s: None })
}

async fn partner(job: Call, ctx: haulage::Ctx) -> Result<(), JobError> {
    match job.retry_after_s {
        Some(seconds) if ctx.attempt() == 1 => Err(JobError::retry_after(Duration::from_secs(seconds), "too many requests")),
        _ => Ok(()),
    }
}

async fn fleet(pool: &PgPool) -> Vec<WorkerHandle> {
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(worker(pool).queue("other", 10).handle(partner).build().unwrap().start().await.unwrap());
    }
    workers
}

async fn stop(workers: Vec<WorkerHandle>) {
    for worker in workers {
        worker.shutdown().await;
    }
}

/// Enqueues a job whose first attempt answers so, and waits for that; returns when it had been claimed, on the database's clock: the
/// answer came later.
async fn answered(pool: &PgPool, tenant: i64, seconds: u64) -> (JobId, DateTime<Utc>) {
    let id = Call { tenant, retry_after_s: Some(seconds) }.enqueue(pool).await.unwrap().id();
    eventually("it has answered", async || !job_detail(pool, id).await.unwrap().unwrap().attempts.is_empty()).await;
    let claimed = sqlx::query_scalar("SELECT claimed_at FROM haulage.attempts WHERE job_id = $1").bind(id.0).fetch_one(pool).await.unwrap();
    (id, claimed)
}

/// When the completed jobs of a key, or of a queue, were claimed.
async fn claims(pool: &PgPool, of: &str) -> Vec<DateTime<Utc>> {
    sqlx::query_scalar("SELECT claimed_at FROM haulage.finished_completed WHERE limit_key = $1 OR queue = $1 ORDER BY claimed_at")
        .bind(of)
        .fetch_all(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn no_other_job_of_the_key_starts_before_the_time_and_those_of_other_keys_do() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:*", Limit::starts(200, SECOND)).await.unwrap();
    let workers = fleet(&pool).await;
    let (_, claimed) = answered(&pool, 1, 2).await;
    enqueue_all(&pool, calls(1, 20).chain(calls(2, 20))).await.unwrap();
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 41).await;
    stop(workers).await;
    let (held, free) = (claims(&pool, "tenant:1").await, claims(&pool, "tenant:2").await);
    let until = claimed + TimeDelta::seconds(2);
    assert!(held[0] >= until, "the first started at {}, not before {until}", held[0]);
    assert!(free[0] < until, "another key's first started at {}", free[0]);
    // Then at the rate's step of 5 ms: the burst is used up.
    let took = held[20] - held[0];
    assert!(took >= TimeDelta::milliseconds(80), "{took}");
}

#[tokio::test]
async fn a_key_in_full_swing_stops_at_the_answer() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:1", Limit::starts(50, SECOND).burst(1)).await.unwrap();
    enqueue_all(&pool, calls(1, 20)).await.unwrap();
    let said = Call { tenant: 1, retry_after_s: Some(2) }.enqueue(&pool).await.unwrap().id();
    enqueue_all(&pool, calls(1, 20)).await.unwrap();
    let workers = fleet(&pool).await;
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 41).await;
    stop(workers).await;
    let (claimed, ended): (DateTime<Utc>, DateTime<Utc>) =
        sqlx::query_as("SELECT claimed_at, ended_at FROM haulage.attempts WHERE job_id = $1").bind(said.0).fetch_one(&pool).await.unwrap();
    let claims = claims(&pool, "tenant:1").await;
    let until = claimed + TimeDelta::seconds(2);
    let early = claims.iter().filter(|at| **at > ended && **at < until).count();
    // One may have been let in before the answer.
    assert!(early <= 1, "{early} started between {ended} and {until}");
    assert!(claims.iter().filter(|at| **at >= until).count() >= 15, "{claims:?}");
}

#[tokio::test]
async fn the_rate_of_the_queue_holds_to_it_too() {
    let pool = database().await.pool();
    ana().limit_queue(&pool, "default", Limit::starts(200, SECOND)).await.unwrap();
    ana().limit_queue(&pool, "other", Limit::starts(200, SECOND)).await.unwrap();
    let workers = fleet(&pool).await;
    let (_, claimed) = answered(&pool, 1, 2).await;
    enqueue_all(&pool, calls(2, 20)).await.unwrap();
    for call in calls(1, 5) {
        call.with().queue("other").enqueue(&pool).await.unwrap();
    }
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 26).await;
    stop(workers).await;
    let (held, free) = (claims(&pool, "default").await, claims(&pool, "other").await);
    let until = claimed + TimeDelta::seconds(2);
    assert!(held[0] >= until, "the first started at {}, not before {until}", held[0]);
    assert!(free[0] < until, "another queue's first started at {}", free[0]);
}

#[tokio::test]
async fn without_a_rate_nobody_else_is_held_up() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:1", Limit::running(2)).await.unwrap();
    ana().limit_queue(&pool, "default", Limit::running(5)).await.unwrap();
    let workers = fleet(&pool).await;
    // Longer than the test waits.
    let (id, _) = answered(&pool, 1, 600).await;
    enqueue_all(&pool, calls(1, 20)).await.unwrap();
    eventually("all others have run", async || jobs_in(&pool, JobState::Completed).await == 20).await;
    stop(workers).await;
    assert_eq!(job_detail(&pool, id).await.unwrap().unwrap().status.state, JobState::Scheduled);
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.key_rates").fetch_one(&pool).await.unwrap();
    assert_eq!(rows, 0);
}

/// In how many seconds the next of a key may start.
async fn next_s(pool: &PgPool, key: &str) -> f64 {
    sqlx::query_scalar(
        "SELECT (r.next_ms / 1000)::float8
         FROM haulage.key_rates AS k, haulage.key_limits AS l,
              haulage.rate_left(k.full_at, l.rate_count, l.rate_ms, l.rate_burst, now()) AS r
         WHERE k.key = $1 AND l.key = 'tenant:*'",
    )
    .bind(key)
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn an_answer_holds_for_an_hour_at_most_and_that_of_a_last_attempt_holds_too() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:*", Limit::starts(1_000_000_000, SECOND).burst(1_000_000_000)).await.unwrap();
    let workers = fleet(&pool).await;
    let (id, _) = answered(&pool, 1, 86_400 * 365).await;
    let next = next_s(&pool, "tenant:1").await;
    assert!((3_500.0..=3_600.0).contains(&next), "{next}");
    // The job itself waits for as long as it was told.
    let detail = job_detail(&pool, id).await.unwrap().unwrap();
    assert!(detail.status.run_at > Utc::now() + TimeDelta::days(364));

    // The largest burst of the slowest rate there can be.
    ana().limit_key(&pool, "tenant:*", Limit::starts(1, 24 * 86_400 * SECOND).burst(1_000_000_000)).await.unwrap();
    answered(&pool, 2, 60).await;

    ana().limit_key(&pool, "tenant:*", Limit::starts(10, SECOND)).await.unwrap();
    let last = Call { tenant: 3, retry_after_s: Some(300) }.with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, last, JobState::Dead).await;
    let next = next_s(&pool, "tenant:3").await;
    assert!((250.0..=300.0).contains(&next), "{next}");
    stop(workers).await;
}

#[tokio::test]
async fn a_snooze_is_about_its_job_alone() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:1", Limit::starts(200, SECOND)).await.unwrap();
    let first = Arc::new(AtomicBool::new(true));
    let handler = move |_: Call| {
        let first = first.swap(false, Ordering::SeqCst);
        async move { if first { Outcome::Snooze(600 * SECOND) } else { Outcome::Done } }
    };
    let worker = worker(&pool).handle(handler).build().unwrap().start().await.unwrap();
    enqueue_all(&pool, calls(1, 20)).await.unwrap();
    eventually("all others have run", async || jobs_in(&pool, JobState::Completed).await == 19).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_forgotten_lock_on_the_queue_holds_up_no_settle() {
    let pool = database().await.pool();
    ana().limit_queue(&pool, "default", Limit::starts(200, SECOND)).await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let handler = move |_: Call| {
        let gate = Arc::clone(&opened);
        async move {
            drop(gate.acquire().await);
            Err::<(), _>(JobError::retry_after(600 * SECOND, "too many requests"))
        }
    };
    let worker = worker(&pool).handle(handler).build().unwrap().start().await.unwrap();
    let id = Call { tenant: 1, retry_after_s: None }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Running).await;
    let mut forgotten = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM haulage.queues FOR UPDATE").execute(&mut *forgotten).await.unwrap();
    gate.add_permits(1);
    wait_for_state(&pool, id, JobState::Scheduled).await;
    forgotten.rollback().await.unwrap();
    worker.shutdown().await;
}

/// One row that somebody had locked gave up the answers of the whole batch.
#[tokio::test]
async fn a_forgotten_lock_on_one_queue_gives_up_that_one_alone() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:*", Limit::starts(200, SECOND)).await.unwrap();
    for queue in ["a", "b"] {
        ana().limit_queue(&pool, queue, Limit::starts(200, SECOND)).await.unwrap();
    }
    let mut connection = pool.acquire().await.unwrap();
    for (locked, free, key) in [("a", "b", "tenant:1"), ("b", "a", "tenant:2")] {
        let mut forgotten = pool.begin().await.unwrap();
        sqlx::query("SELECT FROM haulage.queues WHERE name = $1 FOR UPDATE").bind(locked).execute(&mut *forgotten).await.unwrap();
        let holds = [(locked, None, 600 * SECOND), (free, Some(key), 600 * SECOND)];
        assert_eq!(store::hold_rates(&mut connection, &holds).await.unwrap(), [format!("queue {locked}")]);
        forgotten.rollback().await.unwrap();
        let held: bool = sqlx::query_scalar("SELECT full_at > now() + interval '500 s' FROM haulage.queues WHERE name = $1")
            .bind(free)
            .fetch_one(&pool)
            .await
            .unwrap();
        assert!(held && next_s(&pool, key).await > 500.0, "{free} and {key} are held up");
    }
}
