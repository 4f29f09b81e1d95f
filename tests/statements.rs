//! The folder of statements: each parses on the server, has its header, is used by one function of its name, and the hot ones
//! use the index they name.

use std::{collections::BTreeMap, fs, path::PathBuf};

use haulage::{AuditFilter, Job, JobFilter, job_page, list_audit};
use sqlx::{Connection, Executor, PgConnection, PgPool, Statement};

use crate::support::{Count, database};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn statements() -> BTreeMap<String, String> {
    let files = fs::read_dir(root().join("crates/queue/src/sql")).unwrap();
    files
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect()
}

#[tokio::test]
async fn every_statement_parses() {
    let pool = database().await.pool();
    for (name, sql) in statements() {
        let prepared = pool.acquire().await.unwrap().prepare(sqlx::SqlStr::from_static(Box::leak(sql.into_boxed_str()))).await;
        assert!(prepared.is_ok(), "{name}: {:?}", prepared.map(|statement| statement.parameters().map(|_| ())));
    }
}

#[test]
fn every_statement_opens_with_a_comment_and_is_used_by_one_function_of_its_name() {
    let mut rust = String::new();
    for folder in ["crates/queue/src/store", "crates/queue/src"] {
        for file in fs::read_dir(root().join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                rust.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    for (name, sql) in statements() {
        assert!(sql.starts_with("-- "), "{name} has no header");
        assert!(!sql.contains("SELECT *"), "{name} names no columns");
        assert_eq!(rust.matches(&format!("sql/{name}.sql\"")).count(), 1, "{name}.sql should be included once");
        if !["get_schema_version", "get_compatibility"].contains(&name.as_str()) {
            assert!(rust.contains(&format!("async fn {name}")), "{name}.sql has no function of its name");
        }
    }
}

#[test]
fn only_the_store_holds_sql() {
    let mut open = vec![root().join("crates/worker/src"), root().join("crates/dashboard/src")];
    while let Some(folder) = open.pop() {
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                assert!(!text.contains("sqlx::query"), "{} holds SQL", path.display());
            }
        }
    }
}

/// The settings of the worker's own connections, so that plans are those it gets.
const WORKER_SETTINGS: &str = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
    SET enable_bitmapscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan";

async fn plan(pool: &PgPool, sql: &str, arguments: &str) -> String {
    let mut connection = pool.acquire().await.unwrap();
    sqlx::raw_sql(WORKER_SETTINGS).execute(&mut *connection).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PREPARE it AS {sql}"))).execute(&mut *connection).await.unwrap();
    let lines: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "EXPLAIN (COSTS off) EXECUTE it {}",
        if arguments.is_empty() { String::new() } else { format!("({arguments})") }
    )))
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    sqlx::raw_sql("DEALLOCATE it").execute(&mut *connection).await.unwrap();
    lines.join("\n")
}

async fn fill(pool: &PgPool, rows: i64) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "TRUNCATE haulage.live_jobs; INSERT INTO haulage.live_jobs (queue, kind, args) SELECT 'q', 'a', '{{}}' FROM generate_series(1, {rows})"
    )))
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn hot_statements_use_their_indexes_and_never_scan_the_jobs() {
    let pool = database().await.pool();
    let all = statements();
    let claim = "1, 2, ARRAY['a'], ARRAY['q'], ARRAY[100], ARRAY[0, 0, 0, 0]::bigint[], 0, ARRAY[0]::smallint[], ARRAY[true]";
    let verdict = "ARRAY[1]::bigint[], ARRAY[2]::bigint[], ARRAY[1.5]::double precision[], ARRAY['failed'], ARRAY['E'], ARRAY['m'], \
                   ARRAY[1], ARRAY[true]";
    let cases = [
        ("claim_jobs", claim, vec!["Tid Scan"]),
        (
            "complete_jobs",
            "ARRAY[1]::bigint[], ARRAY[2]::bigint[], 3, ARRAY[2]::bigint[], ARRAY[]::bigint[], ARRAY[]::text[]",
            vec!["live_jobs_pkey", "Tid Scan", "leases_pkey"],
        ),
        ("forget_jobs", "ARRAY[1]::bigint[], ARRAY[2]::bigint[], ARRAY[2]::bigint[]", vec!["live_jobs_pkey", "Tid Scan", "leases_pkey"]),
        ("list_unhandled", "2500, 1", vec!["live_jobs_line", "live_jobs_returned", "live_jobs_parked"]),
        ("find_settled", "ARRAY[1]::bigint[], ARRAY[2]::bigint[]", vec!["live_jobs_pkey"]),
        ("save_progress", "ARRAY[1]::bigint[], ARRAY[2]::bigint[], ARRAY[1]::smallint[], ARRAY['m']", vec!["live_jobs_pkey"]),
        ("return_jobs", "ARRAY[1]::bigint[], ARRAY[2]::bigint[]", vec!["live_jobs_pkey"]),
        ("reschedule_jobs", &format!("{verdict}, 3, 'w', ARRAY[NULL]::uuid[], ARRAY[NULL]::bigint[]"), vec!["live_jobs_pkey", "Tid Scan"]),
        (
            "bury_jobs",
            &format!("{verdict}, 3, 'w', ARRAY[NULL]::uuid[], ARRAY[NULL]::bigint[]")
                .replace("ARRAY[1.5]::double precision[]", "ARRAY[6]::smallint[]"),
            vec!["live_jobs_pkey", "Tid Scan"],
        ),
        (
            "fire_schedules",
            "ARRAY['(0,1)'], ARRAY[now()], ARRAY[true], ARRAY[now()]",
            vec!["Tid Scan on schedules", "fires_pkey", "live_jobs_pkey"],
        ),
        ("promote_jobs", "now(), 100", vec!["live_jobs_timed", "Tid Scan"]),
        ("sweep_line", "'q', 1::smallint, 0, 100, ARRAY['a'], ARRAY[0]::smallint[]", vec!["live_jobs_line"]),
        ("prune_audit", "365, 1000", vec!["audit_at"]),
        ("prune_operations", "365, 1000", vec!["operations_ended_at"]),
        ("claim_suspect", "1, 2, ARRAY['a'], ARRAY['q'], ARRAY[0]::smallint[]", vec!["live_jobs_suspect"]),
        ("rescue_jobs", "ARRAY[]::bigint[]", vec!["live_jobs_pkey"]),
        ("look_at_jobs", "ARRAY[1, 2]::bigint[]", vec!["live_jobs_pkey"]),
        ("retry_jobs", "ARRAY[1, 2]::bigint[], now(), now()", vec!["finished_failed_"]),
        ("run_jobs_now", "ARRAY[1, 2]::bigint[], false", vec!["live_jobs_pkey"]),
        ("cancel_jobs", "ARRAY[1, 2]::bigint[], 'why'", vec!["live_jobs_pkey"]),
        ("discard_jobs", "ARRAY[1, 2]::bigint[], 'why'", vec!["live_jobs_pkey"]),
        ("hold_jobs", "ARRAY[1, 2]::bigint[]", vec!["live_jobs_pkey"]),
        ("release_jobs", "ARRAY[1, 2]::bigint[]", vec!["live_jobs_pkey"]),
        ("move_jobs", "ARRAY[1, 2]::bigint[], 'other'", vec!["live_jobs_pkey"]),
        ("reprioritise_jobs", "ARRAY[1, 2]::bigint[], 2::smallint", vec!["live_jobs_pkey"]),
        ("edit_args", "1, '{}', '{}'", vec!["live_jobs_pkey", "finished_failed_"]),
        ("delete_jobs", "ARRAY[1, 2]::bigint[], now(), now()", vec!["live_jobs_pkey", "finished_completed_", "finished_failed_"]),
        (
            "enqueue_jobs",
            "ARRAY['a'], ARRAY['q'], ARRAY['{}', '{}'], ARRAY[1]::smallint[], ARRAY[25]::smallint[], ARRAY[1000], ARRAY[NULL]::timestamptz[], \
             ARRAY[NULL]::double precision[], ARRAY[NULL]::text[], ARRAY[NULL]::text[], 1, 1, 1, ARRAY[0]::smallint[], NULL, NULL, NULL, NULL, \
             NULL, ARRAY[NULL]::smallint[], NULL, ARRAY['q'], ARRAY[NULL]::text[]",
            vec!["live_jobs_pkey"],
        ),
    ];
    for rows in [0, 200, 20_000] {
        fill(&pool, rows).await;
        for analyzed in [false, true] {
            if analyzed {
                sqlx::raw_sql("ANALYZE haulage.live_jobs").execute(&pool).await.unwrap();
            }
            for (name, arguments, indexes) in &cases {
                let plan = plan(&pool, &all[*name], arguments).await;
                assert!(!plan.contains("Seq Scan on live_jobs"), "{name} at {rows} rows, analyzed {analyzed}:\n{plan}");
                // Each row of one side with each of the other: quadratic.
                assert!(!plan.contains("Join Filter"), "{name} at {rows} rows, analyzed {analyzed}:\n{plan}");
                for index in indexes {
                    assert!(plan.contains(index), "{name} at {rows} rows, analyzed {analyzed}, does not use {index}:\n{plan}");
                }
            }
        }
    }
}

/// Rows read of the live jobs: by scans, by indexes.
async fn read(connection: &mut PgConnection) -> (i64, i64) {
    sqlx::query_as(
        "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE schemaname = 'haulage' AND relname = 'live_jobs'",
    )
    .fetch_one(connection)
    .await
    .unwrap()
}

/// What chooses a claim's jobs is a function, whose plan nothing shows; what it has read is counted.
#[tokio::test]
async fn a_claim_reads_no_more_rows_than_it_takes_however_many_there_are() {
    let pool = database().await.pool();
    let mut connection = pool.acquire().await.unwrap();
    sqlx::raw_sql(WORKER_SETTINGS).execute(&mut *connection).await.unwrap();
    for rows in [0, 200, 20_000] {
        fill(&pool, rows).await;
        for prepare in ["DISCARD PLANS", "ANALYZE haulage.live_jobs; DISCARD PLANS"] {
            sqlx::raw_sql(prepare).execute(&mut *connection).await.unwrap();
            let mut tx = connection.begin().await.unwrap();
            // What the session has not reported yet counts too.
            let before = read(&mut tx).await;
            let taken: i64 = sqlx::query_scalar(
                "SELECT coalesce(cardinality(places_in_table), 0)::bigint \
                 FROM haulage.ready_jobs('{a}', '{0}', '{q}', '{100}', '{true}', '{0, 0, 0, 0}', '{true}')",
            )
            .fetch_one(&mut *tx)
            .await
            .unwrap();
            assert_eq!(taken, rows.min(100));
            let after = read(&mut tx).await;
            let (scanned, fetched) = (after.0 - before.0, after.1 - before.1);
            assert_eq!(scanned, 0, "{prepare}, {rows} rows");
            assert!((taken..taken + 10).contains(&fetched), "{prepare}, {rows} rows: {fetched} fetched");
            tx.rollback().await.unwrap();
        }
    }
}

/// What is put together for a search is no file whose plan could be shown; what it has read is counted.
#[tokio::test]
async fn a_family_and_the_deeds_on_a_job_are_found_by_their_index() {
    let pool = database().await.pool();
    let parent = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    sqlx::raw_sql(
        "INSERT INTO haulage.live_jobs (queue, kind, args, parent_id, root_id) SELECT 'q', 'child', '{}', id, id FROM haulage.live_jobs;
         INSERT INTO haulage.audit (who, verb, target, jobs) SELECT 'ana', 'retry', 'job ' || min(id), ARRAY[min(id)] FROM haulage.live_jobs;
         INSERT INTO haulage.live_jobs (queue, kind, args) SELECT 'q', 'a', '{}' FROM generate_series(1, 30000);
         INSERT INTO haulage.audit (who, verb, target, jobs) SELECT 'ana', 'retry', 'job 0', ARRAY[0] FROM generate_series(1, 30000);
         INSERT INTO haulage.finished_completed (id, run_at, eligible_at, created_at, attempt, priority, failures, max_attempts, crashes, state,
             kind_revision, queue, kind, args, finished_at)
         SELECT nextval('haulage.live_jobs_id_seq'), now(), now(), now(), 1, 1, 0, 25, 0, 5, 0, 'q', 'other', '{}', now() FROM generate_series(1, 30000)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let read = async |connection: &mut PgConnection| -> i64 {
        sqlx::query_scalar(
            "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_xact_user_tables \
             WHERE schemaname = 'haulage' AND relname ~ '^(live_jobs|finished_|audit)'",
        )
        .fetch_one(connection)
        .await
        .unwrap()
    };
    let mut connection = pool.acquire().await.unwrap();
    for prepare in ["DISCARD PLANS", "ANALYZE haulage.live_jobs; ANALYZE haulage.finished_jobs; ANALYZE haulage.audit; DISCARD PLANS"] {
        sqlx::raw_sql(prepare).execute(&mut *connection).await.unwrap();
        let mut tx = connection.begin().await.unwrap();
        sqlx::raw_sql("SET LOCAL enable_seqscan = off; SET LOCAL jit = off").execute(&mut *tx).await.unwrap();
        let before = read(&mut tx).await;
        assert_eq!(list_audit(&mut *tx, &AuditFilter::new().job(parent).limit(20)).await.unwrap().len(), 1);
        let deeds = read(&mut tx).await;
        assert_eq!(job_page(&mut *tx, &JobFilter::new().parent(parent).limit(20)).await.unwrap().jobs.len(), 1);
        assert_eq!(job_page(&mut *tx, &JobFilter::new().root(parent).limit(20)).await.unwrap().jobs.len(), 1);
        let family = read(&mut tx).await;
        assert!(deeds - before < 100 && family - deeds < 100, "{prepare}: {} and {} rows", deeds - before, family - deeds);
        tx.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn what_explains_jobs_never_scans_them() {
    let pool = database().await.pool();
    let all = statements();
    let cases = [
        ("why_job", "1", "live_jobs_pkey"),
        ("why_ahead", "'q', 1::smallint, 100, ARRAY['a'], ARRAY[0]::smallint[], 10001, now(), true", "live_jobs_line"),
        ("why_ahead_of_key", "'k', 1::smallint, 100, ARRAY['q'], ARRAY['a'], ARRAY[0]::smallint[], 10001", "live_jobs_waiting"),
        ("why_queues", "NULL", "live_jobs_returned"),
        ("why_keys", "ARRAY['k']", "live_jobs_admitted"),
        ("why_lines", "1000", "live_jobs_parked"),
        ("why_waiting", "ARRAY['k'], 50", "live_jobs_waiting"),
        ("why_depth", "ARRAY['q']", "live_jobs_line"),
        ("why_due", "10", "live_jobs_timed"),
        ("why_backoffs", "5000, 5", "live_jobs_timed"),
        ("why_arrivals", "5000", "live_jobs_pkey"),
        ("why_running", "", "live_jobs_pkey"),
        ("why_orphans", "", "live_jobs_pkey"),
        ("why_locker", "1", "live_jobs_pkey"),
        ("why_dead", "300", "finished_failed_"),
        ("why_usual", "5000", "finished_completed_"),
        ("why_attempts", "ARRAY[1]::bigint[], 10", "attempts_"),
        ("why_schedules", "10", "schedules_next"),
    ];
    for rows in [0, 20_000] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "TRUNCATE haulage.live_jobs; INSERT INTO haulage.live_jobs (queue, kind, args) SELECT 'q', 'a', '{{}}' FROM generate_series(1, {rows});
             ANALYZE haulage.live_jobs"
        )))
        .execute(&pool)
        .await
        .unwrap();
        for (name, arguments, index) in &cases {
            let plan = plan(&pool, &all[*name], arguments).await;
            for table in ["live_jobs", "finished_", "attempts_"] {
                assert!(!plan.contains(&format!("Seq Scan on {table}")), "{name} at {rows} rows:\n{plan}");
            }
            assert!(plan.contains(index), "{name} at {rows} rows does not use {index}:\n{plan}");
        }
    }
}

#[tokio::test]
async fn no_index_names_what_a_claim_writes() {
    let pool = database().await.pool();
    let indexes: Vec<String> =
        sqlx::query_scalar("SELECT indexdef FROM pg_indexes WHERE schemaname = 'haulage' AND tablename = 'live_jobs'")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert!(indexes.len() >= 6);
    for index in indexes {
        for column in ["state", "lease", "attempt", "claimed_at"] {
            assert!(!index.contains(column), "this index ends HOT claims: {index}");
        }
    }
}

#[tokio::test]
async fn claims_are_hot() {
    let pool = database().await.pool();
    haulage::enqueue_all(&pool, (0..500).map(|n| Count { n })).await.unwrap();
    let worker = crate::support::worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    crate::support::eventually("drained", async || crate::support::jobs_in(&pool, haulage::JobState::Completed).await == 500).await;
    worker.shutdown().await;
    crate::support::eventually("the statistics arrive", async || {
        let (updates, hot): (i64, i64) = sqlx::query_as(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = 'haulage' AND relname = 'live_jobs'",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        // On a page that inserts have filled to its half, a few of the new versions do not fit.
        updates >= 500 && hot * 100 >= updates * 85
    })
    .await;
}
