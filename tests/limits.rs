//! Jobs that share a key share its limits, exactly and in the whole fleet; an enqueue locks no key, and a full key starves no other.

use std::time::Duration;

use haulage::{
    EnqueueError, Job, JobId, JobState, Limit, ManageError, NamedJob, WorkerHandle, enqueue_all, enqueue_named, job, key_limits, store,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::time::{sleep, timeout};

use crate::support::{Count, Log, PATIENCE, ana, database, eventually, jobs_in, wait_for_state, worker};

#[derive(Debug, Serialize, Deserialize)]
struct Sync {
    tenant: i64,
    n: i64,
}

impl Job for Sync {
    const KIND: &'static str = "sync";

    fn limit_key(&self) -> Option<String> {
        Some(format!("tenant:{}", self.tenant))
    }
}

async fn fleet(pool: &PgPool, workers: usize, work: Duration) -> Vec<WorkerHandle> {
    let mut handles = Vec::new();
    for _ in 0..workers {
        let handler = move |_: Sync| async move { sleep(work).await };
        handles.push(worker(pool).handle(handler).handle(|_: Count| async {}).build().unwrap().start().await.unwrap());
    }
    handles
}

async fn stop(workers: Vec<WorkerHandle>) {
    for worker in workers {
        worker.shutdown().await;
    }
}

/// The most jobs of a key that were claimed and not finished at one instant, by the database's clock.
async fn most_at_once(pool: &PgPool) -> Vec<(String, i64)> {
    sqlx::query_as(
        "SELECT limit_key, max(n)::bigint FROM (
             SELECT limit_key, sum(step) OVER (PARTITION BY limit_key ORDER BY at, step) AS n
             FROM (
                 SELECT limit_key, claimed_at AS at, 1 AS step FROM haulage.finished_jobs
                 UNION ALL SELECT limit_key, finished_at, -1 FROM haulage.finished_jobs
             ) AS steps
         ) AS counts WHERE limit_key IS NOT NULL GROUP BY limit_key ORDER BY limit_key",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_key_never_has_more_at_once_in_the_fleet_than_its_limit() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:*", Limit::running(2)).await.unwrap();
    ana().limit_key(&pool, "tenant:3", Limit::running(5)).await.unwrap();
    let workers = fleet(&pool, 3, Duration::from_millis(2)).await;
    enqueue_all(&pool, (0..400).map(|n| Sync { tenant: n % 4, n })).await.unwrap();
    enqueue_all(&pool, (0..100).map(|n| Count { n })).await.unwrap();
    for n in 0..20 {
        Sync { tenant: n % 4, n }.enqueue(&pool).await.unwrap();
    }
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 520).await;
    stop(workers).await;
    for (key, most) in most_at_once(&pool).await {
        let limit = if key == "tenant:3" { 5 } else { 2 };
        assert!(most <= limit && most > 1, "{key}: {most} at once, its limit is {limit}");
    }
}

#[tokio::test]
async fn a_limit_of_one_gives_strict_order() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:1", Limit::running(1)).await.unwrap();
    let order = Log::default();
    let mut workers = Vec::new();
    for _ in 0..2 {
        let order = order.clone();
        let handler = move |job: Sync| {
            let order = order.clone();
            async move { order.add(job.n.to_string()) }
        };
        workers.push(worker(&pool).handle(handler).build().unwrap().start().await.unwrap());
    }
    for n in 0..50 {
        Sync { tenant: 1, n }.enqueue(&pool).await.unwrap();
    }
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 50).await;
    stop(workers).await;
    assert_eq!(order.entries(), (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_key_starves_no_other_and_is_said_to_wait() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:1", Limit::running(1)).await.unwrap();
    let workers = {
        let handler = |job: Sync| async move {
            if job.tenant == 1 {
                std::future::pending::<()>().await;
            }
        };
        vec![worker(&pool).shutdown_grace(Duration::ZERO).handle(handler).build().unwrap().start().await.unwrap()]
    };
    enqueue_all(&pool, (0..1_000).map(|n| Sync { tenant: 1, n })).await.unwrap();
    eventually("one runs", async || jobs_in(&pool, JobState::Running).await == 1).await;
    enqueue_all(&pool, (0..50).map(|n| Sync { tenant: 2, n })).await.unwrap();
    eventually("the other key's jobs have run", async || jobs_in(&pool, JobState::Completed).await == 50).await;
    assert_eq!(jobs_in(&pool, JobState::Running).await, 1);
    let limits = key_limits(&pool).await.unwrap();
    assert_eq!((limits[0].admitted, limits[0].waiting), (Some(1), Some(999)));
    // Changed while it is full.
    ana().limit_key(&pool, "tenant:1", Limit::running(4)).await.unwrap();
    eventually("four run", async || jobs_in(&pool, JobState::Running).await == 4).await;
    stop(workers).await;
}

#[tokio::test]
async fn failures_snoozes_and_crashes_give_the_slot_back() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:1", Limit::running(1)).await.unwrap();
    let stuck = worker(&pool).handle(|_: Sync| std::future::pending::<()>()).build().unwrap().start().await.unwrap();
    let first = Sync { tenant: 1, n: 0 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, first, JobState::Running).await;
    let others: Vec<JobId> = enqueue_all(&pool, (1..5).map(|n| Sync { tenant: 1, n })).await.unwrap().into_iter().map(|e| e.id()).collect();
    // As if its process had been killed.
    sqlx::raw_sql("UPDATE haulage.workers SET dead_at = now()").execute(&pool).await.unwrap();
    drop(stuck);
    let tried = Log::default();
    let noted = tried.clone();
    let handler = move |job: Sync, ctx: haulage::Ctx| {
        let tried = noted.clone();
        async move {
            tried.add(job.n.to_string());
            if ctx.attempt() < 3 {
                anyhow::bail!("not yet")
            }
            Ok(())
        }
    };
    let survivor = worker(&pool).handle(handler).build().unwrap().start().await.unwrap();
    for id in std::iter::once(first).chain(others) {
        wait_for_state(&pool, id, JobState::Completed).await;
    }
    survivor.shutdown().await;
    assert!(tried.len() >= 12, "each was tried again: {:?}", tried.entries());
}

#[tokio::test]
async fn a_key_starts_no_more_in_a_time_than_its_rate() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:*", Limit::starts(50, Duration::from_secs(1)).burst(5)).await.unwrap();
    let workers = fleet(&pool, 2, Duration::ZERO).await;
    enqueue_all(&pool, (0..100).map(|n| Sync { tenant: n % 2, n })).await.unwrap();
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 100).await;
    stop(workers).await;
    let spread: Vec<f64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM max(claimed_at) - min(claimed_at))::float8 FROM haulage.finished_jobs GROUP BY limit_key",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    // 45 after the burst, 20 ms each.
    assert!(spread.iter().all(|s| (0.85..6.0).contains(s)), "{spread:?}");
}

/// The next look at the keys was put off until the slowest rate let the next job in.
#[tokio::test]
async fn a_slow_rate_of_one_key_holds_up_no_other() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:1", Limit::starts(1, Duration::from_secs(86_400))).await.unwrap();
    let workers = fleet(&pool, 1, Duration::ZERO).await;
    enqueue_all(&pool, (0..3).map(|n| Sync { tenant: 1, n })).await.unwrap();
    eventually("the first has run", async || jobs_in(&pool, JobState::Completed).await == 1).await;
    for n in 0..3 {
        let id = Sync { tenant: 2, n }.enqueue(&pool).await.unwrap().id();
        wait_for_state(&pool, id, JobState::Completed).await;
    }
    assert_eq!(jobs_in(&pool, JobState::Parked).await, 2);
    stop(workers).await;
}

/// The next start was reckoned by the rate before, and came a day later.
#[tokio::test]
async fn a_rate_that_is_raised_holds_at_once() {
    let pool = database().await.pool();
    let a_day = Limit::starts(1, Duration::from_secs(86_400));
    ana().limit_key(&pool, "tenant:*", a_day).await.unwrap();
    ana().limit_key(&pool, "tenant:2", a_day).await.unwrap();
    let workers = fleet(&pool, 1, Duration::ZERO).await;
    enqueue_all(&pool, (0..8).map(|n| Sync { tenant: n % 2 + 1, n })).await.unwrap();
    eventually("the first of each key has run", async || jobs_in(&pool, JobState::Completed).await == 2).await;
    // Of the class, and of a key of its own; both in a transaction that stays open for a while and holds up nobody.
    let mut open = pool.begin().await.unwrap();
    for key in ["tenant:*", "tenant:2"] {
        ana().limit_key(&mut *open, key, Limit::starts(100, Duration::from_secs(1))).await.unwrap();
    }
    let other = Sync { tenant: 3, n: 0 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, other, JobState::Completed).await;
    assert_eq!(jobs_in(&pool, JobState::Parked).await, 6);
    open.commit().await.unwrap();
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 9).await;
    stop(workers).await;
}

/// Admissions write rates in an order of their own: one that met the removal in the middle was a deadlock.
#[tokio::test]
async fn rates_of_the_past_are_removed_but_for_those_that_somebody_holds() {
    let pool = database().await.pool();
    sqlx::raw_sql(
        "INSERT INTO haulage.key_rates (key, full_at) SELECT 'k' || n, now() - interval '1 hour' FROM generate_series(1, 3) AS n",
    )
    .execute(&pool)
    .await
    .unwrap();
    let mut holder = pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT FROM haulage.key_rates WHERE key = 'k2' FOR UPDATE").execute(&mut *holder).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    timeout(PATIENCE, store::prune_side_rows(&mut connection)).await.expect("it waits for nobody").unwrap();
    let left: Vec<String> = sqlx::query_scalar("SELECT key FROM haulage.key_rates").fetch_all(&pool).await.unwrap();
    assert_eq!(left, ["k2"]);
}

#[tokio::test]
async fn keys_come_through_every_way_to_enqueue() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:7", Limit::running(1)).await.unwrap();
    let parked = async |id: JobId| {
        let row: (i16, i16, Option<i16>, Option<String>) =
            sqlx::query_as("SELECT state, place, parked_for, limit_key FROM haulage.live_jobs WHERE id = $1")
                .bind(id.0)
                .fetch_one(&pool)
                .await
                .unwrap();
        row
    };
    let waiting = (3, 3, Some(2), Some("tenant:7".to_owned()));
    let job_of = |n| Sync { tenant: 7, n };
    let single = job_of(1).enqueue(&pool).await.unwrap().id();
    let unique = job_of(2).with().unique(haulage::Unique::by("u")).enqueue(&pool).await.unwrap().id();
    let batch = enqueue_all(&pool, [job_of(3)]).await.unwrap()[0].id();
    let named =
        enqueue_named(&pool, &NamedJob::new("sync", serde_json::json!({ "tenant": 7, "n": 4 })).limit_key("tenant:7")).await.unwrap().id();
    let with = Count { n: 5 }.with().limit_key("tenant:7").enqueue(&pool).await.unwrap().id();
    for id in [single, unique, batch, named, with] {
        assert_eq!(parked(id).await, waiting);
    }
    let later = job_of(6).with().delay(Duration::from_millis(1)).enqueue(&pool).await.unwrap().id();
    assert_eq!(parked(later).await, (0, 0, None, Some("tenant:7".to_owned())));
    let workers = fleet(&pool, 1, Duration::ZERO).await;
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 6).await;
    stop(workers).await;
    assert!(job(&pool, later).await.unwrap().is_some());
}

#[tokio::test]
async fn a_paused_queue_keeps_the_slots_it_has_and_takes_no_more() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:1", Limit::running(2)).await.unwrap();
    ana().because("why").pause_queue(&pool, "default", None).await.unwrap();
    let workers = fleet(&pool, 1, Duration::ZERO).await;
    enqueue_all(&pool, (0..10).map(|n| Sync { tenant: 1, n })).await.unwrap();
    Sync { tenant: 1, n: 10 }.with().queue("open").enqueue(&pool).await.unwrap();
    let open = worker(&pool).queue("open", 5).handle(|_: Sync| async {}).build().unwrap().start().await.unwrap();
    eventually("the open queue's job has run", async || jobs_in(&pool, JobState::Completed).await == 1).await;
    ana().resume_queue(&pool, "default").await.unwrap();
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 11).await;
    open.shutdown().await;
    stop(workers).await;
}

#[tokio::test]
async fn a_bad_key_or_limit_is_refused_and_nothing_is_stored() {
    let pool = database().await.pool();
    for key in ["", "a b", "haulage-schedule:x", "tenant:*"] {
        let error = Count { n: 1 }.with().limit_key(key).enqueue(&pool).await.unwrap_err();
        assert!(matches!(error, EnqueueError::Limit(_)), "{key}: {error}");
        let error = enqueue_named(&pool, &NamedJob::new("count", serde_json::json!({})).limit_key(key)).await.unwrap_err();
        assert!(error.to_string().contains("limit key"), "{key}: {error}");
    }
    for key in ["", "a b", "*", "a:b:*", "haulage-schedule:*"] {
        let error = ana().limit_key(&pool, key, Limit::running(1)).await.unwrap_err();
        assert!(matches!(error, ManageError::Limit(_)), "{key}: {error}");
    }
    assert!(ana().limit_key(&pool, "tenant:1", Limit::running(0)).await.unwrap_err().to_string().contains("1 to"));
    assert!(!ana().unlimit_key(&pool, "tenant:1").await.unwrap());
    assert!(key_limits(&pool).await.unwrap().is_empty());
    assert_eq!(jobs_in(&pool, JobState::Parked).await, 0);
}
