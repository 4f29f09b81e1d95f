//! Kinds whose completed jobs leave nothing in the history.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use haulage::{
    Ctx, Job, JobError, JobId, JobState, Outcome, Unique, Worker, job, job_detail,
    store::{self, Settled, Unsettled},
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::support::{Count, Log, ana, database, eventually, jobs_in, relay::Faults, through_relay, wait_for_state, worker};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ping {
    n: i64,
}

impl Job for Ping {
    const KIND: &'static str = "ping";
    const KIND_ALIASES: &'static [&'static str] = &["old_ping"];
    const KEEP_COMPLETED: bool = false;
}

async fn rows(pool: &PgPool) -> (i64, i64, i64) {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM haulage.live_jobs), (SELECT count(*) FROM haulage.finished_jobs), (SELECT count(*) FROM haulage.leases)",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_completed_job_of_such_a_kind_is_gone_and_its_neighbours_are_kept() {
    let pool = database().await.pool();
    let worker = worker(&pool)
        .handle(|_: Count| async {})
        .handle(|job: Ping, ctx: Ctx| async move {
            ctx.set_output(&job.n)?;
            match job.n {
                1 => Err(JobError::fatal("no")),
                2 if ctx.attempt() == 1 => Err(JobError::from("not yet")),
                _ => Ok(()),
            }
        })
        .build()
        .unwrap();
    // Both kinds in one claim and one lease.
    let kept = Count { n: 0 }.enqueue(&pool).await.unwrap().id();
    let mut pings = Vec::new();
    for n in 0..50 {
        pings.push(Ping { n }.enqueue(&pool).await.unwrap().id());
    }
    let alias: i64 = sqlx::query_scalar("SELECT job_id FROM haulage.enqueue('old_ping', '{\"n\": 3}')").fetch_one(&pool).await.unwrap();
    let worker = worker.start().await.unwrap();
    eventually("everything has ended and every lease is gone", async || rows(&pool).await == (0, 2, 0)).await;
    worker.shutdown().await;
    assert_eq!(job(&pool, kept).await.unwrap().unwrap().state, JobState::Completed);
    assert_eq!(job(&pool, pings[1]).await.unwrap().unwrap().state, JobState::Dead, "only completed ones leave nothing");
    assert!(job(&pool, pings[2]).await.unwrap().is_none());
    assert!(job(&pool, JobId(alias)).await.unwrap().is_none(), "an alias does as its kind");
}

#[tokio::test]
async fn its_unique_key_is_free_again_or_held_for_its_window() {
    let db = haulage::testing::Database::new().await.unwrap();
    let mut worker = Worker::builder(db.pool().clone()).queue("default", 1).handle(|_: Ping| async {}).build().unwrap();
    let free = || Ping { n: 1 }.with().unique(Unique::by(1));
    let held = || Ping { n: 2 }.with().unique(Unique::by(2).within(std::time::Duration::from_secs(3_600)));
    free().enqueue(db.pool()).await.unwrap();
    let holder = held().enqueue(db.pool()).await.unwrap().id();
    assert_eq!(worker.drain().await.unwrap().assert_completed(), 2);
    assert!(free().enqueue(db.pool()).await.unwrap().is_new());
    let again = held().enqueue(db.pool()).await.unwrap();
    assert!(!again.is_new() && again.id() == holder);
    assert_eq!(rows(db.pool()).await, (1, 0, 0));
}

#[tokio::test]
async fn what_it_has_enqueued_keeps_its_parent_and_its_root() {
    let pool = database().await.pool();
    let family = |job: Ping, ctx: Ctx| async move {
        if job.n > 0 {
            ctx.child(Ping { n: job.n - 1 }).enqueue(ctx.pool()).await?;
        } else {
            ctx.child(Count { n: 0 }).enqueue(ctx.pool()).await?;
        }
        Ok::<_, JobError>(())
    };
    let worker = worker(&pool).handle(family).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let root = Ping { n: 2 }.enqueue(&pool).await.unwrap().id();
    eventually("the last child has run", async || jobs_in(&pool, JobState::Completed).await == 1).await;
    worker.shutdown().await;
    let last: i64 = sqlx::query_scalar("SELECT id FROM haulage.finished_jobs").fetch_one(&pool).await.unwrap();
    let last = job_detail(&pool, JobId(last)).await.unwrap().unwrap();
    assert_eq!(last.root, Some(root));
    assert!(last.parent.is_some_and(|parent| parent != root));
}

/// Writes an effect that commits with the completion, and tells whether that was said to have worked.
async fn start(through: &PgPool, said: &Log, faults: Option<Arc<Faults>>) -> haulage::WorkerHandle {
    let said = said.clone();
    let handler = move |job: Ping, ctx: Ctx| {
        let (said, faults) = (said.clone(), faults.clone());
        async move {
            let mut tx = ctx.begin().await?;
            sqlx::query("INSERT INTO effects VALUES ($1)").bind(job.n).execute(&mut *tx).await?;
            if let Some(faults) = faults {
                faults.swallow_commits(1);
            }
            let answer: Result<Outcome, JobError> = ctx.complete(tx).await;
            said.add(answer.as_ref().map_or_else(|error| error.message(), |_| "committed".into()));
            answer
        }
    };
    worker(through).handle(handler).build().unwrap().start().await.unwrap()
}

#[tokio::test]
async fn its_effects_commit_with_the_completion_also_when_the_commits_answer_is_lost() {
    let pool = database().await.pool();
    sqlx::query("CREATE TABLE effects (n bigint)").execute(&pool).await.unwrap();
    let (through, faults) = through_relay(&pool).await;
    for (n, faults) in [(1, None), (2, Some(faults))] {
        let said = Log::default();
        let worker = start(&through, &said, faults).await;
        Ping { n }.enqueue(&pool).await.unwrap();
        eventually("its handler has been answered", async || said.len() > 0).await;
        eventually("nothing is left of it", async || rows(&pool).await == (0, 0, 0)).await;
        worker.shutdown().await;
        assert_eq!(said.entries(), ["committed"], "the row is gone: nobody else had it");
    }
    let effects: Vec<i64> = sqlx::query_scalar("SELECT n FROM effects ORDER BY n").fetch_all(&pool).await.unwrap();
    assert_eq!(effects, [1, 2]);
    let attempts: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.attempts").fetch_one(&pool).await.unwrap();
    assert_eq!(attempts, 0, "no attempt was taken for a failed one");
}

#[tokio::test]
async fn an_attempt_that_lost_its_lease_does_not_take_the_row_away() {
    let pool = database().await.pool();
    let started = Arc::new(AtomicI64::new(0));
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (begin, held) = (started.clone(), gate.clone());
    let worker = worker(&pool)
        .handle(move |_: Ping| {
            let (begin, held) = (begin.clone(), held.clone());
            async move {
                begin.fetch_add(1, Ordering::AcqRel);
                held.acquire().await.unwrap().forget();
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Ping { n: 1 }.enqueue(&pool).await.unwrap().id();
    eventually("it runs", async || started.load(Ordering::Acquire) == 1).await;
    // As if another worker held it now.
    sqlx::query("UPDATE haulage.live_jobs SET lease = 7 WHERE id = $1").bind(id.0).execute(&pool).await.unwrap();
    gate.add_permits(1);
    eventually("the attempt is let go", async || {
        sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM haulage.leases)").fetch_one(&pool).await.unwrap()
    })
    .await;
    worker.shutdown().await;
    wait_for_state(&pool, id, JobState::Running).await;
}

/// An attempt whose COMMIT had no answer and was rolled back was told that it had completed the job, of which a later attempt had died.
#[tokio::test]
async fn a_job_that_has_died_meanwhile_is_not_taken_for_completed() {
    let pool = database().await.pool();
    let (dead, deleted) = (Ping { n: 1 }.enqueue(&pool).await.unwrap().id(), Ping { n: 2 }.enqueue(&pool).await.unwrap().id());
    ana().discard(&pool, dead).await.unwrap();
    ana().delete(&pool, deleted).await.unwrap();
    for (id, what) in [(dead, Unsettled::Lost), (deleted, Unsettled::Gone)] {
        let attempt = Settled { id, lease: 7 };
        assert_eq!(store::find_settled(&pool, &[attempt]).await.unwrap(), [(attempt, what)]);
    }
}
