//! What operators do to queues, keys and schedules is written down in the transaction of the deed, and is removed when it is old.

use std::time::Duration;

use haulage::{
    AuditEntry, AuditFilter, Job, JobState, Limit, Operator, Schedule, Verb, declare_schedules, key_limits, list_audit, list_operations,
    list_schedules, queues, run_operation,
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Count, ana, database, eventually, wait_for_state, worker};

async fn entries(pool: &PgPool, filter: AuditFilter) -> Vec<AuditEntry> {
    let mut entries = list_audit(pool, &filter).await.unwrap();
    entries.reverse();
    entries
}

fn verbs(entries: &[AuditEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.verb.as_str()).collect()
}

async fn declare(pool: &PgPool) {
    declare_schedules(pool, "shop", [Schedule::new("nightly", "@daily", Count { n: 1 })]).await.unwrap();
}

#[tokio::test]
async fn deeds_on_queues_are_written_down_with_how_it_was_and_how_it_is() {
    let pool = database().await.pool();
    let bo = Operator::new("bo").because("the relay is down");
    bo.pause_queue(&pool, "mail", Some(Duration::from_secs(60))).await.unwrap();
    assert!(ana().resume_queue(&pool, "mail").await.unwrap());
    ana().limit_queue(&pool, "mail", Limit::running(3)).await.unwrap();
    ana().limit_queue(&pool, "mail", Limit::starts(5, Duration::from_secs(1))).await.unwrap();
    ana().limit_queue(&pool, "mail", None).await.unwrap();
    ana().limit_queue(&pool, "other", Limit::running(1)).await.unwrap();

    let told = entries(&pool, AuditFilter::new().queue("mail")).await;
    assert_eq!(verbs(&told), ["pause", "resume", "limit", "limit", "unlimit"]);
    assert!(told.iter().all(|entry| entry.target == "queue mail" && entry.jobs.is_empty()));
    let (before, after) = (told[0].before.as_ref().unwrap(), told[0].after.as_ref().unwrap());
    assert_eq!((told[0].who.as_str(), told[0].reason.as_deref()), ("bo", Some("the relay is down")));
    assert_eq!(
        (&before["paused_at"], &after["paused_by"], &after["paused_why"]),
        (&Value::Null, &json!("bo"), &json!("the relay is down"))
    );
    assert!(after["paused_until"].is_string());
    assert_eq!(told[1].after.as_ref().unwrap()["paused_at"], Value::Null);
    assert_eq!(told[3].before.as_ref().unwrap()["limit"]["max_running"], 3);
    assert_eq!(told[3].after.as_ref().unwrap()["limit"]["rate"], json!({ "count": 5, "per_s": 1.0, "burst": 5 }));
    // What one leaves is what the next finds.
    for pair in told.windows(2) {
        assert_eq!(pair[0].after, pair[1].before);
    }
    assert_eq!(entries(&pool, AuditFilter::new().who("bo")).await.len(), 1);
    assert_eq!(entries(&pool, AuditFilter::new()).await.len(), 6);
}

#[tokio::test]
async fn deeds_on_keys_and_schedules_are_written_down_too() {
    let pool = database().await.pool();
    declare(&pool).await;
    assert!(entries(&pool, AuditFilter::new()).await.is_empty(), "declaring is no operator's deed");
    ana().limit_key(&pool, "tenant:*", Limit::running(2)).await.unwrap();
    ana().limit_key(&pool, "tenant:*", Limit::running(4)).await.unwrap();
    assert!(ana().unlimit_key(&pool, "tenant:*").await.unwrap());
    let told = entries(&pool, AuditFilter::new().key("tenant:*")).await;
    assert_eq!(verbs(&told), ["limit", "limit", "unlimit"]);
    let limit = |most: u32| Some(json!({ "max_running": most, "rate": null }));
    assert_eq!((&told[0].before, &told[0].after), (&None, &limit(2)));
    assert_eq!((&told[1].before, &told[1].after), (&limit(2), &limit(4)));
    assert_eq!((&told[2].before, &told[2].after), (&limit(4), &None));

    ana().because("a holiday").pause_schedule(&pool, "nightly", None).await.unwrap();
    assert!(ana().resume_schedule(&pool, "nightly").await.unwrap());
    let job = ana().run_schedule(&pool, "nightly").await.unwrap();
    ana().delete_schedule(&pool, "nightly").await.unwrap();
    let told = entries(&pool, AuditFilter::new().schedule("nightly")).await;
    assert_eq!(verbs(&told), ["pause", "resume", "run-now", "delete"]);
    assert_eq!(told[0].after.as_ref().unwrap()["paused_why"], "a holiday");
    assert_eq!(told[1].after.as_ref().unwrap()["paused_at"], Value::Null);
    assert_eq!((&told[2].after, &told[2].jobs), (&Some(json!({ "job": job })), &vec![job]));
    assert_eq!((told[3].before.as_ref().unwrap()["cron"].as_str(), &told[3].after), (Some("@daily"), &None));
    // The job tells who made it.
    assert_eq!(verbs(&entries(&pool, AuditFilter::new().job(job)).await), ["run-now"]);
}

#[tokio::test]
async fn a_deed_that_is_undone_or_refused_or_changes_nothing_leaves_no_entry_and_no_row() {
    let pool = database().await.pool();
    declare(&pool).await;
    let mut tx = pool.begin().await.unwrap();
    ana().pause_queue(&mut *tx, "mail", None).await.unwrap();
    ana().limit_queue(&mut *tx, "mail", Limit::running(1)).await.unwrap();
    ana().limit_key(&mut *tx, "k", Limit::running(1)).await.unwrap();
    ana().pause_schedule(&mut *tx, "nightly", None).await.unwrap();
    // What is refused does not spoil the transaction.
    ana().run_schedule(&mut *tx, "no such").await.unwrap_err();
    assert!(!ana().resume_queue(&mut *tx, "other").await.unwrap());
    ana().delete_schedule(&mut *tx, "nightly").await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(list_schedules(&pool).await.unwrap().len(), 1);

    assert!(!ana().resume_queue(&pool, "mail").await.unwrap());
    assert!(!ana().unlimit_key(&pool, "k").await.unwrap());
    ana().limit_queue(&pool, "mail", None).await.unwrap();
    let nobody = Operator::new("");
    for error in [
        nobody.pause_queue(&pool, "mail", None).await.unwrap_err(),
        nobody.limit_key(&pool, "k", Limit::running(1)).await.unwrap_err(),
        nobody.run_schedule(&pool, "nightly").await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("1 to 128"), "{error}");
    }
    assert!(queues(&pool).await.unwrap().is_empty() && key_limits(&pool).await.unwrap().is_empty());
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.queues").fetch_one(&pool).await.unwrap();
    assert_eq!(rows, 0);
    assert!(entries(&pool, AuditFilter::new()).await.is_empty());

    // As an application does that sets its limits each time it starts; here from a task, on a connection.
    let again = tokio::spawn({
        let pool = pool.clone();
        async move {
            for _ in 0..3 {
                ana().limit_key(&pool, "k", Limit::running(1)).await?;
                ana().limit_queue(&mut *pool.acquire().await?, "mail", Limit::running(1)).await?;
            }
            ana().pause_schedule(&pool, "nightly", None).await?;
            ana().resume_schedule(&pool, "nightly").await
        }
    });
    again.await.unwrap().unwrap();
    assert_eq!(entries(&pool, AuditFilter::new()).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_deeds_at_once_each_tells_what_the_one_before_has_left() {
    let pool = database().await.pool();
    futures_util::future::join_all((1..=20).map(|most| {
        let pool = pool.clone();
        async move {
            ana().limit_queue(&pool, "mail", Limit::running(most)).await.unwrap();
            ana().limit_key(&pool, "k", Limit::running(most)).await.unwrap();
        }
    }))
    .await;
    for filter in [AuditFilter::new().queue("mail"), AuditFilter::new().key("k")] {
        let told = entries(&pool, filter).await;
        assert_eq!(told.len(), 20);
        for pair in told.windows(2) {
            assert_eq!(pair[0].after, pair[1].before, "{} then {}", pair[0].id, pair[1].id);
        }
    }
}

#[tokio::test]
async fn what_is_past_its_retention_is_removed_in_batches_and_what_is_open_stays() {
    let pool = database().await.pool();
    let filter = haulage::JobFilter::new().kind("count");
    let [old, open, young] = [
        ana().start(&pool, Verb::Discard, &filter).await.unwrap().id,
        ana().start(&pool, Verb::Discard, &filter).await.unwrap().id,
        ana().start(&pool, Verb::Discard, &filter).await.unwrap().id,
    ];
    run_operation(&pool, old).await.unwrap();
    run_operation(&pool, young).await.unwrap();
    sqlx::query("UPDATE haulage.operations SET ended_at = now() - interval '11 days' WHERE id = $1")
        .bind(old.0)
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("UPDATE haulage.operations SET started_at = now() - interval '1000 days' WHERE id = $1")
        .bind(open.0)
        .execute(&pool)
        .await
        .unwrap();
    sqlx::raw_sql(
        "UPDATE haulage.audit SET at = now() - interval '9 days';
         INSERT INTO haulage.audit (at, who, verb, target)
         SELECT now() - interval '11 days', 'ana', 'pause', 'queue mail' FROM generate_series(1, 2500)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let count = async |which: &'static str| -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM haulage.audit WHERE {which}"))).fetch_one(&pool).await.unwrap()
    };
    let young_ones = count("at > now() - interval '10 days'").await;
    let worker = worker(&pool).audit_retention(10).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("the old operation is gone", async || list_operations(&pool, None, 50).await.unwrap().len() == 2).await;
    worker.shutdown().await;
    let left: Vec<_> = list_operations(&pool, None, 50).await.unwrap().iter().map(|operation| operation.id).collect();
    assert_eq!(left, [young, open]);
    assert_eq!((count("true").await, young_ones), (young_ones, 5));
}

/// A year of it that went at once, when somebody shortened the retention, held up every other duty for as long.
#[tokio::test]
async fn the_other_duties_go_on_while_much_is_removed() {
    let pool = database().await.pool();
    sqlx::raw_sql(
        "INSERT INTO haulage.audit (at, who, verb, target)
         SELECT now() - interval '400 days', 'ana', 'pause', 'queue mail' FROM generate_series(1, 300000)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let left = async || -> i64 { sqlx::query_scalar("SELECT count(*) FROM haulage.audit").fetch_one(&pool).await.unwrap() };
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("the removal has begun", async || left().await < 300_000).await;
    let due = Count { n: 1 }.with().delay(Duration::from_millis(1)).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, due, JobState::Completed).await;
    assert!(left().await > 0, "it was promoted in between");
    worker.shutdown().await;
}
