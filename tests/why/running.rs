//! A worker has it, or had it.

use std::time::Duration;

use haulage::{CauseGroup, Job, JobState, Mover, Severity, WhyCode, cancel};
use sqlx::PgPool;

use super::{Made, ana, busy, cause, cause_in, claim, completes, enqueue, fix, idle_worker, quick, said, some_cause, why, why_in};
use crate::support::{Count, database, eventually, wait_for_state, worker};

pub(super) async fn a_job_of_a_silent_worker(pool: &PgPool) -> Made {
    let id = enqueue(pool, "default", "count").await;
    idle_worker(pool, 5).await;
    claim(pool, 1).await;
    sqlx::raw_sql("UPDATE haulage.workers SET name = 'host-8-4711', lease_ms = 30000, heartbeat_at = now() - interval '31 seconds'")
        .execute(pool)
        .await
        .unwrap();
    Made::of(id, "Recorded as running on `host-8-4711`, which has been silent for *.")
}

#[tokio::test]
async fn orphaned() {
    let pool = database().await.pool();
    let made = a_job_of_a_silent_worker(&pool).await;
    let id = made.id();
    // Half of its lease without a word: whoever is there will take over, if somebody is.
    let mut tx = pool.begin().await.unwrap();
    for (seconds, is_told) in [(14, false), (16, true)] {
        let silent = "UPDATE haulage.workers SET heartbeat_at = now() - make_interval(secs => $1)";
        sqlx::query(silent).bind(f64::from(seconds)).execute(&mut *tx).await.unwrap();
        let verdict = why_in(&mut tx, id).await;
        assert_eq!(verdict.code == WhyCode::Orphaned, is_told, "silent for {seconds} s: {verdict:#?}");
        assert_eq!(cause_in(&mut tx, WhyCode::Orphaned).await.is_some(), is_told);
    }
    assert_eq!(why_in(&mut tx, id).await.detail, "No worker is alive to take over.");
    sqlx::raw_sql(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, revisions)
         VALUES (8, 'other', '0', '{default}', '{5}', '{count}', 30000, '{0}')",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    let verdict = why_in(&mut tx, id).await;
    made.is_said(&verdict, WhyCode::Orphaned);
    assert!(verdict.detail.starts_with("Others take over at ") && verdict.detail.ends_with(", in 19 s."), "{}", verdict.detail);
    assert_eq!((verdict.severity, verdict.mover, verdict.also.len()), (Severity::Heals, Mover::Rescuer, 0));
    tx.rollback().await.unwrap();

    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql("UPDATE haulage.workers SET heartbeat_at = now() - interval '31 seconds'").execute(&mut *tx).await.unwrap();
    let verdict = why_in(&mut tx, id).await;
    tx.commit().await.unwrap();
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
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql("UPDATE haulage.workers SET heartbeat_at = now() - interval '12 minutes'").execute(&mut *tx).await.unwrap();
    let verdict = why_in(&mut tx, id).await;
    tx.commit().await.unwrap();
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

/// Nobody runs it, so that it stays as it is however slow the machine is.
pub(super) async fn a_running_job(pool: &PgPool) -> Made {
    idle_worker(pool, 5).await;
    let id = Count { n: 1 }.with().timeout(Duration::from_secs(60)).enqueue(pool).await.unwrap().id();
    claim(pool, 1).await;
    Made::of(id, "It has run for * on `idle`.")
}

pub(super) async fn a_job_past_its_timeout(pool: &PgPool) -> Made {
    let id = a_running_job(pool).await.id();
    sqlx::raw_sql("UPDATE haulage.live_jobs SET claimed_at = now() - interval '90 seconds'").execute(pool).await.unwrap();
    Made::of(id, format!("Job {id} passed its timeout of 1 m * s ago and `idle` has not stopped it."))
}

pub(super) async fn a_job_that_is_to_stop(pool: &PgPool) -> Made {
    let id = a_running_job(pool).await.id();
    ana().because("it was proposed").cancel(pool, id).await.unwrap();
    Made::of(id, format!("Job {id} was asked to stop *: “it was proposed”; its handler has not come to a point where it does."))
}

#[tokio::test]
async fn over_timeout_cancelling_and_running() {
    let pool = database().await.pool();
    let made = a_running_job(&pool).await;
    let id = made.id();
    made.is_said(&why(&pool, id).await, WhyCode::Running);
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql("UPDATE haulage.live_jobs SET claimed_at = now() - interval '61 seconds'").execute(&mut *tx).await.unwrap();
    assert_eq!(why_in(&mut tx, id).await.code, WhyCode::Running, "it was told a moment ago");
    sqlx::raw_sql("UPDATE haulage.live_jobs SET claimed_at = now() - interval '90 seconds'").execute(&mut *tx).await.unwrap();
    let verdict = why_in(&mut tx, id).await;
    tx.commit().await.unwrap();
    said(&verdict, WhyCode::OverTimeout, &format!("Job {id} passed its timeout of 1 m 30 s ago and `idle` has not stopped it."));
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
    // Its worker dies, and another takes it over.
    sqlx::raw_sql("UPDATE haulage.workers SET dead_at = now()").execute(&pool).await.unwrap();
    let worker = quick(&pool).await;
    eventually("it has ended", async || haulage::job(&pool, id).await.unwrap().unwrap().state.is_final()).await;
    assert!(cause(&pool, WhyCode::OverTimeout).await.is_none() && cause(&pool, WhyCode::Cancelling).await.is_none());
    worker.shutdown().await;
}

pub(super) async fn a_job_that_takes_long(pool: &PgPool) -> Made {
    let first = quick(pool).await;
    for _ in 0..20 {
        let id = enqueue(pool, "default", "count").await;
        completes(pool, id).await;
    }
    first.shutdown().await;
    sqlx::raw_sql("UPDATE haulage.finished_jobs SET claimed_at = finished_at - interval '5 milliseconds'").execute(pool).await.unwrap();
    let second = worker(pool).shutdown_grace(Duration::ZERO).handle(|_: Count, ctx: haulage::Ctx| async move { ctx.cancelled().await });
    let second = second.build().unwrap().start().await.unwrap();
    let id = enqueue(pool, "default", "count").await;
    wait_for_state(pool, id, JobState::Running).await;
    assert_eq!(why(pool, id).await.code, WhyCode::Running);
    sqlx::query("UPDATE haulage.live_jobs SET claimed_at = now() - interval '3 minutes' WHERE id = $1")
        .bind(id.0)
        .execute(pool)
        .await
        .unwrap();
    Made::of(id, format!("Job {id} has run for 3 m*; `count` usually takes 5 ms (95 %: 5 ms).")).beside(second)
}

#[tokio::test]
async fn long_running() {
    let pool = database().await.pool();
    let made = a_job_that_takes_long(&pool).await;
    let id = made.id();
    let verdict = why(&pool, id).await;
    made.is_said(&verdict, WhyCode::LongRunning);
    assert_eq!(some_cause(&pool, WhyCode::LongRunning).await.verdict.group, Some(CauseGroup::GettingWorse));
    fix(&pool, &verdict).await;
    eventually("it has stopped", async || haulage::job(&pool, id).await.unwrap().unwrap().state.is_final()).await;
    assert!(cause(&pool, WhyCode::LongRunning).await.is_none());
    made.end().await;
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
