//! `haulage.enqueue()`, the contract for psql and other languages: the same rules as the Rust client.

use haulage::{Enqueued, Job, JobId, JobState, Unique, job, job_detail};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::{Count, database, wait_for_state, worker};

#[derive(Serialize, Deserialize)]
struct Report {
    month: String,
}

impl Job for Report {
    const KIND: &'static str = "report";

    fn unique(&self) -> Option<Unique> {
        Some(Unique::by(&self.month))
    }
}

#[tokio::test]
async fn psql_enqueues_what_a_worker_runs() {
    let database = database().await;
    let pool = database.pool();
    let printed = std::process::Command::new("psql")
        .args([&database.url(), "-At", "-c", r#"SELECT job_id FROM haulage.enqueue('count', '{"n": 5}')"#])
        .output()
        .expect("psql is installed with Postgres");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let id: JobId = String::from_utf8(printed.stdout).unwrap().trim().parse().unwrap();
    let worker = worker(&pool).handle(|job: Count| async move { assert_eq!(job.n, 5) }).build().unwrap().start().await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn sql_and_rust_share_unique_keys() {
    let pool = database().await.pool();
    let rust = Report { month: "2026-11".into() }.enqueue(&pool).await.unwrap();
    let (id, duplicate): (i64, bool) =
        sqlx::query_as(r#"SELECT job_id, duplicate FROM haulage.enqueue('report', '{"month": "2026-11"}', unique_key => '"2026-11"')"#)
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!((id, duplicate), (rust.id().0, true));
    assert_eq!(Report { month: "2026-11".into() }.enqueue(&pool).await.unwrap(), Enqueued::Duplicate(rust.id()));
}

#[tokio::test]
async fn every_parameter_reaches_the_row() {
    let pool = database().await.pool();
    let id: i64 = sqlx::query_scalar(
        "SELECT job_id FROM haulage.enqueue('report', '{\"month\": \"5\"}', queue => 'slow', priority => 3, delay => '1 hour', max_attempts => 2,
         timeout => '30 seconds', tags => '{a,b}', meta => '{\"x\": 1}', traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
         trace_relation => 'link', origin => '{\"route\": \"/x\"}')",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    let detail = job_detail(&pool, JobId(id)).await.unwrap().unwrap();
    assert_eq!((detail.status.queue.as_str(), detail.status.state, detail.status.max_attempts), ("slow", JobState::Scheduled, 2));
    assert_eq!((detail.timeout_ms, detail.tags, detail.meta), (Some(30_000), vec!["a".into(), "b".into()], Some(json!({"x": 1}))));
}

#[tokio::test]
async fn a_broken_traceparent_does_not_fail_the_job() {
    let pool = database().await.pool();
    let id: i64 =
        sqlx::query_scalar("SELECT job_id FROM haulage.enqueue('count', traceparent => 'nonsense')").fetch_one(&pool).await.unwrap();
    assert!(job(&pool, JobId(id)).await.unwrap().is_some());
}

#[tokio::test]
async fn bad_values_get_an_error_that_names_the_value_and_the_remedy() {
    let pool = database().await.pool();
    let deep = format!("{}1{}", "[".repeat(101), "]".repeat(101));
    let cases: Vec<(String, &str, &str)> = vec![
        ("'my kind'".into(), "'my kind'", "characters"),
        ("'count', queue => ''".into(), "queue ''", "characters"),
        ("'count', priority => 4".into(), "priority 4", "0 (urgent)"),
        ("'count', max_attempts => 0".into(), "max_attempts 0", "1 to 32767"),
        ("'count', delay => '-1 s'".into(), "delay -00:00:01", "0 to 36525 days"),
        ("'count', delay => '200 years'".into(), "delay 200 years", "36525"),
        ("'count', run_at => 'infinity'".into(), "run_at infinity", "year 10000"),
        ("'count', run_at => '12000-01-01'".into(), "run_at 12000", "year 10000"),
        ("'count', run_at => now(), delay => '1 s'".into(), "both run_at and delay", "one of them"),
        ("'count', timeout => '0'".into(), "timeout 00:00:00", "NULL for no limit"),
        ("'count', NULL".into(), "args are NULL", "JSON"),
        (format!("'count', '{deep}'"), "nested deeper than 100", "flatten"),
        (format!("'count', meta => '{deep}'"), "nested deeper than 100", "flatten"),
        ("'count', '{\"a\": [1e400]}'".into(), "64-bit float", "string"),
        ("'count', meta => '-1e400'".into(), "64-bit float", "string"),
        ("'count', to_jsonb(repeat('x', 1048576))".into(), "1048578 bytes", "pass its key"),
        ("'count', unique_for => '1 h'".into(), "unique_for 01:00:00", "unique_key"),
        ("'count', on_conflict => 'explode'".into(), "'explode'", "keep"),
        ("'count', trace_relation => 'cousin'".into(), "'cousin'", "auto"),
        ("'count', limit_key => 'no good'".into(), "limit key 'no good'", "characters"),
        ("'count', tags => ARRAY['']".into(), "tags", "1 to 128"),
    ];
    for (call, value, remedy) in cases {
        let error = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT haulage.enqueue({call})"))).execute(&pool).await.unwrap_err();
        let database = error.as_database_error().unwrap().downcast_ref::<sqlx::postgres::PgDatabaseError>();
        assert!(database.message().contains(value), "{call}: {}", database.message());
        assert!(database.hint().unwrap_or_default().contains(remedy), "{call}: {:?}", database.hint());
    }
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.jobs").fetch_one(&pool).await.unwrap();
    assert_eq!(stored, 0);
}
