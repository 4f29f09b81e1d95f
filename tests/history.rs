//! Looking jobs up in the history: by trace, by request, and the indexes that a worker builds for days that are over.

use std::process::{Child, Command, Stdio};

use haulage::{Duty, FoundJobs, Job, JobError, JobId, JobState, Origin, TraceContext, find_jobs_by_request, find_jobs_by_trace};
use sqlx::{Acquire, PgPool};

use crate::support::{Count, Database, database, eventually, wait_for_state, worker};

const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;

fn trace(trace_id: u128) -> TraceContext {
    TraceContext { trace_id, span_id: 7, flags: 0 }
}

fn all(mut jobs: Vec<JobId>) -> (Vec<JobId>, bool) {
    jobs.sort();
    (jobs, true)
}

fn told(found: FoundJobs) -> (Vec<JobId>, bool) {
    (found.jobs, found.complete)
}

/// So many completed jobs of a day so many days ago, with a trace and a request of their own each: `story 1` for the first.
async fn past_day(pool: &PgPool, days_ago: i32, jobs: i32) {
    sqlx::query("SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date - $1, 1)").bind(days_ago).execute(pool).await.unwrap();
    sqlx::query(
        "INSERT INTO haulage.finished_completed (id, run_at, eligible_at, created_at, attempt, priority, failures, max_attempts, crashes,
             state, kind_revision, queue, kind, args, tags, trace_id, origin, finished_at)
         SELECT nextval('haulage.live_jobs_id_seq'), at.day, at.day, at.day, 1, 1, 0, 25, 0, 5, 0, 'q', 'kind ' || n % 100,
                jsonb_build_object('order', n), ARRAY['tag ' || n % 1000], md5(at.days || ' ' || n)::uuid,
                jsonb_build_object('request_id', 'story ' || n), at.day
         FROM generate_series(1, $2) AS n,
              LATERAL (SELECT $1::int AS days, ((now() AT TIME ZONE 'UTC')::date - $1) AT TIME ZONE 'UTC' + interval '12 hours' AS day) AS at",
    )
    .bind(days_ago)
    .bind(jobs)
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_trace_and_a_request_find_their_jobs_wherever_they_are() {
    let pool = database().await.pool();
    past_day(&pool, 3, 100).await;
    let request = Origin::new("shop").request_id("abc-1");
    let enqueue = async |n: i64, trace_id: u128| {
        Count { n }.with().origin(request.clone()).trace(trace(trace_id)).max_attempts(1).enqueue(&pool).await.unwrap().id()
    };
    let worker = worker(&pool)
        .handle(async |job: Count| if job.n == 1 { Ok(()) } else { Err(JobError::from("no luck")) })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let (done, dead, other) = (enqueue(1, TRACE).await, enqueue(2, TRACE).await, enqueue(2, 99).await);
    wait_for_state(&pool, done, JobState::Completed).await;
    wait_for_state(&pool, dead, JobState::Dead).await;
    wait_for_state(&pool, other, JobState::Dead).await;
    worker.shutdown().await;
    let waits = enqueue(3, TRACE).await;
    // An attempt with a trace of its own, as one has that is linked to its enqueue.
    sqlx::query("UPDATE haulage.attempts SET trace_id = $1::text::uuid WHERE job_id = $2")
        .bind(format!("{TRACE:032x}"))
        .bind(other.0)
        .execute(&pool)
        .await
        .unwrap();

    assert_eq!(told(find_jobs_by_trace(&pool, TRACE).await.unwrap()), all(vec![done, dead, other, waits]));
    assert_eq!(told(find_jobs_by_trace(&pool, 99).await.unwrap()), all(vec![other]));
    assert_eq!(told(find_jobs_by_trace(&pool, 98).await.unwrap()), all(vec![]));
    assert_eq!(told(find_jobs_by_request(&pool, "abc-1").await.unwrap()), all(vec![done, dead, other, waits]));
    assert_eq!(told(find_jobs_by_request(&pool, "abc-2").await.unwrap()), all(vec![]));
    assert_eq!(told(find_jobs_by_request(&pool, "a\0c").await.unwrap()), all(vec![]));
    // A past day without an index.
    assert_eq!(find_jobs_by_request(&pool, "story 42").await.unwrap().jobs.len(), 1);
}

#[tokio::test]
async fn a_look_up_that_runs_out_of_time_or_room_says_so() {
    let pool = database().await.pool();
    past_day(&pool, 0, 1_000).await;
    let find = async |sql: &'static str| -> (Vec<i64>, bool) { sqlx::query_as(sql).fetch_one(&pool).await.unwrap() };
    let (ids, complete) = find("SELECT ids, complete FROM haulage.find_jobs(NULL, 'story 7', 10, '-1 second')").await;
    assert_eq!((ids.len(), complete), (0, false));
    sqlx::raw_sql("UPDATE haulage.finished_completed SET origin = '{\"request_id\": \"one\"}'").execute(&pool).await.unwrap();
    let (ids, complete) = find("SELECT ids, complete FROM haulage.find_jobs(NULL, 'one', 10, '10 seconds')").await;
    assert_eq!((ids.len(), complete), (10, false));
}

/// The indexes that days of the history have beyond those of every day: name and whether it is valid.
async fn built(pool: &PgPool) -> Vec<(String, bool)> {
    sqlx::query_as(
        "SELECT c.relname::text, x.indisvalid FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indexrelid
         WHERE c.relname ~ '_\\d{8}_(trace|request|kind|tags|args)$' ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// Those of a day, all valid.
async fn expected(pool: &PgPool, families: &[(&str, &[&str])], days_ago: i32) -> Vec<(String, bool)> {
    let day: String = sqlx::query_scalar("SELECT to_char((now() AT TIME ZONE 'UTC')::date - $1, 'YYYYMMDD')")
        .bind(days_ago)
        .fetch_one(pool)
        .await
        .unwrap();
    families.iter().flat_map(|(family, all)| all.iter().map(|what| (format!("{family}_{day}_{what}"), true)).collect::<Vec<_>>()).collect()
}

const EACH: [(&str, &[&str]); 1] = [("finished_completed", &["args", "kind", "request", "tags", "trace"])];

#[tokio::test]
async fn days_that_are_over_get_their_indexes_once_from_two_workers_and_today_gets_none() {
    let pool = database().await.pool();
    past_day(&pool, 3, 5_000).await;
    past_day(&pool, 2, 5_000).await;
    // Dropped tomorrow; empty; not over.
    past_day(&pool, 7, 10).await;
    past_day(&pool, 0, 10).await;
    sqlx::query("SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date - 4, 1)").execute(&pool).await.unwrap();
    // Each build is one row of pg_class that comes and stays; a second one of the same name would be an error in a worker's log.
    let (one, two) = tokio::join!(async { worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap() }, async {
        worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap()
    });
    let mut wanted = expected(&pool, &EACH, 3).await;
    wanted.extend(expected(&pool, &EACH, 2).await);
    eventually("they are built", async || built(&pool).await == wanted).await;
    // The builder has looked once more, and found nothing, when its connection is gone.
    eventually("the builder has gone", async || builders(&pool).await == 0).await;
    assert_eq!(built(&pool).await, wanted);
    one.shutdown().await;
    two.shutdown().await;
}

/// Sessions that hold the lock for building.
async fn builders(pool: &PgPool) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1751217520 AND objid = 1 AND granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_worker_without_the_duty_builds_nothing() {
    let pool = database().await.pool();
    past_day(&pool, 2, 100).await;
    let worker = worker(&pool).without(Duty::Index).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    assert_eq!(built(&pool).await, []);
}

/// Not a test: a worker as a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by another test as a process of its own"]
async fn worker_process() {
    let Ok(url) = std::env::var("HAULAGE_TEST_WORKER") else { return };
    let pool = PgPool::connect(&url).await.unwrap();
    worker(&pool).handle(|_: Count| async {}).build().unwrap().run().await.unwrap();
}

fn process(database: &Database) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "history::worker_process", "--ignored", "--nocapture"])
        .env("HAULAGE_TEST_WORKER", database.url())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_build_that_was_killed_half_way_is_removed_and_done_again() {
    let database = database().await;
    let pool = database.pool();
    past_day(&pool, 2, 5_000).await;
    // A concurrent build waits for this snapshot, with the index in place and not valid.
    let mut reader = pool.acquire().await.unwrap();
    let mut old = reader.begin().await.unwrap();
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1").execute(&mut *old).await.unwrap();
    let mut victim = process(&database);
    eventually("the first build waits", async || matches!(built(&pool).await.as_slice(), [(_, false)])).await;
    victim.kill().unwrap(); // SIGKILL
    victim.wait().unwrap();
    // The worker is dead; its session would finish the build if it could. It ends as at a crash of the server.
    sqlx::raw_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1751217520 AND objid = 1 AND granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .execute(&pool)
    .await
    .unwrap();
    eventually("its session has ended", async || builders(&pool).await == 0).await;
    assert!(matches!(built(&pool).await.as_slice(), [(_, false)]), "it leaves an index that is not valid");
    old.rollback().await.unwrap();

    let heir = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let wanted = expected(&pool, &EACH, 2).await;
    eventually("all are built", async || built(&pool).await == wanted).await;
    heir.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_waits_for_a_build_goes_on_with_everything_else() {
    let pool = database().await.pool();
    past_day(&pool, 2, 1_000).await;
    let mut reader = pool.acquire().await.unwrap();
    let mut old = reader.begin().await.unwrap();
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1").execute(&mut *old).await.unwrap();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("the first build waits", async || matches!(built(&pool).await.as_slice(), [(_, false)])).await;
    // A duty's work, too.
    let later = Count { n: 1 }.with().delay(std::time::Duration::from_millis(50)).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, later, JobState::Completed).await;
    assert!(matches!(built(&pool).await.as_slice(), [(_, false)]), "it waits still");
    worker.shutdown().await;
    old.rollback().await.unwrap();
    // Its session finishes what it had begun.
    eventually("the session has ended", async || builders(&pool).await == 0).await;
}

/// How often each index of that kind was used, and how often a day of completed jobs was read from end to end.
async fn uses(pool: &PgPool, what: &str) -> (i64, i64) {
    let mut connection = pool.acquire().await.unwrap();
    sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(&mut *connection).await.ok();
    sqlx::query_as(
        "SELECT (SELECT coalesce(sum(idx_scan), 0)::bigint FROM pg_stat_user_indexes WHERE indexrelname ~ ('^finished_completed_\\d{8}_' || $1 || '$')),
                (SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::bigint FROM pg_stat_user_tables WHERE relname ~ '^finished_completed_\\d{8}$' AND n_live_tup > 0)",
    )
    .bind(what)
    .fetch_one(&mut *connection)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_look_up_in_closed_days_uses_their_indexes_and_finds_the_same() {
    let pool = database().await.pool();
    for days_ago in 1..=3 {
        past_day(&pool, days_ago + 1, 20_000).await;
    }
    sqlx::raw_sql("ANALYZE haulage.finished_completed").execute(&pool).await.unwrap();
    let before = find_jobs_by_request(&pool, "story 4242").await.unwrap();
    assert_eq!((before.jobs.len(), before.complete), (3, true));
    let trace: String = sqlx::query_scalar("SELECT trace_id::text FROM haulage.finished_jobs WHERE id = $1")
        .bind(before.jobs[0].0)
        .fetch_one(&pool)
        .await
        .unwrap();
    let trace = u128::from_str_radix(&trace.replace('-', ""), 16).unwrap();

    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("they are built", async || {
        let built = built(&pool).await;
        built.len() == 15 && built.iter().all(|(_, valid)| *valid) && builders(&pool).await == 0
    })
    .await;
    worker.shutdown().await;
    assert_eq!(uses(&pool, "request").await.0, 0);
    assert_eq!(find_jobs_by_request(&pool, "story 4242").await.unwrap(), before);
    eventually("each day answers by its index", async || uses(&pool, "request").await.0 == 3).await;
    assert_eq!(told(find_jobs_by_trace(&pool, trace).await.unwrap()), all(vec![before.jobs[0]]));
    eventually("each day answers by its index", async || uses(&pool, "trace").await.0 == 3).await;
    // Without a moment to read anything, the indexed days are found.
    let (ids, complete): (Vec<i64>, bool) =
        sqlx::query_as("SELECT ids, complete FROM haulage.find_jobs(NULL, 'story 7', 10, '-1 second')").fetch_one(&pool).await.unwrap();
    assert_eq!(ids.len(), 3);
    assert!(complete, "live jobs and today's are none");
}

#[tokio::test]
async fn the_function_for_roles_builds_the_same_indexes_and_none_for_a_day_that_is_not_over() {
    let pool = database().await.pool();
    past_day(&pool, 2, 100).await;
    past_day(&pool, 3, 100).await;
    sqlx::raw_sql("SELECT haulage.build_history_index(family, (now() AT TIME ZONE 'UTC')::date - 3, what) FROM haulage.history_indexes()")
        .execute(&pool)
        .await
        .unwrap();
    // Those of completed jobs stand; the other day is the worker's, which owns the tables here.
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let definitions = async |days_ago: i32| -> Vec<String> {
        sqlx::query_scalar(
            "SELECT replace(indexdef, to_char((now() AT TIME ZONE 'UTC')::date - $1, 'YYYYMMDD'), 'DAY') FROM pg_indexes
             WHERE schemaname = 'haulage' AND indexname ~ (to_char((now() AT TIME ZONE 'UTC')::date - $1, 'YYYYMMDD') || '_(trace|request|kind|tags|args)$')
               AND tablename ~ '^finished_completed' ORDER BY 1",
        )
        .bind(days_ago)
        .fetch_all(&pool)
        .await
        .unwrap()
    };
    eventually("they are built", async || definitions(2).await.len() == 5 && builders(&pool).await == 0).await;
    assert_eq!(definitions(2).await, definitions(3).await);
    worker.shutdown().await;
    for sql in [
        "SELECT haulage.build_history_index('finished_completed', (now() AT TIME ZONE 'UTC')::date, 'trace')",
        "SELECT haulage.build_history_index('finished_completed', (now() AT TIME ZONE 'UTC')::date - 2, 'lease')",
        "SELECT haulage.build_history_index('live_jobs', (now() AT TIME ZONE 'UTC')::date - 2, 'trace')",
    ] {
        assert!(sqlx::raw_sql(sql).execute(&pool).await.is_err(), "{sql}");
    }
}
