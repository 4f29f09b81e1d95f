//! A worker that is told to stop: what runs has its grace period, the rest goes back without a failure.

use std::{sync::Arc, time::Duration};

use haulage::{Ctx, Job, JobState, enqueue_all, job_detail};
use tokio::sync::Semaphore;

use crate::support::{Count, database, jobs_in, worker};

#[tokio::test]
async fn running_jobs_finish_within_the_grace_period() {
    let pool = database().await.pool();
    let (entered, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (enter, held) = (entered.clone(), gate.clone());
    let worker = worker(&pool)
        .handle(move |_: Count| {
            let (enter, gate) = (enter.clone(), held.clone());
            async move {
                enter.add_permits(1);
                gate.acquire().await.unwrap().forget();
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    enqueue_all(&pool, (0..10).map(|n| Count { n })).await.unwrap();
    entered.acquire_many(10).await.unwrap().forget();
    // Polled in this order: the handlers end after the stop has begun.
    tokio::join!(worker.shutdown(), async { gate.add_permits(10) });
    assert_eq!(jobs_in(&pool, JobState::Completed).await, 10);
}

#[tokio::test]
async fn what_outlasts_the_grace_period_is_told_and_given_back_without_a_failure() {
    let pool = database().await.pool();
    let entered = Arc::new(Semaphore::new(0));
    let enter = entered.clone();
    let worker = worker(&pool)
        .shutdown_grace(Duration::from_millis(100))
        .handle(move |job: Count, ctx: Ctx| {
            let enter = enter.clone();
            async move {
                enter.add_permits(1);
                match job.n {
                    0 => ctx.cancelled().await, // listens, and completes
                    1 => {
                        ctx.cancelled().await;
                        return Err("listens, and fails for it");
                    }
                    _ => std::future::pending().await, // ignores it
                }
                Ok(())
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let listens = Count { n: 0 }.enqueue(&pool).await.unwrap().id();
    let fails = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    let ignores = Count { n: 2 }.enqueue(&pool).await.unwrap().id();
    entered.acquire_many(3).await.unwrap().forget();
    worker.shutdown().await;
    let listens = job_detail(&pool, listens).await.unwrap().unwrap();
    assert_eq!(listens.status.state, JobState::Completed);
    for id in [fails, ignores] {
        let back = job_detail(&pool, id).await.unwrap().unwrap();
        assert_eq!((back.status.state, back.status.failures, back.crashes, back.attempts.len()), (JobState::Available, 0, 0, 0));
    }
    let left: i64 = sqlx::query_scalar("SELECT (SELECT count(*) FROM haulage.workers) + (SELECT count(*) FROM haulage.leases)")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_was_claimed_and_not_started_goes_back_first_in_line() {
    let pool = database().await.pool();
    let entered = Arc::new(Semaphore::new(0));
    let enter = entered.clone();
    let quick = worker(&pool)
        .shutdown_grace(Duration::from_millis(50))
        .handle(move |job: Count| {
            let enter = enter.clone();
            async move {
                // Quick at first, so that the worker claims ahead; then stuck.
                if job.n >= 500 {
                    enter.add_permits(1);
                    std::future::pending::<()>().await;
                }
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    enqueue_all(&pool, (0..1_000).map(|n| Count { n })).await.unwrap();
    entered.acquire_many(10).await.unwrap().forget();
    quick.shutdown().await;
    let (completed, available, other): (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE state = 'completed'), count(*) FILTER (WHERE state = 'available' AND failures = 0 AND crashes = 0),
                count(*) FILTER (WHERE state NOT IN ('completed', 'available')) FROM haulage.jobs",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((completed, available, other), (500, 500, 0));
}
