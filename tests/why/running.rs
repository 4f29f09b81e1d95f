//! A worker has it, or had it.

use std::time::Duration;

use haulage::{CauseGroup, Job, JobState, Mover, Severity, WhyCode, cancel};

use super::{busy, cause, completes, enqueue, fix, quick, said, some_cause, why};
use crate::support::{Count, database, eventually, wait_for_state, worker};

/// The job runs on a worker whose row says that it was heard of so many seconds ago.
async fn running_on_a_silent_worker(pool: &sqlx::PgPool, silent_s: f64) -> haulage::JobId {
    let id = enqueue(pool, "default", "count").await;
    sqlx::query(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, revisions, heartbeat_at)
         VALUES (7, 'host-8-4711', '0', '{default}', '{5}', '{count}', 30000, '{0}', now() - make_interval(secs => $1))",
    )
    .bind(silent_s)
    .execute(pool)
    .await
    .unwrap();
    let kinds = [("count".to_owned(), 0)].into_iter().collect();
    let request = haulage::store::Request {
        token: 42,
        worker: 7,
        kinds: &kinds,
        queues: &["default"],
        wants: &[10],
        bounds: &[0, 0, 0, 0],
        exempt: 0,
        in_turn: &[],
    };
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!(haulage::store::claim_jobs(&mut connection, &request).await.unwrap().jobs.len(), 1);
    id
}

#[tokio::test]
async fn orphaned() {
    let pool = database().await.pool();
    let id = running_on_a_silent_worker(&pool, 31.0).await;
    let verdict = why(&pool, id).await;
    said(&verdict, WhyCode::Orphaned, "Recorded as running on `host-8-4711`, which has been silent for 31 s.");
    assert_eq!(
        (verdict.severity, verdict.mover, verdict.overdue),
        (Severity::Stuck, Mover::Person, false),
        "nobody is there to take it over"
    );
    assert!(verdict.detail == "No worker is alive to take over.", "{}", verdict.detail);
    let found = some_cause(&pool, WhyCode::Orphaned).await;
    assert_eq!((found.jobs, found.verdict.group), (1, Some(CauseGroup::NeedsYou)));
    assert_eq!(found.verdict.subject.worker.as_deref(), Some("host-8-4711"));

    // The promise is not kept, because nobody is there to keep it.
    sqlx::raw_sql("UPDATE haulage.workers SET heartbeat_at = now() - interval '12 minutes'").execute(&pool).await.unwrap();
    let verdict = why(&pool, id).await;
    said(
        &verdict,
        WhyCode::Orphaned,
        "Recorded as running on `host-8-4711`, which has been silent for 12 m. They were due to be rescued 11 m 25 s ago, but no worker is \
         alive to do it.",
    );
    assert_eq!((verdict.severity, verdict.fixes[0].id), (Severity::Stuck, "start-worker"));
    assert_eq!(some_cause(&pool, WhyCode::Orphaned).await.verdict.group, Some(CauseGroup::NeedsYou));
    let worker = quick(&pool).await;
    completes(&pool, id).await;
    assert!(cause(&pool, WhyCode::Orphaned).await.is_none());
    worker.shutdown().await;
}

#[tokio::test]
async fn over_timeout_cancelling_and_running() {
    let pool = database().await.pool();
    let (gate, opened) = std::sync::mpsc::channel::<()>();
    let opened = std::sync::Arc::new(std::sync::Mutex::new(opened));
    let blocks = move |_: Count| {
        // Code that blocks can't be interrupted; the end of the test ends it.
        opened.lock().unwrap().recv().ok();
    };
    let worker = worker(&pool).queue("mail", 1).handle_blocking(blocks).build().unwrap().start().await.unwrap();
    let id = Count { n: 1 }.with().timeout(Duration::from_secs(1)).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Running).await;
    said(&why(&pool, id).await, WhyCode::Running, "It has run for * on `*`.");
    eventually("its timeout is over", async || why(&pool, id).await.code == WhyCode::OverTimeout).await;
    let verdict = why(&pool, id).await;
    said(&verdict, WhyCode::OverTimeout, &format!("Job {id} passed its timeout of 1 s * ago and `*` has not stopped it."));
    let found = some_cause(&pool, WhyCode::OverTimeout).await;
    assert_eq!((found.jobs, found.verdict.group), (1, Some(CauseGroup::NeedsYou)));
    fix(&pool, &verdict).await;
    let verdict = why(&pool, id).await;
    said(
        &verdict,
        WhyCode::Cancelling,
        &format!("Job {id} was asked to stop *: “it was proposed”; its handler has not come to a point where it does."),
    );
    assert_eq!((verdict.severity, verdict.mover), (Severity::Heals, Mover::Worker));
    // A minute later nobody expects it any more.
    sqlx::raw_sql("UPDATE haulage.cancel_requests SET requested_at = now() - interval '80 seconds'").execute(&pool).await.unwrap();
    assert_eq!(why(&pool, id).await.severity, Severity::Stuck);
    assert_eq!(some_cause(&pool, WhyCode::Cancelling).await.verdict.group, Some(CauseGroup::NeedsYou));
    gate.send(()).unwrap();
    eventually("the handler has ended", async || haulage::job(&pool, id).await.unwrap().unwrap().state.is_final()).await;
    assert!(cause(&pool, WhyCode::OverTimeout).await.is_none() && cause(&pool, WhyCode::Cancelling).await.is_none());
    worker.shutdown().await;
}

#[tokio::test]
async fn long_running() {
    let pool = database().await.pool();
    let first = quick(&pool).await;
    for _ in 0..20 {
        let id = enqueue(&pool, "default", "count").await;
        completes(&pool, id).await;
    }
    first.shutdown().await;
    let second = worker(&pool).shutdown_grace(Duration::ZERO).handle(|_: Count, ctx: haulage::Ctx| async move { ctx.cancelled().await });
    let second = second.build().unwrap().start().await.unwrap();
    let id = enqueue(&pool, "default", "count").await;
    wait_for_state(&pool, id, JobState::Running).await;
    assert_eq!(why(&pool, id).await.code, WhyCode::Running);
    sqlx::query("UPDATE haulage.live_jobs SET claimed_at = now() - interval '3 minutes' WHERE id = $1")
        .bind(id.0)
        .execute(&pool)
        .await
        .unwrap();
    let verdict = why(&pool, id).await;
    said(&verdict, WhyCode::LongRunning, &format!("Job {id} has run for 3 m*; `count` usually takes * ms (95 %: *)."));
    assert_eq!(some_cause(&pool, WhyCode::LongRunning).await.verdict.group, Some(CauseGroup::GettingWorse));
    fix(&pool, &verdict).await;
    eventually("it has stopped", async || haulage::job(&pool, id).await.unwrap().unwrap().state.is_final()).await;
    assert!(cause(&pool, WhyCode::LongRunning).await.is_none());
    second.shutdown().await;
}

#[tokio::test]
async fn a_cancel_that_is_heard_is_no_cause() {
    let pool = database().await.pool();
    let worker = busy(&pool, 1).await;
    let id = enqueue(&pool, "default", "count").await;
    wait_for_state(&pool, id, JobState::Running).await;
    cancel(&pool, id, "not needed").await.unwrap();
    eventually("it has stopped or is told to", async || why(&pool, id).await.code != WhyCode::Running).await;
    assert!(cause(&pool, WhyCode::Cancelling).await.is_none());
    worker.shutdown().await;
}
