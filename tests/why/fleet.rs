//! What is said of the server and the schedules; and what a look costs.

use std::time::Duration;

use haulage::{CauseGroup, Job, Mover, Schedule, Severity, WhyCode, declare_schedules};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::task::JoinSet;

use super::{Made, age, cause, cause_in, causes, completes, enqueue, fix, idle_worker, quick, said, session, some_cause, why};
use crate::support::{Count, database, eventually};

pub(super) async fn a_locked_table(pool: &PgPool) -> Made {
    let worker = quick(pool).await;
    let mut migrates = session(pool, "migrate").await;
    sqlx::raw_sql("BEGIN; LOCK TABLE haulage.leases IN ACCESS EXCLUSIVE MODE").execute(&mut migrates).await.unwrap();
    let id = enqueue(pool, "mail", "count").await;
    // Our own look does not wait behind the lock for long: it is on a table that the look reads too, so it gives up, and says so.
    eventually("the worker's claim waits", async || {
        cause(pool, WhyCode::TableLock).await.is_some_and(|found| found.verdict.facts["workers"] != 0)
    })
    .await;
    Made::of(id, "Session * (`migrate`) of * has locked table `leases` against everybody; *").beside(worker).before(migrates)
}

#[tokio::test]
async fn table_lock() {
    let pool = database().await.pool();
    let made = a_locked_table(&pool).await;
    let id = made.id();
    let look = haulage::causes(&mut pool.acquire().await.unwrap()).await.unwrap();
    assert!(look.gave_up && look.partial.len() == 1, "{:?}", look.partial);
    let found = cause(&pool, WhyCode::TableLock).await.unwrap();
    made.is_said(&found.verdict, WhyCode::TableLock);
    assert_eq!((found.verdict.group, found.verdict.mover), (Some(CauseGroup::NeedsYou), Mover::Database));
    assert_eq!(why(&pool, id).await.code, WhyCode::TableLock);
    fix(&pool, &found.verdict).await;
    completes(&pool, id).await;
    assert!(cause(&pool, WhyCode::TableLock).await.is_none());
    made.end().await;
}

#[tokio::test]
async fn a_table_lock_that_nobody_waits_for_is_what_stops_the_look() {
    let pool = database().await.pool();
    let mut migrates = session(&pool, "migrate").await;
    sqlx::raw_sql("BEGIN; LOCK TABLE haulage.live_jobs IN ACCESS EXCLUSIVE MODE").execute(&mut migrates).await.unwrap();
    let found = cause(&pool, WhyCode::TableLock).await.unwrap();
    assert!(
        found.verdict.sentence.contains("(`migrate`)")
            && found.verdict.sentence.ends_with("has locked table `live_jobs` against everybody."),
        "{}",
        found.verdict.sentence
    );
}

/// Whoever else waits for it says nothing of jobs, nor does it where no worker lives.
#[tokio::test]
async fn a_table_lock_holds_a_job_up_only_if_a_worker_waits_for_it() {
    let pool = database().await.pool();
    let id = enqueue(&pool, "default", "count").await;
    let mut migrates = session(&pool, "migrate").await;
    // No claim of this job, and no look at it, reads this table.
    sqlx::raw_sql("BEGIN; LOCK TABLE haulage.attempts IN ACCESS EXCLUSIVE MODE").execute(&mut migrates).await.unwrap();
    let mut waiting = JoinSet::new();
    let mut waits = async |name: &str| {
        let mut waiter = session(&pool, name).await;
        waiting.spawn(async move { sqlx::raw_sql("SELECT FROM haulage.attempts").execute(&mut waiter).await.unwrap() });
        eventually("it has waited for longer than ordinary transactions last", async || {
            sqlx::query_scalar::<_, bool>(
                "SELECT EXISTS (SELECT FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid WHERE NOT l.granted
                     AND a.datname = current_database() AND a.application_name = $1 AND l.waitstart < now() - interval '6 seconds')",
            )
            .bind(name)
            .fetch_one(&pool)
            .await
            .unwrap()
        })
        .await;
    };
    waits("psql").await;
    let verdict = why(&pool, id).await;
    assert_eq!(verdict.code, WhyCode::NoLiveWorkers, "{verdict:#?}");
    assert!(verdict.also.iter().all(|other| other.code != WhyCode::TableLock), "{verdict:#?}");
    idle_worker(&pool, 5).await;
    age(&pool, id, 0).await;
    assert_eq!(why(&pool, id).await.code, WhyCode::Ready);
    waits("haulage worker idle").await;
    let verdict = why(&pool, id).await;
    said(
        &verdict,
        WhyCode::TableLock,
        "Session * (`migrate`) of * has locked table `attempts` against everybody; 2 sessions wait for it, 1 of them of workers.",
    );
    assert_eq!(verdict.facts["workers"], 1);
    sqlx::raw_sql("ROLLBACK").execute(&mut migrates).await.unwrap();
    waiting.join_all().await;
    age(&pool, id, 0).await;
    assert_eq!(why(&pool, id).await.code, WhyCode::Ready);
}

/// Whoever waits for a lock in front of the workers is held up as they are.
#[tokio::test]
async fn who_waits_itself_is_not_to_be_ended() {
    let pool = database().await.pool();
    let mut dump = session(&pool, "dump").await;
    sqlx::raw_sql("BEGIN; LOCK TABLE haulage.leases IN ACCESS SHARE MODE").execute(&mut dump).await.unwrap();
    let mut migrates = session(&pool, "migrate").await;
    let waits = tokio::spawn(async move {
        sqlx::raw_sql("BEGIN; LOCK TABLE haulage.leases IN ACCESS EXCLUSIVE MODE; COMMIT").execute(&mut migrates).await.unwrap();
    });
    eventually("the migration waits", async || {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'haulage.leases'::regclass)")
            .fetch_one(&pool)
            .await
            .unwrap()
    })
    .await;
    let worker = quick(&pool).await;
    let id = enqueue(&pool, "mail", "count").await;
    let found = some_cause(&pool, WhyCode::DbLock).await;
    assert!(found.verdict.sentence.contains("(`dump`)"), "{}", found.verdict.sentence);
    let found = causes(&pool).await;
    assert!(found.iter().all(|cause| !cause.verdict.sentence.contains("migrate")), "{found:#?}");
    dump.close().await.unwrap();
    waits.await.unwrap();
    completes(&pool, id).await;
    worker.shutdown().await;
}

pub(super) async fn a_lock_that_workers_wait_for(pool: &PgPool) -> Made {
    let worker = quick(pool).await;
    let mut forgotten = session(pool, "psql").await;
    // The lock that admissions of keys take in turn.
    sqlx::raw_sql("BEGIN; SELECT pg_advisory_xact_lock(1751217518, 3)").execute(&mut forgotten).await.unwrap();
    let id = Count { n: 1 }.with().limit_key("tenant:1").enqueue(pool).await.unwrap().id();
    Made::of(id, "Session * (`psql`) of * holds a lock that 1 session waits for.").beside(worker).before(forgotten)
}

#[tokio::test]
async fn db_lock() {
    let pool = database().await.pool();
    let made = a_lock_that_workers_wait_for(&pool).await;
    let id = made.id();
    let found = some_cause(&pool, WhyCode::DbLock).await;
    made.is_said(&found.verdict, WhyCode::DbLock);
    fix(&pool, &found.verdict).await;
    completes(&pool, id).await;
    assert!(cause(&pool, WhyCode::DbLock).await.is_none());
    made.end().await;
}

pub(super) async fn a_missed_schedule(pool: &PgPool) -> Made {
    let schedule = Schedule::new("nightly", "0 3 * * *", Count { n: 1 });
    declare_schedules(&mut *pool.acquire().await.unwrap(), "it", vec![schedule]).await.unwrap();
    assert!(cause(pool, WhyCode::ScheduleMissed).await.is_none());
    sqlx::raw_sql("UPDATE haulage.schedules SET next_at = now() - interval '2 minutes'").execute(pool).await.unwrap();
    Made::of_the_fleet("Schedule `nightly` should have fired 2 m* ago, and has not.")
}

#[tokio::test]
async fn schedule_missed() {
    let pool = database().await.pool();
    a_missed_schedule(&pool).await;
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql("UPDATE haulage.schedules SET next_at = now() - interval '2 minutes'").execute(&mut *tx).await.unwrap();
    let found = cause_in(&mut tx, WhyCode::ScheduleMissed).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(found.verdict.sentence, "Schedule `nightly` should have fired 2 m ago, and has not.");
    assert_eq!((found.verdict.detail.as_str(), found.verdict.fixes[0].id), ("No worker is alive.", "start-worker"));
    let worker = quick(&pool).await;
    eventually("it has fired", async || cause(&pool, WhyCode::ScheduleMissed).await.is_none()).await;
    worker.shutdown().await;
}

pub(super) async fn an_old_snapshot(pool: &PgPool) -> Made {
    let mut report = session(pool, "report").await;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").execute(&mut report).await.unwrap();
    sqlx::raw_sql("INSERT INTO haulage.live_jobs (queue, kind, args) SELECT 'q', 'k', '{}' FROM generate_series(1, 25000); DELETE FROM haulage.live_jobs")
        .execute(pool)
        .await
        .unwrap();
    Made::of_the_fleet("Session * (`report`) of * has kept a transaction open for *; 25000 dead rows stay for it, and claims slow down.")
        .before(report)
}

#[tokio::test]
async fn old_snapshot() {
    let pool = database().await.pool();
    let made = an_old_snapshot(&pool).await;
    let found = some_cause(&pool, WhyCode::OldSnapshot).await;
    made.is_said(&found.verdict, WhyCode::OldSnapshot);
    assert_eq!((found.verdict.severity, found.verdict.group), (Severity::Slow, Some(CauseGroup::GettingWorse)));
    fix(&pool, &found.verdict).await;
    eventually("it is gone", async || cause(&pool, WhyCode::OldSnapshot).await.is_none()).await;
}

#[tokio::test]
async fn an_old_snapshot_is_told_when_it_has_made_the_look_too_slow() {
    let pool = database().await.pool();
    let mut report = session(&pool, "report").await;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").execute(&mut report).await.unwrap();
    // A part of the look stands for a walk over dead rows that takes longer than it may.
    sqlx::raw_sql(
        "INSERT INTO haulage.live_jobs (queue, kind, args) SELECT 'q', 'k', '{}' FROM generate_series(1, 25000);
         DELETE FROM haulage.live_jobs;
         INSERT INTO haulage.queues (name, rate_count, rate_ms, rate_burst) VALUES ('q', 1, 1000, 1);
         CREATE OR REPLACE FUNCTION haulage.rate_left(
             full_at timestamptz, rate_count int, rate_ms int, rate_burst int, at timestamptz, OUT starts int, OUT next_ms double precision
         ) LANGUAGE sql AS $$ SELECT 1, 0.0::double precision FROM pg_sleep(30) $$",
    )
    .execute(&pool)
    .await
    .unwrap();
    let found = some_cause(&pool, WhyCode::OldSnapshot).await;
    assert!(found.verdict.sentence.contains("(`report`)"), "{}", found.verdict.sentence);
    let look = haulage::causes(&mut pool.acquire().await.unwrap()).await.unwrap();
    assert!(look.gave_up && look.partial.len() == 1 && look.oldest_ready_s.is_none(), "{look:#?}");
    fix(&pool, &found.verdict).await;
}

/// Where no other test's connections are counted, and it keeps none of them out.
#[cfg(feature = "dev")]
pub(super) async fn small_server() -> (haulage::dev::Server, PgPool) {
    let server = haulage::dev::Server::builder().setting("max_connections", "13").start().unwrap();
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(2).connect(server.url()).await.unwrap();
    haulage::migrate(&pool).await.unwrap();
    (server, pool)
}

/// On a server of its own.
#[cfg(feature = "dev")]
pub(super) async fn hardly_a_free_connection(pool: &PgPool) -> Made {
    let mut made = Made::of_the_fleet("* of 10 connections of the server are in use.");
    while made.sessions.len() < 8
        && let Ok(one) = PgConnection::connect_with(&pool.connect_options()).await
    {
        made.sessions.push(one);
    }
    made
}

#[cfg(feature = "dev")]
#[tokio::test]
async fn connections() {
    let (_server, pool) = small_server().await;
    assert!(cause(&pool, WhyCode::Connections).await.is_none());
    let made = hardly_a_free_connection(&pool).await;
    let found = some_cause(&pool, WhyCode::Connections).await;
    made.is_said(&found.verdict, WhyCode::Connections);
    for one in made.sessions {
        one.close().await.unwrap();
    }
    eventually("they are free again", async || cause(&pool, WhyCode::Connections).await.is_none()).await;
    pool.close().await;
}

/// A worker of which this is so, and stays so.
async fn an_odd_worker(pool: &PgPool, odd: &'static str, sentence: &str) -> Made {
    idle_worker(pool, 5).await;
    sqlx::raw_sql(odd).execute(pool).await.unwrap();
    Made::of_the_fleet(sentence)
}

pub(super) async fn a_wrong_clock(pool: &PgPool) -> Made {
    let late = "UPDATE haulage.workers SET clock_offset_ms = -93000";
    an_odd_worker(pool, late, "The clock of `idle` is 1 m 33 s behind that of the database.").await
}

pub(super) async fn a_deaf_worker(pool: &PgPool) -> Made {
    let deaf = "UPDATE haulage.workers SET listens = true, heard_at = now() - interval '1 hour', lease_ms = 600000";
    an_odd_worker(pool, deaf, "`idle` hears no notifications, so it finds jobs only when it polls.").await
}

#[tokio::test]
async fn clock_and_listener() {
    let pool = database().await.pool();
    // A real worker tells both, and both are right.
    let worker = quick(&pool).await;
    eventually("it tells of itself", async || {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM haulage.workers WHERE listens AND abs(clock_offset_ms) < 1000)")
            .fetch_one(&pool)
            .await
            .unwrap()
    })
    .await;
    assert!(cause(&pool, WhyCode::Clock).await.is_none() && cause(&pool, WhyCode::Listener).await.is_none());
    // In a transaction, so that it can't say otherwise meanwhile.
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql("UPDATE haulage.workers SET clock_offset_ms = -93000, heard_at = now() - interval '5 minutes', started_at = now() - interval '1 hour'").execute(&mut *tx).await.unwrap();
    let clock = cause_in(&mut tx, WhyCode::Clock).await.unwrap();
    assert!(clock.verdict.sentence.ends_with("is 1 m 33 s behind that of the database."), "{}", clock.verdict.sentence);
    sqlx::raw_sql("UPDATE haulage.workers SET clock_offset_ms = 20").execute(&mut *tx).await.unwrap();
    let deaf = cause_in(&mut tx, WhyCode::Listener).await.unwrap();
    tx.commit().await.unwrap();
    assert!(deaf.verdict.sentence.ends_with("hears no notifications, so it finds jobs only when it polls."), "{}", deaf.verdict.sentence);
    assert_eq!((deaf.verdict.severity, deaf.verdict.fixes[0].id), (Severity::Slow, "listener"));
    // It hears itself within seconds, and says so.
    eventually("it has heard itself and said so", async || cause(&pool, WhyCode::Listener).await.is_none()).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_fleet_that_is_well_has_no_causes() {
    let pool = database().await.pool();
    let worker = quick(&pool).await;
    for _ in 0..50 {
        enqueue(&pool, "mail", "count").await;
    }
    Count { n: 1 }.with().delay(Duration::from_secs(60)).enqueue(&pool).await.unwrap();
    eventually("all have run", async || crate::support::jobs_in(&pool, haulage::JobState::Completed).await == 50).await;
    let found = causes(&pool).await;
    assert!(found.is_empty(), "{found:#?}");
    worker.shutdown().await;
}

#[tokio::test]
async fn a_look_at_the_fleet_reads_a_bounded_part_of_it() {
    let pool = database().await.pool();
    sqlx::raw_sql(
        "INSERT INTO haulage.live_jobs (queue, kind, args, eligible_at)
         SELECT 'q' || n % 5, 'k' || n % 3, '{}', now() - interval '10 minutes' FROM generate_series(1, 100000) AS n;
         INSERT INTO haulage.live_jobs (queue, kind, args, state, place, run_at)
         SELECT 'q', 'k', '{}', 0, 0, now() + interval '1 hour' FROM generate_series(1, 20000);
         ANALYZE haulage.live_jobs",
    )
    .execute(&pool)
    .await
    .unwrap();
    let mut tx = pool.begin().await.unwrap();
    let found = haulage::causes(&mut tx).await.unwrap().causes;
    let (fetched, scanned): (i64, i64) =
        sqlx::query_as("SELECT idx_tup_fetch, seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = 'haulage.live_jobs'::regclass")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].verdict.code, found[0].jobs, found[0].at_least), (WhyCode::NoLiveWorkers, 5 * 10_001, true));
    // 5 lines of 1,000, 5,000 scheduled ones, 5,000 newest ones, and 10,001 of each queue that are counted.
    assert!(fetched < 70_000 && scanned == 0, "{fetched} rows by index, {scanned} by a scan of the table");
}
