//! Who serves the queue, and who is let in.

use std::{sync::Arc, time::Duration};

use haulage::{CauseGroup, Job, Limit, Mover, NamedJob, Severity, WhyCode, enqueue_named, list_workers};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use super::{Made, age, ana, busy, cause, completes, enqueue, fix, quick, said, some_cause, why, why_in};
use crate::support::{Count, database, eventually, jobs_in, wait_for_state, worker};

pub(super) async fn a_fleet_without_workers(pool: &PgPool) -> Made {
    Made::of(enqueue(pool, "default", "count").await, "No worker is alive anywhere.")
}

#[tokio::test]
async fn no_live_workers() {
    let pool = database().await.pool();
    let made = a_fleet_without_workers(&pool).await;
    let id = made.id();
    made.is_said(&why(&pool, id).await, WhyCode::NoLiveWorkers);
    age(&pool, id, 10).await;
    let found = some_cause(&pool, WhyCode::NoLiveWorkers).await;
    assert_eq!((found.jobs, found.verdict.group), (1, Some(CauseGroup::NeedsYou)));
    assert_eq!(found.verdict.fixes[0].id, "start-worker");
    let worker = quick(&pool).await;
    completes(&pool, id).await;
    assert!(cause(&pool, WhyCode::NoLiveWorkers).await.is_none());
    worker.shutdown().await;
}

pub(super) async fn a_queue_that_nobody_serves(pool: &PgPool) -> Made {
    let worker = quick(pool).await;
    Made::of(enqueue(pool, "mial", "count").await, "No live worker serves queue `mial`.").beside(worker)
}

#[tokio::test]
async fn no_worker() {
    let pool = database().await.pool();
    let made = a_queue_that_nobody_serves(&pool).await;
    let id = made.id();
    made.is_said(&why(&pool, id).await, WhyCode::NoWorker);
    age(&pool, id, 10).await;
    assert_eq!(some_cause(&pool, WhyCode::NoWorker).await.jobs, 1);
    let second = worker(&pool).queue("mial", 1).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    completes(&pool, id).await;
    second.shutdown().await;

    // A name that is nearly right leads to the right one; moving the job there is offered, second.
    let id = enqueue(&pool, "mails", "count").await;
    let verdict = why(&pool, id).await;
    said(&verdict, WhyCode::NoWorker, "No live worker serves queue `mails`; did you mean `mail`?");
    assert_eq!(
        (verdict.fixes[0].id, verdict.fixes[1].command.as_str()),
        ("start-worker", format!("haulage jobs move {id} --to mail").as_str())
    );
    assert!(ana().apply(&pool, verdict.fixes[1].act.as_ref().unwrap()).await.unwrap());
    completes(&pool, id).await;
    // Of a queue that somebody has spoken of the name is meant.
    ana().limit_queue(&pool, "mailz", Limit::running(5)).await.unwrap();
    let id = enqueue(&pool, "mailz", "count").await;
    let verdict = why(&pool, id).await;
    said(&verdict, WhyCode::NoWorker, "No live worker serves queue `mailz`.");
    assert_eq!(verdict.fixes.len(), 1, "{:?}", verdict.fixes);
    made.end().await;
}

pub(super) async fn a_quiet_worker(pool: &PgPool) -> Made {
    let worker = quick(pool).await;
    let known = list_workers(pool).await.unwrap().pop().unwrap();
    ana().quiet_worker(pool, known.id.parse().unwrap()).await.unwrap();
    nobody_takes(pool, "default").await;
    let sentence = "The only worker that takes `count` from `default`, `*`, is kept quiet by ana since *.";
    Made::of(enqueue(pool, "default", "count").await, sentence).beside(worker)
}

/// Waits until the worker has heard that it is to be quiet.
async fn nobody_takes(pool: &PgPool, queue: &str) {
    eventually("the worker has heard of it", async || {
        let id = enqueue(pool, queue, "count").await;
        why(pool, id).await.code == WhyCode::WorkersQuiet && jobs_in(pool, haulage::JobState::Running).await == 0
    })
    .await;
}

#[tokio::test]
async fn workers_quiet() {
    let pool = database().await.pool();
    let quiet = quick(&pool).await;
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct Report {}
    impl Job for Report {
        const KIND: &'static str = "report";
    }
    // One of the same queue that does not know the kind.
    let other = worker(&pool).handle(|_: Report| async {}).build().unwrap().start().await.unwrap();
    let known = list_workers(&pool).await.unwrap().into_iter().find(|worker| worker.kinds == ["count"]).unwrap();
    ana().because("INC-2207").quiet_worker(&pool, known.id.parse().unwrap()).await.unwrap();
    nobody_takes(&pool, "mail").await;
    let id = enqueue(&pool, "default", "count").await;
    let verdict = why(&pool, id).await;
    said(
        &verdict,
        WhyCode::WorkersQuiet,
        "The only worker that takes `count` from `default`, `*`, is kept quiet by ana since *: “INC-2207”.",
    );
    assert_eq!((verdict.severity, verdict.mover), (Severity::Stuck, Mover::Person));
    assert_eq!(verdict.fixes[0].command, format!("haulage workers resume {}", known.id));
    // What no worker takes, quiet or not, is as before.
    let unknown = enqueue(&pool, "default", "none").await;
    said(&why(&pool, unknown).await, WhyCode::NoHandler, "2 workers serve `default`, but none has a handler for `none`.");
    age(&pool, id, 10).await;
    assert_eq!(some_cause(&pool, WhyCode::WorkersQuiet).await.verdict.group, Some(CauseGroup::NeedsYou));
    fix(&pool, &verdict).await;
    completes(&pool, id).await;
    eventually("it is none any more", async || cause(&pool, WhyCode::WorkersQuiet).await.is_none()).await;
    quiet.shutdown().await;
    other.shutdown().await;
}

#[tokio::test]
async fn a_limited_queue_that_drains_is_explained_all_the_while() {
    let pool = database().await.pool();
    ana().limit_queue(&pool, "default", Limit::running(2)).await.unwrap();
    for _ in 0..60 {
        let id = enqueue(&pool, "default", "count").await;
        age(&pool, id, 120).await;
    }
    // Two may end for each look, so that it drains while it is looked at.
    let ends = Arc::new(Semaphore::new(1));
    let end = ends.clone();
    let handler = move |_: Count| {
        let end = end.clone();
        async move {
            end.acquire().await.unwrap().forget();
        }
    };
    let worker = super::plain(&pool).queue("default", 10).handle(handler).build().unwrap().start().await.unwrap();
    eventually("one has run", async || jobs_in(&pool, haulage::JobState::Completed).await > 0).await;
    // As if the worker and the limit had been there for long.
    sqlx::raw_sql("UPDATE haulage.workers SET started_at = now() - interval '1 hour'; UPDATE haulage.queues SET updated_at = now() - interval '1 hour'")
        .execute(&pool)
        .await
        .unwrap();
    eventually("all have run", async || {
        ends.add_permits(2);
        let unexplained = cause(&pool, WhyCode::Unexplained).await;
        assert!(unexplained.is_none(), "{unexplained:#?}");
        jobs_in(&pool, haulage::JobState::Completed).await == 60
    })
    .await;
    worker.shutdown().await;
}

pub(super) async fn a_paused_queue(pool: &PgPool) -> Made {
    let worker = quick(pool).await;
    ana().because("vendor outage, INC-2207").pause_queue(pool, "mail", None).await.unwrap();
    let id = enqueue(pool, "mail", "count").await;
    Made::of(id, "Queue `mail` is paused by ana since *: “vendor outage, INC-2207”.").beside(worker)
}

#[tokio::test]
async fn paused() {
    let pool = database().await.pool();
    let made = a_paused_queue(&pool).await;
    let id = made.id();
    let verdict = why(&pool, id).await;
    made.is_said(&verdict, WhyCode::Paused);
    assert_eq!((verdict.severity, verdict.mover), (Severity::Stuck, Mover::Person));
    assert_eq!(verdict.facts["by"], "ana");
    assert_eq!(some_cause(&pool, WhyCode::Paused).await.verdict.fixes[0].command, "haulage queues resume mail");
    // With an end it clears by itself.
    ana().pause_queue(&pool, "mail", Some(Duration::from_secs(600))).await.unwrap();
    let verdict = why(&pool, id).await;
    assert_eq!((verdict.severity, verdict.mover), (Severity::Heals, Mover::Clock));
    assert!(verdict.detail.contains("It resumes at") && verdict.due.is_some(), "{}", verdict.detail);
    fix(&pool, &verdict).await;
    completes(&pool, id).await;
    assert!(cause(&pool, WhyCode::Paused).await.is_none());
    made.end().await;
}

#[tokio::test]
async fn what_else_would_hold_it_up_is_said_beside_it() {
    let pool = database().await.pool();
    let worker = quick(&pool).await;
    ana().pause_queue(&pool, "mail", None).await.unwrap();
    let id = enqueue(&pool, "mail", "report").await;
    let verdict = why(&pool, id).await;
    assert_eq!(verdict.code, WhyCode::Paused);
    assert_eq!(verdict.also.iter().map(|other| other.code).collect::<Vec<_>>(), [WhyCode::NoHandler]);
    worker.shutdown().await;
}

pub(super) async fn a_kind_that_nobody_handles(pool: &PgPool) -> Made {
    let id = enqueue(pool, "mail", "report").await;
    Made::of(id, "1 worker serves `mail` and has no handler for `report`.").beside(quick(pool).await)
}

pub(super) async fn a_later_revision(pool: &PgPool) -> Made {
    let newer = NamedJob::new("count", serde_json::json!({ "n": 1 })).queue("mail").revision(2);
    let id = enqueue_named(pool, &newer).await.unwrap().id();
    Made::of(id, "The workers of `mail` know `count` up to revision 0, and it has revision 2.").beside(quick(pool).await)
}

#[tokio::test]
async fn no_handler_and_old_revision() {
    let pool = database().await.pool();
    let unhandled = a_kind_that_nobody_handles(&pool).await;
    let id = unhandled.id();
    unhandled.is_said(&why(&pool, id).await, WhyCode::NoHandler);
    unhandled.end().await;
    let later = a_later_revision(&pool).await;
    let newer = later.id();
    later.is_said(&why(&pool, newer).await, WhyCode::OldRevision);
    for id in [id, newer] {
        age(&pool, id, 10).await;
    }
    let found = some_cause(&pool, WhyCode::NoHandler).await;
    assert_eq!((found.jobs, found.verdict.subject.kind.as_deref()), (1, Some("report")));
    assert_eq!(some_cause(&pool, WhyCode::OldRevision).await.jobs, 1);

    // The newer code.
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct Report {}
    impl Job for Report {
        const KIND: &'static str = "report";
    }
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct Counted {}
    impl Job for Counted {
        const KIND: &'static str = "count";
        const REVISION: u16 = 2;
    }
    let second = worker(&pool).queue("mail", 1).handle(|_: Report| async {}).handle(|_: Counted| async {});
    let second = second.build().unwrap().start().await.unwrap();
    completes(&pool, id).await;
    completes(&pool, newer).await;
    for code in [WhyCode::NoHandler, WhyCode::OldRevision] {
        assert!(cause(&pool, code).await.is_none());
    }
    later.end().await;
    second.shutdown().await;
}

pub(super) async fn a_full_queue(pool: &PgPool) -> Made {
    ana().limit_queue(pool, "default", Limit::running(2).rate(1_000, Duration::from_secs(1))).await.unwrap();
    let worker = busy(pool, 10).await;
    for _ in 0..2 {
        enqueue(pool, "default", "count").await;
    }
    eventually("two run", async || jobs_in(pool, haulage::JobState::Running).await == 2).await;
    let id = enqueue(pool, "default", "count").await;
    Made::of(id, "Queue `default` is at its limit: 2 of 2 are running or let in.").beside(worker)
}

#[tokio::test]
async fn queue_full() {
    let pool = database().await.pool();
    let made = a_full_queue(&pool).await;
    let id = made.id();
    let verdict = why(&pool, id).await;
    made.is_said(&verdict, WhyCode::QueueFull);
    assert_eq!(verdict.severity, Severity::Ok, "it has just come");
    age(&pool, id, 90).await;
    assert_eq!(some_cause(&pool, WhyCode::QueueFull).await.verdict.group, Some(CauseGroup::ClearsByItself));
    // The rate stays as it was.
    assert_eq!(verdict.fixes[0].command, "haulage queues limit default --max 4 --rate 1000/1000ms");
    fix(&pool, &verdict).await;
    eventually("all run", async || jobs_in(&pool, haulage::JobState::Running).await == 3).await;
    // One at a time may be meant as a lock.
    ana().limit_queue(&pool, "default", Limit::running(1)).await.unwrap();
    let id = enqueue(&pool, "default", "count").await;
    assert!(why(&pool, id).await.fixes.is_empty());
    made.end().await;
}

pub(super) async fn a_queue_at_its_rate(pool: &PgPool) -> Made {
    ana().limit_queue(pool, "mail", Limit::starts(1, Duration::from_secs(3_600))).await.unwrap();
    let worker = quick(pool).await;
    let first = enqueue(pool, "mail", "count").await;
    completes(pool, first).await;
    let id = enqueue(pool, "mail", "count").await;
    Made::of(id, "Queue `mail` may start 1 an hour; the next place is free at *, in *.").beside(worker)
}

#[tokio::test]
async fn queue_rate() {
    let pool = database().await.pool();
    let made = a_queue_at_its_rate(&pool).await;
    let id = made.id();
    let verdict = why(&pool, id).await;
    made.is_said(&verdict, WhyCode::QueueRate);
    assert_eq!(verdict.mover, Mover::Clock);
    age(&pool, id, 90).await;
    assert_eq!(some_cause(&pool, WhyCode::QueueRate).await.jobs, 1);
    fix(&pool, &verdict).await;
    completes(&pool, id).await;
    made.end().await;
}

async fn a_limited_key(pool: &PgPool, key: &str, limit: Limit, sentence: &str) -> Made {
    ana().limit_key(pool, key, limit).await.unwrap();
    let worker = busy(pool, 10).await;
    let first = Count { n: 1 }.with().limit_key(key).enqueue(pool).await.unwrap().id();
    wait_for_state(pool, first, haulage::JobState::Running).await;
    let second = Count { n: 2 }.with().limit_key(key).enqueue(pool).await.unwrap().id();
    Made::of(second, sentence).beside(worker)
}

pub(super) async fn a_full_key(pool: &PgPool) -> Made {
    a_limited_key(pool, "tenant:1", Limit::running(1), "Only 1 job of key `tenant:1` may run at once; job * has held it for *.").await
}

/// Longer than others of its kind.
pub(super) async fn a_key_that_is_held_for_long(pool: &PgPool) -> Made {
    let made = a_full_key(pool).await;
    let ago = "UPDATE haulage.live_jobs SET claimed_at = now() - interval '16 minutes' WHERE limit_key = 'tenant:1' AND state = 2";
    sqlx::query(ago).execute(pool).await.unwrap();
    made
}

pub(super) async fn a_key_at_its_rate(pool: &PgPool) -> Made {
    let hourly = Limit::starts(1, Duration::from_secs(3_600));
    a_limited_key(pool, "tenant:2", hourly, "Key `tenant:2` may start 1 an hour; the next place is free at *, in *.").await
}

#[tokio::test]
async fn key_full_and_key_rate() {
    let pool = database().await.pool();
    let made = [a_full_key(&pool).await, a_key_at_its_rate(&pool).await];
    let ids = [made[0].id(), made[1].id()];
    let full = why(&pool, ids[0]).await;
    made[0].is_said(&full, WhyCode::KeyFull);
    assert!(full.fixes.is_empty(), "one at a time may be meant as a lock, and who holds it has only begun: {:?}", full.fixes);
    {
        let mut tx = pool.begin().await.unwrap();
        sqlx::query("UPDATE haulage.live_jobs SET claimed_at = now() - interval '16 minutes' WHERE limit_key = 'tenant:1' AND state = 2")
            .execute(&mut *tx)
            .await
            .unwrap();
        let held = why_in(&mut tx, ids[0]).await;
        assert_eq!(held.fixes.iter().map(|fix| fix.id).collect::<Vec<_>>(), ["cancel"]);
    }
    let rate = why(&pool, ids[1]).await;
    made[1].is_said(&rate, WhyCode::KeyRate);
    for id in &ids {
        age(&pool, *id, 90).await;
    }
    assert_eq!(some_cause(&pool, WhyCode::KeyFull).await.jobs, 1);
    assert_eq!(some_cause(&pool, WhyCode::KeyRate).await.verdict.subject.key.as_deref(), Some("tenant:2"));
    ana().limit_key(&pool, "tenant:1", Limit::running(2)).await.unwrap();
    eventually("the other one of the key runs", async || jobs_in(&pool, haulage::JobState::Running).await == 3).await;
    // A rate that is raised holds at once, and what was used of the one before says nothing.
    assert_eq!(rate.fixes[0].command, "haulage keys limit tenant:2 --rate 2/3600000ms --burst 1");
    fix(&pool, &rate).await;
    eventually("all run", async || jobs_in(&pool, haulage::JobState::Running).await == 4).await;
    assert!(cause(&pool, WhyCode::KeyFull).await.is_none() && cause(&pool, WhyCode::KeyRate).await.is_none());
    for made in made {
        made.end().await;
    }
}
