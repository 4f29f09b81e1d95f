//! Errors by what they have in common, and the jobs of each.

use haulage::{
    Job, JobFilter, JobId, JobState, OperationState, Verb, WORKER_LOST, error_group, error_groups, fingerprint, job_page, preview,
    run_operation, store,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

use crate::support::{Count, ana, database, eventually, wait_for_state, worker};

#[derive(Debug, Serialize, Deserialize)]
struct Send {
    to: i64,
}

impl Job for Send {
    const KIND: &'static str = "send";
    const QUEUE: &'static str = "mail";
}

async fn ids(pool: &PgPool, filter: JobFilter) -> Vec<JobId> {
    let mut ids: Vec<JobId> = job_page(pool, &filter).await.unwrap().jobs.into_iter().map(|job| job.id).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn attempts_that_fail_alike_are_one_error_and_its_jobs_are_found_and_retried_together() {
    let pool = database().await.pool();
    let send = async |job: Send| {
        Err::<(), _>(match job.to {
            0..100 => anyhow::anyhow!("no route to customer {}", job.to),
            _ => anyhow::anyhow!("no paper"),
        })
    };
    let worker = worker(&pool).queue("mail", 5).queue("bulk", 5).backoff(|_| std::time::Duration::from_secs(3_600)).handle(send);
    let worker = worker.build().unwrap().start().await.unwrap();
    let mut dead = Vec::new();
    for to in 1..=3 {
        dead.push(Send { to }.with().max_attempts(1).enqueue(&pool).await.unwrap().id());
    }
    let waits = Send { to: 17 }.with().queue("bulk").enqueue(&pool).await.unwrap().id();
    let other = Send { to: 100 }.with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    for id in dead.iter().chain([&other]) {
        wait_for_state(&pool, *id, JobState::Dead).await;
    }
    eventually("it has failed", async || haulage::job(&pool, waits).await.unwrap().unwrap().failures == 1).await;
    eventually("the errors are written", async || {
        error_groups(&pool, None, None, 10).await.unwrap().iter().map(|group| group.attempts).sum::<i64>() == 5
    })
    .await;
    let groups = error_groups(&pool, Some("send"), None, 10).await.unwrap();
    assert_eq!(groups.len(), 2);
    let group = groups.iter().find(|group| group.attempts == 4).unwrap();
    assert_eq!((group.kind.as_str(), &group.queues), ("send", &vec!["bulk".to_owned(), "mail".to_owned()]));
    assert!(group.message.starts_with("no route to customer") && group.first_at <= group.last_at, "{group:?}");
    assert_eq!(group.fingerprint, fingerprint("send", &group.error_class, "no route to customer 99"));
    assert!(dead.contains(&group.first_job) || group.first_job == waits);
    assert!(error_groups(&pool, Some("other"), None, 10).await.unwrap().is_empty());

    let of = JobFilter::new().error_group(&group.fingerprint);
    let mut all = dead.clone();
    all.push(waits);
    assert_eq!(ids(&pool, of.clone()).await, all);
    assert_eq!(ids(&pool, of.clone().state(JobState::Dead)).await, dead);
    assert_eq!(ids(&pool, of.clone().state(JobState::Scheduled)).await, [waits]);
    assert!(ids(&pool, of.clone().state(JobState::Completed)).await.is_empty());
    worker.shutdown().await;

    let before = preview(&pool, Verb::Retry, &of.clone().state(JobState::Dead)).await.unwrap();
    assert_eq!(before.jobs, 3);
    let operation = ana().start(&pool, Verb::Retry, &of.state(JobState::Dead)).await.unwrap();
    let operation = run_operation(&pool, operation.id).await.unwrap();
    assert_eq!((operation.state, operation.done), (OperationState::Done, 3));
    for id in dead {
        wait_for_state(&pool, id, JobState::Available).await;
    }
    wait_for_state(&pool, other, JobState::Dead).await;
}

#[tokio::test]
async fn a_worker_that_dies_is_one_error_of_the_kind_of_its_jobs() {
    let pool = database().await.pool();
    let id = Count { n: 1 }.with().queue("elsewhere").enqueue(&pool).await.unwrap().id();
    sqlx::raw_sql(
        "INSERT INTO haulage.leases (id, worker, ids) SELECT 7, 99, array_agg(id) FROM haulage.live_jobs;
         UPDATE haulage.live_jobs SET state = 2, lease = 7, attempt = 1, claimed_at = now()",
    )
    .execute(&pool)
    .await
    .unwrap();
    let worker = worker(&pool).handle(async |_: Count| {}).build().unwrap().start().await.unwrap();
    wait_for_state(&pool, id, JobState::Available).await;
    let lost = fingerprint("count", WORKER_LOST, "");
    eventually("the error is written", async || error_group(&pool, &lost).await.unwrap().is_some_and(|group| group.attempts == 1)).await;
    assert_eq!(ids(&pool, JobFilter::new().error_group(&lost)).await, [id]);
    let stored: Option<String> =
        sqlx::query_scalar("SELECT fingerprint FROM haulage.attempts WHERE job_id = $1").bind(id.0).fetch_one(&pool).await.unwrap();
    assert_eq!(stored, Some(lost));
    worker.shutdown().await;
}

fn noted(fingerprint: String, kind: &str, queue: &str) -> store::NotedError {
    store::NotedError {
        fingerprint,
        kind: kind.into(),
        class: "E".into(),
        message: "m".into(),
        queues: vec![queue.into()],
        attempts: 1,
        job: JobId(1),
    }
}

#[tokio::test]
async fn a_message_that_is_new_each_time_fills_its_own_kind_only() {
    let pool = database().await.pool();
    let mut connection = pool.acquire().await.unwrap();
    for batch in 0..10 {
        let many: Vec<_> = (0..50).map(|n| noted(format!("{batch:08x}{n:08x}"), "noisy", "q")).collect();
        assert!(store::save_errors(&mut connection, &many).await.unwrap());
    }
    assert_eq!(error_groups(&pool, Some("noisy"), None, 1_000).await.unwrap().len(), 200);
    // What is known goes on being counted, and another kind has room.
    let more = [noted(format!("{:016x}", 0), "noisy", "r"), noted("f".repeat(16), "quiet", "q")];
    assert!(store::save_errors(&mut connection, &more).await.unwrap());
    assert_eq!(error_groups(&pool, Some("quiet"), None, 10).await.unwrap().len(), 1);
    let known = error_group(&pool, &format!("{:016x}", 0)).await.unwrap().unwrap();
    assert_eq!((known.attempts, known.queues), (2, vec!["q".to_owned(), "r".to_owned()]));
    assert_eq!(store::list_error_hours(&pool, &[&known.fingerprint], 24).await.unwrap(), [(known.fingerprint, 0, 2)]);
}

#[tokio::test]
async fn an_error_is_forgotten_when_its_jobs_are() {
    let pool = database().await.pool();
    let mut connection = pool.acquire().await.unwrap();
    assert!(store::save_errors(&mut connection, &[noted("a".repeat(16), "k", "q"), noted("b".repeat(16), "k", "q")]).await.unwrap());
    sqlx::raw_sql(
        "UPDATE haulage.errors SET first_at = now() - interval '40 days', last_at = now() - interval '31 days' WHERE fingerprint ~ 'a';
         UPDATE haulage.error_hours SET hour = now() - interval '9 days' WHERE fingerprint ~ 'a'",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(store::prune_errors(&mut connection, 30, 100).await.unwrap(), 2);
    let left: Vec<String> = error_groups(&pool, None, None, 10).await.unwrap().into_iter().map(|group| group.fingerprint).collect();
    assert_eq!(left, ["b".repeat(16)]);
    assert!(store::list_error_hours(&pool, &[&"a".repeat(16)], 1_000).await.unwrap().is_empty());
}

/// Rows read of the jobs and their attempts.
async fn read(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_xact_user_tables
         WHERE schemaname = 'haulage' AND relname ~ '^(finished_|attempts)'",
    )
    .fetch_one(connection)
    .await
    .unwrap()
}

#[tokio::test]
async fn the_dead_jobs_of_an_error_are_found_by_their_index_among_any_number() {
    let pool = database().await.pool();
    sqlx::raw_sql(
        "INSERT INTO haulage.finished_failed (id, run_at, eligible_at, created_at, attempt, priority, failures, max_attempts, crashes, state,
             kind_revision, queue, kind, args, error, fingerprint, finished_at)
         SELECT nextval('haulage.live_jobs_id_seq'), now(), now(), now(), 1, 1, 1, 1, 0, 6, 0, 'q', 'k', '{}', 'e',
             CASE WHEN n % 10000 = 0 THEN 'aaaaaaaaaaaaaaaa' ELSE 'bbbbbbbbbbbbbbbb' END, now()
         FROM generate_series(1, 60000) AS n;
         INSERT INTO haulage.finished_completed (id, run_at, eligible_at, created_at, attempt, priority, failures, max_attempts, crashes, state,
             kind_revision, queue, kind, args, finished_at)
         SELECT nextval('haulage.live_jobs_id_seq'), now(), now(), now(), 1, 1, 0, 25, 0, 5, 0, 'q', 'k', '{}', now()
         FROM generate_series(1, 30000)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let mut connection = pool.acquire().await.unwrap();
    for prepare in ["DISCARD PLANS", "ANALYZE haulage.finished_jobs; DISCARD PLANS"] {
        sqlx::raw_sql(prepare).execute(&mut *connection).await.unwrap();
        let mut tx = sqlx::Connection::begin(&mut *connection).await.unwrap();
        sqlx::raw_sql("SET LOCAL enable_seqscan = off; SET LOCAL jit = off").execute(&mut *tx).await.unwrap();
        let before = read(&mut tx).await;
        let filter = JobFilter::new().error_group("a".repeat(16));
        for filter in [filter.clone(), filter.state(JobState::Dead)] {
            let page = job_page(&mut *tx, &filter).await.unwrap();
            assert_eq!((page.jobs.len(), page.next), (6, None), "{prepare}");
        }
        let after = read(&mut tx).await;
        assert!(after - before < 200, "{prepare}: {} rows", after - before);
        tx.rollback().await.unwrap();
    }
}
