//! Looking jobs up in the history: by trace, by request, and the indexes that a worker builds for days that are over.

use std::process::{Child, Command, Stdio};

use haulage::{
    Duty, FoundJobs, Job, JobError, JobFilter, JobId, JobState, JobSummary, Origin, TraceContext, find_jobs_by_request, find_jobs_by_trace,
    job_page, list_jobs,
};
use sqlx::{Acquire, PgPool, postgres::PgPoolOptions};

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

/// The worker that holds that lock.
async fn builder(pool: &PgPool) -> Option<String> {
    sqlx::query_scalar(
        "SELECT a.application_name FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
         WHERE l.locktype = 'advisory' AND l.classid = 1751217520 AND l.objid = 1 AND l.granted
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .fetch_optional(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_worker_without_the_duty_builds_nothing() {
    let pool = database().await.pool();
    past_day(&pool, 2, 100).await;
    // Whoever builds waits for this snapshot, and is seen.
    let mut reader = pool.acquire().await.unwrap();
    let mut old = reader.begin().await.unwrap();
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1").execute(&mut *old).await.unwrap();
    let first = worker(&pool).name("first").without(Duty::Index).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    // The first look is within a heartbeat of the start.
    let beats = async || -> i64 {
        sqlx::query_scalar("SELECT (extract(epoch FROM max(heartbeat_at) - min(started_at)) * 1000)::bigint FROM haulage.workers")
            .fetch_one(&pool)
            .await
            .unwrap()
    };
    eventually("some heartbeats have passed", async || beats().await > 500).await;
    // Two rounds of its duties: what was due before has been done.
    for _ in 0..2 {
        let later = Count { n: 1 }.with().delay(std::time::Duration::from_millis(20)).enqueue(&pool).await.unwrap().id();
        wait_for_state(&pool, later, JobState::Completed).await;
    }
    let second = worker(&pool).name("second").handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("somebody builds", async || builder(&pool).await.is_some()).await;
    let builder = builder(&pool).await.unwrap();
    assert!(builder.contains("second"), "it is {builder}");
    old.rollback().await.unwrap();
    let wanted = expected(&pool, &EACH, 2).await;
    eventually("all are built", async || built(&pool).await == wanted).await;
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test]
async fn an_index_that_cant_be_built_holds_up_no_other() {
    let pool = database().await.pool();
    past_day(&pool, 3, 100).await;
    past_day(&pool, 2, 100).await;
    // The name of the one that comes first is taken.
    let day: String =
        sqlx::query_scalar("SELECT to_char((now() AT TIME ZONE 'UTC')::date - 2, 'YYYYMMDD')").fetch_one(&pool).await.unwrap();
    let taken = format!("finished_completed_{day}_trace");
    sqlx::query(
        "DO $do$ BEGIN EXECUTE format('CREATE TABLE haulage.%I ()', to_char((now() AT TIME ZONE 'UTC')::date - 2, '\"finished_completed_\"YYYYMMDD\"_trace\"')); END $do$",
    )
    .execute(&pool)
    .await
    .unwrap();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let mut wanted = expected(&pool, &EACH, 3).await;
    wanted.extend(expected(&pool, &EACH, 2).await.into_iter().filter(|(name, _)| *name != taken));
    eventually("the others are built", async || built(&pool).await == wanted).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_long_request_id_is_indexed_and_found_and_not_taken_for_another_that_begins_like_it() {
    let pool = database().await.pool();
    past_day(&pool, 2, 100).await;
    // Too long for a key of an index, and not to be compressed.
    let ids: Vec<String> = sqlx::query_scalar(
        "WITH long AS (SELECT string_agg(md5(n::text), '') AS id FROM generate_series(1, 150) AS n), changed AS (
             UPDATE haulage.finished_completed AS f SET origin = jsonb_build_object('request_id', long.id || f.kind)
             FROM long WHERE f.kind IN ('kind 1', 'kind 2') RETURNING f.origin ->> 'request_id'
         ) SELECT * FROM changed",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(ids.len(), 2);
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let wanted = expected(&pool, &EACH, 2).await;
    eventually("all are built", async || built(&pool).await == wanted).await;
    worker.shutdown().await;
    let mut found = Vec::new();
    for id in &ids {
        found.extend(told(find_jobs_by_request(&pool, id).await.unwrap()).0);
    }
    assert_eq!(found.len(), 2);
    assert_ne!(found[0], found[1]);
    assert_eq!(told(find_jobs_by_request(&pool, &ids[0][..4_800]).await.unwrap()), all(vec![]));
}

/// A closed day of a single trace and request, with its indexes.
async fn day_of_one_trace(pool: &PgPool, jobs: i32) {
    past_day(pool, 2, jobs).await;
    sqlx::raw_sql(
        "UPDATE haulage.finished_completed SET trace_id = md5('one')::uuid, origin = '{\"request_id\": \"one\"}';
         SELECT haulage.build_history_index('finished_completed', (now() AT TIME ZONE 'UTC')::date - 2, what)
         FROM haulage.history_indexes() WHERE family = 'finished_completed' AND what IN ('trace', 'request')",
    )
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn of_a_trace_with_very_many_jobs_no_more_are_read_than_are_told() {
    let pool = database().await.pool();
    day_of_one_trace(&pool, 50_000).await;
    let mut session = pool.begin().await.unwrap();
    let (trace,): (String,) = sqlx::query_as("SELECT md5('one')").fetch_one(&mut *session).await.unwrap();
    let found = find_jobs_by_trace(&mut *session, u128::from_str_radix(&trace, 16).unwrap()).await.unwrap();
    assert_eq!((found.jobs.len(), found.complete), (1_000, false));
    let found = find_jobs_by_request(&mut *session, "one").await.unwrap();
    assert_eq!((found.jobs.len(), found.complete), (1_000, false));
    let read: i64 = sqlx::query_scalar(
        "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_xact_user_tables WHERE schemaname = 'haulage'",
    )
    .fetch_one(&mut *session)
    .await
    .unwrap();
    assert!((2_000..3_000).contains(&read), "{read} rows were read");
    // The clock is looked at between days that have an index, too.
    let (ids, complete): (Vec<i64>, bool) =
        sqlx::query_as("SELECT ids, complete FROM haulage.find_jobs(NULL, 'one', 10, '-1 second')").fetch_one(&mut *session).await.unwrap();
    assert_eq!((ids.len(), complete), (0, false));
}

#[tokio::test]
async fn a_look_up_goes_on_when_a_day_is_dropped_meanwhile() {
    let pool = database().await.pool();
    day_of_one_trace(&pool, 100).await;
    past_day(&pool, 1, 100).await;
    let mut dropper = pool.acquire().await.unwrap();
    let mut tx = dropper.begin().await.unwrap();
    let dropped: bool =
        sqlx::query_scalar("SELECT haulage.drop_partition('finished_completed', (now() AT TIME ZONE 'UTC')::date - 1) IS NOT NULL")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
    assert!(dropped);
    let find = tokio::spawn({
        let pool = pool.clone();
        async move { find_jobs_by_request(&pool, "story 42").await }
    });
    eventually("the look-up waits for the day", async || {
        let waits: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        waits > 0
    })
    .await;
    tx.commit().await.unwrap();
    let found = find.await.unwrap().unwrap();
    assert_eq!((found.jobs.len(), found.complete), (1, true));
}

#[tokio::test]
async fn a_partition_that_is_no_day_s_is_searched_and_gets_no_index() {
    let pool = database().await.pool();
    sqlx::raw_sql("CREATE TABLE haulage.finished_completed_other PARTITION OF haulage.finished_completed DEFAULT")
        .execute(&pool)
        .await
        .unwrap();
    past_day(&pool, 2, 100).await;
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let wanted = expected(&pool, &EACH, 2).await;
    eventually("the day's indexes are built", async || built(&pool).await == wanted && builders(&pool).await == 0).await;
    worker.shutdown().await;
    sqlx::raw_sql(
        "INSERT INTO haulage.finished_completed SELECT (jsonb_populate_record(f, jsonb_build_object('id', 900000000, 'finished_at', '2001-01-01'))).*
         FROM haulage.finished_completed AS f LIMIT 1",
    )
    .execute(&pool)
    .await
    .unwrap();
    let (kind, request): (String, String) =
        sqlx::query_as("SELECT kind, origin ->> 'request_id' FROM haulage.finished_completed_other").fetch_one(&pool).await.unwrap();
    assert_eq!(find_jobs_by_request(&pool, &request).await.unwrap().jobs.len(), 2);
    assert_eq!(job_page(&pool, &JobFilter::new().kind(kind)).await.unwrap().jobs.len(), 2);
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

/// How often the indexes of that kind were used by this session, and how many rows of the days that have one were read in any other way;
/// a few for each plan, which looks at the ends of an index.
async fn uses(session: &PgPool, what: &str) -> (i64, i64) {
    sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(session).await.unwrap();
    sqlx::query_as(
        "SELECT coalesce(sum(i.idx_scan), 0)::bigint, coalesce(sum(t.seq_tup_read + other.read), 0)::bigint
         FROM pg_stat_user_indexes AS i JOIN pg_stat_user_tables AS t USING (relid),
         LATERAL (SELECT sum(o.idx_tup_read) AS read FROM pg_stat_user_indexes AS o WHERE o.relid = i.relid AND o.indexrelid <> i.indexrelid) AS other
         WHERE i.indexrelname ~ ('^finished_completed_\\d{8}_' || $1 || '$')",
    )
    .bind(what)
    .fetch_one(session)
    .await
    .unwrap()
}

/// Far less than a day has.
const FEW: i64 = 1_000;

#[tokio::test]
async fn look_ups_and_lists_use_the_indexes_of_closed_days_alone_and_find_the_same() {
    let database = database().await;
    let pool = database.pool();
    for days_ago in 2..=4 {
        past_day(&pool, days_ago, 20_000).await;
    }
    sqlx::raw_sql("ANALYZE haulage.finished_completed").execute(&pool).await.unwrap();
    // Beside them a day that is not over.
    past_day(&pool, 0, 2_000).await;
    // All that is counted later is read by this one, which can be told to tell its counts.
    let session = PgPoolOptions::new().max_connections(1).connect(&database.url()).await.unwrap();
    let found = find_jobs_by_request(&session, "story 4242").await.unwrap();
    assert_eq!((found.jobs.len(), found.complete), (3, true));
    let trace: String = sqlx::query_scalar("SELECT trace_id::text FROM haulage.finished_jobs WHERE id = $1")
        .bind(found.jobs[0].0)
        .fetch_one(&session)
        .await
        .unwrap();
    let trace = u128::from_str_radix(&trace.replace('-', ""), 16).unwrap();
    let all_of = || JobFilter::new().limit(1_000);
    let filters = [
        ("kind", all_of().kind("kind 7")),
        ("tags", all_of().tag("tag 77")),
        ("args", all_of().args(serde_json::json!({ "order": 777 }))),
        ("args", all_of().args(serde_json::json!({ "order": 777 })).kind("kind 77").state(JobState::Completed)),
        ("trace", all_of().trace(trace)),
        ("kind", all_of().kind("kind 8").limit(5)),
    ];
    let mut before = Vec::new();
    for (_, filter) in &filters {
        before.push(ids(&list_jobs(&session, filter).await.unwrap()));
    }
    assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [620, 62, 4, 4, 1, 5]);

    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("they are built", async || {
        let built = built(&pool).await;
        built.len() == 15 && built.iter().all(|(_, valid)| *valid) && builders(&pool).await == 0
    })
    .await;
    worker.shutdown().await;

    let (_, otherwise) = uses(&session, "request").await;
    assert_eq!(find_jobs_by_request(&session, "story 4242").await.unwrap(), found);
    let (used, otherwise_then) = uses(&session, "request").await;
    assert!(used == 3 && otherwise_then - otherwise < FEW, "{used} uses, {} read", otherwise_then - otherwise);
    let (_, otherwise) = uses(&session, "trace").await;
    assert_eq!(told(find_jobs_by_trace(&session, trace).await.unwrap()), all(vec![found.jobs[0]]));
    let (used, otherwise_then) = uses(&session, "trace").await;
    assert!(used == 3 && otherwise_then - otherwise < FEW, "{used} uses, {} read", otherwise_then - otherwise);
    for ((what, filter), before) in filters.iter().zip(&before) {
        // Once more than Postgres plans a statement for its values before it may take a plan for any.
        for _ in 0..6 {
            list_jobs(&session, filter).await.unwrap();
        }
        let (used, otherwise) = uses(&session, what).await;
        assert_eq!(&ids(&list_jobs(&session, filter).await.unwrap()), before, "{what}");
        let page = job_page(&session, filter).await.unwrap();
        assert_eq!(&ids(&page.jobs), before, "one page has them all: {what}");
        let (used_then, otherwise_then) = uses(&session, what).await;
        let (used, otherwise) = (used_then - used, otherwise_then - otherwise);
        assert!(used >= 6 && otherwise < FEW, "twice in three days by the index of {what}: {used} uses, {otherwise} read");
    }
    // More matches than an index is asked for: the days are read in order.
    let newest = list_jobs(&session, &JobFilter::new().args(serde_json::json!({})).limit(2_010)).await.unwrap();
    let by_id: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM haulage.finished_jobs ORDER BY id DESC LIMIT 1000").fetch_all(&pool).await.unwrap();
    assert_eq!(newest.iter().map(|job| job.id.0).collect::<Vec<_>>(), by_id);
}

fn ids(jobs: &[JobSummary]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
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
