//! Each bad value gets an error that names it and the remedy, changes nothing else, and fails no neighbour.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use haulage::{BuildError, Ctx, EnqueueError, Job, JobState, RunError, Worker, job, job_detail};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::support::{Count, database, empty_database, jobs_in, wait_for_state, worker};

#[derive(Serialize, Deserialize)]
struct Any(Box<RawValue>);

impl Job for Any {
    const KIND: &'static str = "any";
}

fn any(json: impl Into<String>) -> Any {
    Any(RawValue::from_string(json.into()).unwrap())
}

#[tokio::test]
async fn args_that_cannot_be_stored_are_refused_before_the_transaction_is_touched() {
    let pool = database().await.pool();
    let mut tx = pool.begin().await.unwrap();
    for (json, value, remedy) in [
        (format!("\"{}\"", "x".repeat(1 << 20)), "1048578 bytes", "pass its key"),
        (format!("{}1{}", "[".repeat(101), "]".repeat(101)), "100 levels", "flatten"),
        (r#"{"a": "\u0000"}"#.to_owned(), "\\u0000", "strip it"),
        (r#"["\ud800"]"#.to_owned(), "\\ud800", "fix the text"),
    ] {
        let error = any(json).enqueue(&mut *tx).await.unwrap_err();
        assert!(matches!(error, EnqueueError::Args { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(value) && text.contains(remedy) && text.contains("\"any\""), "{text}");
    }
    Count { n: 1 }.enqueue(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(jobs_in(&pool, JobState::Available).await, 1);
}

#[tokio::test]
async fn the_largest_and_deepest_args_allowed_are_stored_and_read() {
    let pool = database().await.pool();
    let worker = worker(&pool).handle(|_: Any| async {}).build().unwrap().start().await.unwrap();
    for json in [format!("\"{}\"", "x".repeat((1 << 20) - 2)), format!("{}1{}", "[".repeat(100), "]".repeat(100))] {
        let id = any(json).enqueue(&pool).await.unwrap().id();
        wait_for_state(&pool, id, JobState::Completed).await;
    }
    worker.shutdown().await;
}

#[tokio::test]
async fn options_out_of_range_are_refused_with_their_range() {
    let pool = database().await.pool();
    let far: DateTime<Utc> = "9999-12-31T23:59:59Z".parse().unwrap();
    let count = || Count { n: 1 }.with();
    for (job, value, remedy) in [
        (count().queue("a b"), "\"a b\"", "1 to 128"),
        (count().queue("x".repeat(129)), "xxx", "1 to 128"),
        (count().max_attempts(0), "max_attempts 0", "1 to 32767"),
        (count().max_attempts(40_000), "40000", "1 to 32767"),
        (count().timeout(Duration::ZERO), "timeout 0ns", "1 ms to 24 days"),
        (count().timeout(Duration::MAX), "timeout", "1 ms to 24 days"),
        (count().delay(Duration::MAX), "delay", "36525 days"),
        (count().run_at(far + TimeDelta::seconds(1)), "10000-01-01", "9999"),
        (count().tag(""), "tag \"\"", "1 to 128"),
        (count().tags(vec!["t"; 33]), "33", "at most 32"),
        (count().meta(serde_json::json!("x".repeat(70_000))), "70002 bytes", "limit of 65536"),
        (count().unique(haulage::Unique::by(1).within(Duration::ZERO)), "0ns", "more than 0"),
    ] {
        let text = job.enqueue(&pool).await.unwrap_err().to_string();
        assert!(text.contains(value) && text.contains(remedy), "{text}");
    }
    Count { n: 1 }.with().run_at(far).enqueue(&pool).await.unwrap();
    assert_eq!(jobs_in(&pool, JobState::Scheduled).await, 1);
}

#[tokio::test]
async fn a_worker_that_could_not_work_is_not_built() {
    let pool = PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
    let build = |builder: haulage::Builder| builder.build().unwrap_err();
    let handler = |_: Count| async {};
    assert!(matches!(build(Worker::builder(pool.clone()).handle(handler)), BuildError::NoQueue));
    assert!(matches!(build(Worker::builder(pool.clone()).queue("a", 1)), BuildError::NoHandler));
    let error = build(Worker::builder(pool.clone()).queue("a", 1).handle(handler).handle(handler));
    assert!(matches!(&error, BuildError::DuplicateKind { kind } if kind == "count"), "{error}");
    let error = build(Worker::builder(pool.clone()).queue("a", 1).queue("a", 2).handle(handler));
    assert!(matches!(&error, BuildError::DuplicateQueue { queue } if queue == "a"), "{error}");
    let error = build(Worker::builder(pool.clone()).queue("a queue", 1).handle(handler));
    assert!(error.to_string().contains("\"a queue\""), "{error}");
    let error = build(Worker::builder(pool.clone()).queue("a", 0).handle(handler));
    assert!(matches!(&error, BuildError::Concurrency { value: 0, .. }), "{error}");
    let error = build(Worker::builder(pool.clone()).queue("a", 1).handle(handler).lease(Duration::from_secs(10)));
    assert!(error.to_string().contains("three heartbeats"), "{error}");
    let late = Worker::builder(pool).queue("a", 1).handle(handler).state(5_u8).handle(handler).build().unwrap_err();
    assert!(matches!(late, BuildError::StateAfterHandle), "{late}");
}

async fn start_error(pool: &PgPool) -> RunError {
    worker(pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap_err()
}

#[tokio::test]
async fn a_database_that_is_down_is_said_so() {
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_millis(300)).connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
    let error = Count { n: 1 }.enqueue(&pool).await.unwrap_err();
    assert!(matches!(error, EnqueueError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("check that it runs"), "{error}");
    let error = start_error(&pool).await;
    assert!(matches!(error, RunError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn a_read_only_database_is_said_so() {
    let database = database().await;
    let options = database.url().parse::<sqlx::postgres::PgConnectOptions>().unwrap().options([("default_transaction_read_only", "on")]);
    let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
    let error = Count { n: 1 }.enqueue(&pool).await.unwrap_err();
    assert!(matches!(error, EnqueueError::ReadOnly(_)) && error.to_string().contains("primary"), "{error:?}");
    let error = start_error(&pool).await;
    assert!(matches!(error, RunError::ReadOnly(_)) && error.to_string().contains("primary"), "{error:?}");
}

#[tokio::test]
async fn a_missing_schema_is_said_so_with_the_command_to_run() {
    let pool = empty_database().await.pool();
    let error = Count { n: 1 }.enqueue(&pool).await.unwrap_err();
    assert!(matches!(error, EnqueueError::Schema(_)) && error.to_string().contains("haulage migrate"), "{error:?}");
    let error = start_error(&pool).await.to_string();
    assert!(error.contains("haulage migrate"), "{error}");
}

#[tokio::test]
async fn args_that_no_longer_parse_bury_only_their_own_job() {
    let pool = database().await.pool();
    let bad: i64 = sqlx::query_scalar("SELECT job_id FROM haulage.enqueue('count', '{\"n\": \"seven\"}')").fetch_one(&pool).await.unwrap();
    let good = Count { n: 7 }.enqueue(&pool).await.unwrap().id();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    wait_for_state(&pool, good, JobState::Completed).await;
    wait_for_state(&pool, haulage::JobId(bad), JobState::Dead).await;
    worker.shutdown().await;
    let error = job(&pool, haulage::JobId(bad)).await.unwrap().unwrap().error.unwrap();
    assert!(error.contains("\"count\": invalid type: string, expected i64 at line 1") && error.contains("deploy a handler"), "{error}");
    assert!(!error.contains("seven"), "it goes to logs and spans, which args do not: {error}");
}

#[tokio::test]
async fn numbers_that_only_postgres_can_hold_bury_only_their_own_job() {
    let pool = database().await.pool();
    let bad: i64 = sqlx::query_scalar("INSERT INTO haulage.live_jobs (kind, args) VALUES ('count', '{\"n\": 1e400}') RETURNING id")
        .fetch_one(&pool)
        .await
        .unwrap();
    let good = Count { n: 7 }.enqueue(&pool).await.unwrap().id();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    wait_for_state(&pool, good, JobState::Completed).await;
    wait_for_state(&pool, haulage::JobId(bad), JobState::Dead).await;
    worker.shutdown().await;
    // A page about it shows the text instead of failing.
    assert!(job_detail(&pool, haulage::JobId(bad)).await.unwrap().unwrap().args.is_string());
}

#[tokio::test]
async fn an_output_over_its_limit_is_refused_and_the_earlier_one_kept() {
    let pool = database().await.pool();
    let worker = worker(&pool)
        .handle(|_: Count, ctx: Ctx| async move {
            ctx.set_output(&"kept").unwrap();
            let error = ctx.set_output(&"x".repeat(70_000)).unwrap_err().to_string();
            assert!(error.contains("70002 bytes") && error.contains("limit of 65536"), "{error}");
            let error = ctx.set_output(&"a\0b").unwrap_err().to_string();
            assert!(error.contains("\\u0000"), "{error}");
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    assert_eq!(job(&pool, id).await.unwrap().unwrap().output_as::<String>().unwrap().as_deref(), Some("kept"));
}

#[tokio::test]
async fn an_error_text_that_postgres_could_not_store_is_cleaned_and_cut() {
    let pool = database().await.pool();
    let worker = worker(&pool)
        .handle(|job: Count| async move { if job.n == 0 { Err(format!("a\0b {}", "ä".repeat(10_000))) } else { Ok(()) } })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let bad = Count { n: 0 }.with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    let good = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, bad, JobState::Dead).await;
    wait_for_state(&pool, good, JobState::Completed).await;
    worker.shutdown().await;
    let detail = job_detail(&pool, bad).await.unwrap().unwrap();
    let message = detail.attempts[0].message.as_deref().unwrap();
    assert!(message.starts_with("a\u{FFFD}b ä") && message.len() <= 8 << 10, "{} bytes", message.len());
}

#[tokio::test]
async fn an_output_that_only_postgres_refuses_fails_no_neighbour() {
    let pool = database().await.pool();
    let worker = worker(&pool)
        .handle(|job: Count, ctx: Ctx| async move {
            if job.n == 0 {
                // JSON to Rust, out of range to Postgres.
                ctx.set_output(&RawValue::from_string("1e-20000".into()).unwrap()).unwrap();
            } else {
                ctx.set_output(&job.n).unwrap();
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let ids: Vec<_> = haulage::enqueue_all(&pool, (0..10).map(|n| Count { n })).await.unwrap().into_iter().map(|job| job.id()).collect();
    for id in &ids {
        wait_for_state(&pool, *id, JobState::Completed).await;
    }
    worker.shutdown().await;
    assert_eq!(job(&pool, ids[0]).await.unwrap().unwrap().output, None);
    assert_eq!(job(&pool, ids[9]).await.unwrap().unwrap().output, Some(serde_json::json!(9)));
    let leases: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.leases").fetch_one(&pool).await.unwrap();
    assert_eq!(leases, 0);
}
