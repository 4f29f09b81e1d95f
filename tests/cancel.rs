//! Cancelling: final for a job that has not started, a request to one that runs.

use std::sync::Arc;

use haulage::{CancelOutcome, Ctx, Job, JobId, JobState, cancel, job, job_detail};
use tokio::sync::Semaphore;

use crate::support::{Count, database, eventually, wait_for_state, worker};

#[tokio::test]
async fn a_job_that_has_not_started_is_cancelled_at_once() {
    let pool = database().await.pool();
    let available = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    let scheduled = Count { n: 1 }.with().delay(std::time::Duration::from_secs(60)).enqueue(&pool).await.unwrap().id();
    for id in [available, scheduled] {
        assert_eq!(cancel(&pool, id, "changed our mind").await.unwrap(), CancelOutcome::Cancelled);
        let status = job(&pool, id).await.unwrap().unwrap();
        assert_eq!((status.state, status.error.as_deref()), (JobState::Cancelled, Some("changed our mind")));
        assert_eq!(cancel(&pool, id, "again").await.unwrap(), CancelOutcome::NotFound);
    }
    assert_eq!(cancel(&pool, JobId(424_242), "who").await.unwrap(), CancelOutcome::NotFound);
}

#[tokio::test]
async fn a_running_handler_is_told_and_its_job_cancelled() {
    let pool = database().await.pool();
    let entered = Arc::new(Semaphore::new(0));
    let enter = entered.clone();
    let worker = worker(&pool)
        .handle(move |_: Count, ctx: Ctx| {
            let enter = enter.clone();
            async move {
                enter.add_permits(1);
                ctx.cancelled().await;
                Err::<(), _>("stopped in the middle")
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    entered.acquire().await.unwrap().forget();
    assert_eq!(cancel(&pool, id, "the order was withdrawn").await.unwrap(), CancelOutcome::Requested);
    wait_for_state(&pool, id, JobState::Cancelled).await;
    worker.shutdown().await;
    let detail = job_detail(&pool, id).await.unwrap().unwrap();
    assert_eq!((detail.status.failures, detail.attempts[0].outcome.as_str()), (0, "cancelled"));
    assert_eq!(detail.status.error.as_deref(), Some("the order was withdrawn"));
}

#[tokio::test]
async fn a_handler_that_completes_first_is_completed() {
    let pool = database().await.pool();
    let entered = Arc::new(Semaphore::new(0));
    let enter = entered.clone();
    let worker = worker(&pool)
        .handle(move |_: Count, ctx: Ctx| {
            let enter = enter.clone();
            async move {
                enter.add_permits(1);
                ctx.cancelled().await;
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    entered.acquire().await.unwrap().forget();
    cancel(&pool, id, "x").await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_worker_without_a_listener_hears_of_it_by_its_heartbeat() {
    let pool = database().await.pool();
    let worker = worker(&pool)
        .poll_only(std::time::Duration::from_millis(50))
        .handle(|_: Count, ctx: Ctx| async move {
            ctx.cancelled().await;
            Err::<(), _>("stopped")
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    eventually("it runs", async || job(&pool, id).await.unwrap().unwrap().state == JobState::Running).await;
    cancel(&pool, id, "x").await.unwrap();
    wait_for_state(&pool, id, JobState::Cancelled).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_panic_of_a_handler_that_was_told_to_stop_is_no_failure() {
    let pool = database().await.pool();
    let worker = worker(&pool)
        .handle(|_: Count, ctx: Ctx| async move {
            ctx.cancelled().await;
            assert!(!ctx.is_cancelled(), "in the middle of clearing up");
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    eventually("it runs", async || job(&pool, id).await.unwrap().unwrap().state == JobState::Running).await;
    cancel(&pool, id, "x").await.unwrap();
    wait_for_state(&pool, id, JobState::Cancelled).await;
    worker.shutdown().await;
    assert_eq!(job(&pool, id).await.unwrap().unwrap().failures, 0);
}

#[tokio::test]
async fn a_cancel_that_comes_as_the_attempt_fails_still_ends_the_job() {
    let pool = database().await.pool();
    let (entered, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (enter, held) = (entered.clone(), gate.clone());
    let worker = worker(&pool)
        .handle(move |_: Count| {
            let (enter, gate) = (enter.clone(), held.clone());
            async move {
                enter.add_permits(1);
                gate.acquire().await.unwrap().forget();
                Err::<(), _>(haulage::JobError::retry_after(std::time::Duration::from_secs(3_600), "fails of itself"))
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    entered.acquire().await.unwrap().forget();
    // The request alone, without the notification: the handler is not told before it fails.
    gate.add_permits(1);
    sqlx::query("INSERT INTO haulage.cancel_requests (job_id, reason) VALUES ($1, 'withdrawn')").bind(id.0).execute(&pool).await.unwrap();
    wait_for_state(&pool, id, JobState::Cancelled).await;
    worker.shutdown().await;
    assert_eq!(job(&pool, id).await.unwrap().unwrap().error.as_deref(), Some("withdrawn"));
}
