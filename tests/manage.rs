//! What operators do to one job: guarded by its state, written to the audit, never a race with a worker.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use haulage::{
    Acted, AuditFilter, Ctx, Enqueued, Job, JobError, JobId, JobState, ManageError, Operator, ParkedFor, Priority, Unique, Verb,
    WorkerLife, enqueue_all, job, job_detail, list_audit, list_workers,
};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::support::{Count, Log, database, eventually, wait_for_state, worker};

fn ana() -> Operator {
    Operator::new("ana").because("for the test")
}

async fn dead(pool: &PgPool, n: i64) -> JobId {
    let id = Count { n }.enqueue(pool).await.unwrap().id();
    ana().discard(pool, id).await.unwrap();
    id
}

#[tokio::test]
async fn a_dead_job_is_retried_under_its_id_with_its_attempts_kept_and_its_failures_from_zero() {
    let pool = database().await.pool();
    let works = Arc::new(Mutex::new(false));
    let switch = works.clone();
    let worker = worker(&pool)
        .handle(move |_: Count| {
            let works = *switch.lock().unwrap();
            async move { if works { Ok(()) } else { Err("no paper") } }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.with().max_attempts(2).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Dead).await;
    *works.lock().unwrap() = true;
    assert_eq!(ana().retry(&pool, id).await.unwrap().was, JobState::Dead);
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    let detail = job_detail(&pool, id).await.unwrap().unwrap();
    assert_eq!((detail.status.attempt, detail.status.failures, detail.attempts.len()), (3, 0, 2));

    let audit = list_audit(&pool, &AuditFilter::new().job(id)).await.unwrap();
    let entry = &audit[0];
    assert_eq!((entry.who.as_str(), entry.verb.as_str(), entry.target.as_str()), ("ana", "retry", format!("job {id}").as_str()));
    assert_eq!((entry.reason.as_deref(), &entry.jobs), (Some("for the test"), &vec![id]));
    let (before, after) = (entry.before.as_ref().unwrap(), entry.after.as_ref().unwrap());
    assert_eq!((&before["state"], &before["failures"]), (&"dead".into(), &2.into()));
    assert_eq!((&after["state"], &after["failures"]), (&"available".into(), &0.into()));
}

#[tokio::test]
async fn a_retry_whose_unique_key_another_job_holds_is_refused_and_names_it() {
    let pool = database().await.pool();
    let keyed = |n| Count { n }.with().unique(Unique::by("k"));
    let first = keyed(1).enqueue(&pool).await.unwrap().id();
    ana().cancel(&pool, first).await.unwrap();
    let second = keyed(2).enqueue(&pool).await.unwrap();
    assert!(second.is_new());
    let error = ana().retry(&pool, first).await.unwrap_err();
    assert!(matches!(error, ManageError::Refused { .. }) && error.to_string().contains(&format!("job {} holds", second.id())), "{error}");
    let error = ana().run_again(&pool, first).await.unwrap_err();
    assert!(error.to_string().contains(&format!("job {} holds", second.id())), "{error}");

    // Free again: the job takes the key with it.
    ana().cancel(&pool, second.id()).await.unwrap();
    ana().retry(&pool, first).await.unwrap();
    assert_eq!(keyed(3).enqueue(&pool).await.unwrap(), Enqueued::Duplicate(first));
}

#[tokio::test]
async fn a_window_that_the_job_holds_itself_does_not_keep_it_from_a_retry() {
    let pool = database().await.pool();
    let keyed = |n| Count { n }.with().unique(Unique::by("k").within(Duration::from_secs(3_600)));
    let id = keyed(1).enqueue(&pool).await.unwrap().id();
    ana().cancel(&pool, id).await.unwrap();
    ana().retry(&pool, id).await.unwrap();
    let until: bool = sqlx::query_scalar("SELECT until > now() FROM haulage.unique_keys").fetch_one(&pool).await.unwrap();
    assert!(until, "the window goes on");
    assert_eq!(keyed(2).enqueue(&pool).await.unwrap(), Enqueued::Duplicate(id));
}

#[tokio::test]
async fn of_a_retry_and_an_enqueue_at_the_same_moment_one_gets_the_key() {
    let pool = database().await.pool();
    for round in 0..20 {
        let keyed = || Count { n: round }.with().unique(Unique::by(round));
        let old = keyed().enqueue(&pool).await.unwrap().id();
        ana().cancel(&pool, old).await.unwrap();
        let ana = ana();
        let (retried, enqueued) = tokio::join!(ana.retry(&pool, old), keyed().enqueue(&pool));
        let live: Vec<i64> = sqlx::query_scalar("SELECT id FROM haulage.live_jobs WHERE (args ->> 'n')::bigint = $1")
            .bind(round)
            .fetch_all(&pool)
            .await
            .unwrap();
        assert_eq!(live.len(), 1, "round {round}: {retried:?} {enqueued:?}");
        assert_eq!(retried.is_ok(), live == [old.0]);
        assert_eq!(enqueued.unwrap().id().0, live[0]);
    }
}

#[tokio::test]
async fn a_job_cancelled_while_it_ran_can_be_retried_at_once() {
    let pool = database().await.pool();
    let log = Log::default();
    let seen = log.clone();
    let worker = worker(&pool)
        .handle(move |_: Count, ctx: Ctx| {
            let first = seen.len() == 0;
            seen.add("ran");
            async move {
                if first {
                    ctx.cancelled().await;
                    return Err("stopped");
                }
                Ok(())
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    eventually("it runs", async || log.len() == 1).await;
    let acted = ana().cancel(&pool, id).await.unwrap();
    assert_eq!((acted.was, acted.now), (JobState::Running, Some(JobState::Running)));
    wait_for_state(&pool, id, JobState::Cancelled).await;
    assert_eq!(job(&pool, id).await.unwrap().unwrap().error.as_deref(), Some("for the test"));
    // The request to cancel is still there, and must not cancel it again.
    ana().retry(&pool, id).await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_quarantined_job_comes_back_as_a_suspect_and_runs_alone() {
    let pool = database().await.pool();
    let id = dead(&pool, 1).await;
    sqlx::query("UPDATE haulage.finished_failed SET crashes = 3").execute(&pool).await.unwrap();
    assert_eq!(ana().retry(&pool, id).await.unwrap().now, Some(JobState::Parked));
    assert_eq!(job_detail(&pool, id).await.unwrap().unwrap().parked_for, Some(ParkedFor::Suspect));
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_finished_job_runs_again_as_a_new_one_that_names_the_old() {
    let pool = database().await.pool();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let old = Count { n: 7 }.with().priority(Priority::Low).tag("a").max_attempts(3).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, old, JobState::Completed).await;
    let new = ana().run_again(&pool, old).await.unwrap();
    assert_ne!(new, old);
    wait_for_state(&pool, new, JobState::Completed).await;
    worker.shutdown().await;
    let detail = job_detail(&pool, new).await.unwrap().unwrap();
    assert_eq!((detail.args, detail.priority, detail.tags), (serde_json::json!({"n": 7}), Priority::Low, vec!["a".to_owned()]));
    assert_eq!((detail.status.max_attempts, detail.parent), (3, None));
    assert_eq!(detail.origin, Some(serde_json::json!({"again_of": old, "by": "ana"})));
    for id in [old, new] {
        assert_eq!(list_audit(&pool, &AuditFilter::new().job(id)).await.unwrap()[0].verb, "run-again");
    }
}

#[tokio::test]
async fn run_now_wakes_a_sleeping_worker() {
    let pool = database().await.pool();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let id = Count { n: 1 }.with().delay(Duration::from_secs(3_600)).enqueue(&pool).await.unwrap().id();
    eventually("it sleeps", async || {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1751217516)")
            .fetch_one(&pool)
            .await
            .unwrap()
    })
    .await;
    ana().run_now(&pool, id).await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_held_job_waits_until_it_is_released_and_goes_back_to_where_it_belongs() {
    let pool = database().await.pool();
    let ready = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    let later = Count { n: 2 }.with().delay(Duration::from_secs(3_600)).enqueue(&pool).await.unwrap().id();
    for id in [ready, later] {
        assert_eq!(ana().hold(&pool, id).await.unwrap().now, Some(JobState::Parked));
        assert_eq!(job_detail(&pool, id).await.unwrap().unwrap().parked_for, Some(ParkedFor::Held));
        let error = ana().hold(&pool, id).await.unwrap_err().to_string();
        assert!(error.contains("held already"), "{error}");
    }
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    // The worker has looked: a job behind them in line is done.
    let other = Count { n: 3 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, other, JobState::Completed).await;
    assert_eq!(job(&pool, ready).await.unwrap().unwrap().state, JobState::Parked);
    assert_eq!(ana().release(&pool, later).await.unwrap().now, Some(JobState::Scheduled));
    assert_eq!(ana().release(&pool, ready).await.unwrap().now, Some(JobState::Available));
    wait_for_state(&pool, ready, JobState::Completed).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_job_moved_behind_the_bound_of_a_line_is_found_at_once() {
    let pool = database().await.pool();
    let log = Log::default();
    let seen = log.clone();
    let moved = Count { n: -1 }.with().queue("elsewhere").enqueue(&pool).await.unwrap().id();
    let raised = Count { n: -2 }.with().priority(Priority::Bulk).run_at(chrono::Utc::now() + chrono::TimeDelta::hours(1));
    let raised = raised.enqueue(&pool).await.unwrap().id();
    let worker = worker(&pool)
        .handle(move |job: Count| {
            seen.add(job.n.to_string());
            async {}
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    // Rounds of more than the 250 positions that move a bound, so that the bounds stand above both jobs.
    for _ in 0..5 {
        let before = log.len();
        enqueue_all(&pool, (0..600).map(|n| Count { n })).await.unwrap();
        eventually("a round is done", async || log.len() == before + 600).await;
    }
    let started = Instant::now();
    ana().move_to(&pool, moved, "default").await.unwrap();
    ana().reprioritise(&pool, raised, Priority::Normal).await.unwrap();
    ana().run_now(&pool, raised).await.unwrap();
    for id in [moved, raised] {
        wait_for_state(&pool, id, JobState::Completed).await;
    }
    assert!(started.elapsed() < Duration::from_secs(15), "only a sweep of each half minute found it: {:?}", started.elapsed());
    worker.shutdown().await;
    let error = ana().move_to(&pool, moved, "a b").await.unwrap_err().to_string();
    assert!(error.contains("\"a b\"") && error.contains("1 to 128"), "{error}");
}

#[tokio::test]
async fn a_lowered_priority_goes_to_the_end_of_its_line() {
    let pool = database().await.pool();
    let ids: Vec<JobId> =
        enqueue_all(&pool, (0..3).map(|n| Count { n }.with().queue("one"))).await.unwrap().iter().map(|job| job.id()).collect();
    ana().reprioritise(&pool, ids[0], Priority::Low).await.unwrap();
    ana().reprioritise(&pool, ids[2], Priority::Urgent).await.unwrap();
    let log = Log::default();
    let seen = log.clone();
    let worker = worker(&pool)
        .queue("one", 1)
        .handle(move |job: Count| {
            seen.add(job.n.to_string());
            async {}
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    eventually("all ran", async || log.len() == 3).await;
    worker.shutdown().await;
    assert_eq!(log.entries(), ["2", "1", "0"]);
}

#[tokio::test]
async fn a_deleted_job_leaves_nothing_behind() {
    let pool = database().await.pool();
    let worker = worker(&pool).handle(|_: Count| async { Err::<(), _>(JobError::fatal("no")) }).build().unwrap().start().await.unwrap();
    let finished = Count { n: 1 }.with().unique(Unique::by(1).within(Duration::from_secs(60))).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, finished, JobState::Dead).await;
    worker.shutdown().await;
    let live = Count { n: 2 }.with().unique(Unique::by(2)).enqueue(&pool).await.unwrap().id();
    for id in [finished, live] {
        for insert in [
            "INSERT INTO haulage.attempt_traces (trace_id, span_id, job_id, attempt) VALUES (gen_random_uuid(), 1, $1, 1)",
            "INSERT INTO haulage.running_spans (job_id, lease, path, since) VALUES ($1, 7, 'process', now())",
        ] {
            sqlx::query(insert).bind(id.0).execute(&pool).await.unwrap();
        }
        let Acted { now, .. } = ana().delete(&pool, id).await.unwrap();
        assert_eq!(now, None);
        assert!(job(&pool, id).await.unwrap().is_none());
        let error = ana().delete(&pool, id).await.unwrap_err();
        assert!(matches!(error, ManageError::NotFound { .. }), "{error:?}");
    }
    for table in ["attempts", "unique_keys", "attempt_traces", "running_spans"] {
        let left: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM haulage.{table}"))).fetch_one(&pool).await.unwrap();
        assert_eq!(left, 0, "{table}");
    }
    assert_eq!(list_audit(&pool, &AuditFilter::new().job(live)).await.unwrap()[0].after, None);
}

#[tokio::test]
async fn what_does_not_fit_a_running_job_is_refused_with_what_to_do_and_changes_nothing() {
    let pool = database().await.pool();
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let worker = worker(&pool)
        .handle(move |_: Count| {
            let gate = held.clone();
            async move { gate.acquire().await.unwrap().forget() }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Running).await;
    for verb in [
        Verb::Retry,
        Verb::RunNow,
        Verb::Discard,
        Verb::Hold,
        Verb::Release,
        Verb::Delete,
        Verb::Move { queue: "other".into() },
        Verb::Reprioritise { priority: Priority::Low },
    ] {
        let error = ana().act(&pool, id, verb.clone()).await.unwrap_err();
        assert!(matches!(error, ManageError::Refused { state: JobState::Running, .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(verb.as_str()) && text.contains(&format!("job {id}")) && text.contains("it is running"), "{text}");
    }
    assert!(ana().run_again(&pool, id).await.unwrap_err().to_string().contains("only a finished job"));
    gate.add_permits(1);
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    assert!(list_audit(&pool, &AuditFilter::new()).await.unwrap().is_empty());
    let error = ana().retry(&pool, id).await.unwrap_err().to_string();
    assert!(error.contains("completed") && error.contains("run-again"), "{error}");
    let error = ana().retry(&pool, JobId(4_711)).await.unwrap_err().to_string();
    assert!(error.contains("no job 4711"), "{error}");
    let error = Operator::new("").retry(&pool, id).await.unwrap_err().to_string();
    assert!(error.contains("1 to 128"), "{error}");
}

#[tokio::test]
async fn a_job_that_somebody_has_locked_is_left_alone_after_a_while() {
    let pool = database().await.pool();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    let mut forgotten = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM haulage.live_jobs WHERE id = $1 FOR UPDATE").bind(id.0).execute(&mut *forgotten).await.unwrap();
    let error = ana().hold(&pool, id).await.unwrap_err();
    assert!(matches!(error, ManageError::Locked { .. }) && error.to_string().contains("pg_stat_activity"), "{error}");
}

#[tokio::test]
async fn an_act_in_a_transaction_is_undone_with_it_and_so_is_its_audit() {
    let pool = database().await.pool();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    let mut tx = pool.begin().await.unwrap();
    ana().discard(&mut *tx, id).await.unwrap();
    ana().retry(&mut *tx, id).await.unwrap();
    // A refusal does not spoil the transaction.
    ana().retry(&mut *tx, id).await.unwrap_err();
    ana().hold(&mut *tx, id).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(job(&pool, id).await.unwrap().unwrap().state, JobState::Available);
    assert!(list_audit(&pool, &AuditFilter::new()).await.unwrap().is_empty());

    // From a task, on a connection.
    let spawned = tokio::spawn({
        let pool = pool.clone();
        async move {
            ana().hold(&pool, id).await?;
            ana().act(&pool, id, Verb::Release).await?;
            ana().hold(&mut *pool.acquire().await?, id).await
        }
    });
    spawned.await.unwrap().unwrap();
    assert_eq!(list_audit(&pool, &AuditFilter::new().who("ana")).await.unwrap().len(), 3);
    assert!(list_audit(&pool, &AuditFilter::new().who("bo")).await.unwrap().is_empty());
}

/// Every verb against claims: whoever wins, no job is lost, none runs twice, none runs after it was taken away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verbs_and_claims_at_the_same_moment_lose_no_job_and_run_none_twice() {
    const JOBS: i64 = 900;
    let pool = database().await.pool();
    let ran: Arc<Mutex<BTreeMap<i64, usize>>> = Arc::default();
    let start = async |pool: &PgPool| {
        let ran = ran.clone();
        worker(pool)
            .queue("other", 5)
            .handle(move |job: Count| {
                *ran.lock().unwrap().entry(job.n).or_default() += 1;
                async {}
            })
            .build()
            .unwrap()
            .start()
            .await
            .unwrap()
    };
    let workers = [start(&pool).await, start(&pool).await];
    let verbs = [
        Verb::Cancel,
        Verb::Discard,
        Verb::Hold,
        Verb::Delete,
        Verb::Move { queue: "other".into() },
        Verb::Reprioritise { priority: Priority::Urgent },
    ];
    let mut gone = HashSet::new();
    let mut held = Vec::new();
    for round in 0..JOBS / 30 {
        let numbers: Vec<i64> = (round * 30..(round + 1) * 30).collect();
        let ids = enqueue_all(&pool, numbers.iter().map(|n| Count { n: *n })).await.unwrap();
        let ana = ana();
        let acts = numbers.iter().zip(&ids).map(|(n, id)| {
            let (pool, ana, verb) = (&pool, &ana, verbs[usize::try_from(*n).unwrap() % verbs.len()].clone());
            async move { (*n, id.id(), verb.clone(), ana.act(pool, id.id(), verb).await) }
        });
        for (n, id, verb, result) in futures_util::future::join_all(acts).await {
            match (verb, result) {
                (Verb::Hold, Ok(_)) => held.push((n, id)),
                (Verb::Delete, Ok(Acted { was: JobState::Completed, .. })) => {}
                (Verb::Cancel, Ok(Acted { now: Some(JobState::Cancelled), .. })) | (Verb::Discard | Verb::Delete, Ok(_)) => {
                    gone.insert(n);
                }
                (_, Ok(_) | Err(ManageError::Refused { .. })) => {}
                (verb, Err(error)) => panic!("{verb:?} of job {id}: {error:?}"),
            }
        }
    }
    for (_, id) in &held {
        ana().release(&pool, *id).await.unwrap();
    }
    eventually("all others ran", async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM haulage.live_jobs").fetch_one(&pool).await.unwrap() == 0
    })
    .await;
    for worker in workers {
        worker.shutdown().await;
    }
    let ran = ran.lock().unwrap();
    for n in 0..JOBS {
        assert_eq!(
            ran.get(&n).copied().unwrap_or_default(),
            usize::from(!gone.contains(&n)),
            "job number {n}, taken away: {}",
            gone.contains(&n)
        );
    }
    assert!(!gone.is_empty() && !held.is_empty(), "the verbs won now and then");
}

#[tokio::test]
async fn workers_are_listed_with_what_they_do_and_whether_they_live() {
    let pool = database().await.pool();
    assert!(list_workers(&pool).await.unwrap().is_empty());
    let worker = worker(&pool).queue("mail", 3).name("host-1").handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    sqlx::query(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, heartbeat_at, dead_at)
         VALUES (1, 'host-2', '0', '{}', '{}', '{}', 30000, now() - interval '1 minute', now())",
    )
    .execute(&pool)
    .await
    .unwrap();
    let list = list_workers(&pool).await.unwrap();
    assert_eq!(
        list.iter().map(|worker| (worker.name.as_str(), worker.life)).collect::<Vec<_>>(),
        [("host-1", WorkerLife::Alive), ("host-2", WorkerLife::Dead)]
    );
    assert_eq!(
        (list[0].queues.join(" "), &list[0].slots, &list[0].kinds),
        ("default mail".to_owned(), &vec![10, 3], &vec!["count".to_owned()])
    );
    assert!(list[0].heartbeat_age_s < 30.0 && list[1].heartbeat_age_s >= 60.0);
    worker.shutdown().await;
}
