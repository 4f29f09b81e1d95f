//! Queues are paused and limited in the whole fleet, at once, while everything runs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use haulage::{
    Ctx, Job, JobError, JobState, Limit, ManageError, WorkerHandle, enqueue_all, job, queues,
    store::{self, Kinds},
};
use sqlx::PgPool;
use tokio::time::{sleep, timeout};

use crate::support::{Count, Log, PATIENCE, ana, database, eventually, jobs_in, wait_for_state, worker};

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
async fn a_queue_is_listed_whose_only_job_was_given_back_by_a_worker_that_is_gone() {
    let pool = database().await.pool();
    let id = Count { n: 1 }.with().queue("mail").enqueue(&pool).await.unwrap().id();
    let waits = async |_: Count, ctx: Ctx| {
        ctx.cancelled().await;
        Err::<(), JobError>("told to stop".into())
    };
    let worker = worker(&pool).queue("mail", 1).handle(waits).build().unwrap().start().await.unwrap();
    wait_for_state(&pool, id, JobState::Running).await;
    worker.shutdown().await;
    assert_eq!(job(&pool, id).await.unwrap().unwrap().state, JobState::Available);
    let known = queues(&pool).await.unwrap();
    assert_eq!(known.iter().map(|queue| (queue.name.as_str(), queue.available)).collect::<Vec<_>>(), [("mail", 1)]);
    let names = store::list_queue_names(&mut *pool.acquire().await.unwrap(), 10).await.unwrap();
    assert_eq!(names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["mail"]);
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

/// An admission waited for whoever held its queue's row, and every claim of the process for the admission.
#[tokio::test]
async fn a_forgotten_lock_on_a_limited_queue_holds_up_no_other() {
    let pool = database().await.pool();
    ana().limit_queue(&pool, "default", Limit::starts(1_000, Duration::from_secs(1))).await.unwrap();
    ana().limit_queue(&pool, "counted", Limit::running(3)).await.unwrap();
    let builder = worker(&pool).queue("counted", 5).queue("other", 5);
    let one = builder.handle(|_: Count| async {}).handle(|_: Other| async {}).build().unwrap().start().await.unwrap();
    let count = async |n, queue: &'static str| Count { n }.with().queue(queue).enqueue(&pool).await.unwrap().id();
    for queue in ["default", "counted"] {
        wait_for_state(&pool, count(0, queue).await, JobState::Completed).await;
    }
    // Long enough ago that an admission says that nothing runs any more that was claimed before the limit.
    sqlx::raw_sql("UPDATE haulage.queues SET limited_at = now() - interval '2 minutes', in_line = true").execute(&pool).await.unwrap();
    let mut forgotten = pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT FROM haulage.queues FOR UPDATE").execute(&mut *forgotten).await.unwrap();

    let held = count(1, "default").await;
    for n in 0..3 {
        // A number at once needs nothing written.
        let counted = count(n, "counted").await;
        let other = Other {}.enqueue(&pool).await.unwrap().id();
        wait_for_state(&pool, other, JobState::Completed).await;
        wait_for_state(&pool, counted, JobState::Completed).await;
    }
    assert_eq!(job(&pool, held).await.unwrap().unwrap().state, JobState::Available, "its start could not have been counted");
    forgotten.rollback().await.unwrap();
    wait_for_state(&pool, held, JobState::Completed).await;
    eventually("what could not be written is written", async || {
        sqlx::query_scalar("SELECT NOT in_line FROM haulage.queues WHERE name = 'counted'").fetch_one(&pool).await.unwrap()
    })
    .await;
    one.shutdown().await;
}

#[tokio::test]
async fn an_admission_that_meets_another_says_when_to_ask_again() {
    let pool = database().await.pool();
    ana().limit_queue(&pool, "default", Limit::running(3)).await.unwrap();
    Count { n: 1 }.enqueue(&pool).await.unwrap();
    let kinds = Kinds::from_iter([("count".to_owned(), 0)]);
    let mut other = pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(1751217519, hashtext('default'))").execute(&mut *other).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let refused = timeout(PATIENCE, store::admit_queue(&mut connection, "default", &kinds)).await.expect("it waits for nobody").unwrap();
    assert_eq!(refused.admitted, 0);
    assert!(refused.next.unwrap() <= Duration::from_millis(20), "{refused:?}");
    other.rollback().await.unwrap();
    assert_eq!(store::admit_queue(&mut connection, "default", &kinds).await.unwrap().admitted, 1);
}
