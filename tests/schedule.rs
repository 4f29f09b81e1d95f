//! Scheduled jobs run at their time: never before, not on a slow tick after.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use haulage::{Job, JobState, enqueue_all, job};

use crate::support::{Count, database, eventually, jobs_in, wait_for_state, worker};

#[tokio::test]
async fn delayed_jobs_run_at_their_time_and_never_before() {
    let pool = database().await.pool();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let mut ids = Vec::new();
    for ms in [100, 300, 700, 1_500, 2_600] {
        ids.push(Count { n: 1 }.with().delay(Duration::from_millis(ms)).enqueue(&pool).await.unwrap().id());
    }
    let mut late = Vec::new();
    for id in ids {
        wait_for_state(&pool, id, JobState::Completed).await;
        let status = job(&pool, id).await.unwrap().unwrap();
        let wait = status.claimed_at.unwrap() - status.run_at;
        assert!(wait >= TimeDelta::zero(), "claimed {wait} before its time");
        late.push(wait);
    }
    worker.shutdown().await;
    late.sort();
    assert!(late[1] < TimeDelta::milliseconds(700), "a tick of a second would be later than this most of the time: {late:?}");
}

#[tokio::test]
async fn a_crowd_of_due_jobs_is_promoted_by_several_workers_once_each() {
    let pool = database().await.pool();
    let now: DateTime<Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&pool).await.unwrap();
    enqueue_all(&pool, (0..5_000).map(|n| Count { n }.with().run_at(now + TimeDelta::milliseconds(1_500)))).await.unwrap();
    assert_eq!(jobs_in(&pool, JobState::Scheduled).await, 5_000);
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap());
    }
    eventually("all ran", async || jobs_in(&pool, JobState::Completed).await == 5_000).await;
    for worker in workers {
        worker.shutdown().await;
    }
    let (early, again): (i64, i64) =
        sqlx::query_as("SELECT count(*) FILTER (WHERE claimed_at < run_at), count(*) FILTER (WHERE attempt <> 1) FROM haulage.jobs")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!((early, again), (0, 0));
}

#[tokio::test]
async fn a_job_whose_row_was_locked_at_its_moment_is_promoted_later() {
    let pool = database().await.pool();
    let id = Count { n: 1 }.with().delay(Duration::from_millis(200)).enqueue(&pool).await.unwrap().id();
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM haulage.live_jobs WHERE id = $1 FOR UPDATE").bind(id.0).execute(&mut *holder).await.unwrap();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let other = Count { n: 2 }.with().delay(Duration::from_millis(400)).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, other, JobState::Completed).await;
    assert_eq!(job(&pool, id).await.unwrap().unwrap().state, JobState::Scheduled);
    holder.rollback().await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
}
