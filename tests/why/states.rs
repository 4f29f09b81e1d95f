//! It is not its time, or it is a matter of turns.

use std::time::Duration;

use haulage::{CauseGroup, Duty, Job, JobError, JobState, Limit, Mover, Outcome, Priority, Severity, WhyCode};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::{Made, age, ana, busy, cause, claim, completes, enqueue, fix, idle_worker, quick, said, session, some_cause, why, why_in};
use crate::support::{Count, database, eventually, jobs_in, wait_for_state, worker};

pub(super) async fn a_held_job(pool: &PgPool) -> Made {
    let worker = quick(pool).await;
    let id = Count { n: 1 }.with().delay(Duration::from_millis(1)).queue("later").enqueue(pool).await.unwrap().id();
    eventually("it is in line", async || why(pool, id).await.code == WhyCode::NoWorker).await;
    ana().because("wait for INC-2207").hold(pool, id).await.unwrap();
    ana().move_to(pool, id, "mail").await.ok();
    Made::of(id, "ana put it on hold *: “wait for INC-2207”.").beside(worker)
}

#[tokio::test]
async fn held() {
    let pool = database().await.pool();
    let made = a_held_job(&pool).await;
    let id = made.id();
    let verdict = why(&pool, id).await;
    made.is_said(&verdict, WhyCode::Held);
    assert_eq!((verdict.severity, verdict.mover), (Severity::Stuck, Mover::Person));
    assert_eq!(verdict.fixes[0].command, format!("haulage jobs release {id}"));
    let found = some_cause(&pool, WhyCode::Held).await;
    assert_eq!((found.jobs, found.verdict.subject.state), (1, Some(JobState::Parked)));
    let act = found.verdict.fixes[0].act.clone().unwrap();
    assert!(ana().apply(&pool, &act).await.unwrap(), "all of the queue are released");
    completes(&pool, id).await;
    assert!(cause(&pool, WhyCode::Held).await.is_none());
    made.end().await;
}

async fn a_delayed_job(pool: &PgPool, delay: Duration, sentence: &str) -> Made {
    let worker = quick(pool).await;
    Made::of(Count { n: 1 }.with().delay(delay).enqueue(pool).await.unwrap().id(), sentence).beside(worker)
}

pub(super) async fn a_scheduled_job(pool: &PgPool) -> Made {
    a_delayed_job(pool, Duration::from_secs(3_600), "It is scheduled at *, in *.").await
}

pub(super) async fn a_job_of_the_far_future(pool: &PgPool) -> Made {
    a_delayed_job(pool, Duration::from_secs(40 * 86_400), "It is scheduled for *, in 39 days.").await
}

#[tokio::test]
async fn scheduled_and_far_future() {
    let pool = database().await.pool();
    for (made, code) in [(a_scheduled_job(&pool).await, WhyCode::Scheduled), (a_job_of_the_far_future(&pool).await, WhyCode::FarFuture)] {
        let verdict = why(&pool, made.id()).await;
        made.is_said(&verdict, code);
        assert_eq!((verdict.severity, verdict.group, verdict.mover), (Severity::Ok, None, Mover::Clock));
        fix(&pool, &verdict).await;
        completes(&pool, made.id()).await;
        made.end().await;
    }
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

async fn flaky(pool: &PgPool, backoff: Duration) -> haulage::WorkerHandle {
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

async fn a_job_that_comes_back(pool: &PgPool, job: Flaky, sentence: &str) -> Made {
    let worker = flaky(pool, Duration::from_secs(3_600)).await;
    let id = job.enqueue(pool).await.unwrap().id();
    wait_for_state(pool, id, JobState::Scheduled).await;
    Made::of(id, sentence).beside(worker)
}

pub(super) async fn a_job_that_failed(pool: &PgPool) -> Made {
    a_job_that_comes_back(pool, Flaky { failures: 1, snoozes: false }, "Attempt 1 of 25 failed: no paper in tray 2.").await
}

pub(super) async fn a_snoozed_job(pool: &PgPool) -> Made {
    a_job_that_comes_back(pool, Flaky { failures: 0, snoozes: true }, "Its handler asked to be called again at *, in *.").await
}

#[tokio::test]
async fn backoff_and_snoozed() {
    let pool = database().await.pool();
    let (failed, dozes) = (a_job_that_failed(&pool).await, a_snoozed_job(&pool).await);
    let (id, snoozed) = (failed.id(), dozes.id());
    let verdict = why(&pool, id).await;
    failed.is_said(&verdict, WhyCode::Backoff);
    assert_eq!((verdict.severity, verdict.mover), (Severity::Heals, Mover::Clock));
    assert!(verdict.detail.starts_with("The next try is at"), "{}", verdict.detail);
    dozes.is_said(&why(&pool, snoozed).await, WhyCode::Snoozed);
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
    said(&found.verdict, WhyCode::Backoff, "Jobs of `flaky` in `default` fail and are tried again: no paper in tray 2.");
    fix(&pool, &found.verdict).await;
    eventually("all have run", async || jobs_in(&pool, JobState::Completed).await == 7).await;
    failed.end().await;
    dozes.end().await;
}

pub(super) async fn a_job_that_fails_again_and_again(pool: &PgPool) -> Made {
    let quick = flaky(pool, Duration::from_millis(1)).await;
    let id = Flaky { failures: 30_000, snoozes: false }.with().max_attempts(32_000).enqueue(pool).await.unwrap().id();
    eventually("it failed five times", async || haulage::job(pool, id).await.unwrap().unwrap().failures >= 5).await;
    quick.shutdown().await;
    let failed = haulage::job(pool, id).await.unwrap().unwrap().failures;
    let slow = flaky(pool, Duration::from_secs(3_600)).await;
    eventually("it failed once more", async || haulage::job(pool, id).await.unwrap().unwrap().failures > failed).await;
    Made::of(id, "`flaky` has failed * times with the same error since *: no paper in tray 2.").beside(slow)
}

#[tokio::test]
async fn retry_loop() {
    let pool = database().await.pool();
    let made = a_job_that_fails_again_and_again(&pool).await;
    let id = made.id();
    let verdict = why(&pool, id).await;
    made.is_said(&verdict, WhyCode::RetryLoop);
    let found = some_cause(&pool, WhyCode::RetryLoop).await;
    assert_eq!((found.jobs, found.verdict.group), (1, Some(CauseGroup::NeedsYou)));
    assert_eq!(found.verdict.fixes[0].command, "haulage jobs hold --state scheduled --queue default --kind flaky --error-class error");
    fix(&pool, &found.verdict).await;
    assert!(cause(&pool, WhyCode::RetryLoop).await.is_none());
    assert_eq!(why(&pool, id).await.code, WhyCode::Held);
    made.end().await;
}

async fn a_due_job(pool: &PgPool) -> haulage::JobId {
    let id = Count { n: 1 }.with().delay(Duration::from_secs(3_600)).enqueue(pool).await.unwrap().id();
    let due = "UPDATE haulage.live_jobs SET run_at = now() - interval '70 seconds' WHERE id = $1";
    sqlx::query(due).bind(id.0).execute(pool).await.unwrap();
    id
}

pub(super) async fn a_due_job_without_workers(pool: &PgPool) -> Made {
    Made::of(a_due_job(pool).await, "It was due 1 m * s ago but no worker is alive to put it in line.")
}

pub(super) async fn a_late_job(pool: &PgPool) -> Made {
    let worker = worker(pool).without(Duty::Promote).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    Made::of(a_due_job(pool).await, "It was due 1 m * s ago and the one live worker has not put it in line.").beside(worker)
}

#[tokio::test]
async fn due_no_worker_and_promote_late() {
    let pool = database().await.pool();
    let id = a_due_job(&pool).await;
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
    let made = a_late_job(&pool).await;
    let verdict = why(&pool, made.id()).await;
    made.is_said(&verdict, WhyCode::PromoteLate);
    fix(&pool, &verdict).await;
    completes(&pool, made.id()).await;
    made.end().await;
}

/// Two of them, of which one runs.
pub(super) async fn a_suspect(pool: &PgPool) -> Made {
    let worker = busy(pool, 2).await;
    let ids = [enqueue(pool, "mail", "count").await, enqueue(pool, "mail", "count").await];
    for id in ids {
        sqlx::query("UPDATE haulage.live_jobs SET state = 3, place = 3, parked_for = 3, crashes = 2, queue = 'default' WHERE id = $1")
            .bind(id.0)
            .execute(pool)
            .await
            .unwrap();
    }
    eventually("one runs", async || jobs_in(pool, JobState::Running).await == 1).await;
    let waits = haulage::job(pool, ids[0]).await.unwrap().unwrap().state == JobState::Parked;
    let id = if waits { ids[0] } else { ids[1] };
    Made::of(id, "Its process died twice while it ran, so a worker takes it alone, as soon as one can.").beside(worker)
}

#[tokio::test]
async fn suspect() {
    let pool = database().await.pool();
    let made = a_suspect(&pool).await;
    let verdict = why(&pool, made.id()).await;
    made.is_said(&verdict, WhyCode::Suspect);
    fix(&pool, &verdict).await;
    assert_eq!(why(&pool, made.id()).await.code, WhyCode::Held);
    made.end().await;
}

pub(super) async fn a_locked_row(pool: &PgPool) -> Made {
    let worker = quick(pool).await;
    ana().pause_queue(pool, "mail", None).await.unwrap();
    let id = enqueue(pool, "mail", "count").await;
    let mut alice = session(pool, "psql-alice").await;
    sqlx::raw_sql("BEGIN").execute(&mut alice).await.unwrap();
    sqlx::query("SELECT FROM haulage.live_jobs WHERE id = $1 FOR UPDATE").bind(id.0).execute(&mut alice).await.unwrap();
    ana().resume_queue(pool, "mail").await.unwrap();
    let sentence = "Session * (`psql-alice`) of * holds this row, in a transaction that has been open for *, so workers skip it.";
    Made::of(id, sentence).beside(worker).before(alice)
}

#[tokio::test]
async fn row_locked() {
    let pool = database().await.pool();
    let made = a_locked_row(&pool).await;
    let id = made.id();
    let verdict = why(&pool, id).await;
    made.is_said(&verdict, WhyCode::RowLocked);
    assert!(verdict.detail.starts_with("It is idle; its last statement was: SELECT FROM haulage.live_jobs"), "{}", verdict.detail);
    let found = some_cause(&pool, WhyCode::RowLocked).await;
    assert_eq!((found.jobs, found.verdict.mover), (1, Mover::Database));
    assert!(found.verdict.fixes[0].command.contains("pg_terminate_backend"));
    fix(&pool, &verdict).await;
    completes(&pool, id).await;
    let ended: String = sqlx::query_scalar("SELECT target FROM haulage.audit WHERE verb = 'end'").fetch_one(&pool).await.unwrap();
    assert!(ended.starts_with("session "), "{ended}");
    made.end().await;
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

pub(super) async fn a_blocked_slot(pool: &PgPool) -> Made {
    ana().limit_key(pool, "tenant:1", Limit::running(1)).await.unwrap();
    let worker = quick(pool).await;
    ana().pause_queue(pool, "mail", None).await.unwrap();
    // Let in by a worker of newer code that was rolled back.
    let keyed = |kind: &str| haulage::NamedJob::new(kind, serde_json::json!({ "n": 1 })).limit_key("tenant:1");
    let admitted = haulage::enqueue_named(pool, &keyed("newer")).await.unwrap().id();
    sqlx::query("UPDATE haulage.live_jobs SET state = 1, place = 1, parked_for = NULL WHERE id = $1")
        .bind(admitted.0)
        .execute(pool)
        .await
        .unwrap();
    let id = haulage::enqueue_named(pool, &keyed("count")).await.unwrap().id();
    Made::of(id, format!("The one slot of key `tenant:1` is held by job {admitted} of `newer`, which nobody runs.")).beside(worker)
}

#[tokio::test]
async fn slot_blocked() {
    let pool = database().await.pool();
    let made = a_blocked_slot(&pool).await;
    let id = made.id();
    let verdict = why(&pool, id).await;
    made.is_said(&verdict, WhyCode::SlotBlocked);
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
    made.end().await;
}

/// With 200 jobs in line, of which this is the last.
pub(super) async fn a_busy_worker(pool: &PgPool) -> Made {
    let worker = busy(pool, 1).await;
    let running = enqueue(pool, "default", "count").await;
    wait_for_state(pool, running, JobState::Running).await;
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(enqueue(pool, "default", "count").await);
    }
    Made::of(*ids.last().unwrap(), "The one slot of `default` is busy.").beside(worker)
}

#[tokio::test]
async fn slots_full() {
    let pool = database().await.pool();
    let made = a_busy_worker(&pool).await;
    let id = made.id();
    let verdict = why(&pool, id).await;
    made.is_said(&verdict, WhyCode::SlotsFull);
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
    made.end().await;

    // A worker that comes with more room: the line moves, or has moved.
    let worker = super::plain(&pool).queue("default", 1_000).without(Duty::Prune).handle(|_: Count| async {});
    let worker = worker.build().unwrap().start().await.unwrap();
    completes(&pool, id).await;
    eventually("nothing holds them up", async || cause(&pool, WhyCode::SlotsFull).await.is_none()).await;
    worker.shutdown().await;
}

pub(super) async fn a_ready_job(pool: &PgPool) -> Made {
    idle_worker(pool, 5).await;
    Made::of(enqueue(pool, "default", "count").await, "It can run now and should start within a minute.")
}

pub(super) async fn a_job_in_line(pool: &PgPool) -> Made {
    a_ready_job(pool).await;
    Made::of(enqueue(pool, "default", "count").await, "1 job is before it in the line of `default`.")
}

pub(super) async fn an_unexplained_job(pool: &PgPool) -> Made {
    let id = a_ready_job(pool).await.id();
    age(pool, id, 120).await;
    Made::of(id, "Nothing we check explains this: it could have run for 2 m*.")
}

#[tokio::test]
async fn ready_in_line_and_unexplained() {
    let pool = database().await.pool();
    let ready = a_ready_job(&pool).await;
    let first = ready.id();
    let second = enqueue(&pool, "default", "count").await;
    let verdict = why(&pool, first).await;
    ready.is_said(&verdict, WhyCode::Ready);
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

pub(super) async fn a_starved_job(pool: &PgPool) -> Made {
    idle_worker(pool, 5).await;
    let id = enqueue(pool, "default", "count").await;
    age(pool, id, 600).await;
    Count { n: 2 }.with().priority(Priority::Urgent).enqueue(pool).await.unwrap();
    Made::of(id, "Jobs of a higher priority that came later go first in `default`, so priority normal has waited for 10 m*.")
}

#[tokio::test]
async fn starved() {
    let pool = database().await.pool();
    let made = a_starved_job(&pool).await;
    let id = made.id();
    let verdict = why(&pool, id).await;
    made.is_said(&verdict, WhyCode::Starved);
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

pub(super) async fn a_line_behind_long_jobs(pool: &PgPool) -> Made {
    idle_worker(pool, 2).await;
    for _ in 0..2 {
        enqueue(pool, "default", "report").await;
    }
    // They hold their slots for long.
    claim(pool, 2).await;
    sqlx::raw_sql("UPDATE haulage.live_jobs SET claimed_at = now() - interval '10 minutes' WHERE kind = 'report'")
        .execute(pool)
        .await
        .unwrap();
    let id = enqueue(pool, "default", "count").await;
    Made::of(id, "2 jobs of `report` hold 2 of 2 slots of `default`, the longest for 10 m*.")
}

#[tokio::test]
async fn head_of_line() {
    let pool = database().await.pool();
    let made = a_line_behind_long_jobs(&pool).await;
    let id = made.id();
    let verdict = why(&pool, id).await;
    made.is_said(&verdict, WhyCode::HeadOfLine);
    age(&pool, id, 90).await;
    assert_eq!(some_cause(&pool, WhyCode::HeadOfLine).await.verdict.group, Some(CauseGroup::GettingWorse));
    let worker = quick(&pool).await;
    completes(&pool, id).await;
    assert!(cause(&pool, WhyCode::HeadOfLine).await.is_none());
    worker.shutdown().await;
}
