//! Finished jobs say where their time went.

use haulage::{CauseGroup, Job, JobError, JobId, JobState, Mover, Severity, WhyCode};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::{Made, ana, cause, completes, enqueue, fix, quick, said, some_cause, why};
use crate::support::{Count, database, wait_for_state, worker};

pub(super) async fn a_completed_job(pool: &PgPool) -> Made {
    let worker = worker(pool)
        .handle(|_: Count, ctx: haulage::Ctx| async move {
            if ctx.attempt() == 1 {
                return Err::<(), _>(JobError::from("SMTP timed out"));
            }
            Ok(())
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.enqueue(pool).await.unwrap().id();
    completes(pool, id).await;
    worker.shutdown().await;
    // As if it had been an hour, and the last attempt had taken 60 ms.
    sqlx::raw_sql(
        "UPDATE haulage.finished_jobs SET created_at = created_at - interval '1 hour', claimed_at = finished_at - interval '60 milliseconds',
             eligible_at = finished_at - interval '60 milliseconds';
         UPDATE haulage.attempts SET eligible_at = eligible_at - interval '1 hour', claimed_at = claimed_at - interval '1 hour',
             started_at = started_at - interval '1 hour', ended_at = ended_at - interval '1 hour'",
    )
    .execute(pool)
    .await
    .unwrap();
    Made::of(id, "Took 1 h, of which 1 h was waiting: 1 h of backoff after *.")
}

#[tokio::test]
async fn completed() {
    let pool = database().await.pool();
    let made = a_completed_job(&pool).await;
    let verdict = why(&pool, made.id()).await;
    made.is_said(&verdict, WhyCode::Completed);
    assert!(verdict.detail.starts_with("The work itself took ") && verdict.detail.contains(" in 2 attempts"), "{}", verdict.detail);
    assert_eq!((verdict.severity, verdict.mover, verdict.group), (Severity::Ok, Mover::Nobody, None));
    let story = &verdict.facts["story"];
    let all: f64 = ["scheduled_s", "line_s", "backoff_s", "snoozed_s", "ended_s", "lost_s", "worked_s"]
        .iter()
        .map(|part| story[part].as_f64().unwrap())
        .sum();
    assert!((all - story["total_s"].as_f64().unwrap()).abs() < 0.1, "{story}");
}

pub(super) async fn a_cancelled_job(pool: &PgPool) -> Made {
    let id = enqueue(pool, "default", "count").await;
    ana().because("not needed").cancel(pool, id).await.unwrap();
    Made::of(id, "It was cancelled *: not needed.")
}

pub(super) async fn a_deleted_job(pool: &PgPool) -> Made {
    let id = a_cancelled_job(pool).await.id();
    ana().because("GDPR").delete(pool, id).await.unwrap();
    Made::of(id, "ana deleted it *: “GDPR”.")
}

#[tokio::test]
async fn cancelled_and_gone() {
    let pool = database().await.pool();
    for (made, code) in [(a_cancelled_job(&pool).await, WhyCode::Cancelled), (a_deleted_job(&pool).await, WhyCode::Gone)] {
        made.is_said(&why(&pool, made.id()).await, code);
    }

    let rolled_back = {
        let mut tx = pool.begin().await.unwrap();
        let id = Count { n: 1 }.enqueue(&mut *tx).await.unwrap().id();
        tx.rollback().await.unwrap();
        id
    };
    enqueue(&pool, "default", "count").await;
    said(&why(&pool, rolled_back).await, WhyCode::Gone, "It is gone: it finished and its history is past its retention, or *");
    for id in [JobId(4_711), JobId(0), JobId(-1)] {
        assert!(haulage::why(&mut pool.acquire().await.unwrap(), id).await.unwrap().is_none(), "{id} never was");
    }
}

/// Its customer is there when it is tried again.
pub(super) async fn a_dead_job(pool: &PgPool) -> Made {
    let handler = |_: Count, ctx: haulage::Ctx| async move {
        if ctx.attempt() == 1 { Err::<(), _>(JobError::fatal("no such customer")) } else { Ok(()) }
    };
    let worker = worker(pool).handle(handler).build().unwrap().start().await.unwrap();
    let id = Count { n: 1 }.enqueue(pool).await.unwrap().id();
    wait_for_state(pool, id, JobState::Dead).await;
    Made::of(id, "It died * after 1 attempt: no such customer.").beside(worker)
}

/// The handler that reads them has been deployed since.
pub(super) async fn a_job_with_bad_args(pool: &PgPool) -> Made {
    #[derive(Debug, Serialize, Deserialize)]
    struct Counted {
        n: String,
    }
    impl Job for Counted {
        const KIND: &'static str = "count";
    }
    let old = quick(pool).await;
    let id = haulage::enqueue_named(pool, &haulage::NamedJob::new("count", serde_json::json!({ "n": "one" }))).await.unwrap().id();
    wait_for_state(pool, id, JobState::Dead).await;
    old.shutdown().await;
    let new = worker(pool).handle(async |_: Counted| {}).build().unwrap().start().await.unwrap();
    let sentence = "The handler of `count` could not read the args: the args no longer parse as \"count\": invalid type: string*";
    Made::of(id, sentence).beside(new)
}

#[tokio::test]
async fn dead_and_bad_args() {
    let pool = database().await.pool();
    let misfit = a_job_with_bad_args(&pool).await;
    let bad = misfit.id();
    misfit.is_said(&why(&pool, bad).await, WhyCode::BadArgs);
    misfit.end().await;
    let lost = a_dead_job(&pool).await;
    let dead = lost.id();
    let verdict = why(&pool, dead).await;
    lost.is_said(&verdict, WhyCode::Dead);
    assert!(verdict.detail.starts_with("Took "), "{}", verdict.detail);

    let died = some_cause(&pool, WhyCode::Dead).await;
    assert_eq!((died.jobs, died.verdict.group), (1, Some(CauseGroup::NeedsYou)));
    said(&died.verdict, WhyCode::Dead, "Jobs of `count` in `default` die: no such customer.");
    let found = some_cause(&pool, WhyCode::BadArgs).await;
    assert!(
        found.verdict.fixes[0]
            .command
            .starts_with("haulage jobs retry --state dead --queue default --kind count --error-class args --finished-after"),
        "{:?}",
        found.verdict.fixes
    );

    // The data are mended, and all of them retried.
    sqlx::raw_sql(r#"UPDATE haulage.finished_jobs SET args = '{"n": 2}' WHERE state = 6"#).execute(&pool).await.unwrap();
    fix(&pool, &found.verdict).await;
    completes(&pool, bad).await;
    assert_eq!(why(&pool, dead).await.code, WhyCode::Dead, "what died of something else is left alone");
    fix(&pool, &died.verdict).await;
    completes(&pool, dead).await;
    assert!(cause(&pool, WhyCode::Dead).await.is_none() && cause(&pool, WhyCode::BadArgs).await.is_none());
    lost.end().await;
}

#[tokio::test]
async fn what_a_person_discards_has_not_died() {
    let pool = database().await.pool();
    let id = enqueue(&pool, "default", "count").await;
    ana().because("not needed").discard(&pool, id).await.unwrap();
    wait_for_state(&pool, id, JobState::Dead).await;
    assert!(cause(&pool, WhyCode::Dead).await.is_none());
}

pub(super) async fn a_quarantined_job(pool: &PgPool) -> Made {
    let id = enqueue(pool, "default", "count").await;
    // Three workers die while they hold it; the last one is found dead by the real statement.
    sqlx::raw_sql(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, revisions, dead_at)
         VALUES (7, 'dead', '0', '{default}', '{5}', '{count}', 30000, '{0}', now());
         INSERT INTO haulage.leases (id, worker, ids) SELECT 42, 7, array_agg(id) FROM haulage.live_jobs;
         UPDATE haulage.live_jobs SET state = 2, lease = 42, claimed_at = now(), crashes = 2, attempt = 3",
    )
    .execute(pool)
    .await
    .unwrap();
    let rescued = haulage::store::rescue_jobs(&mut pool.acquire().await.unwrap(), &[]).await.unwrap();
    assert!(format!("{rescued:?}").contains("died: true"), "{rescued:?}");
    let sentence = "Its process died three times while a job of `count` ran, so it was quarantined *.";
    Made::of(id, sentence).beside(quick(pool).await)
}

#[tokio::test]
async fn quarantined() {
    let pool = database().await.pool();
    let made = a_quarantined_job(&pool).await;
    let id = made.id();
    let verdict = why(&pool, id).await;
    made.is_said(&verdict, WhyCode::Quarantined);
    assert_eq!(some_cause(&pool, WhyCode::Quarantined).await.jobs, 1);
    fix(&pool, &verdict).await;
    completes(&pool, id).await;
    assert!(cause(&pool, WhyCode::Quarantined).await.is_none());
    made.end().await;
}
