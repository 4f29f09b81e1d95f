//! Queues are paused and limited in the whole fleet, at once, while everything runs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use haulage::{Ctx, Job, JobState, Limit, ManageError, WorkerHandle, enqueue_all, queues};
use sqlx::PgPool;
use tokio::time::sleep;

use crate::support::{Count, Log, ana, database, eventually, jobs_in, worker};

/// Several workers whose handlers note how many run at once in all of them.
async fn fleet(pool: &PgPool, workers: usize, work: Duration) -> (Vec<WorkerHandle>, Arc<AtomicI64>) {
    let (running, most) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let mut handles = Vec::new();
    for _ in 0..workers {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        let handler = move |_: Count| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                sleep(work).await;
                running.fetch_sub(1, Ordering::SeqCst);
            }
        };
        handles.push(worker(pool).handle(handler).build().unwrap().start().await.unwrap());
    }
    (handles, most)
}

async fn stop(workers: Vec<WorkerHandle>) {
    for worker in workers {
        worker.shutdown().await;
    }
}

#[tokio::test]
async fn a_paused_queue_starts_nothing_until_it_is_resumed() {
    let pool = database().await.pool();
    ana().because("the partner is down").pause_queue(&pool, "default", None).await.unwrap();
    let (workers, _) = fleet(&pool, 2, Duration::ZERO).await;
    let ran = Log::default();
    let noted = ran.clone();
    let other = worker(&pool)
        .queue("other", 5)
        .handle(move |_: Other| {
            let ran = noted.clone();
            async move { ran.add("ran") }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    enqueue_all(&pool, (0..100).map(|n| Count { n })).await.unwrap();
    // The workers look: a job of another queue runs after them.
    Other {}.enqueue(&pool).await.unwrap();
    eventually("the other queue goes on", async || ran.len() == 1).await;
    assert_eq!(jobs_in(&pool, JobState::Available).await, 100);
    let status = queues(&pool).await.unwrap().into_iter().find(|queue| queue.name == "default").unwrap();
    assert_eq!(
        (status.available, status.paused_by.as_deref(), status.paused_why.as_deref()),
        (100, Some("ana"), Some("the partner is down"))
    );
    assert!(ana().resume_queue(&pool, "default").await.unwrap());
    assert!(!ana().resume_queue(&pool, "default").await.unwrap(), "it is not paused any more");
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 101).await;

    let until = ana().because("for a moment").pause_queue(&pool, "default", Some(Duration::from_secs(1))).await.unwrap().unwrap();
    Count { n: 1 }.enqueue(&pool).await.unwrap();
    eventually("the pause has ended by itself", async || jobs_in(&pool, JobState::Completed).await == 102).await;
    let claimed: DateTime<Utc> =
        sqlx::query_scalar("SELECT max(claimed_at) FROM haulage.jobs WHERE queue = 'default'").fetch_one(&pool).await.unwrap();
    assert!(claimed >= until, "claimed at {claimed}, paused until {until}");
    other.shutdown().await;
    stop(workers).await;
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Other {}

impl Job for Other {
    const KIND: &'static str = "other";
    const QUEUE: &'static str = "other";
}

#[tokio::test]
async fn a_queue_never_runs_more_at_once_in_the_fleet_than_its_limit() {
    let pool = database().await.pool();
    ana().limit_queue(&pool, "default", Limit::running(3)).await.unwrap();
    let (workers, most) = fleet(&pool, 3, Duration::from_millis(3)).await;
    enqueue_all(&pool, (0..300).map(|n| Count { n })).await.unwrap();
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 300).await;
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(overlap(&pool).await, 3, "by the database's clock, from claim to finish");
    // Edited while they run.
    ana().limit_queue(&pool, "default", Limit::running(1)).await.unwrap();
    most.store(0, Ordering::SeqCst);
    enqueue_all(&pool, (0..50).map(|n| Count { n })).await.unwrap();
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 350).await;
    assert_eq!(most.load(Ordering::SeqCst), 1);
    ana().limit_queue(&pool, "default", None).await.unwrap();
    most.store(0, Ordering::SeqCst);
    enqueue_all(&pool, (0..300).map(|n| Count { n })).await.unwrap();
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 650).await;
    assert!(most.load(Ordering::SeqCst) > 3, "without a limit more run at once");
    stop(workers).await;
}

/// The most jobs that were claimed and not finished at one instant.
async fn overlap(pool: &PgPool) -> i64 {
    sqlx::query_scalar(
        "SELECT max(n)::bigint FROM (
             SELECT sum(step) OVER (ORDER BY at, step) AS n
             FROM (SELECT claimed_at AS at, 1 AS step FROM haulage.jobs UNION ALL SELECT finished_at, -1 FROM haulage.jobs) AS steps
         ) AS counts",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_crash_leaks_no_slot_of_a_limited_queue() {
    let pool = database().await.pool();
    ana().limit_queue(&pool, "default", Limit::running(2)).await.unwrap();
    enqueue_all(&pool, (0..6).map(|n| Count { n })).await.unwrap();
    let dying = worker(&pool).handle(|_: Count| std::future::pending::<()>()).build().unwrap().start().await.unwrap();
    eventually("two run", async || jobs_in(&pool, JobState::Running).await == 2).await;
    // As if its process had been killed: it is declared dead, and what it says later is fenced.
    sqlx::raw_sql("UPDATE haulage.workers SET dead_at = now()").execute(&pool).await.unwrap();
    drop(dying);
    let (workers, most) = fleet(&pool, 2, Duration::from_millis(1)).await;
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 6).await;
    assert!(most.load(Ordering::SeqCst) <= 2);
    stop(workers).await;
}

#[tokio::test]
async fn a_queue_starts_no_more_in_a_time_than_its_rate() {
    let pool = database().await.pool();
    ana().limit_queue(&pool, "default", Limit::starts(50, Duration::from_secs(1)).burst(5)).await.unwrap();
    let (workers, _) = fleet(&pool, 2, Duration::ZERO).await;
    enqueue_all(&pool, (0..100).map(|n| Count { n })).await.unwrap();
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 100).await;
    stop(workers).await;
    let spread: f64 = sqlx::query_scalar("SELECT extract(epoch FROM max(claimed_at) - min(claimed_at))::float8 FROM haulage.jobs")
        .fetch_one(&pool)
        .await
        .unwrap();
    // 95 after the burst, 20 ms each; quicker would break the limit, much slower would waste it.
    assert!((1.85..6.0).contains(&spread), "{spread}");
}

#[tokio::test]
async fn a_limit_or_a_queue_that_cannot_be_is_refused_and_nothing_changes() {
    let pool = database().await.pool();
    for error in [
        ana().limit_queue(&pool, "default", Limit::running(0)).await.unwrap_err(),
        ana().limit_queue(&pool, "no good", Limit::running(1)).await.unwrap_err(),
        ana().because("why").pause_queue(&pool, "no good", None).await.unwrap_err(),
    ] {
        assert!(matches!(error, ManageError::Limit(_) | ManageError::Name(_)), "{error}");
    }
    assert!(queues(&pool).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_waits_for_its_time_or_fails_comes_through_the_limit_again() {
    let pool = database().await.pool();
    ana().limit_queue(&pool, "default", Limit::running(1)).await.unwrap();
    let (running, most) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let (noted, top) = (Arc::clone(&running), Arc::clone(&most));
    let handler = move |_: Count, ctx: Ctx| {
        let (running, most) = (Arc::clone(&noted), Arc::clone(&top));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_millis(1)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            if ctx.attempt() < 3 {
                anyhow::bail!("again")
            }
            Ok(())
        }
    };
    let one = worker(&pool).handle(handler).build().unwrap().start().await.unwrap();
    for n in 0..20 {
        Count { n }.with().delay(Duration::from_millis(10)).enqueue(&pool).await.unwrap();
    }
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 20).await;
    one.shutdown().await;
    assert_eq!(most.load(Ordering::SeqCst), 1);
}
