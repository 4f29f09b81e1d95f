//! It is not its time, or it is a matter of turns.

use std::time::Duration;

use haulage::{CauseGroup, Duty, Job, JobError, JobState, Limit, Mover, Outcome, Priority, Severity, WhyCode};
use serde::{Deserialize, Serialize};
use sqlx::Connection;

use super::{age, ana, busy, cause, claim, completes, enqueue, fix, idle_worker, quick, said, some_cause, why, why_in};
use crate::support::{Count, database, eventually, jobs_in, wait_for_state, worker};

#[tokio::test]
async fn held() {
    let pool = database().await.pool();
    let worker = quick(&pool).await;
    let id = Count { n: 1 }.with().delay(Duration::from_millis(1)).queue("later").enqueue(&pool).await.unwrap().id();
    eventually("it is in line", async || why(&pool, id).await.code == WhyCode::NoWorker).await;
    ana().because("wait for INC-2207").hold(&pool, id).await.unwrap();
    ana().move_to(&pool, id, "mail").await.ok();
    let verdict = why(&pool, id).await;
    said(&verdict, WhyCode::Held, "ana put it on hold *: “wait for INC-2207”.");
    assert_eq!((verdict.severity, verdict.mover), (Severity::Stuck, Mover::Person));
    assert_eq!(verdict.fixes[0].command, format!("haulage jobs release {id}"));
    let found = some_cause(&pool, WhyCode::Held).await;
    assert_eq!((found.jobs, found.verdict.subject.state), (1, Some(JobState::Parked)));
    let act = found.verdict.fixes[0].act.clone().unwrap();
    assert!(ana().apply(&pool, &act).await.unwrap(), "all of the queue are released");
    completes(&pool, id).await;
    assert!(cause(&pool, WhyCode::Held).await.is_none());
    worker.shutdown().await;
}

#[tokio::test]
async fn scheduled_and_far_future() {
    let pool = database().await.pool();
    let worker = quick(&pool).await;
    let soon = Count { n: 1 }.with().delay(Duration::from_secs(3_600)).enqueue(&pool).await.unwrap().id();
    let far = Count { n: 1 }.with().delay(Duration::from_secs(40 * 86_400)).enqueue(&pool).await.unwrap().id();
    let verdict = why(&pool, soon).await;
    said(&verdict, WhyCode::Scheduled, "It is scheduled at *, in *.");
    assert_eq!((verdict.severity, verdict.group, verdict.mover), (Severity::Ok, None, Mover::Clock));
    said(&why(&pool, far).await, WhyCode::FarFuture, "It is scheduled for *, in 39 days.");
    for id in [soon, far] {
        fix(&pool, &why(&pool, id).await).await;
        completes(&pool, id).await;
    }
    worker.shutdown().await;
}

/// Fails as often as its number says.
#[derive(Debug, Serialize, Deserialize)]
struct Flaky {
    failures: u16,
    snoozes: bool,
}

impl Job for Flaky {
    const KIND: &'static str = "flaky";
}

async fn flaky(pool: &sqlx::PgPool, backoff: Duration) -> haulage::WorkerHandle {
    let handler = |job: Flaky, ctx: haulage::Ctx| async move {
        if job.snoozes && ctx.attempt() == 1 {
            return Ok::<_, JobError>(Outcome::Snooze(Duration::from_secs(3_600)));
        }
        if ctx.attempt() <= i32::from(job.failures) {
            return Err("no paper in tray 2".into());
        }
        Ok(Outcome::Done)
    };
    worker(pool).backoff(move |_| backoff).handle(handler).build().unwrap().start().await.unwrap()
}

#[tokio::test]
async fn backoff_and_snoozed() {
    let pool = database().await.pool();
    let worker = flaky(&pool, Duration::from_secs(3_600)).await;
    let id = Flaky { failures: 1, snoozes: false }.enqueue(&pool).await.unwrap().id();
    let snoozed = Flaky { failures: 0, snoozes: true }.enqueue(&pool).await.unwrap().id();
    for id in [id, snoozed] {
        wait_for_state(&pool, id, JobState::Scheduled).await;
    }
    let verdict = why(&pool, id).await;
    said(&verdict, WhyCode::Backoff, "Attempt 1 of 25 failed: no paper in tray 2.");
    assert_eq!((verdict.severity, verdict.mover), (Severity::Heals, Mover::Clock));
    assert!(verdict.detail.starts_with("The next try is at"), "{}", verdict.detail);
    said(&why(&pool, snoozed).await, WhyCode::Snoozed, "Its handler asked to be called again at *, in *.");
    assert!(cause(&pool, WhyCode::Backoff).await.is_none(), "one that failed once is everyday");
    for id in [id, snoozed] {
        fix(&pool, &why(&pool, id).await).await;
        completes(&pool, id).await;
    }
    for _ in 0..5 {
        Flaky { failures: 1, snoozes: false }.enqueue(&pool).await.unwrap();
    }
    eventually("all back off", async || jobs_in(&pool, JobState::Scheduled).await == 5).await;
    let found = some_cause(&pool, WhyCode::Backoff).await;
    assert_eq!((found.jobs, found.verdict.group), (5, Some(CauseGroup::ClearsByItself)));
    fix(&pool, &found.verdict).await;
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 7).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn retry_loop() {
    let pool = database().await.pool();
    let quick = flaky(&pool, Duration::from_millis(1)).await;
    let id = Flaky { failures: 30_000, snoozes: false }.with().max_attempts(32_000).enqueue(&pool).await.unwrap().id();
    eventually("it failed five times", async || haulage::job(&pool, id).await.unwrap().unwrap().failures >= 5).await;
    quick.shutdown().await;
    let failed = haulage::job(&pool, id).await.unwrap().unwrap().failures;
    let slow = flaky(&pool, Duration::from_secs(3_600)).await;
    eventually("it failed once more", async || haulage::job(&pool, id).await.unwrap().unwrap().failures > failed).await;
    let verdict = why(&pool, id).await;
    said(&verdict, WhyCode::RetryLoop, "`flaky` has failed * times with the same error since *: no paper in tray 2.");
    let found = some_cause(&pool, WhyCode::RetryLoop).await;
    assert_eq!((found.jobs, found.verdict.group), (1, Some(CauseGroup::NeedsYou)));
    assert_eq!(found.verdict.fixes[0].command, "haulage jobs hold --state scheduled --queue default --kind flaky --error-class error");
    fix(&pool, &found.verdict).await;
    assert!(cause(&pool, WhyCode::RetryLoop).await.is_none());
    assert_eq!(why(&pool, id).await.code, WhyCode::Held);
    slow.shutdown().await;
}

#[tokio::test]
async fn due_no_worker_and_promote_late() {
    let pool = database().await.pool();
    let id = Count { n: 1 }.with().delay(Duration::from_secs(1)).enqueue(&pool).await.unwrap().id();
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql("UPDATE haulage.live_jobs SET run_at = now() - interval '70 seconds'").execute(&mut *tx).await.unwrap();
    said(&why_in(&mut tx, id).await, WhyCode::DueNoWorker, "It was due 1 m 10 s ago but no worker is alive to put it in line.");
    tx.commit().await.unwrap();
    assert_eq!(some_cause(&pool, WhyCode::DueNoWorker).await.jobs, 1);
    sqlx::raw_sql("UPDATE haulage.live_jobs SET run_at = now() - interval '10 minutes'").execute(&pool).await.unwrap();
    // Somebody has its row, so that nobody can put it in line.
    let mut stranger = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM haulage.live_jobs WHERE id = $1 FOR UPDATE").bind(id.0).execute(&mut *stranger).await.unwrap();
    let worker = quick(&pool).await;
    let verdict = why(&pool, id).await;
    said(&verdict, WhyCode::PromoteLate, "It was due 10 m* ago and the one live worker has not put it in line.");
    assert_eq!((verdict.severity, verdict.overdue), (Severity::Stuck, true));
    some_cause(&pool, WhyCode::PromoteLate).await;
    stranger.rollback().await.unwrap();
    completes(&pool, id).await;
    assert!(cause(&pool, WhyCode::PromoteLate).await.is_none());
    worker.shutdown().await;
}

#[tokio::test]
async fn a_late_job_can_be_run_now() {
    let pool = database().await.pool();
    let worker = worker(&pool).without(Duty::Promote).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let id = Count { n: 1 }.with().delay(Duration::from_secs(1)).enqueue(&pool).await.unwrap().id();
    sqlx::query("UPDATE haulage.live_jobs SET run_at = now() - interval '70 seconds' WHERE id = $1")
        .bind(id.0)
        .execute(&pool)
        .await
        .unwrap();
    let verdict = why(&pool, id).await;
    assert_eq!(verdict.code, WhyCode::PromoteLate);
    fix(&pool, &verdict).await;
    completes(&pool, id).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn suspect() {
    let pool = database().await.pool();
    let worker = busy(&pool, 2).await;
    let ids = [enqueue(&pool, "mail", "count").await, enqueue(&pool, "mail", "count").await];
    for id in ids {
        sqlx::query("UPDATE haulage.live_jobs SET state = 3, place = 3, parked_for = 3, crashes = 2, queue = 'default' WHERE id = $1")
            .bind(id.0)
            .execute(&pool)
            .await
            .unwrap();
    }
    eventually("one runs", async || jobs_in(&pool, JobState::Running).await == 1).await;
    let mut waits = None;
    for id in ids {
        let verdict = why(&pool, id).await;
        if verdict.code == WhyCode::Suspect {
            waits = Some(verdict);
        }
    }
    let verdict = waits.unwrap();
    said(&verdict, WhyCode::Suspect, "Its process died twice while it ran, so a worker takes it alone, as soon as one can.");
    fix(&pool, &verdict).await;
    assert_eq!(why(&pool, verdict.subject.job.unwrap()).await.code, WhyCode::Held);
    worker.shutdown().await;
}

#[tokio::test]
async fn row_locked() {
    let pool = database().await.pool();
    let worker = quick(&pool).await;
    ana().pause_queue(&pool, "mail", None).await.unwrap();
    let id = enqueue(&pool, "mail", "count").await;
    let options = pool.connect_options().as_ref().clone().application_name("psql-alice");
    let mut alice = sqlx::PgConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut alice).await.unwrap();
    sqlx::query("SELECT FROM haulage.live_jobs WHERE id = $1 FOR UPDATE").bind(id.0).execute(&mut alice).await.unwrap();
    ana().resume_queue(&pool, "mail").await.unwrap();
    let verdict = why(&pool, id).await;
    said(
        &verdict,
        WhyCode::RowLocked,
        "Session * (`psql-alice`) of * holds this row, in a transaction that has been open for *, so workers skip it.",
    );
    assert!(verdict.detail.starts_with("It is idle; its last statement was: SELECT FROM haulage.live_jobs"), "{}", verdict.detail);
    let found = some_cause(&pool, WhyCode::RowLocked).await;
    assert_eq!((found.jobs, found.verdict.mover), (1, Mover::Database));
    assert!(found.verdict.fixes[0].command.contains("pg_terminate_backend"));
    fix(&pool, &verdict).await;
    completes(&pool, id).await;
    let ended: String = sqlx::query_scalar("SELECT target FROM haulage.audit WHERE verb = 'end'").fetch_one(&pool).await.unwrap();
    assert!(ended.starts_with("session "), "{ended}");
    worker.shutdown().await;
}

/// Then the row names them by a number of another kind.
#[tokio::test]
async fn a_row_that_several_have_locked_is_seen_too() {
    let pool = database().await.pool();
    let id = enqueue(&pool, "mail", "count").await;
    let (mut one, mut two) = (pool.begin().await.unwrap(), pool.begin().await.unwrap());
    for tx in [&mut one, &mut two] {
        sqlx::query("SELECT FROM haulage.live_jobs WHERE id = $1 FOR KEY SHARE").bind(id.0).execute(&mut **tx).await.unwrap();
    }
    let worker = quick(&pool).await;
    said(&why(&pool, id).await, WhyCode::RowLocked, "Session * holds this row*");
    one.rollback().await.unwrap();
    said(&why(&pool, id).await, WhyCode::RowLocked, "Session * holds this row*");
    two.rollback().await.unwrap();
    completes(&pool, id).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn slot_blocked() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:1", Limit::running(1)).await.unwrap();
    let worker = quick(&pool).await;
    ana().pause_queue(&pool, "mail", None).await.unwrap();
    // Let in by a worker of newer code that was rolled back.
    let keyed = |kind: &str| haulage::NamedJob::new(kind, serde_json::json!({ "n": 1 })).limit_key("tenant:1");
    let admitted = haulage::enqueue_named(&pool, &keyed("newer")).await.unwrap().id();
    sqlx::query("UPDATE haulage.live_jobs SET state = 1, place = 1, parked_for = NULL WHERE id = $1")
        .bind(admitted.0)
        .execute(&pool)
        .await
        .unwrap();
    let id = haulage::enqueue_named(&pool, &keyed("count")).await.unwrap().id();
    let verdict = why(&pool, id).await;
    said(
        &verdict,
        WhyCode::SlotBlocked,
        &format!("The one slot of key `tenant:1` is held by job {admitted} of `newer`, which nobody runs."),
    );
    age(&pool, id, 10).await;
    some_cause(&pool, WhyCode::SlotBlocked).await;
    fix(&pool, &verdict).await;
    completes(&pool, id).await;
    assert!(cause(&pool, WhyCode::SlotBlocked).await.is_none());
    // Kinds that nobody knows, together.
    ana().limit_key(&pool, "tenant:2", Limit::running(2)).await.unwrap();
    let keyed = |kind: &str| haulage::NamedJob::new(kind, serde_json::json!({ "n": 1 })).limit_key("tenant:2");
    for kind in ["newer", "older"] {
        let admitted = haulage::enqueue_named(&pool, &keyed(kind)).await.unwrap().id();
        sqlx::query("UPDATE haulage.live_jobs SET state = 1, place = 1, parked_for = NULL WHERE id = $1")
            .bind(admitted.0)
            .execute(&pool)
            .await
            .unwrap();
    }
    let id = haulage::enqueue_named(&pool, &keyed("count").queue("mail")).await.unwrap().id();
    ana().resume_queue(&pool, "mail").await.unwrap();
    said(
        &why(&pool, id).await,
        WhyCode::SlotBlocked,
        "All 2 slots of key `tenant:2` are held by 2 jobs that nobody runs, such as * of `*`.",
    );
    worker.shutdown().await;
}

#[tokio::test]
async fn slots_full() {
    let pool = database().await.pool();
    let worker = busy(&pool, 1).await;
    let running = enqueue(&pool, "default", "count").await;
    wait_for_state(&pool, running, JobState::Running).await;
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(enqueue(&pool, "default", "count").await);
    }
    let id = *ids.last().unwrap();
    let verdict = why(&pool, id).await;
    said(&verdict, WhyCode::SlotsFull, "The one slot of `default` is busy.");
    assert!(verdict.detail.contains("jobs are before it"), "{}", verdict.detail);
    age(&pool, id, 90).await;
    let found = some_cause(&pool, WhyCode::SlotsFull).await;
    assert_eq!(found.verdict.group, Some(CauseGroup::GettingWorse));
    assert!((150..=200).contains(&found.jobs) && !found.at_least, "{}", found.jobs);

    // One urgent job that came later starves nobody where all slots are busy.
    age(&pool, id, 600).await;
    Count { n: 2 }.with().priority(Priority::Urgent).enqueue(&pool).await.unwrap();
    assert_eq!(why(&pool, id).await.code, WhyCode::SlotsFull);
    ana().reprioritise(&pool, id, Priority::Urgent).await.unwrap();
    assert!(why(&pool, id).await.fixes.iter().all(|fix| fix.id != "first"), "it is urgent already");
    worker.shutdown().await;

    // A worker that comes with more room: the line moves, or has moved.
    let worker = super::plain(&pool).queue("default", 1_000).without(Duty::Prune).handle(|_: Count| async {});
    let worker = worker.build().unwrap().start().await.unwrap();
    completes(&pool, id).await;
    eventually("nothing holds them up", async || cause(&pool, WhyCode::SlotsFull).await.is_none()).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn ready_in_line_and_unexplained() {
    let pool = database().await.pool();
    idle_worker(&pool, 5).await;
    let first = enqueue(&pool, "default", "count").await;
    let second = enqueue(&pool, "default", "count").await;
    let verdict = why(&pool, first).await;
    said(&verdict, WhyCode::Ready, "It can run now and should start within a minute.");
    assert!(verdict.code.is_ready() && verdict.group.is_none() && verdict.due.is_some());
    let verdict = why(&pool, second).await;
    said(&verdict, WhyCode::InLine, "1 job is before it in the line of `default`.");
    fix(&pool, &verdict).await;
    assert_eq!(why(&pool, second).await.code, WhyCode::Ready, "it is first now");

    age(&pool, first, 120).await;
    ana().reprioritise(&pool, first, Priority::Urgent).await.unwrap();
    ana().reprioritise(&pool, second, Priority::Low).await.unwrap();
    let verdict = why(&pool, first).await;
    said(&verdict, WhyCode::Unexplained, "Nothing we check explains this: it could have run for 2 m*.");
    assert_eq!(verdict.fixes[0].command, format!("haulage why {first} --json"));
    assert_eq!(verdict.evidence["fleet"]["live_workers"], 1);
    assert_eq!(verdict.evidence["job"]["id"], first.to_string(), "ids are text");
    assert!(!verdict.evidence.to_string().contains("\"n\""), "args are no evidence");
    let found = some_cause(&pool, WhyCode::Unexplained).await;
    assert_eq!((found.verdict.group, found.verdict.subject.queue.as_deref()), (Some(CauseGroup::NeedsYou), Some("default")));
}

#[tokio::test]
async fn starved() {
    let pool = database().await.pool();
    idle_worker(&pool, 5).await;
    let id = enqueue(&pool, "default", "count").await;
    age(&pool, id, 600).await;
    Count { n: 2 }.with().priority(Priority::Urgent).enqueue(&pool).await.unwrap();
    let verdict = why(&pool, id).await;
    said(
        &verdict,
        WhyCode::Starved,
        "Jobs of a higher priority that came later go first in `default`, so priority normal has waited for 10 m*.",
    );
    fix(&pool, &verdict).await;
    assert_eq!(haulage::job_detail(&pool, id).await.unwrap().unwrap().priority, Priority::Urgent);
    assert_ne!(why(&pool, id).await.code, WhyCode::Starved);

    // What is claimed of its own priority does not starve.
    let id = enqueue(&pool, "default", "count").await;
    age(&pool, id, 600).await;
    let quick = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    completes(&pool, id).await;
    quick.shutdown().await;
    let id = enqueue(&pool, "default", "count").await;
    age(&pool, id, 600).await;
    Count { n: 2 }.with().priority(Priority::Urgent).enqueue(&pool).await.unwrap();
    assert_eq!(why(&pool, id).await.code, WhyCode::InLine);
}

/// What others do who don't know its kind is no room for it.
#[tokio::test]
async fn slots_of_workers_that_do_not_know_the_kind_are_none() {
    let pool = database().await.pool();
    let busy = busy(&pool, 1).await;
    let running = enqueue(&pool, "default", "count").await;
    wait_for_state(&pool, running, JobState::Running).await;
    sqlx::raw_sql(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, revisions, started_at)
         VALUES (7, 'other', '0', '{default}', '{50}', '{report}', 600000, '{0}', now() - interval '1 hour');
         UPDATE haulage.workers SET started_at = now() - interval '1 hour'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let id = enqueue(&pool, "default", "count").await;
    age(&pool, id, 120).await;
    said(&why(&pool, id).await, WhyCode::SlotsFull, "The one slot of `default` is busy.");
    busy.shutdown().await;
}

#[tokio::test]
async fn head_of_line() {
    let pool = database().await.pool();
    idle_worker(&pool, 2).await;
    for _ in 0..2 {
        enqueue(&pool, "default", "report").await;
    }
    // They hold their slots for long.
    claim(&pool, 2).await;
    sqlx::raw_sql("UPDATE haulage.live_jobs SET claimed_at = now() - interval '10 minutes' WHERE kind = 'report'")
        .execute(&pool)
        .await
        .unwrap();
    let id = enqueue(&pool, "default", "count").await;
    let verdict = why(&pool, id).await;
    said(&verdict, WhyCode::HeadOfLine, "2 jobs of `report` hold 2 of 2 slots of `default`, the longest for 10 m*.");
    age(&pool, id, 90).await;
    assert_eq!(some_cause(&pool, WhyCode::HeadOfLine).await.verdict.group, Some(CauseGroup::GettingWorse));
    let worker = quick(&pool).await;
    completes(&pool, id).await;
    assert!(cause(&pool, WhyCode::HeadOfLine).await.is_none());
    worker.shutdown().await;
}
