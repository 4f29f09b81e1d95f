//! Large claims of several processes take turns.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use haulage::{
    enqueue_all,
    store::{self, Claim, Kinds, Registration, Request},
};
use sqlx::{Connection, PgConnection, PgPool};

use crate::support::{Count, database, eventually};

/// A connection that may claim as this worker.
async fn claimer(pool: &PgPool, worker: i64) -> PgConnection {
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await.unwrap();
    let who = Registration { name: "w".into(), queues: Vec::new(), slots: Vec::new(), kinds: Kinds::default(), lease_ms: 60_000 };
    store::register_worker(&mut connection, worker, &who).await.unwrap();
    connection
}

async fn claim(connection: &mut PgConnection, worker: i64, want: i32) -> Claim {
    let kinds = Kinds::from_iter([("count".to_owned(), 0)]);
    let request = Request {
        token: worker,
        worker,
        kinds: &kinds,
        queues: &["other", "default"],
        wants: &[want, want],
        bounds: &[0; 8],
        exempt: 0,
        in_turn: true,
    };
    store::claim_jobs(connection, &request).await.unwrap()
}

/// Such a claim walked over what the one before had taken, and left it locked until its own end: what settles skips locked rows.
#[tokio::test]
async fn a_claim_that_waited_for_its_turn_locks_nothing_that_the_one_before_it_took() {
    let pool = database().await.pool();
    enqueue_all(&pool, (0..200).map(|n| Count { n })).await.unwrap();
    let (mut first, mut second) = (claimer(&pool, 1).await, claimer(&pool, 2).await);
    let (mut first, mut second) = (first.begin().await.unwrap(), second.begin().await.unwrap());
    let taken = claim(&mut first, 1, 100).await;
    assert_eq!(taken.jobs.len(), 100);
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *second).await.unwrap();
    let gave_up = Cell::new(false);
    let ends_when_waited_for = async {
        eventually("the second claim waits", async || {
            let waits = sqlx::query_scalar("SELECT coalesce(wait_event = 'advisory', false) FROM pg_stat_activity WHERE pid = $1");
            gave_up.get() || waits.bind(pid).fetch_one(&pool).await.unwrap()
        })
        .await;
        first.commit().await.unwrap();
    };
    let waits = async {
        let claim = claim(&mut second, 2, 100).await;
        gave_up.set(true);
        claim
    };
    let (others, ()) = tokio::join!(waits, ends_when_waited_for);
    assert_eq!(others.jobs.len(), 100);
    assert!(others.jobs.iter().all(|job| taken.jobs.iter().all(|other| other.id != job.id)));
    let free: i64 =
        sqlx::query_scalar("SELECT count(*) FROM (SELECT FROM haulage.live_jobs WHERE lease = 1 FOR UPDATE SKIP LOCKED) AS free")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(free, 100, "the second claim's transaction is open still");
    second.rollback().await.unwrap();
}

#[tokio::test]
async fn a_claim_that_stopped_in_its_turn_holds_up_no_other_for_long() {
    let pool = database().await.pool();
    enqueue_all(&pool, (0..200).map(|n| Count { n })).await.unwrap();
    let (mut first, mut second) = (claimer(&pool, 1).await, claimer(&pool, 2).await);
    let mut stopped = first.begin().await.unwrap();
    claim(&mut stopped, 1, 100).await;
    sqlx::query("SET lock_timeout = '7s'").execute(&mut second).await.unwrap();
    let began = Instant::now();
    assert_eq!(claim(&mut second, 2, 100).await.jobs.len(), 100, "what the stopped one has not locked");
    assert!(began.elapsed() < Duration::from_secs(5), "it waited {:?}", began.elapsed());
    let timeout: String = sqlx::query_scalar("SELECT current_setting('lock_timeout')").fetch_one(&mut second).await.unwrap();
    assert_eq!(timeout, "7s", "the connection's own is as before");
    stopped.rollback().await.unwrap();
}
