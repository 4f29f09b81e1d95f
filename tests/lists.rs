//! Lists by filter: every condition, page by page, never a walk through the whole history.

use std::time::Duration;

use haulage::{Job, JobFilter, JobId, JobState, Operator, ParkedFor, Unique, enqueue_all, job_page, list_jobs};
use sqlx::PgPool;

use crate::support::{Count, Log, database, eventually, wait_for_state, worker};

async fn ids(pool: &PgPool, filter: JobFilter) -> Vec<i64> {
    let page = job_page(pool, &filter).await.unwrap();
    assert_eq!(page.next, None);
    let listed: Vec<JobId> = list_jobs(pool, &filter).await.unwrap().iter().map(|job| job.id).collect();
    let found: Vec<JobId> = page.jobs.iter().map(|job| job.id).collect();
    assert_eq!(listed, found);
    found.iter().map(|id| id.0).collect()
}

#[tokio::test]
async fn every_condition_finds_its_jobs() {
    let pool = database().await.pool();
    let worker = worker(&pool)
        .handle(|job: Count, ctx: haulage::Ctx| async move {
            if job.n == 10 {
                ctx.child(Count { n: 11 }).queue("idle").enqueue(ctx.pool()).await.unwrap();
                return Ok(());
            }
            Err(haulage::JobError::retry_after(Duration::from_secs(3_600), "Printer: no PAPER 100% sure"))
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let parent = Count { n: 10 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, parent, JobState::Completed).await;
    let failed = Count { n: 1 }.with().tag("red").tag("big").enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, failed, JobState::Scheduled).await;
    let dead = Count { n: 2 }.with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, dead, JobState::Dead).await;
    worker.shutdown().await;
    let keyed = Count { n: 3 }.with().queue("mail").unique(Unique::by((1, "x"))).enqueue(&pool).await.unwrap().id();
    let held = Count { n: 4 }.enqueue(&pool).await.unwrap().id();
    Operator::new("ana").hold(&pool, held).await.unwrap();
    let child: i64 = sqlx::query_scalar("SELECT id FROM haulage.jobs WHERE parent_id = $1").bind(parent.0).fetch_one(&pool).await.unwrap();

    let all = || JobFilter::new();
    assert_eq!(ids(&pool, all()).await, [held.0, keyed.0, dead.0, failed.0, child, parent.0]);
    assert_eq!(ids(&pool, all().state(JobState::Completed)).await, [parent.0]);
    assert_eq!(ids(&pool, all().state(JobState::Scheduled)).await, [failed.0]);
    assert_eq!(ids(&pool, all().state(JobState::Parked)).await, [held.0]);
    assert_eq!(ids(&pool, all().parked_for(ParkedFor::Held)).await, [held.0]);
    assert_eq!(ids(&pool, all().parked_for(ParkedFor::Key)).await, [0_i64; 0]);
    assert_eq!(ids(&pool, all().state(JobState::Running)).await, [0_i64; 0]);
    assert_eq!(ids(&pool, all().queue("mail")).await, [keyed.0]);
    assert_eq!(ids(&pool, all().kind("other")).await, [0_i64; 0]);
    assert_eq!(ids(&pool, all().tag("big")).await, [failed.0]);
    assert_eq!(ids(&pool, all().error("no paper 100%")).await, [dead.0, failed.0]);
    assert_eq!(ids(&pool, all().error("no paper 100% s_re")).await, [0_i64; 0], "a text, no pattern");
    assert_eq!(ids(&pool, all().unique_key("count", r#"[1,"x"]"#)).await, [keyed.0]);
    assert_eq!(ids(&pool, all().parent(parent)).await, [child]);
    assert_eq!(ids(&pool, all().root(parent)).await, [child]);
    let class: String = sqlx::query_scalar("SELECT error_class FROM haulage.attempts LIMIT 1").fetch_one(&pool).await.unwrap();
    assert_eq!(ids(&pool, all().error_class(&class)).await, [dead.0, failed.0]);
    assert_eq!(ids(&pool, all().error_class("timeout")).await, [0_i64; 0]);

    let (now, hour) = (chrono::Utc::now(), chrono::TimeDelta::hours(1));
    assert_eq!(ids(&pool, all().finished_from(now - hour)).await, [dead.0, parent.0]);
    assert_eq!(ids(&pool, all().finished_before(now - hour)).await, [0_i64; 0]);
    assert_eq!(ids(&pool, all().created_from(now + hour)).await, [0_i64; 0]);
    assert_eq!(ids(&pool, all().created_before(now + hour).state(JobState::Dead)).await, [dead.0]);
    assert_eq!(ids(&pool, all().queue("'; DROP TABLE haulage.live_jobs; --")).await, [0_i64; 0]);
}

#[tokio::test]
async fn pages_follow_each_other_through_both_tables_without_a_gap() {
    let pool = database().await.pool();
    let log = Log::default();
    let seen = log.clone();
    let worker = worker(&pool)
        .handle(move |job: Count| {
            seen.add(job.n.to_string());
            async {}
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    // Finished and unfinished ones in turn.
    let jobs = (0..97).map(|n| if n % 3 == 0 { Count { n }.with().queue("idle") } else { Count { n }.with() });
    let mut expected: Vec<JobId> = enqueue_all(&pool, jobs).await.unwrap().iter().map(|job| job.id()).collect();
    expected.reverse();
    eventually("they ran", async || log.len() == 64).await;
    worker.shutdown().await;
    let (mut filter, mut found) = (JobFilter::new().kind("count").limit(10), Vec::new());
    loop {
        let page = job_page(&pool, &filter).await.unwrap();
        found.extend(page.jobs.iter().map(|job| job.id));
        let Some(next) = page.next else { break };
        filter = filter.before(next);
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_rare_match_far_back_is_reached_page_by_page_and_no_page_reads_everything() {
    let database = database().await;
    let pool = database.pool();
    let rare = Count { n: 1 }.with().queue("rare").enqueue(&pool).await.unwrap().id();
    sqlx::raw_sql(
        "INSERT INTO haulage.live_jobs (queue, kind, args) SELECT 'q', 'other', '{}' FROM generate_series(1, 45000);
         INSERT INTO haulage.finished_completed (id, run_at, eligible_at, created_at, attempt, priority, failures, max_attempts, crashes, state,
             kind_revision, queue, kind, args, finished_at)
         SELECT nextval('haulage.live_jobs_id_seq'), now(), now(), now(), 1, 1, 0, 25, 0, 5, 0, 'q', 'other', '{}', now() FROM generate_series(1, 45000)",
    )
    .execute(&pool)
    .await
    .unwrap();
    for analyzed in [false, true] {
        if analyzed {
            sqlx::raw_sql("ANALYZE haulage.live_jobs; ANALYZE haulage.finished_jobs").execute(&pool).await.unwrap();
        }
        let (mut filter, mut pages, mut found) = (JobFilter::new().queue("rare"), 0, Vec::new());
        loop {
            let page = job_page(&pool, &filter).await.unwrap();
            pages += 1;
            found.extend(page.jobs.iter().map(|job| job.id));
            let Some(next) = page.next else { break };
            filter = filter.before(next);
        }
        assert_eq!(found, [rare]);
        assert!((3..=8).contains(&pages), "{pages} pages");
        // The line of a queue has an index: unfinished jobs of other queues are not looked at.
        for filter in [JobFilter::new(), JobFilter::new().state(JobState::Available)] {
            let page = job_page(&pool, &filter.queue("rare").before(JobId(45_002))).await.unwrap();
            assert_eq!((page.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), page.next), (vec![rare], None));
        }
    }
    let preview = haulage::preview(&pool, haulage::Verb::Hold, &JobFilter::new().queue("rare")).await.unwrap();
    assert_eq!((preview.jobs, preview.samples[0].id), (1, rare));
    #[cfg(feature = "cli")]
    {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_haulage"));
        command.args(["jobs", "list", "--queue", "rare"]).stdin(std::process::Stdio::null()).env("DATABASE_URL", database.url());
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(said.contains(&format!("\n{rare} ")), "{said}");
    }
    // A page without a filter reads about as many rows as it shows.
    let read = async || {
        let mut connection = pool.acquire().await.unwrap();
        sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(&mut *connection).await.ok();
        sqlx::query_scalar::<_, i64>(
            "SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables WHERE schemaname = 'haulage' AND relname ~ '^(live_jobs|finished_)'",
        )
        .fetch_one(&mut *connection)
        .await
        .unwrap()
    };
    let before = read().await;
    for state in
        [None, Some(JobState::Completed), Some(JobState::Dead), Some(JobState::Available), Some(JobState::Running), Some(JobState::Parked)]
    {
        let filter = state.map_or_else(JobFilter::new, |state| JobFilter::new().state(state));
        job_page(&pool, &filter).await.unwrap();
    }
    // The counters come late; a later reading only ever shows more.
    eventually("the statistics arrive", async || {
        sqlx::query_scalar("SELECT sum(idx_scan) > 0 FROM pg_stat_user_tables WHERE schemaname = 'haulage' AND relname = 'live_jobs'")
            .fetch_one(&pool)
            .await
            .unwrap()
    })
    .await;
    assert_eq!(read().await, before, "a page read a table from end to end");
}
