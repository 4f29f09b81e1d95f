//! What a handler decides, and what becomes of the job: done, snooze, retry, fatal, cancel, panic, timeout.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use haulage::{Ctx, Job, JobDetail, JobError, JobId, JobState, Outcome, job, job_detail};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::support::{Count, Log, database, eventually, through_relay, wait_for_state, worker};

/// Enqueues one job, runs it to the state, returns its story.
async fn story<F, Fut>(pool: &PgPool, job: haulage::Enqueue<Count>, handler: F, state: JobState) -> JobDetail
where
    F: Fn(Count, Ctx) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, JobError>> + Send + 'static,
{
    let id = job.enqueue(pool).await.unwrap().id();
    let worker = worker(pool).handle(handler).build().unwrap().start().await.unwrap();
    wait_for_state(pool, id, state).await;
    worker.shutdown().await;
    job_detail(pool, id).await.unwrap().unwrap()
}

fn outcomes(detail: &JobDetail) -> Vec<(&str, &str)> {
    detail.attempts.iter().map(|attempt| (attempt.outcome.as_str(), attempt.message.as_deref().unwrap_or_default())).collect()
}

#[tokio::test]
async fn a_failed_attempt_is_retried_with_backoff_and_remembered() {
    let pool = database().await.pool();
    let handler = |_: Count, ctx: Ctx| async move {
        if ctx.attempt() < 3 { Err(format!("attempt {}", ctx.attempt()).into()) } else { Ok(Outcome::Done) }
    };
    let detail = story(&pool, Count { n: 1 }.with(), handler, JobState::Completed).await;
    assert_eq!((detail.status.attempt, detail.status.failures), (3, 2));
    assert_eq!(outcomes(&detail), [("failed", "attempt 1"), ("failed", "attempt 2")]);
    assert!(
        detail.attempts.iter().all(|attempt| attempt.next_run_at.is_some() && attempt.started_at.is_some() && attempt.worker.is_some())
    );
}

#[tokio::test]
async fn failures_used_up_bury_the_job_and_call_the_hook() {
    let pool = database().await.pool();
    let (log, hook) = (Log::default(), Log::default());
    let (ran, dead) = (log.clone(), hook.clone());
    let worker = worker(&pool)
        .handle(move |_: Count, ctx: Ctx| {
            ran.add(format!("{} last: {}", ctx.attempt(), ctx.is_last_attempt()));
            async { Err::<(), _>(std::io::Error::other("no luck")) }
        })
        .on_dead(move |job| {
            dead.add(format!("{} {} {} {}", job.kind, job.attempt, job.failures, job.error));
            async {}
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.with().max_attempts(3).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Dead).await;
    eventually("the hook is called", async || hook.len() == 1).await;
    worker.shutdown().await;
    assert_eq!(log.entries(), ["1 last: false", "2 last: false", "3 last: true"]);
    assert_eq!(hook.entries(), ["count 3 3 no luck"]);
    let detail = job_detail(&pool, id).await.unwrap().unwrap();
    assert_eq!((detail.status.failures, detail.status.error.as_deref()), (3, Some("no luck")));
    assert_eq!(detail.attempts.len(), 3);
    assert!(detail.attempts[2].next_run_at.is_none());
    assert_eq!(detail.attempts[0].error_class.as_deref(), Some("std::io::error::Error"));
}

#[tokio::test]
async fn a_snooze_counts_as_no_failure_however_often() {
    let pool = database().await.pool();
    let handler =
        |_: Count, ctx: Ctx| async move { Ok(if ctx.attempt() < 5 { Outcome::Snooze(Duration::from_millis(5)) } else { Outcome::Done }) };
    let detail = story(&pool, Count { n: 1 }.with().max_attempts(1), handler, JobState::Completed).await;
    assert_eq!((detail.status.attempt, detail.status.failures, detail.attempts.len()), (5, 0, 4));
    assert_eq!(detail.attempts[0].outcome, "snoozed");
}

#[tokio::test]
async fn retry_after_waits_as_asked_and_counts_as_a_failure() {
    let pool = database().await.pool();
    let handler = |_: Count, _: Ctx| async { Err(JobError::retry_after(Duration::from_secs(3_600), "busy")) };
    let detail = story(&pool, Count { n: 1 }.with(), handler, JobState::Scheduled).await;
    assert_eq!((detail.status.failures, outcomes(&detail)), (1, vec![("failed", "busy")]));
    let wait = detail.status.run_at - detail.attempts[0].ended_at;
    assert!((3_599..=3_601).contains(&wait.num_seconds()), "{wait}");

    let pool = database().await.pool();
    let handler = |_: Count, _: Ctx| async { Err(JobError::retry_after(Duration::from_secs(3_600), "busy")) };
    let detail = story(&pool, Count { n: 1 }.with().max_attempts(1), handler, JobState::Dead).await;
    assert_eq!(detail.status.failures, 1, "retry_after is bounded by max_attempts");
}

#[tokio::test]
async fn a_fatal_error_is_not_retried() {
    let pool = database().await.pool();
    let handler = |_: Count, _: Ctx| async { Err(JobError::fatal("no such customer")) };
    let detail = story(&pool, Count { n: 1 }.with(), handler, JobState::Dead).await;
    assert_eq!((detail.status.attempt, detail.status.error.as_deref()), (1, Some("no such customer")));
}

#[tokio::test]
async fn a_handler_can_cancel_its_job() {
    let pool = database().await.pool();
    let handler = |_: Count, _: Ctx| async { Ok(Outcome::Cancel("not needed any more".into())) };
    let detail = story(&pool, Count { n: 1 }.with(), handler, JobState::Cancelled).await;
    assert_eq!((detail.status.failures, detail.status.error.as_deref()), (0, Some("not needed any more")));
}

#[tokio::test]
async fn a_panic_fails_the_attempt_with_its_message_and_place() {
    let pool = database().await.pool();
    let handler = |_: Count, ctx: Ctx| async move {
        assert!(ctx.attempt() > 1, "boom {}", 42);
        Ok(Outcome::Done)
    };
    let detail = story(&pool, Count { n: 1 }.with(), handler, JobState::Completed).await;
    assert_eq!(detail.attempts[0].outcome, "panicked");
    let message = detail.attempts[0].message.as_deref().unwrap();
    assert!(message.contains("boom 42") && message.contains("tests/outcomes.rs:"), "{message}");
}

#[tokio::test]
async fn an_attempt_over_its_timeout_fails_and_is_dropped() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let pool = database().await.pool();
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = dropped.clone();
    let handler = move |_: Count, ctx: Ctx| {
        let guard = guard.clone();
        async move {
            if ctx.attempt() == 1 {
                let _guard = Dropped(guard);
                ctx.cancelled().await;
                return Err("told to stop".into());
            }
            Ok(Outcome::Done)
        }
    };
    let detail = story(&pool, Count { n: 1 }.with().timeout(Duration::from_millis(50)), handler, JobState::Completed).await;
    assert_eq!(detail.attempts[0].outcome, "timed out");
    assert!(detail.attempts[0].message.as_deref().unwrap().contains("50ms"));
    assert!(dropped.load(Ordering::Acquire));
}

#[tokio::test]
async fn what_an_attempt_does_after_it_was_told_to_stop_is_part_of_its_time() {
    let pool = database().await.pool();
    let handler = |_: Count, ctx: Ctx| async move {
        if ctx.attempt() > 1 {
            return Ok(Outcome::Done);
        }
        ctx.cancelled().await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        Err("cleaned up".into())
    };
    let detail = story(&pool, Count { n: 1 }.with().timeout(Duration::from_millis(50)), handler, JobState::Completed).await;
    let attempt = &detail.attempts[0];
    let ran = attempt.ended_at - attempt.started_at.unwrap();
    assert!(attempt.outcome == "timed out" && ran.num_milliseconds() >= 450, "{attempt:?}");
}

#[tokio::test]
async fn sources_of_an_error_are_in_its_message() {
    let pool = database().await.pool();
    let handler = |_: Count, _: Ctx| async {
        let error = anyhow::anyhow!("connection refused").context("could not send the mail");
        Err(JobError::from(error))
    };
    let detail = story(&pool, Count { n: 1 }.with().max_attempts(1), handler, JobState::Dead).await;
    assert_eq!(detail.status.error.as_deref(), Some("could not send the mail: connection refused"));
}

#[tokio::test]
async fn effects_and_completion_commit_together_or_not_at_all() {
    let pool = database().await.pool();
    sqlx::query("CREATE TABLE effects (n bigint)").execute(&pool).await.unwrap();
    let handler = |job: Count, ctx: Ctx| async move {
        let mut tx = ctx.begin().await?;
        sqlx::query("INSERT INTO effects VALUES ($1)").bind(job.n).execute(&mut *tx).await?;
        if ctx.attempt() == 1 {
            return Err("after the effect, before the completion".into());
        }
        ctx.set_output(&serde_json::json!({"rows": 1}))?;
        ctx.complete(tx).await
    };
    let detail = story(&pool, Count { n: 9 }.with(), handler, JobState::Completed).await;
    let effects: Vec<i64> = sqlx::query_scalar("SELECT n FROM effects").fetch_all(&pool).await.unwrap();
    assert_eq!(effects, [9]);
    assert_eq!((detail.status.attempt, detail.status.output), (2, Some(serde_json::json!({"rows": 1}))));
}

#[tokio::test]
async fn an_error_after_the_completion_changes_nothing() {
    let pool = database().await.pool();
    let handler = |_: Count, ctx: Ctx| async move {
        let tx = ctx.begin().await?;
        ctx.complete(tx).await?;
        Err("too late".into())
    };
    let detail = story(&pool, Count { n: 1 }.with(), handler, JobState::Completed).await;
    assert_eq!((detail.status.attempt, detail.attempts.len()), (1, 0));
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_in_the_history() {
    let pool = database().await.pool();
    sqlx::query("CREATE TABLE effects (n bigint)").execute(&pool).await.unwrap();
    let (through, faults) = through_relay(&pool).await;
    let handler = move |job: Count, ctx: Ctx| {
        let faults = faults.clone();
        async move {
            let mut tx = ctx.begin().await?;
            sqlx::query("INSERT INTO effects VALUES ($1)").bind(job.n).execute(&mut *tx).await?;
            faults.swallow_commits(1);
            ctx.complete(tx).await
        }
    };
    let detail = story(&through, Count { n: 9 }.with(), handler, JobState::Completed).await;
    let effects: Vec<i64> = sqlx::query_scalar("SELECT n FROM effects").fetch_all(&pool).await.unwrap();
    assert_eq!((effects, detail.status.attempt, detail.attempts.len()), (vec![9], 1, 0));
}

#[tokio::test]
async fn an_idle_transaction_of_a_handler_is_ended_and_the_applications_setting_is_untouched() {
    let pool = database().await.pool();
    let handler = |_: Count, ctx: Ctx| async move {
        let mut tx = ctx.begin().await?;
        let limit: String = sqlx::query_scalar("SHOW idle_in_transaction_session_timeout").fetch_one(&mut *tx).await?;
        let mut connection = tx;
        sqlx::query("ROLLBACK").execute(&mut *connection).await?;
        let after: String = sqlx::query_scalar("SHOW idle_in_transaction_session_timeout").fetch_one(&mut *connection).await?;
        ctx.set_output(&[limit, after])?;
        Ok(Outcome::Done)
    };
    let detail = story(&pool, Count { n: 1 }.with(), handler, JobState::Completed).await;
    assert_eq!(detail.status.output, Some(serde_json::json!(["1500ms", "0"])));
}

#[tokio::test]
async fn progress_shows_while_the_job_runs() {
    let pool = database().await.pool();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let held = gate.clone();
    let worker = worker(&pool)
        .handle(move |_: Count, ctx: Ctx| {
            let gate = held.clone();
            async move {
                ctx.progress(10, "started");
                ctx.progress(40, "4 of 10 pages");
                gate.acquire().await.unwrap().forget();
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    eventually("the progress is stored", async || {
        job(&pool, id)
            .await
            .unwrap()
            .unwrap()
            .progress
            .is_some_and(|progress| progress.percent == 40 && progress.message.as_deref() == Some("4 of 10 pages"))
    })
    .await;
    gate.add_permits(1);
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
}

#[derive(Serialize, Deserialize)]
struct Parent;

impl Job for Parent {
    const KIND: &'static str = "parent";
}

#[tokio::test]
async fn a_child_remembers_its_parent_and_its_family() {
    let pool = database().await.pool();
    let worker = worker(&pool)
        .handle(|_: Parent, ctx: Ctx| async move {
            let id = ctx.child(Count { n: 2 }).enqueue(ctx.pool()).await?.id();
            ctx.set_output(&id)?;
            Ok::<_, JobError>(())
        })
        .handle(|job: Count, ctx: Ctx| async move {
            if job.n > 0 {
                let mut tx = ctx.begin().await?;
                ctx.child(Count { n: job.n - 1 }).enqueue(&mut *tx).await?;
                return ctx.complete(tx).await;
            }
            Ok::<_, JobError>(Outcome::Done)
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let root = Parent.enqueue(&pool).await.unwrap().id();
    let family = async || -> Vec<(i64, Option<i64>)> {
        sqlx::query_as("SELECT id, parent_id FROM haulage.jobs WHERE root_id = $1 AND state = 'completed' ORDER BY id")
            .bind(root.0)
            .fetch_all(&pool)
            .await
            .unwrap()
    };
    eventually("the family is complete", async || family().await.len() == 3).await;
    worker.shutdown().await;
    let family = family().await;
    assert_eq!(family.iter().map(|(_, parent)| *parent).collect::<Vec<_>>(), [Some(root.0), Some(family[0].0), Some(family[1].0)]);
    let output: Option<JobId> = job(&pool, root).await.unwrap().unwrap().output_as().unwrap();
    assert_eq!(output, Some(JobId(family[0].0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocking_handlers_run_on_threads_of_their_own_as_many_as_there_are_cores() {
    let pool = database().await.pool();
    let (now, most) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let (counter, peak) = (now.clone(), most.clone());
    let worker = worker(&pool)
        .handle_blocking(move |job: Count, ctx: Ctx| {
            peak.fetch_max(counter.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            counter.fetch_sub(1, Ordering::SeqCst);
            if job.n == 0 && ctx.attempt() == 1 {
                panic!("on a blocking thread");
            }
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let ids: Vec<_> = haulage::enqueue_all(&pool, (0..12).map(|n| Count { n })).await.unwrap().into_iter().map(|job| job.id()).collect();
    for id in &ids {
        wait_for_state(&pool, *id, JobState::Completed).await;
    }
    worker.shutdown().await;
    let cores = i64::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    assert!((1..=cores).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    let detail = job_detail(&pool, ids[0]).await.unwrap().unwrap();
    assert_eq!(detail.attempts[0].outcome, "panicked");
    assert!(detail.attempts[0].message.as_deref().unwrap().contains("tests/outcomes.rs:"));
}

#[tokio::test]
async fn a_panic_in_the_hook_the_backoff_an_error_text_or_a_destructor_costs_nothing_but_its_own_job() {
    #[derive(Debug)]
    struct Mute;
    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("this error can't be shown")
        }
    }
    impl std::error::Error for Mute {}
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("while it is dropped")
        }
    }

    let pool = database().await.pool();
    let worker = haulage::Worker::builder(pool.clone())
        .queue("default", 1)
        .handle(|job: Count, ctx: Ctx| async move {
            match job.n {
                0 => Err(JobError::fatal("calls the hook")),
                1 if ctx.attempt() == 1 => Err(JobError::from("calls the backoff")),
                2 => Err(JobError::fatal(Mute)),
                3 => {
                    let _bomb = Bomb;
                    std::future::pending::<()>().await;
                    Ok(())
                }
                _ => Ok(()),
            }
        })
        .backoff(|_| panic!("in the backoff"))
        .on_dead(|dead| {
            assert_ne!(dead.error, "calls the hook", "in the hook");
            async {}
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let mut jobs = Vec::new();
    for (n, state) in [(0, JobState::Dead), (1, JobState::Scheduled), (2, JobState::Dead), (3, JobState::Dead), (4, JobState::Completed)] {
        let job = Count { n }.with().timeout(Duration::from_millis(50)).max_attempts(if n == 1 { 5 } else { 1 });
        jobs.push((job.enqueue(&pool).await.unwrap().id(), state));
    }
    for (id, state) in jobs {
        wait_for_state(&pool, id, state).await;
    }
    worker.shutdown().await;
    let left: i64 = sqlx::query_scalar("SELECT (SELECT count(*) FROM haulage.leases) + (SELECT count(*) FROM haulage.workers)")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_job_that_is_retried_shows_its_last_error() {
    let pool = database().await.pool();
    let handler = |_: Count, _: Ctx| async { Err(JobError::retry_after(Duration::from_secs(60), "the partner is down")) };
    let detail = story(&pool, Count { n: 1 }.with(), handler, JobState::Scheduled).await;
    assert_eq!(detail.status.error.as_deref(), Some("the partner is down"));
    let listed = haulage::list_jobs(&pool, &haulage::JobFilter::new()).await.unwrap();
    assert_eq!(listed[0].error.as_deref(), Some("the partner is down"));
}

#[tokio::test]
async fn a_completion_in_a_transaction_is_dated_when_it_happened() {
    let pool = database().await.pool();
    let handler = |_: Count, ctx: Ctx| async move {
        let tx = ctx.begin().await?;
        tokio::time::sleep(Duration::from_millis(300)).await; // the work
        ctx.complete(tx).await
    };
    let status = story(&pool, Count { n: 1 }.with(), handler, JobState::Completed).await.status;
    let took = status.finished_at.unwrap() - status.claimed_at.unwrap();
    assert!(took >= chrono::TimeDelta::milliseconds(300), "{took}");
}
