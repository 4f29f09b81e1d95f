//! How many jobs wait is noted once a minute, by one worker of the fleet; a chart is drawn from that.

use haulage::{Depth, DepthCounts, Job, JobState, StatsRange, depths, queues, store};
use sqlx::PgPool;

use crate::support::{Count, ana, database, eventually, worker};

async fn newest(pool: &PgPool, range: StatsRange, queue: Option<&str>) -> Option<DepthCounts> {
    depths(pool, range, queue).await.unwrap().iter().rev().find_map(|depth| depth.waiting)
}

fn told(counts: Option<DepthCounts>) -> Option<(i64, i64, i64, bool)> {
    counts.map(|counts| (counts.available, counts.parked, counts.running, counts.at_least))
}

#[tokio::test]
async fn workers_note_how_many_jobs_wait_in_each_queue_and_in_all() {
    let pool = database().await.pool();
    for n in 0..5 {
        let id = Count { n }.with().queue("mail").enqueue(&pool).await.unwrap().id();
        if n < 2 {
            ana().hold(&pool, id).await.unwrap();
        }
    }
    Count { n: 5 }.with().queue("sync").enqueue(&pool).await.unwrap();
    // They serve neither queue.
    let mut fleet = Vec::new();
    for _ in 0..3 {
        fleet.push(worker(&pool).handle(async |_: Count| {}).build().unwrap().start().await.unwrap());
    }
    eventually("somebody has looked", async || newest(&pool, StatsRange::Hour, None).await.is_some()).await;
    for worker in fleet {
        worker.shutdown().await;
    }
    for range in StatsRange::ALL {
        for (queue, counts) in
            [(None, (4, 2, 0, false)), (Some("mail"), (3, 2, 0, false)), (Some("sync"), (1, 0, 0, false)), (Some("none"), (0, 0, 0, false))]
        {
            assert_eq!(told(newest(&pool, range, queue).await), Some(counts), "{range:?} {queue:?}");
            assert_eq!(depths(&pool, range, queue).await.unwrap().len(), usize::try_from(range.steps()).unwrap());
        }
    }
}

#[tokio::test]
async fn what_runs_is_not_in_line_nor_among_what_was_returned() {
    let pool = database().await.pool();
    for n in 0..5 {
        Count { n }.with().queue("mail").enqueue(&pool).await.unwrap();
    }
    // Three in line and two returned, and one of each runs.
    sqlx::raw_sql(
        "UPDATE haulage.live_jobs SET place = 2 WHERE id > (SELECT min(id) + 2 FROM haulage.live_jobs);
         UPDATE haulage.live_jobs SET state = 2, lease = 7, claimed_at = now()
         WHERE id IN (SELECT min(id) FROM haulage.live_jobs UNION ALL SELECT max(id) FROM haulage.live_jobs);
         INSERT INTO haulage.leases (id, worker, ids) SELECT 7, 1, array_agg(id) FROM haulage.live_jobs WHERE state = 2",
    )
    .execute(&pool)
    .await
    .unwrap();
    let mut connection = pool.acquire().await.unwrap();
    assert!(store::sample_depths(&mut connection).await.unwrap());
    assert_eq!(told(newest(&pool, StatsRange::Hour, Some("mail")).await), Some((3, 0, 2, false)));
    let queue = queues(&pool).await.unwrap().pop().unwrap();
    assert_eq!((queue.available, queue.running), (3, 2));
    let counts = store::count_states(&pool).await.unwrap().counts;
    let count = |state| counts.iter().find(|(each, _)| *each == state).unwrap().1;
    assert_eq!((count(JobState::Available), count(JobState::Running)), (3, 2));
    let lines = store::count_lines(&pool, "mail").await.unwrap();
    assert_eq!(lines.iter().map(|line| line.jobs).collect::<Vec<_>>(), [0, 3, 0, 0]);
}

#[tokio::test]
async fn one_notes_a_minute_and_of_a_longer_time_the_most_stays() {
    let pool = database().await.pool();
    let ids = [Count { n: 0 }.enqueue(&pool).await.unwrap().id(), Count { n: 1 }.enqueue(&pool).await.unwrap().id()];
    let mut connection = pool.acquire().await.unwrap();
    assert!(store::sample_depths(&mut connection).await.unwrap());
    // As a look in the minute before.
    sqlx::raw_sql("UPDATE haulage.depths SET start = start - interval '1 minute' WHERE length = 1").execute(&pool).await.unwrap();
    ana().cancel(&pool, ids[0]).await.unwrap();
    assert!(store::sample_depths(&mut connection).await.unwrap());
    let minutes: Vec<i64> = depths(&pool, StatsRange::Hour, None)
        .await
        .unwrap()
        .iter()
        .filter_map(|Depth { waiting, .. }| waiting.map(|w| w.available))
        .collect();
    assert_eq!(minutes, [2, 1]);
    let most = depths(&pool, StatsRange::Week, None).await.unwrap().iter().filter_map(|depth| depth.waiting).map(|w| w.available).max();
    assert_eq!(most, Some(2));
    // Somebody is about to: nobody waits for them.
    sqlx::raw_sql("TRUNCATE haulage.depths").execute(&pool).await.unwrap();
    let mut other = pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(1751217518, 4)").execute(&mut *other).await.unwrap();
    assert!(!store::sample_depths(&mut connection).await.unwrap());
    other.rollback().await.unwrap();
    assert!(store::sample_depths(&mut connection).await.unwrap());
}

#[tokio::test]
async fn depths_are_kept_as_long_as_minutes_are() {
    let pool = database().await.pool();
    sqlx::raw_sql(
        "INSERT INTO haulage.depths (length, queue, start, available, parked, running, at_least)
         SELECT l, '', now() - age, 1, 0, 0, false
         FROM (VALUES (1), (10), (60)) AS l (l),
             (VALUES (interval '5 hours'), (interval '7 hours'), (interval '4 days'), (interval '91 days')) AS a (age)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!(store::prune_depths(&mut connection, 2).await.unwrap(), 2);
    assert_eq!(store::prune_depths(&mut connection, 100).await.unwrap(), 4);
    let left: Vec<(i16, i64)> =
        sqlx::query_as("SELECT length, count(*) FROM haulage.depths GROUP BY 1 ORDER BY 1").fetch_all(&pool).await.unwrap();
    assert_eq!(left, [(1, 1), (10, 2), (60, 3)]);
}
