//! What ends is added up in memory and written once a minute; charts are drawn from that.

use std::time::Duration;

use haulage::{Ctx, Job, JobState, Outcome, StatsRange, stats, store};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::support::{Count, database, eventually, wait_for_state, worker};

#[derive(Debug, Serialize, Deserialize)]
struct Mixed {
    n: i64,
}

impl Job for Mixed {
    const KIND: &'static str = "mixed";
    const QUEUE: &'static str = "mail";
}

/// Completed, retried, dead, cancelled, snoozed, how many waits were measured.
async fn counted(pool: &PgPool, length: i16, kind: &str) -> [i64; 6] {
    let row: (i64, i64, i64, i64, i64, i64) = sqlx::query_as(
        "SELECT coalesce(sum(completed), 0)::bigint, coalesce(sum(retried), 0)::bigint, coalesce(sum(dead), 0)::bigint,
             coalesce(sum(cancelled), 0)::bigint, coalesce(sum(snoozed), 0)::bigint,
             coalesce(sum((SELECT sum(w) FROM unnest(waits) AS w)), 0)::bigint
         FROM haulage.minutes WHERE length = $1 AND kind = $2",
    )
    .bind(length)
    .bind(kind)
    .fetch_one(pool)
    .await
    .unwrap();
    row.into()
}

#[tokio::test]
async fn every_attempt_that_ended_is_counted_by_its_outcome_at_the_latest_when_the_worker_stops() {
    let pool = database().await.pool();
    let mixed = async |job: Mixed, ctx: Ctx| match job.n {
        0 => Ok(Outcome::Done),
        1 if ctx.attempt() == 1 => Err(anyhow::anyhow!("not yet")),
        1 => Ok(Outcome::Done),
        2 if ctx.attempt() == 1 => Ok(Outcome::Snooze(Duration::from_millis(5))),
        2 => Ok(Outcome::Done),
        3 => Ok(Outcome::Cancel("not needed".to_owned())),
        _ => Err(anyhow::anyhow!("never")),
    };
    let worker = worker(&pool).queue("mail", 5).handle(mixed).handle(async |_: Count| {}).build().unwrap().start().await.unwrap();
    let mut jobs = Vec::new();
    for n in 0..5 {
        jobs.push(Mixed { n }.with().max_attempts(2).enqueue(&pool).await.unwrap().id());
    }
    let other = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    let ends = [JobState::Completed, JobState::Completed, JobState::Completed, JobState::Cancelled, JobState::Dead];
    for (id, state) in jobs.into_iter().zip(ends).chain([(other, JobState::Completed)]) {
        wait_for_state(&pool, id, state).await;
    }
    worker.shutdown().await;
    for length in [1, 10, 60] {
        assert_eq!(counted(&pool, length, "mixed").await, [3, 2, 1, 1, 1, 8], "{length}");
        assert_eq!(counted(&pool, length, "count").await, [1, 0, 0, 0, 0, 1], "{length}");
    }
    for range in StatsRange::ALL {
        for (queue, completed) in [(None, 4), (Some("mail"), 3), (Some("default"), 1), (Some("none"), 0)] {
            let steps = stats(&pool, range, queue).await.unwrap();
            assert_eq!(steps.len(), usize::try_from(range.steps()).unwrap());
            assert_eq!(steps.iter().map(|step| step.completed).sum::<i64>(), completed, "{range:?} {queue:?}");
            let gaps = steps.windows(2).map(|two| (two[1].start - two[0].start).num_minutes());
            assert!(gaps.into_iter().all(|gap| gap == i64::from(range.step())), "{range:?}");
        }
    }
    // The time of the handlers, on which this test does not depend, lies within what was counted.
    let steps = stats(&pool, StatsRange::Hour, Some("mail")).await.unwrap();
    let runs: i64 = steps.iter().map(|step| step.run.count()).sum();
    assert_eq!(runs, 8);
    assert!(steps.iter().filter(|step| step.run.count() > 0).all(|step| step.run.quantile_s(0.95).is_some()));
}

#[tokio::test]
async fn what_could_not_be_written_is_written_once_it_can() {
    let pool = database().await.pool();
    let mut lock = pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE haulage.minutes IN EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let worker = worker(&pool).handle(async |_: Count| {}).build().unwrap().start().await.unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Completed).await;
    eventually("a write is tried", async || {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'haulage.minutes'::regclass
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        )
        .fetch_one(&pool)
        .await
        .unwrap()
    })
    .await;
    lock.rollback().await.unwrap();
    eventually("it is written", async || counted(&pool, 1, "count").await[0] == 1).await;
    worker.shutdown().await;
    assert_eq!(counted(&pool, 1, "count").await, [1, 0, 0, 0, 0, 1], "and only once");
}

#[tokio::test]
async fn processes_add_to_the_same_minute() {
    let pool = database().await.pool();
    let mut connection = pool.acquire().await.unwrap();
    let mut tally = store::Tally::default();
    tally.outcomes[0] = 2;
    tally.run_ms = 7;
    tally.runs[3] = 2;
    let mut longer = store::Tally::default();
    longer.outcomes[0] = 1;
    longer.runs[9] = 1;
    for tally in [tally.clone(), longer, tally] {
        let one = store::Counted { queue: "q".into(), kind: "k".into(), tally };
        assert!(store::save_minutes(&mut connection, 0.0, &[one]).await.unwrap());
    }
    let step = stats(&mut *connection, StatsRange::Week, None).await.unwrap().pop().unwrap();
    assert_eq!((step.completed, step.run.total_ms, step.run.count()), (5, 14, 5));
    assert_eq!((step.run.counts[3], step.run.counts[9]), (4, 1));
    // Between 4 and 8 ms, and between 256 and 512.
    assert!((0.004..=0.008).contains(&step.run.quantile_s(0.5).unwrap()) && step.run.quantile_s(1.0).unwrap() > 0.256);
}

#[tokio::test]
async fn minutes_are_kept_for_hours_and_hours_for_a_quarter_of_a_year() {
    let pool = database().await.pool();
    sqlx::raw_sql(
        "INSERT INTO haulage.minutes (length, start, queue, kind, completed, retried, dead, cancelled, snoozed, wait_ms, run_ms, waits, runs)
         SELECT l, now() - age, 'q', 'k', 1, 0, 0, 0, 0, 0, 0, '{}', '{}'
         FROM (VALUES (1), (10), (60)) AS l (l),
             (VALUES (interval '5 hours'), (interval '7 hours'), (interval '4 days'), (interval '91 days')) AS a (age)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!(store::prune_minutes(&mut connection, 2).await.unwrap(), 2);
    assert_eq!(store::prune_minutes(&mut connection, 100).await.unwrap(), 4);
    let left: Vec<(i16, i64)> =
        sqlx::query_as("SELECT length, count(*) FROM haulage.minutes GROUP BY 1 ORDER BY 1").fetch_all(&pool).await.unwrap();
    assert_eq!(left, [(1, 1), (10, 2), (60, 3)]);
}

#[tokio::test]
async fn a_chart_reads_only_the_rows_of_its_time() {
    let pool = database().await.pool();
    sqlx::raw_sql(
        "INSERT INTO haulage.minutes (length, start, queue, kind, completed, retried, dead, cancelled, snoozed, wait_ms, run_ms, waits, runs)
         SELECT 60, date_trunc('hour', now()) - make_interval(hours => h), 'q' || q, 'k', 1, 0, 0, 0, 0, 0, 0, '{1}', '{1}'
         FROM generate_series(0, 2000) AS h, generate_series(1, 5) AS q;
         ANALYZE haulage.minutes",
    )
    .execute(&pool)
    .await
    .unwrap();
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql("SET LOCAL enable_seqscan = off; SET LOCAL jit = off").execute(&mut *tx).await.unwrap();
    let read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE schemaname = 'haulage' AND relname = 'minutes'";
    let before: i64 = sqlx::query_scalar(read).fetch_one(&mut *tx).await.unwrap();
    let steps = stats(&mut *tx, StatsRange::Week, None).await.unwrap();
    let after: i64 = sqlx::query_scalar(read).fetch_one(&mut *tx).await.unwrap();
    assert!((5 * 165..=5 * 168).contains(&steps.iter().map(|step| step.completed).sum::<i64>()));
    assert!(after - before <= 5 * 170, "{} rows", after - before);
}
