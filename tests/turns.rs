//! Large claims of several processes take turns.

use std::time::{Duration, Instant};

use haulage::{
    enqueue_all,
    store::{self, Claim, Kinds, Registration, Request},
};
use sqlx::{Connection, PgConnection, PgPool};

use crate::support::{Count, database, eventually, worker};

/// A connection that may claim as this worker.
async fn claimer(pool: &PgPool, worker: i64) -> PgConnection {
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await.unwrap();
    let who = Registration { name: "w".into(), queues: Vec::new(), slots: Vec::new(), kinds: Kinds::default(), lease_ms: 60_000 };
    store::register_worker(&mut connection, worker, &who).await.unwrap();
    connection
}

async fn claim(connection: &mut PgConnection, worker: i64) -> Claim {
    let kinds = Kinds::from_iter([("count".to_owned(), 0)]);
    let request = Request {
        token: worker,
        worker,
        kinds: &kinds,
        queues: &["other", "default"],
        wants: &[100, 100],
        bounds: &[0; 8],
        exempt: 0,
        in_turn: &[true, true],
    };
    store::claim_jobs(connection, &request).await.unwrap()
}

/// How many turns are held, and how many are waited for.
async fn turns(pool: &PgPool) -> (i64, i64) {
    sqlx::query_as(
        "SELECT count(*) FILTER (WHERE granted), count(*) FILTER (WHERE NOT granted) FROM pg_locks
         WHERE locktype = 'advisory' AND classid = 1751217521 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// Such a claim walked over what the one before had taken, and left it locked until its own end: what settles skips locked rows.
#[tokio::test]
async fn a_claim_that_waited_for_its_turn_locks_nothing_that_the_one_before_it_took() {
    // The wait for a turn is short: on a busy machine it may be over before it is seen.
    for _ in 0..9 {
        let pool = database().await.pool();
        enqueue_all(&pool, (0..200).map(|n| Count { n })).await.unwrap();
        let (mut first, mut second) = (claimer(&pool, 1).await, claimer(&pool, 2).await);
        let (mut first, mut second) = (first.begin().await.unwrap(), second.begin().await.unwrap());
        let taken = claim(&mut first, 1).await;
        assert_eq!((taken.jobs.len(), taken.given_up, turns(&pool).await), (100, false, (2, 0)));
        let ends_when_waited_for = async {
            while turns(&pool).await.1 == 0 {
                tokio::task::yield_now().await;
            }
            first.commit().await.unwrap();
        };
        let waits = async { claim(&mut second, 2).await };
        let (others, seen) = tokio::join!(waits, tokio::time::timeout(Duration::from_secs(1), ends_when_waited_for));
        assert_eq!(others.jobs.len(), 100);
        assert!(others.jobs.iter().all(|job| taken.jobs.iter().all(|other| other.id != job.id)));
        if seen.is_err() || others.given_up {
            continue;
        }
        let free: i64 =
            sqlx::query_scalar("SELECT count(*) FROM (SELECT FROM haulage.live_jobs WHERE lease = 1 FOR UPDATE SKIP LOCKED) AS free")
                .fetch_one(&pool)
                .await
                .unwrap();
        assert_eq!(free, 100, "the second claim's transaction is open still");
        assert!(others.waited > Duration::ZERO);
        return;
    }
    panic!("no turn came in time in nine tries");
}

/// What is given back while a claim waits for its turn goes before the line, and is too new for that claim. It took the line for run dry
/// then, and the bound passed the backlog.
#[tokio::test]
async fn a_claim_that_chose_jobs_too_new_for_it_does_not_take_the_line_for_run_dry() {
    for _ in 0..9 {
        let pool = database().await.pool();
        enqueue_all(&pool, (0..300).map(|n| Count { n })).await.unwrap();
        let (mut first, mut second) = (claimer(&pool, 1).await, claimer(&pool, 2).await);
        let mut first = first.begin().await.unwrap();
        assert_eq!(claim(&mut first, 1).await.jobs.len(), 100);
        let returns_when_waited_for = async {
            while turns(&pool).await.1 == 0 {
                tokio::task::yield_now().await;
            }
            sqlx::raw_sql(
                "UPDATE haulage.live_jobs SET place = 2 WHERE id IN (SELECT id FROM haulage.live_jobs WHERE place = 1 AND state = 1 ORDER BY id DESC LIMIT 100)",
            )
            .execute(&pool)
            .await
            .unwrap();
            first.rollback().await.unwrap();
        };
        let waits = async { claim(&mut second, 2).await };
        let (others, seen) = tokio::join!(waits, tokio::time::timeout(Duration::from_secs(1), returns_when_waited_for));
        if seen.is_err() || others.given_up {
            continue;
        }
        assert_eq!((others.jobs.len(), others.left), (0, true));
        let others = claim(&mut second, 2).await;
        assert_eq!((others.jobs.len(), others.left), (100, false), "the next claim takes them");
        assert!(others.jobs.iter().all(|job| job.place == 2));
        return;
    }
    panic!("no turn came in time in nine tries");
}

#[tokio::test]
async fn a_claim_that_stopped_in_its_turn_holds_up_no_other_for_long() {
    let pool = database().await.pool();
    enqueue_all(&pool, (0..200).map(|n| Count { n })).await.unwrap();
    let (mut first, mut second) = (claimer(&pool, 1).await, claimer(&pool, 2).await);
    let mut stopped = first.begin().await.unwrap();
    claim(&mut stopped, 1).await;
    sqlx::query("SET lock_timeout = '7s'").execute(&mut second).await.unwrap();
    let began = Instant::now();
    let others = claim(&mut second, 2).await;
    assert_eq!((others.jobs.len(), others.given_up), (100, true), "what the stopped one has not locked");
    assert!(others.waited >= Duration::from_millis(45), "{:?}", others.waited);
    assert!(began.elapsed() < Duration::from_secs(5), "it waited {:?}", began.elapsed());
    let timeout: String = sqlx::query_scalar("SELECT current_setting('lock_timeout')").fetch_one(&mut second).await.unwrap();
    assert_eq!(timeout, "7s", "the connection's own is as before");
    stopped.rollback().await.unwrap();
}

#[tokio::test]
async fn a_worker_with_a_backlog_waits_for_a_turn_and_goes_on_without() {
    let pool = database().await.pool();
    enqueue_all(&pool, (0..20_000).map(|n| Count { n })).await.unwrap();
    let mut turn = pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(1751217521, hashtext('default'))").execute(&mut *turn).await.unwrap();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let waited = async {
        while turns(&pool).await.1 == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waited).await.expect("the worker never asked for its turn");
    eventually("all are done beside it", async || crate::support::jobs_in(&pool, haulage::JobState::Completed).await == 20_000).await;
    turn.rollback().await.unwrap();
    worker.shutdown().await;
}
