//! Leases and fencing: what a worker that lost its lease writes changes nothing; what is stranded comes back.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use haulage::{
    Ctx, Duty, EnqueueError, Job, JobError, JobState, Limit, Outcome, job, job_detail,
    store::{self, Kinds, Request},
};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::support::{Count, Log, ana, database, eventually, jobs_in, relay::Cut, through_relay, wait_for_state, within, worker};

/// As rescue would, had the worker fallen silent.
async fn declare_dead(pool: &PgPool, worker: i64) {
    // The first beat comes when the worker starts, and would tell it at once.
    let beaten = "SELECT heartbeat_at > started_at FROM haulage.workers WHERE id = $1";
    let has_beaten = async || sqlx::query_scalar(beaten).bind(worker).fetch_one(pool).await.unwrap();
    eventually("its first heartbeat is answered", has_beaten).await;
    sqlx::query("UPDATE haulage.workers SET dead_at = now() WHERE id = $1").bind(worker).execute(pool).await.unwrap();
}

#[tokio::test]
async fn an_attempt_that_lost_its_lease_can_write_nothing() {
    let pool = database().await.pool();
    sqlx::query("CREATE TABLE effects (attempt int)").execute(&pool).await.unwrap();
    let (entered, gate, errors) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (enter, held, seen) = (entered.clone(), gate.clone(), errors.clone());
    let zombie = worker(&pool)
        .without(Duty::Rescue)
        // So long a heartbeat that it does not hear of its own death during the test.
        .heartbeat(Duration::from_secs(60))
        .lease(Duration::from_secs(600))
        .handle(move |_: Count, ctx: Ctx| {
            let (enter, gate, seen) = (enter.clone(), held.clone(), seen.clone());
            async move {
                enter.add_permits(1);
                gate.acquire().await.unwrap().forget();
                let child = ctx.child(Count { n: 99 }).enqueue(ctx.pool()).await.unwrap_err();
                assert!(matches!(child, EnqueueError::LeaseLost { .. }), "{child:?}");
                let mut tx = ctx.begin().await?;
                sqlx::query("INSERT INTO effects VALUES ($1)").bind(ctx.attempt()).execute(&mut *tx).await?;
                ctx.progress(99, "zombie");
                let error = ctx.complete(tx).await.unwrap_err();
                seen.lock().unwrap().push(error.message());
                Ok::<_, JobError>(Outcome::Done)
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    entered.acquire().await.unwrap().forget();
    declare_dead(&pool, zombie.id()).await;

    let heir_entered = Arc::new(Semaphore::new(0));
    let heir_gate = Arc::new(Semaphore::new(0));
    let (enter, held) = (heir_entered.clone(), heir_gate.clone());
    let heir = worker(&pool)
        .handle(move |_: Count, ctx: Ctx| {
            let (enter, gate) = (enter.clone(), held.clone());
            async move {
                enter.add_permits(1);
                gate.acquire().await.unwrap().forget();
                let mut tx = ctx.begin().await?;
                sqlx::query("INSERT INTO effects VALUES ($1)").bind(ctx.attempt()).execute(&mut *tx).await?;
                ctx.complete(tx).await
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    heir_entered.acquire().await.unwrap().forget();

    // Both run now; the zombie writes first.
    gate.add_permits(1);
    eventually("the zombie is refused", async || !errors.lock().unwrap().is_empty()).await;
    let status = job(&pool, id).await.unwrap().unwrap();
    assert_eq!((status.state, status.attempt), (JobState::Running, 2));
    heir_gate.add_permits(1);
    wait_for_state(&pool, id, JobState::Completed).await;
    heir.shutdown().await;
    zombie.shutdown().await;

    assert!(errors.lock().unwrap()[0].contains("has lost its lease"), "{errors:?}");
    let effects: Vec<i32> = sqlx::query_scalar("SELECT attempt FROM effects").fetch_all(&pool).await.unwrap();
    assert_eq!(effects, [2]);
    let detail = job_detail(&pool, id).await.unwrap().unwrap();
    assert_eq!((detail.status.attempt, detail.crashes, detail.attempts.len()), (2, 1, 1));
    assert_eq!(detail.attempts[0].outcome, "worker lost");
    let children: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.jobs WHERE parent_id IS NOT NULL").fetch_one(&pool).await.unwrap();
    assert_eq!(children, 0);
}

#[tokio::test]
async fn a_worker_that_was_declared_dead_drops_everything_and_registers_anew() {
    let pool = database().await.pool();
    let (log, stopped) = (Log::default(), Log::default());
    let (ran, told) = (log.clone(), stopped.clone());
    let worker = worker(&pool)
        .handle(move |job: Count, ctx: Ctx| {
            let (ran, told) = (ran.clone(), told.clone());
            async move {
                ran.add(format!("{} {}", job.n, ctx.attempt()));
                if job.n == 1 && ctx.attempt() == 1 {
                    ctx.cancelled().await;
                    told.add("told");
                }
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let first_id = worker.id();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    eventually("the handler runs", async || log.len() == 1).await;
    declare_dead(&pool, first_id).await;
    wait_for_state(&pool, id, JobState::Completed).await;
    assert_ne!(worker.id(), first_id);
    assert_eq!((log.entries(), stopped.len()), (vec!["1 1".to_owned(), "1 2".to_owned()], 1));
    let next = Count { n: 2 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, next, JobState::Completed).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn jobs_of_a_claim_whose_answer_was_lost_come_back_without_a_failure_or_a_crash() {
    let pool = database().await.pool();
    let worker = worker(&pool).queue("other", 1).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    // A claim of this worker that it knows nothing of, ten seconds old.
    let id = Count { n: 1 }.with().queue("stranded").enqueue(&pool).await.unwrap().id();
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("UPDATE haulage.live_jobs SET state = 2, lease = 7, attempt = 1, claimed_at = now(), queue = 'other' WHERE id = $1")
        .bind(id.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query("INSERT INTO haulage.leases (id, worker, ids, claimed_at) VALUES (7, $1, ARRAY[$2], now() - interval '11 s')")
        .bind(worker.id())
        .bind(id.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    let detail = job_detail(&pool, id).await.unwrap().unwrap();
    assert_eq!((detail.status.attempt, detail.status.failures, detail.crashes), (2, 0, 0));
}

#[tokio::test]
async fn a_row_that_somebody_locks_stalls_only_itself() {
    let pool = database().await.pool();
    let (entered, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (enter, held) = (entered.clone(), gate.clone());
    let worker = worker(&pool)
        .handle(move |job: Count| {
            let (enter, gate) = (enter.clone(), held.clone());
            async move {
                if job.n == 0 {
                    enter.add_permits(1);
                    gate.acquire().await.unwrap().forget();
                }
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 0 }.enqueue(&pool).await.unwrap().id();
    entered.acquire().await.unwrap().forget();
    let mut forgotten = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM haulage.live_jobs WHERE id = $1 FOR UPDATE").bind(id.0).execute(&mut *forgotten).await.unwrap();
    gate.add_permits(1);
    for n in 1..50 {
        let other = Count { n }.enqueue(&pool).await.unwrap().id();
        wait_for_state(&pool, other, JobState::Completed).await;
    }
    assert_eq!(job(&mut *forgotten, id).await.unwrap().unwrap().state, JobState::Running);
    forgotten.rollback().await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    let leases: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.leases").fetch_one(&pool).await.unwrap();
    assert_eq!(leases, 0);
}

#[tokio::test]
async fn what_a_bound_has_passed_is_found_by_a_sweep() {
    let pool = database().await.pool();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    // A job that is in line long before it commits, while thousands behind it come and go.
    let mut late = pool.begin().await.unwrap();
    let id = Count { n: -1 }.enqueue(&mut *late).await.unwrap().id();
    for _ in 0..5 {
        haulage::enqueue_all(&pool, (0..2_000).map(|n| Count { n })).await.unwrap();
        eventually("drained", async || jobs_in(&pool, JobState::Available).await == 0).await;
        tokio::time::sleep(Duration::from_millis(300)).await; // the bound waits for a transaction for 200 ms at most
    }
    late.commit().await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
}

/// A sweep looks at nothing of a limited queue, and took that for the truth: what had come late waited for the pass over everything,
/// unless it was among the thousand that the last admission lets in.
#[tokio::test]
async fn what_a_bound_has_passed_while_its_queue_was_limited_is_found_when_it_is_not() {
    let pool = database().await.pool();
    let worker = worker(&pool).queue("other", 1).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let mut late = pool.begin().await.unwrap();
    let id = Count { n: -1 }.enqueue(&mut *late).await.unwrap().id();
    for _ in 0..3 {
        haulage::enqueue_all(&pool, (0..2_000).map(|n| Count { n })).await.unwrap();
        eventually("drained", async || jobs_in(&pool, JobState::Available).await == 0).await;
        tokio::time::sleep(Duration::from_millis(300)).await; // the bound waits for a transaction for 200 ms at most
    }
    // A limit that is used up by one job.
    ana().limit_queue(&pool, "default", Limit::starts(1, Duration::from_secs(3_600)).burst(1)).await.unwrap();
    let first = Count { n: 0 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, first, JobState::Completed).await;
    late.commit().await.unwrap();
    sqlx::raw_sql("INSERT INTO haulage.live_jobs (kind, args, priority) SELECT 'count', '{\"n\": 1}', 0 FROM generate_series(1, 2000)")
        .execute(&pool)
        .await
        .unwrap();
    // The worker looks again and again, for longer than it waits between two sweeps.
    let committed = std::time::Instant::now();
    while committed.elapsed() < Duration::from_secs(3) {
        let marker = Count { n: 0 }.with().queue("other").enqueue(&pool).await.unwrap().id();
        wait_for_state(&pool, marker, JobState::Completed).await;
    }
    assert_eq!(job(&pool, id).await.unwrap().unwrap().state, JobState::Available);
    ana().limit_queue(&pool, "default", None).await.unwrap();
    let unlimited = std::time::Instant::now();
    wait_for_state(&pool, id, JobState::Completed).await;
    assert!(unlimited.elapsed() < Duration::from_secs(8), "{:?}: the pass over everything found it", unlimited.elapsed());
    worker.shutdown().await;
}

#[tokio::test]
async fn lost_connections_lose_no_job_and_stop_no_worker() {
    let pool = database().await.pool();
    let worker = worker(&pool)
        .handle(|_: Count| async { tokio::time::sleep(Duration::from_millis(2)).await })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    for round in 0..5 {
        haulage::enqueue_all(&pool, (0..300).map(|n| Count { n: round * 1_000 + n })).await.unwrap();
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'haulage %'")
            .execute(&pool)
            .await
            .unwrap();
    }
    eventually("all are completed", async || jobs_in(&pool, JobState::Completed).await == 1_500).await;
    worker.shutdown().await;
    let crashed: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.jobs WHERE crashes > 0").fetch_one(&pool).await.unwrap();
    assert_eq!(crashed, 0);
}

#[tokio::test]
async fn a_completion_in_a_transaction_waits_for_a_row_that_somebody_locks() {
    let pool = database().await.pool();
    let (entered, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (enter, held) = (entered.clone(), gate.clone());
    let worker = worker(&pool)
        .handle(move |_: Count, ctx: Ctx| {
            let (enter, gate) = (enter.clone(), held.clone());
            async move {
                let tx = ctx.begin().await?;
                enter.add_permits(1);
                gate.acquire().await.unwrap().forget();
                ctx.complete(tx).await
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 0 }.enqueue(&pool).await.unwrap().id();
    entered.acquire().await.unwrap().forget();
    let mut other = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM haulage.live_jobs WHERE id = $1 FOR UPDATE").bind(id.0).execute(&mut *other).await.unwrap();
    gate.add_permits(1);
    // It asks what became of the row once its first try has met the lock.
    eventually("its first try met the lock", async || {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '-- Of the attempts whose settling%')",
        )
        .fetch_one(&pool)
        .await
        .unwrap()
    })
    .await;
    other.rollback().await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    assert_eq!(job(&pool, id).await.unwrap().unwrap().failures, 0);
}

#[tokio::test]
async fn a_new_listening_connection_asks_to_be_notified_again() {
    let pool = database().await.pool();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let sleeper = async || -> Option<i32> {
        sqlx::query_scalar(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 1751217516 AND mode = 'ShareLock' AND granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .fetch_optional(&pool)
        .await
        .unwrap()
    };
    eventually("the worker sleeps", async || sleeper().await.is_some()).await;
    let first = sleeper().await.unwrap();
    sqlx::query("SELECT pg_terminate_backend($1)").bind(first).execute(&pool).await.unwrap();
    eventually("it sleeps on a new connection", async || sleeper().await.is_some_and(|pid| pid != first)).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_backlog_whose_enqueue_took_long_to_commit_is_drained_at_full_speed() {
    let pool = database().await.pool();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    haulage::enqueue_all(&mut *tx, (0..15_000).map(|n| Count { n })).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await; // it has run for long, and the bound no longer waits for it
    tx.commit().await.unwrap();
    let committed = std::time::Instant::now();
    eventually("drained", async || jobs_in(&pool, JobState::Completed).await == 15_000).await;
    // A thousand a second, which is what sweeps alone would do, takes fifteen.
    assert!(committed.elapsed() < Duration::from_secs(12), "{:?}", committed.elapsed());
    worker.shutdown().await;
}

/// It stayed where it was for up to three seconds: the bound had passed it, the sweep was not due, and its finds waited for a poll.
#[tokio::test]
async fn a_bulk_enqueue_that_takes_long_beside_an_idle_worker_is_picked_up_at_its_commit() {
    let pool = database().await.pool();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    // What it takes without anything in the way, on this machine and beside whatever else runs there.
    let mut usual = Duration::ZERO;
    for round in 0..=3 {
        let mut tx = pool.begin().await.unwrap();
        haulage::enqueue_all(&mut *tx, (0..2_000).map(|n| Count { n })).await.unwrap();
        if round > 0 {
            // Long enough for the worker to look, and to take the transaction for a long one.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
        tx.commit().await.unwrap();
        let committed = std::time::Instant::now();
        eventually("drained", async || jobs_in(&pool, JobState::Completed).await == 2_000 * (round + 1)).await;
        match round {
            0 => usual = committed.elapsed(),
            _ => assert!(committed.elapsed() < usual * 2 + Duration::from_secs(1), "{:?}, usually {usual:?}", committed.elapsed()),
        }
    }
    worker.shutdown().await;
}

/// A snapshot ends with the last transaction that has ended: bounds once passed what later ones had stored.
#[tokio::test]
async fn a_claim_tells_of_a_transaction_that_is_newer_than_its_snapshots_end() {
    let pool = database().await.pool();
    let mut tx = pool.begin().await.unwrap();
    let newest: i64 = sqlx::query_scalar("SELECT pg_current_xact_id()::text::bigint").fetch_one(&mut *tx).await.unwrap();
    let request = Request {
        token: 1,
        worker: 1,
        kinds: &Kinds::from_iter([("count".to_owned(), 0)]),
        queues: &["default"],
        wants: &[10],
        bounds: &[0; 4],
        exempt: 0,
        in_turn: &[false],
    };
    let claim = store::claim_jobs(&mut pool.acquire().await.unwrap(), &request).await.unwrap();
    assert!(claim.oldest <= newest, "it runs still: {claim:?}");
    assert!(claim.next_xid > newest, "it has its number: {claim:?}");
}

#[tokio::test]
async fn a_dropped_handle_stops_the_worker_in_order() {
    let pool = database().await.pool();
    let entered = Arc::new(Semaphore::new(0));
    let enter = entered.clone();
    let handle = worker(&pool)
        .handle(move |_: Count| {
            let enter = enter.clone();
            async move {
                enter.add_permits(1);
                // Longer than the lease: the heartbeat must go on for it.
                tokio::time::sleep(Duration::from_millis(2_000)).await;
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    entered.acquire().await.unwrap().forget();
    drop(handle);
    wait_for_state(&pool, id, JobState::Completed).await;
    let gone = async || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM haulage.workers").fetch_one(&pool).await.unwrap() == 0;
    eventually("it took itself off the list", gone).await;
    assert_eq!(job_detail(&pool, id).await.unwrap().unwrap().crashes, 0);
}

#[tokio::test]
async fn a_suspect_that_is_given_back_stays_a_suspect() {
    let pool = database().await.pool();
    let ids: Vec<i64> = haulage::enqueue_all(&pool, (0..4).map(|n| Count { n })).await.unwrap().into_iter().map(|job| job.id().0).collect();
    sqlx::query("UPDATE haulage.live_jobs SET crashes = 2, state = 3, place = 3, parked_for = 3").execute(&pool).await.unwrap();
    let (now, most) = (Arc::new(std::sync::atomic::AtomicI64::new(0)), Arc::new(std::sync::atomic::AtomicI64::new(0)));
    let (counter, peak) = (now.clone(), most.clone());
    let worker = worker(&pool)
        .handle(move |_: Count, ctx: Ctx| {
            let (counter, peak) = (counter.clone(), peak.clone());
            async move {
                use std::sync::atomic::Ordering::SeqCst;
                peak.fetch_max(counter.fetch_add(1, SeqCst) + 1, SeqCst);
                tokio::time::sleep(Duration::from_millis(50)).await;
                counter.fetch_sub(1, SeqCst);
                if ctx.attempt() == 1 { Outcome::Snooze(Duration::ZERO) } else { Outcome::Done }
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    for id in ids {
        wait_for_state(&pool, haulage::JobId(id), JobState::Completed).await;
    }
    worker.shutdown().await;
    assert_eq!(most.load(std::sync::atomic::Ordering::SeqCst), 1);
}

// Each process looked for one a second, so that what two crashes of a busy fleet had left waited for minutes.
#[tokio::test]
async fn a_crowd_of_suspects_is_run_one_after_the_other_without_a_wait() {
    let pool = database().await.pool();
    haulage::enqueue_all(&pool, (0..60).map(|n| Count { n })).await.unwrap();
    sqlx::query("UPDATE haulage.live_jobs SET crashes = 2, state = 3, place = 3, parked_for = 3").execute(&pool).await.unwrap();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    within(Duration::from_secs(20), "sixty suspects have run in a third of a minute", async || {
        jobs_in(&pool, JobState::Completed).await == 60
    })
    .await;
    worker.shutdown().await;
}

// The lease of such a claim was taken for one that had ended and its row was removed, so that nobody ever took the job from the worker.
#[tokio::test]
async fn a_suspect_whose_claim_is_answered_after_all_leases_were_lost_comes_back() {
    let pool = database().await.pool();
    let worker = worker(&pool).lease(Duration::from_secs(6)).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let mut leases = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE haulage.leases IN SHARE MODE").execute(&mut *leases).await.unwrap();
    let id = Count { n: 1 }.with().queue("elsewhere").enqueue(&pool).await.unwrap().id();
    sqlx::query("UPDATE haulage.live_jobs SET queue = 'default', crashes = 2, state = 3, place = 3, parked_for = 3 WHERE id = $1")
        .bind(id.0)
        .execute(&pool)
        .await
        .unwrap();
    let suspects_claim = async |condition: &'static str| -> bool {
        let sql = format!(
            "SELECT EXISTS (
                SELECT FROM pg_stat_activity AS a, haulage.workers AS w
                WHERE a.datname = current_database() AND a.query LIKE '-- Takes at most one suspect%' AND a.wait_event_type = 'Lock' AND {condition}
             )"
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap()
    };
    // It is given up after a lease, and begun anew: the next one is under way when the deadline of the leases passes.
    eventually("it is claimed", async || suspects_claim("clock_timestamp() - a.query_start > '2 s'").await).await;
    // No heartbeat is answered any more.
    let mut row = pool.begin().await.unwrap();
    sqlx::query("SELECT id FROM haulage.workers FOR UPDATE").execute(&mut *row).await.unwrap();
    let around = "a.query_start < w.heartbeat_at + interval '5.7 s' AND clock_timestamp() > w.heartbeat_at + interval '6.5 s'";
    eventually("a claim has waited since before the deadline", async || suspects_claim(around).await).await;
    leases.rollback().await.unwrap();
    let claimed = "SELECT state = 2 FROM haulage.live_jobs";
    eventually("the claim is made", async || sqlx::query_scalar(claimed).fetch_one(&pool).await.unwrap()).await;
    row.rollback().await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
}

/// A job that a worker holds who is not there, in a queue that is served.
async fn job_of_an_absent_worker(pool: &PgPool) -> haulage::JobId {
    let id = Count { n: 1 }.with().queue("elsewhere").enqueue(pool).await.unwrap().id();
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("UPDATE haulage.live_jobs SET state = 2, lease = id, attempt = 1, claimed_at = now(), queue = 'default' WHERE id = $1")
        .bind(id.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query("INSERT INTO haulage.leases (id, worker, ids) VALUES ($1, 77, ARRAY[$1])").bind(id.0).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    id
}

// A connection that took longer than a beat was begun anew with each, and so never made, while the server was busy with those given up.
#[tokio::test]
async fn heartbeats_go_on_although_it_takes_longer_than_one_to_connect() {
    let pool = database().await.pool();
    let (through, faults) = through_relay(&pool).await;
    let worker = worker(&through).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    // To connect takes five messages and more; a beat, two.
    faults.delay(Duration::from_millis(350));
    faults.cut(Cut::Fin);
    let cut: String = sqlx::query_scalar("SELECT clock_timestamp()::text").fetch_one(&pool).await.unwrap();
    eventually("a heartbeat has come since all connections were cut", async || {
        let beaten =
            "SELECT EXISTS (SELECT FROM haulage.workers WHERE dead_at IS NULL AND heartbeat_at > $1::timestamptz + interval '2 s')";
        sqlx::query_scalar(beaten).bind(&cut).fetch_one(&pool).await.unwrap()
    })
    .await;
    faults.heal();
    worker.shutdown().await;
}

/// Sessions of workers that wait for a lock.
async fn waiting_sessions(pool: &PgPool) -> Vec<i32> {
    sqlx::query_scalar(
        "SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'haulage %' AND wait_event_type = 'Lock'",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

// It was noticed only after two minutes, and with a single worker left nobody did its duties meanwhile.
#[tokio::test]
async fn the_only_worker_takes_a_dead_ones_jobs_in_time_although_the_connection_of_its_duties_has_fallen_silent() {
    let pool = database().await.pool();
    let (through, faults) = through_relay(&pool).await;
    let lease = Duration::from_millis(1_500);
    let worker = worker(&through).lease(lease).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    // It has a connection for its duties.
    let first = job_of_an_absent_worker(&pool).await;
    wait_for_state(&pool, first, JobState::Completed).await;
    faults.silence_duties();
    eventually("the connection of its duties is silent", async || faults.silenced.load(Relaxed) == 1).await;
    let second = job_of_an_absent_worker(&pool).await;
    within(lease + Duration::from_secs(5), "the dead worker's job runs", async || {
        job(&pool, second).await.unwrap().is_some_and(|job| job.state == JobState::Completed)
    })
    .await;
    worker.shutdown().await;
}

// Each new connection waited beside the old one, whose session knew nothing of its end: a session more with every lease and task.
#[tokio::test]
async fn a_locked_table_gathers_no_sessions_of_connections_that_were_given_up() {
    let pool = database().await.pool();
    let worker = worker(&pool).heartbeat(Duration::from_millis(100)).lease(Duration::from_millis(500)).handle(|_: Count| async {});
    let worker = worker.build().unwrap().start().await.unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Completed).await;
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE haulage.live_jobs IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let (mut seen, mut most) = (HashSet::new(), 0);
    eventually("connections were given up more than once", async || {
        let waiting = waiting_sessions(&pool).await;
        most = most.max(waiting.len());
        seen.extend(waiting);
        seen.len() >= 10
    })
    .await;
    lock.rollback().await.unwrap();
    // A session each for claims and duties; and for a moment the next beside the last.
    assert!(most <= 5, "{most} sessions waited at once");
    let id = Count { n: 2 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
}
