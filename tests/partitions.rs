//! The history's partitions: made ahead, made on demand, dropped behind, and never a reason to wait.

use haulage::{Job, JobState};
use sqlx::PgPool;

use crate::support::{Count, database, eventually, jobs_in, wait_for_state, worker};

async fn partitions(pool: &PgPool, parent: &str) -> Vec<String> {
    sqlx::query_scalar("SELECT c.relname::text FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid WHERE inhparent = ('haulage.' || $1)::regclass ORDER BY 1")
        .bind(parent)
        .fetch_all(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_day_without_a_partition_gets_one_when_a_job_finishes() {
    let pool = database().await.pool();
    let worker = worker(&pool)
        .without(haulage::Duty::Prune)
        .handle(|job: Count| async move { if job.n == 0 { Err("x") } else { Ok(()) } })
        .build()
        .unwrap();
    let worker = worker.start().await.unwrap();
    for parent in ["finished_completed", "finished_failed", "attempts", "attempt_logs"] {
        for name in partitions(&pool, parent).await {
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP TABLE haulage.{name}"))).execute(&pool).await.unwrap();
        }
        assert!(partitions(&pool, parent).await.is_empty());
    }
    let dead = Count { n: 0 }.with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, dead, JobState::Dead).await;
    let completed = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, completed, JobState::Completed).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn days_past_their_retention_are_dropped_each_family_by_its_own() {
    let pool = database().await.pool();
    sqlx::query("SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date - 40, 40)").execute(&pool).await.unwrap();
    let worker = worker(&pool).retention(3, 10).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let oldest = async |parent: &str| -> i32 {
        let name = partitions(&pool, parent).await.remove(0);
        sqlx::query_scalar("SELECT (now() AT TIME ZONE 'UTC')::date - to_date(right($1, 8), 'YYYYMMDD')")
            .bind(name)
            .fetch_one(&pool)
            .await
            .unwrap()
    };
    eventually("completed ones are kept three days", async || oldest("finished_completed").await == 3).await;
    eventually("failed ones are kept ten days", async || oldest("finished_failed").await == 10).await;
    eventually("attempts go with the longer", async || oldest("attempts").await == 10).await;
    eventually("their traces with completed jobs", async || oldest("attempt_traces").await == 3).await;
    eventually("and what they logged goes with them", async || oldest("attempt_logs").await == 10).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_slow_reader_of_the_history_holds_up_no_settle() {
    let pool = database().await.pool();
    sqlx::query("SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date - 40, 40)").execute(&pool).await.unwrap();
    let mut reader = pool.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM haulage.finished_jobs").execute(&mut *reader).await.unwrap();
    let before = partitions(&pool, "finished_completed").await;
    let worker = worker(&pool).retention(3, 10).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    for n in 0..200 {
        Count { n }.enqueue(&pool).await.unwrap();
    }
    eventually("all are completed", async || jobs_in(&pool, JobState::Completed).await == 200).await;
    let mut after = partitions(&pool, "finished_completed").await;
    // Made ahead by the worker, when the day changes meanwhile.
    after.retain(|name| before.contains(name));
    assert_eq!(after, before, "the reader still holds them");
    reader.rollback().await.unwrap();
    worker.shutdown().await;
    // The next look is within an hour, or that of the next worker that starts.
    let next = crate::support::worker(&pool).retention(3, 10).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("they are dropped", async || partitions(&pool, "finished_completed").await.len() < before.len() - 30).await;
    next.shutdown().await;
}

#[tokio::test]
async fn two_makers_at_once_make_each_partition_once() {
    let pool = database().await.pool();
    futures_util::future::join_all((0..8).map(|_| async {
        sqlx::query("SELECT haulage.make_partitions('2031-01-01', 20)").execute(&pool).await.unwrap();
    }))
    .await;
    let made = partitions(&pool, "attempts").await.into_iter().filter(|name| name.starts_with("attempts_2031")).count();
    assert_eq!(made, 20);
}
