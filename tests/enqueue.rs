//! Storing jobs: with the caller's writes, in bulk, with every option.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use haulage::{EnqueueError, Enqueued, Job, JobState, Priority, TraceContext, TraceRelation, enqueue_all, job, job_detail};
use serde_json::json;

use crate::support::{Count, database, jobs_in};

#[tokio::test]
async fn a_rolled_back_job_never_was() {
    let pool = database().await.pool();
    let mut tx = pool.begin().await.unwrap();
    let id = Count { n: 1 }.enqueue(&mut *tx).await.unwrap().id();
    assert!(job(&mut *tx, id).await.unwrap().is_some());
    tx.rollback().await.unwrap();
    assert!(job(&pool, id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_job_is_stored_on_a_pool_a_connection_and_a_transaction() {
    let pool = database().await.pool();
    Count { n: 1 }.enqueue(&pool).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    Count { n: 2 }.enqueue(&mut *connection).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    Count { n: 3 }.enqueue(&mut *tx).await.unwrap();
    enqueue_all(&mut *tx, [Count { n: 4 }, Count { n: 5 }]).await.unwrap();
    tx.commit().await.unwrap();
    let spawned = tokio::spawn({
        let pool = pool.clone();
        async move { Count { n: 6 }.enqueue(&pool).await }
    });
    spawned.await.unwrap().unwrap();
    assert_eq!(jobs_in(&pool, JobState::Available).await, 6);
}

#[tokio::test]
async fn every_option_reaches_the_row() {
    let pool = database().await.pool();
    let at = Utc::now() + TimeDelta::hours(5);
    let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
    let id = Count { n: 1 }
        .with()
        .queue("mail")
        .priority(Priority::Low)
        .run_at(at)
        .max_attempts(3)
        .timeout(Duration::from_secs(9))
        .tag("eu")
        .tag(r#"a "quoted", {odd} \ tag"#)
        .meta(json!({"by": "me"}))
        .trace(trace)
        .trace_relation(TraceRelation::Link)
        .enqueue(&pool)
        .await
        .unwrap()
        .id();
    let detail = job_detail(&pool, id).await.unwrap().unwrap();
    assert_eq!((detail.status.queue.as_str(), detail.status.state, detail.status.max_attempts), ("mail", JobState::Scheduled, 3));
    assert_eq!(detail.status.run_at.timestamp_millis(), at.timestamp_millis());
    assert_eq!((detail.priority, detail.timeout_ms), (Priority::Low, Some(9_000)));
    assert_eq!(detail.tags, ["eu", r#"a "quoted", {odd} \ tag"#]);
    assert_eq!((detail.args, detail.meta), (json!({"n": 1}), Some(json!({"by": "me"}))));
    let (trace_id, relation): (String, i16) = sqlx::query_as("SELECT trace_id::text, trace_relation FROM haulage.live_jobs WHERE id = $1")
        .bind(id.0)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!((trace_id.as_str(), relation), ("0af76519-16cd-43dd-8448-eb211c80319c", 2));
}

#[tokio::test]
async fn a_batch_keeps_its_order_and_options() {
    let pool = database().await.pool();
    let results = enqueue_all(
        &pool,
        (0..2_500).map(|n| Count { n }.with().tag(format!("t{n}")).priority(if n % 2 == 0 { Priority::Bulk } else { Priority::Urgent })),
    )
    .await
    .unwrap();
    assert_eq!(results.len(), 2_500);
    for n in [0_usize, 999, 1_000, 2_499] {
        let detail = job_detail(&pool, results[n].id()).await.unwrap().unwrap();
        assert_eq!((detail.args, detail.tags), (json!({"n": n}), vec![format!("t{n}")]));
    }
}

/// What the options of a batch share is sent once; the rows must not tell.
#[tokio::test]
async fn a_batch_whose_options_differ_in_one_job_stores_each_with_its_own() {
    let pool = database().await.pool();
    let plain = || Count { n: 0 }.with();
    let at = "2020-01-02T03:04:05Z".parse::<chrono::DateTime<Utc>>().unwrap();
    let others = [
        plain().timeout(None),
        plain().timeout(Duration::from_secs(7)),
        plain().queue("other"),
        plain().priority(Priority::Low),
        plain().max_attempts(2),
        plain().delay(Duration::from_secs(3_600)),
        plain().run_at(at),
        plain().tag("t"),
        plain().meta(json!({"m": 1})),
        plain().trace_relation(TraceRelation::None),
    ];
    for other in others {
        // First, in the middle and last; and alone.
        for batch in [vec![0, 1, 1], vec![1, 0, 1], vec![1, 1, 0], vec![0, 0], vec![1]] {
            let ids = enqueue_all(&pool, batch.iter().map(|odd| if *odd == 1 { other.clone() } else { plain() })).await.unwrap();
            for (odd, batched) in batch.iter().zip(ids) {
                let single = if *odd == 1 { other.clone() } else { plain() }.enqueue(&pool).await.unwrap();
                let row = async |id: haulage::JobId| -> serde_json::Value {
                    sqlx::query_scalar(
                        "SELECT to_jsonb(j) - 'id' - 'pos' - 'created_at' || jsonb_build_object('run_at', j.run_at - j.created_at, \
                         'eligible_at', j.eligible_at - j.created_at, 'given', CASE WHEN j.run_at < '2021-01-01' THEN j.run_at END) \
                         - CASE WHEN j.run_at < '2021-01-01' THEN '{run_at,eligible_at}'::text[] ELSE '{}' END \
                         FROM haulage.live_jobs AS j WHERE id = $1",
                    )
                    .bind(id.0)
                    .fetch_one(&pool)
                    .await
                    .unwrap()
                };
                assert_eq!(row(batched.id()).await, row(single.id()).await);
            }
        }
    }
}

#[tokio::test]
async fn a_batch_wakes_the_sleepers_of_its_queues_also_when_its_delay_is_nothing() {
    let pool = database().await.pool();
    let mut sleeper = pool.acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock_shared(1751217516, hashtext(q)) FROM unnest(ARRAY['default', 'mail', 'later']) AS q")
        .execute(&mut *sleeper)
        .await
        .unwrap();
    let mut listener = sqlx::postgres::PgListener::connect_with(&pool).await.unwrap();
    listener.listen("haulage_wake").await.unwrap();
    let jobs = [Count { n: 1 }.with().delay(Duration::ZERO), Count { n: 2 }.with().queue("mail")];
    enqueue_all(&pool, jobs).await.unwrap();
    enqueue_all(&pool, [Count { n: 3 }.with().queue("later").delay(Duration::from_secs(60))]).await.unwrap();
    sqlx::query("SELECT pg_notify('haulage_wake', 'marker')").execute(&pool).await.unwrap();
    let mut woken = Vec::new();
    loop {
        match listener.recv().await.unwrap().payload() {
            "marker" => break,
            queue => woken.push(queue.to_owned()),
        }
    }
    woken.sort();
    assert_eq!(woken, ["default", "mail"]);
}

#[tokio::test]
async fn a_batch_with_one_bad_job_stores_none_and_leaves_the_transaction_usable() {
    let pool = database().await.pool();
    let mut tx = pool.begin().await.unwrap();
    let jobs = (0..1_500).map(|n| Count { n }.with().queue(if n == 1_400 { "not a name" } else { "default" }));
    let error = enqueue_all(&mut *tx, jobs).await.unwrap_err();
    assert!(matches!(&error, EnqueueError::Name(_)) && error.to_string().contains("not a name"), "{error}");
    Count { n: 1 }.enqueue(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(jobs_in(&pool, JobState::Available).await, 1);
}

#[tokio::test]
async fn a_batch_that_the_database_refuses_halfway_stores_none() {
    let pool = database().await.pool();
    sqlx::raw_sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF (NEW.args->>'n')::int = 2000 THEN RAISE 'refused'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON haulage.live_jobs FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .execute(&pool)
    .await
    .unwrap();
    let mut tx = pool.begin().await.unwrap();
    enqueue_all(&mut *tx, (0..3_000).map(|n| Count { n })).await.unwrap_err();
    // The savepoint was rolled back, not the caller's transaction.
    Count { n: 1 }.enqueue(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(jobs_in(&pool, JobState::Available).await, 1);
}

#[tokio::test]
async fn an_empty_batch_is_no_error() {
    let pool = database().await.pool();
    assert_eq!(enqueue_all(&pool, Vec::<Count>::new()).await.unwrap(), Vec::<Enqueued>::new());
}
