//! Acts on all jobs that match a filter: exact counts, whatever happens to who drives them.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use haulage::{
    AuditFilter, Job, JobFilter, JobId, JobState, ManageError, Operation, OperationId, OperationState, Operator, ParkedFor, Priority,
    Unique, Verb, enqueue_all, job, job_detail, list_audit, list_jobs, list_operations, operation, preview, run_operation, step_operation,
};
use sqlx::PgPool;

use crate::support::{Count, database, eventually, jobs_in, worker};

fn ana() -> Operator {
    Operator::new("ana").because("the relay is back")
}

/// So many dead jobs of the kind "count", numbered from 0.
async fn bury(pool: &PgPool, jobs: i64) {
    sqlx::query(
        "INSERT INTO haulage.finished_failed (id, run_at, eligible_at, created_at, attempt, priority, failures, max_attempts, crashes, state,
             kind_revision, queue, kind, args, error, finished_at)
         SELECT nextval('haulage.live_jobs_id_seq'), now(), now(), now(), 3, 1, 3, 3, 0, 6, 0, 'default', 'count', jsonb_build_object('n', n),
             'no paper', now() - interval '1 second'
         FROM generate_series(0, $1 - 1) AS n",
    )
    .bind(jobs)
    .execute(pool)
    .await
    .unwrap();
}

fn dead() -> JobFilter {
    JobFilter::new().state(JobState::Dead).queue("default")
}

fn matched(operation: &Operation) -> u64 {
    operation.done + operation.skipped.values().sum::<u64>() + operation.failed.values().sum::<u64>()
}

/// The jobs of all batches, as the audit has them.
async fn jobs_of(pool: &PgPool, id: OperationId) -> Vec<JobId> {
    let audit = list_audit(pool, &AuditFilter::new().operation(id).limit(1_000)).await.unwrap();
    audit.into_iter().flat_map(|entry| entry.jobs).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_dead_jobs_are_retried_once_each_while_workers_run() {
    let pool = database().await.pool();
    bury(&pool, 5_000).await;
    let ran: Arc<Mutex<BTreeMap<i64, usize>>> = Arc::default();
    let count = ran.clone();
    let worker = worker(&pool)
        .handle(move |job: Count| {
            *count.lock().unwrap().entry(job.n).or_default() += 1;
            async {}
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let started = ana().start(&pool, Verb::Retry, &dead()).await.unwrap();
    assert_eq!((started.state, started.done), (OperationState::Open, 0));
    let ended = run_operation(&pool, started.id).await.unwrap();
    assert_eq!((ended.state, ended.done, matched(&ended)), (OperationState::Done, 5_000, 5_000));
    eventually("all ran", async || jobs_in(&pool, JobState::Completed).await == 5_000).await;
    worker.shutdown().await;
    let once = |ran: &BTreeMap<i64, usize>| ran.len() == 5_000 && ran.values().all(|times| *times == 1);
    assert!(once(&ran.lock().unwrap()));

    let audit = list_audit(&pool, &AuditFilter::new()).await.unwrap();
    let verbs: Vec<&str> = audit.iter().map(|entry| entry.verb.as_str()).collect();
    assert_eq!(verbs, ["done", "start retry"], "the batches are told only to who asks for them");
    assert_eq!(audit[0].after.as_ref().unwrap()["done"], 5_000);
    assert_eq!(jobs_of(&pool, started.id).await.into_iter().collect::<HashSet<_>>().len(), 5_000);
    let again = step_operation(&pool, started.id).await.unwrap();
    assert_eq!(matched(&again), 5_000, "a step of one that is done does nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_is_cut_off_at_any_moment_loses_and_repeats_nothing() {
    let pool = database().await.pool();
    bury(&pool, 6_000).await;
    let id = ana().start(&pool, Verb::Retry, &dead()).await.unwrap().id;
    let mut cut = 0;
    for ms in (0..).map(|n| 1 + n * 3 % 60) {
        match tokio::time::timeout(Duration::from_millis(ms), step_operation(&pool, id)).await {
            Ok(operation) if operation.as_ref().unwrap().state == OperationState::Done => break,
            Ok(_) => {}
            Err(_) => cut += 1,
        }
        let seen = operation(&pool, id).await.unwrap().unwrap();
        let live: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.live_jobs").fetch_one(&pool).await.unwrap();
        // A batch cut off may still be ending on the server: it counts as a whole or not at all.
        assert_eq!(live % 1_000, 0, "{seen:?}");
    }
    assert!(cut > 0, "no batch was cut off");
    let ended = operation(&pool, id).await.unwrap().unwrap();
    assert_eq!((ended.done, matched(&ended)), (6_000, 6_000));
    assert_eq!((jobs_in(&pool, JobState::Available).await, jobs_in(&pool, JobState::Dead).await), (6_000, 0));
    let jobs = jobs_of(&pool, id).await;
    assert_eq!((jobs.len(), jobs.into_iter().collect::<HashSet<_>>().len()), (6_000, 6_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_drivers_at_once_give_each_job_one_turn() {
    let pool = database().await.pool();
    bury(&pool, 5_000).await;
    let id = ana().start(&pool, Verb::Retry, &dead()).await.unwrap().id;
    let ends = futures_util::future::join_all((0..3).map(|_| run_operation(&pool, id))).await;
    for end in ends {
        assert_eq!(end.unwrap().done, 5_000);
    }
    let jobs = jobs_of(&pool, id).await;
    assert_eq!((jobs.len(), jobs.into_iter().collect::<HashSet<_>>().len()), (5_000, 5_000));
}

#[tokio::test]
async fn an_operation_is_cancelled_in_the_middle_and_resumed() {
    let pool = database().await.pool();
    bury(&pool, 2_500).await;
    let id = ana().start(&pool, Verb::Retry, &dead()).await.unwrap().id;
    assert_eq!(step_operation(&pool, id).await.unwrap().done, 1_000);
    assert_eq!(ana().cancel_operation(&pool, id).await.unwrap().state, OperationState::Cancelled);
    assert_eq!(run_operation(&pool, id).await.unwrap().done, 1_000, "a cancelled one does nothing more");
    assert_eq!(jobs_in(&pool, JobState::Dead).await, 1_500);
    let error = ana().cancel_operation(&pool, id).await.unwrap_err().to_string();
    assert!(error.contains("is cancelled"), "{error}");
    assert_eq!(ana().resume_operation(&pool, id).await.unwrap().state, OperationState::Open);
    assert_eq!(run_operation(&pool, id).await.unwrap().done, 2_500);
    let error = ana().resume_operation(&pool, id).await.unwrap_err().to_string();
    assert!(error.contains("is done"), "{error}");
    let error = ana().resume_operation(&pool, OperationId(99)).await.unwrap_err().to_string();
    assert!(error.contains("no operation 99"), "{error}");
    let list = list_operations(&pool, None, 10).await.unwrap();
    assert_eq!((list.len(), list[0].id, &list[0].verb, list[0].who.as_str()), (1, id, &Verb::Retry, "ana"));
    assert!(list_operations(&pool, Some(id), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn jobs_that_come_or_die_after_the_start_are_not_touched() {
    let pool = database().await.pool();
    bury(&pool, 10).await;
    let live = Count { n: 100 }.enqueue(&pool).await.unwrap().id();
    let retry = ana().start(&pool, Verb::Retry, &dead()).await.unwrap().id;
    let hold = ana().start(&pool, Verb::Hold, &JobFilter::new().kind("count")).await.unwrap().id;
    ana().discard(&pool, live).await.unwrap();
    let late = Count { n: 101 }.enqueue(&pool).await.unwrap().id();
    assert_eq!(run_operation(&pool, retry).await.unwrap().done, 10);
    assert_eq!(job(&pool, live).await.unwrap().unwrap().state, JobState::Dead);
    // Those brought back were there at its start; the late one was not.
    assert_eq!(run_operation(&pool, hold).await.unwrap().done, 10);
    assert_eq!(job(&pool, late).await.unwrap().unwrap().state, JobState::Available);
}

#[tokio::test]
async fn what_can_not_be_done_is_counted_by_reason_and_fails_no_neighbour() {
    let pool = database().await.pool();
    bury(&pool, 20).await;
    // A key that a live job holds, and one that two dead ones want.
    for (n, key) in [(0, "held"), (1, "twins"), (2, "twins")] {
        sqlx::query("UPDATE haulage.finished_failed SET unique_key = haulage.unique_key('count', $1) WHERE args ->> 'n' = $2")
            .bind(format!("\"{key}\""))
            .bind(n.to_string())
            .execute(&pool)
            .await
            .unwrap();
    }
    Count { n: 50 }.with().unique(Unique::by("held")).enqueue(&pool).await.unwrap();
    // One that the database will not take, and one that somebody has locked.
    sqlx::raw_sql("ALTER TABLE haulage.live_jobs ADD CONSTRAINT odd CHECK (args ->> 'n' <> '7')").execute(&pool).await.unwrap();
    let mut forgotten = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM haulage.finished_failed WHERE args ->> 'n' = '9' FOR UPDATE").execute(&mut *forgotten).await.unwrap();

    let id = ana().start(&pool, Verb::Retry, &dead()).await.unwrap().id;
    let ended = run_operation(&pool, id).await.unwrap();
    assert_eq!((ended.done, matched(&ended)), (16, 20), "{ended:?}");
    assert_eq!(ended.skipped, BTreeMap::from([("locked or changed".to_owned(), 1), ("unique key held".to_owned(), 2)]));
    let (why, jobs) = ended.failed.iter().next().unwrap();
    assert!(why.contains("\"odd\"") && *jobs == 1, "{why}");
    drop(forgotten);
    assert_eq!(jobs_in(&pool, JobState::Dead).await, 4);
}

#[tokio::test]
async fn every_verb_works_on_many() {
    let pool = database().await.pool();
    let all = JobFilter::new().kind("count");
    let run = async |verb: Verb, filter: &JobFilter| {
        let id = ana().start(&pool, verb, filter).await.unwrap().id;
        run_operation(&pool, id).await.unwrap()
    };
    enqueue_all(&pool, (0..1_500).map(|n| Count { n })).await.unwrap();
    assert_eq!(run(Verb::Hold, &all).await.done, 1_500);
    assert_eq!(job_detail(&pool, JobId(1)).await.unwrap().unwrap().parked_for, Some(ParkedFor::Held));
    assert_eq!(run(Verb::Hold, &all).await.skipped, BTreeMap::from([("held".to_owned(), 1_500)]));
    assert_eq!(run(Verb::Release, &all).await.done, 1_500);
    assert_eq!(run(Verb::Move { queue: "other".into() }, &all).await.done, 1_500);
    assert_eq!(run(Verb::Reprioritise { priority: Priority::Bulk }, &JobFilter::new().queue("other")).await.done, 1_500);
    assert_eq!(run(Verb::Discard, &all).await.done, 1_500);
    assert_eq!(run(Verb::Retry, &all).await.done, 1_500);
    sqlx::query("UPDATE haulage.live_jobs SET state = 0, place = 0, run_at = now() + interval '1 hour'").execute(&pool).await.unwrap();
    assert_eq!(run(Verb::RunNow, &all).await.done, 1_500);
    let line: (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE place = 1 AND priority = 3), count(DISTINCT pos) FROM haulage.live_jobs WHERE queue = 'other'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(line, (1_500, 1_500), "many go to the end of the line");
    assert_eq!(run(Verb::Cancel, &all).await.done, 1_500);
    assert_eq!(jobs_in(&pool, JobState::Cancelled).await, 1_500);
    assert_eq!(run(Verb::Retry, &all).await.done, 0, "who retries all means the dead ones");
    enqueue_all(&pool, (0..10).map(|n| Count { n })).await.unwrap();
    assert_eq!(run(Verb::Delete, &all).await.done, 1_510, "unfinished and finished ones");
    assert!(list_jobs(&pool, &JobFilter::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn jobs_that_run_are_skipped_and_counted_or_told_to_stop() {
    let pool = database().await.pool();
    let worker = worker(&pool)
        .handle(|_: Count, ctx: haulage::Ctx| async move {
            ctx.cancelled().await;
            Err::<(), _>("stopped")
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    enqueue_all(&pool, (0..4).map(|n| Count { n })).await.unwrap();
    enqueue_all(&pool, (0..3).map(|n| Count { n }.with().queue("idle"))).await.unwrap();
    eventually("four run", async || jobs_in(&pool, JobState::Running).await == 4).await;
    let all = JobFilter::new().kind("count");
    let run = async |verb: Verb| {
        let id = ana().start(&pool, verb, &all).await.unwrap().id;
        run_operation(&pool, id).await.unwrap()
    };
    let moved = run(Verb::Move { queue: "slow".into() }).await;
    assert_eq!((moved.done, moved.skipped), (3, BTreeMap::from([("running".to_owned(), 4)])));
    let running = list_jobs(&pool, &JobFilter::new().state(JobState::Running)).await.unwrap();
    assert_eq!(running.len(), 4, "found through their leases");
    let cancelled = run(Verb::Cancel).await;
    assert_eq!((cancelled.done, matched(&cancelled)), (7, 7));
    eventually("all are cancelled", async || jobs_in(&pool, JobState::Cancelled).await == 7).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_preview_counts_and_shows_some_and_changes_nothing() {
    let pool = database().await.pool();
    bury(&pool, 7).await;
    Count { n: 9 }.enqueue(&pool).await.unwrap();
    let seen = preview(&pool, Verb::Delete, &JobFilter::new().kind("count")).await.unwrap();
    assert_eq!((seen.jobs, seen.more, seen.samples.len()), (8, false, 5));
    assert_eq!(seen.by_state, BTreeMap::from([("available", 1), ("dead", 7)]));
    let seen = preview(&pool, Verb::Retry, &JobFilter::new().error("NO PAPER")).await.unwrap();
    assert_eq!((seen.jobs, seen.samples[0].error.as_deref()), (7, Some("no paper")));
    bury(&pool, 10_100).await;
    let seen = preview(&pool, Verb::Retry, &dead()).await.unwrap();
    assert_eq!((seen.jobs, seen.more), (10_000, true), "nobody waits for a count of millions");
    assert_eq!(jobs_in(&pool, JobState::Dead).await, 10_107);
}

#[tokio::test]
async fn a_filter_that_means_everything_or_what_the_verb_does_not_take_is_refused() {
    let pool = database().await.pool();
    let error = ana().start(&pool, Verb::Delete, &JobFilter::new()).await.unwrap_err();
    assert!(matches!(error, ManageError::EmptyFilter), "{error:?}");
    for (verb, state, takes) in [
        (Verb::Retry, JobState::Available, "dead, cancelled"),
        (Verb::Cancel, JobState::Dead, "scheduled, available, running, parked"),
        (Verb::Delete, JobState::Running, "completed"),
        (Verb::Release, JobState::Scheduled, "parked"),
    ] {
        let error = preview(&pool, verb.clone(), &JobFilter::new().state(state)).await.unwrap_err().to_string();
        assert!(error.contains(verb.as_str()) && error.contains(state.as_str()) && error.contains(takes), "{error}");
    }
    let error = ana().start(&pool, Verb::Move { queue: "a b".into() }, &dead()).await.unwrap_err().to_string();
    assert!(error.contains("\"a b\""), "{error}");
    assert!(list_operations(&pool, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_operation_of_a_later_version_is_left_alone() {
    let pool = database().await.pool();
    bury(&pool, 3).await;
    let id = ana().start(&pool, Verb::Retry, &dead()).await.unwrap().id;
    sqlx::query(r#"UPDATE haulage.operations SET filter = filter || '{"colour": "red"}'"#).execute(&pool).await.unwrap();
    let error = format!("{:#}", anyhow::Error::from(step_operation(&pool, id).await.unwrap_err()));
    assert!(error.contains("upgrade this program"), "{error}");
    assert_eq!(jobs_in(&pool, JobState::Dead).await, 3);
}
