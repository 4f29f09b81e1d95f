//! Unique jobs: two concurrent commits give one job.

use std::time::Duration;

use haulage::{EnqueueError, Enqueued, Job, JobState, OnConflict, Unique, enqueue_all, job, job_detail};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::Connection;

use crate::support::{database, jobs_in, wait_for_state, worker};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Invoice {
    customer: i64,
    note: String,
}

impl Job for Invoice {
    const KIND: &'static str = "invoice";

    fn unique(&self) -> Option<Unique> {
        Some(Unique::by(self.customer))
    }
}

fn invoice(customer: i64, note: &str) -> Invoice {
    Invoice { customer, note: note.to_owned() }
}

#[tokio::test]
async fn a_second_job_with_the_key_finds_the_first() {
    let pool = database().await.pool();
    let first = invoice(1, "first").enqueue(&pool).await.unwrap();
    assert!(first.is_new());
    assert_eq!(invoice(1, "second").enqueue(&pool).await.unwrap(), Enqueued::Duplicate(first.id()));
    assert!(invoice(2, "other").enqueue(&pool).await.unwrap().is_new());
    assert_eq!(job_detail(&pool, first.id()).await.unwrap().unwrap().args["note"], "first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_commits_give_one_job() {
    let pool = database().await.pool();
    let all = futures_util::future::join_all((0..60).map(|n| {
        let pool = pool.clone();
        async move {
            let mut tx = pool.begin().await.unwrap();
            let result = invoice(n % 3, "x").enqueue(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
            result
        }
    }))
    .await;
    assert_eq!(all.iter().filter(|result| result.is_new()).count(), 3);
    assert_eq!(jobs_in(&pool, JobState::Available).await, 3);
    for result in all {
        assert!(job(&pool, result.id()).await.unwrap().is_some(), "a duplicate names a job that exists");
    }
}

#[tokio::test]
async fn a_rolled_back_holder_frees_the_key_for_the_one_that_waits() {
    let pool = database().await.pool();
    let mut first = pool.begin().await.unwrap();
    invoice(1, "rolled back").enqueue(&mut *first).await.unwrap();
    let second = tokio::spawn({
        let pool = pool.clone();
        async move { invoice(1, "stays").enqueue(&pool).await.unwrap() }
    });
    crate::support::eventually("the second waits for the first", async || {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')")
            .fetch_one(&pool)
            .await
            .unwrap()
    })
    .await;
    first.rollback().await.unwrap();
    let second = second.await.unwrap();
    assert!(second.is_new());
    assert_eq!(job_detail(&pool, second.id()).await.unwrap().unwrap().args["note"], "stays");
}

#[tokio::test]
async fn stricter_isolation_gets_one_job_or_a_clear_error() {
    let pool = database().await.pool();
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let mut late = pool.acquire().await.unwrap();
        let mut tx = late.begin().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SET TRANSACTION ISOLATION LEVEL {level}; SELECT 1 FROM haulage.live_jobs")))
            .execute(&mut *tx)
            .await
            .unwrap();
        let key = if level == "SERIALIZABLE" { 1 } else { 2 };
        invoice(key, "first").enqueue(&pool).await.unwrap();
        let error = invoice(key, "second").enqueue(&mut *tx).await.unwrap_err();
        assert!(matches!(error, EnqueueError::Conflict(_)), "{error:?}");
        assert!(error.to_string().contains("repeat the whole transaction"), "{error}");
    }
    assert_eq!(jobs_in(&pool, JobState::Available).await, 2);
}

#[tokio::test]
async fn the_key_is_free_again_when_the_job_is_finished() {
    let pool = database().await.pool();
    let worker = worker(&pool).handle(|_: Invoice| async {}).build().unwrap().start().await.unwrap();
    let first = invoice(1, "a").enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, first, JobState::Completed).await;
    let second = invoice(1, "b").enqueue(&pool).await.unwrap();
    assert!(second.is_new());
    wait_for_state(&pool, second.id(), JobState::Completed).await;
    worker.shutdown().await;
    let keys: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.unique_keys").fetch_one(&pool).await.unwrap();
    assert_eq!(keys, 0);
}

#[tokio::test]
async fn a_window_outlives_the_job_and_then_ends() {
    let pool = database().await.pool();
    let within = |window| invoice(1, "x").with().unique(Unique::by(1).within(window));
    let worker = worker(&pool).handle(|_: Invoice| async {}).build().unwrap().start().await.unwrap();
    let first = within(Duration::from_secs(3_600)).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, first, JobState::Completed).await;
    assert_eq!(within(Duration::from_secs(1)).enqueue(&pool).await.unwrap(), Enqueued::Duplicate(first));
    worker.shutdown().await;
    // The window's end, without waiting an hour for it.
    sqlx::query("UPDATE haulage.unique_keys SET until = now()").execute(&pool).await.unwrap();
    assert!(within(Duration::from_secs(1)).enqueue(&pool).await.unwrap().is_new());
}

#[tokio::test]
async fn a_job_slower_than_its_window_holds_the_key_until_it_is_finished() {
    let pool = database().await.pool();
    let first = invoice(1, "x").with().unique(Unique::by(1).within(Duration::from_millis(1))).enqueue(&pool).await.unwrap();
    sqlx::query("UPDATE haulage.unique_keys SET until = now() - interval '1 hour'").execute(&pool).await.unwrap();
    assert_eq!(invoice(1, "y").enqueue(&pool).await.unwrap(), Enqueued::Duplicate(first.id()));
}

#[tokio::test]
async fn a_conflict_can_replace_the_args_or_the_time_of_a_job_that_has_not_started() {
    let pool = database().await.pool();
    let first = invoice(1, "old").with().delay(Duration::from_secs(60)).enqueue(&pool).await.unwrap();

    let replaced = invoice(1, "new").with().unique(Unique::by(1).on_conflict(OnConflict::ReplaceArgs)).enqueue(&pool).await.unwrap();
    assert_eq!(replaced, Enqueued::Duplicate(first.id()));
    let detail = job_detail(&pool, first.id()).await.unwrap().unwrap();
    assert_eq!((detail.args, detail.status.state), (json!({"customer": 1, "note": "new"}), JobState::Scheduled));

    let at = chrono::Utc::now() + chrono::TimeDelta::days(2);
    invoice(1, "newer").with().run_at(at).unique(Unique::by(1).on_conflict(OnConflict::Reschedule)).enqueue(&pool).await.unwrap();
    let detail = job_detail(&pool, first.id()).await.unwrap().unwrap();
    assert_eq!((detail.status.run_at.timestamp_millis(), &detail.args["note"]), (at.timestamp_millis(), &json!("new")));

    invoice(1, "now").with().unique(Unique::by(1).on_conflict(OnConflict::Reschedule)).enqueue(&pool).await.unwrap();
    assert_eq!(job(&pool, first.id()).await.unwrap().unwrap().state, JobState::Available);
}

#[tokio::test]
async fn a_batch_meets_its_own_keys_as_if_one_after_the_other() {
    let pool = database().await.pool();
    let replace = |n: i64, note: &str| invoice(n, note).with().unique(Unique::by(n).on_conflict(OnConflict::ReplaceArgs));
    let results = enqueue_all(&pool, [replace(1, "a"), replace(2, "b"), replace(1, "c"), replace(1, "d")]).await.unwrap();
    assert!(results[0].is_new() && results[1].is_new());
    assert_eq!(results[2..], [Enqueued::Duplicate(results[0].id()), Enqueued::Duplicate(results[0].id())]);
    assert_eq!(job_detail(&pool, results[0].id()).await.unwrap().unwrap().args["note"], "d");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_with_the_same_keys_in_other_orders_do_not_deadlock() {
    let pool = database().await.pool();
    futures_util::future::join_all((0..20_i64).map(|round| {
        let pool = pool.clone();
        async move {
            let mut keys: Vec<i64> = (0..200).collect();
            keys.rotate_left(usize::try_from(round * 7).unwrap());
            enqueue_all(&pool, keys.into_iter().map(|n| invoice(n, "x"))).await.unwrap();
        }
    }))
    .await;
    assert_eq!(jobs_in(&pool, JobState::Available).await, 200);
}

#[tokio::test]
async fn a_batch_of_mixed_rules_gives_a_holder_both() {
    let pool = database().await.pool();
    let first = invoice(1, "old").with().delay(Duration::from_secs(60)).enqueue(&pool).await.unwrap();
    let at = chrono::Utc::now() + chrono::TimeDelta::days(2);
    let rule = |action| Unique::by(1).on_conflict(action);
    enqueue_all(
        &pool,
        [
            invoice(1, "new").with().unique(rule(OnConflict::ReplaceArgs)),
            invoice(1, "ignored").with().run_at(at).unique(rule(OnConflict::Reschedule)),
        ],
    )
    .await
    .unwrap();
    let detail = job_detail(&pool, first.id()).await.unwrap().unwrap();
    assert_eq!((&detail.args["note"], detail.status.run_at.timestamp_millis()), (&json!("new"), at.timestamp_millis()));
}

#[tokio::test]
async fn a_key_whose_job_was_removed_by_hand_is_free() {
    let pool = database().await.pool();
    let first = invoice(1, "x").enqueue(&pool).await.unwrap();
    sqlx::query("DELETE FROM haulage.live_jobs WHERE id = $1").bind(first.id().0).execute(&pool).await.unwrap();
    assert!(invoice(1, "y").enqueue(&pool).await.unwrap().is_new());
}
