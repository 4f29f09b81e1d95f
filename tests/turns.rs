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
    store::register_worker(&mut connection, worker, &who, None).await.unwrap();
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

/// For as long as nobody waits for a turn, watched on the server: the wait is 50 ms at most.
const UNTIL_SOMEBODY_WAITS: &str = "DO $$ BEGIN
    FOR i IN 1..20000 LOOP
        IF EXISTS (
            SELECT FROM pg_locks
            WHERE locktype = 'advisory' AND classid = 1751217521 AND NOT granted
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        ) THEN RETURN; END IF;
        PERFORM pg_sleep(0.001);
    END LOOP;
    RAISE 'nobody asked for a turn';
END $$;";

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// Such a claim walked over what the one before had taken, and left it locked until its own end: what settles skips locked rows.
#[tokio::test]
async fn a_claim_that_waited_for_its_turn_locks_nothing_that_the_one_before_it_took() {
    let pool = database().await.pool();
    enqueue_all(&pool, (0..200).map(|n| Count { n })).await.unwrap();
    let (mut first, mut second) = (claimer(&pool, 1).await, claimer(&pool, 2).await);
    run(&mut first, "BEGIN").await;
    let taken = claim(&mut first, 1).await;
    assert_eq!((taken.jobs.len(), taken.given_up), (100, false));
    run(&mut second, "BEGIN").await;
    let ends = format!("{UNTIL_SOMEBODY_WAITS} COMMIT");
    let (others, ()) = tokio::join!(claim(&mut second, 2), run(&mut first, &ends));
    assert_eq!((others.jobs.len(), others.given_up), (100, false));
    assert!(others.waited > Duration::ZERO);
    let free: i64 =
        sqlx::query_scalar("SELECT count(*) FROM (SELECT FROM haulage.live_jobs WHERE lease = 1 FOR UPDATE SKIP LOCKED) AS free")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(free, 100, "the second claim's transaction is open still");
    run(&mut second, "ROLLBACK").await;
}

/// What is given back while a claim waits for its turn goes before the line, and is too new for that claim. It took the line for run dry
/// then, and the bound passed the backlog.
#[tokio::test]
async fn a_claim_that_chose_jobs_too_new_for_it_says_so_and_the_next_takes_them() {
    let pool = database().await.pool();
    enqueue_all(&pool, (0..300).map(|n| Count { n })).await.unwrap();
    let (mut holder, mut claimer) = (pool.acquire().await.unwrap(), claimer(&pool, 1).await);
    run(&mut holder, "SELECT pg_advisory_lock(1751217521, hashtext('default'))").await;
    let gives_back = format!(
        "{UNTIL_SOMEBODY_WAITS} BEGIN;
         UPDATE haulage.live_jobs SET place = 2 WHERE id IN (SELECT id FROM haulage.live_jobs ORDER BY id DESC LIMIT 100);
         COMMIT; SELECT pg_advisory_unlock(1751217521, hashtext('default'))"
    );
    let (none, ()) = tokio::join!(claim(&mut claimer, 1), run(&mut holder, &gives_back));
    assert_eq!((none.jobs.len(), none.left, none.given_up), (0, true, false));
    let others = claim(&mut claimer, 1).await;
    assert_eq!((others.jobs.len(), others.left), (100, false));
    assert!(others.jobs.iter().all(|job| job.place == 2));
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
    run(&mut pool.acquire().await.unwrap(), UNTIL_SOMEBODY_WAITS).await;
    eventually("all are done beside it", async || crate::support::jobs_in(&pool, haulage::JobState::Completed).await == 20_000).await;
    turn.rollback().await.unwrap();
    worker.shutdown().await;
}
