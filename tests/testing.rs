//! The helpers for an application's own tests: what was enqueued, and running jobs inside the test.

use std::{panic::AssertUnwindSafe, process::Command, time::Duration};

use futures_util::FutureExt;
use haulage::{
    Ctx, FromRef, Job, JobError, JobId, JobState, Limit, OnConflict, Outcome, Priority, State, Unique, Worker, enqueue_all, job,
    job_detail,
    testing::{Database, DrainError, Ended, assert_enqueued, assert_not_enqueued, jobs_of, only_job},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::{Count, Log, ana, database, jobs_in};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Welcome {
    user: i64,
}

impl Job for Welcome {
    const KIND: &'static str = "welcome";
    const KIND_ALIASES: &'static [&'static str] = &["hello"];
    const QUEUE: &'static str = "mail";

    fn unique(&self) -> Option<Unique> {
        Some(Unique::by(self.user).on_conflict(OnConflict::Keep))
    }
}

/// What a check that fails says.
async fn says<R>(check: impl Future<Output = R>) -> String {
    match AssertUnwindSafe(check).catch_unwind().await {
        Ok(_) => panic!("the check should have failed"),
        Err(payload) => payload.downcast_ref::<String>().unwrap().clone(),
    }
}

#[tokio::test]
async fn the_only_job_of_a_kind_is_found_wherever_it_stands_also_inside_a_transaction() {
    let db = Database::new().await.unwrap();
    let mut tx = db.pool().begin().await.unwrap();
    let id = Welcome { user: 7 }.with().tag("new").meta(json!({ "a": 1 })).priority(Priority::Low).enqueue(&mut *tx).await.unwrap().id();
    let found = only_job::<Welcome>(&mut *tx).await;
    assert_eq!((found.id, found.args, found.queue.as_str(), found.state), (id, Welcome { user: 7 }, "mail", JobState::Available));
    assert_eq!((found.priority, found.tags, found.meta), (Priority::Low, vec!["new".to_owned()], Some(json!({ "a": 1 }))));
    assert!(jobs_of::<Welcome>(db.pool()).await.is_empty());
    tx.commit().await.unwrap();

    haulage::cancel(db.pool(), id, "not wanted").await.unwrap();
    let found = only_job::<Welcome>(db.pool()).await;
    assert_eq!((found.id, found.state, found.error.as_deref()), (id, JobState::Cancelled, Some("not wanted")));

    // A job of its former kind is one of this kind.
    sqlx::query("SELECT haulage.enqueue('hello', '{\"user\": 8}')").execute(db.pool()).await.unwrap();
    let users: Vec<i64> = jobs_of::<Welcome>(db.pool()).await.into_iter().map(|job| job.args.user).collect();
    assert_eq!(users, [7, 8]);
}

#[tokio::test]
async fn checks_by_kind_and_predicate_hold_or_tell_what_is_there_instead() {
    let db = Database::new().await.unwrap();
    let said = says(only_job::<Welcome>(db.pool())).await;
    assert_eq!(said, "expected one job of the kind \"welcome\", found 0\nthere is no job of another kind");

    let one = Welcome { user: 1 }.enqueue(db.pool()).await.unwrap().id();
    let two = Welcome { user: 2 }.with().delay(Duration::from_secs(3_600)).enqueue(db.pool()).await.unwrap().id();
    let other = Count { n: 5 }.enqueue(db.pool()).await.unwrap().id();
    assert_eq!(assert_enqueued::<Welcome>(db.pool(), |job| job.args.user == 2 && job.state == JobState::Scheduled).await.id, two);
    assert_enqueued::<Count>(db.pool(), |_| true).await;
    assert_not_enqueued::<Welcome>(db.pool(), |job| job.args.user == 3).await;

    let said = says(only_job::<Welcome>(db.pool())).await;
    let first = format!(
        "expected one job of the kind \"welcome\", found 2\n  {one} welcome available in \"mail\": {{\"user\": 1}}\n  {two} welcome scheduled in \"mail\" for "
    );
    let last = format!(" UTC: {{\"user\": 2}}\njobs of other kinds:\n  {other} count available in \"default\": {{\"n\": 5}}");
    assert!(said.starts_with(&first) && said.ends_with(&last), "{said}");
    let said = says(assert_enqueued::<Welcome>(db.pool(), |job| job.args.user == 3)).await;
    assert!(
        said.starts_with("expected a job of the kind \"welcome\" for which the predicate holds, found 2 for which it does not\n"),
        "{said}"
    );
    let said = says(assert_not_enqueued::<Welcome>(db.pool(), |job| job.args.user == 1)).await;
    assert!(
        said.starts_with(&format!("expected no job of the kind \"welcome\" for which the predicate holds, found the job {one}\n")),
        "{said}"
    );

    sqlx::query("SELECT haulage.enqueue('welcome', '{\"name\": \"Zoe\"}')").execute(db.pool()).await.unwrap();
    let said = says(jobs_of::<Welcome>(db.pool())).await;
    assert!(said.contains("do not parse as \"welcome\": missing field `user`") && said.contains("{\"name\": \"Zoe\"}"), "{said}");
    let said = says(only_job::<Count>(Database::empty().await.unwrap().pool())).await;
    assert!(said.starts_with("the jobs could not be read: "), "{said}");
}

/// Run by the test below in a process of its own, where it fails.
#[tokio::test]
#[ignore = "fails on purpose"]
async fn a_check_that_fails() {
    let db = Database::new().await.unwrap();
    only_job::<Welcome>(db.pool()).await; // the line that the panic names
}

#[tokio::test]
async fn a_panic_names_the_line_of_the_test() {
    let db = Database::empty().await.unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "testing::a_check_that_fails"])
        .env("DATABASE_URL", db.url())
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let line = 1 + include_str!("testing.rs").lines().position(|line| line.contains("the line that the panic names")).unwrap();
    assert!(said.contains(&format!("panicked at tests/testing.rs:{line}:")), "{said}");
}

#[derive(Clone)]
struct App {
    log: Log,
}

impl FromRef<App> for Log {
    fn from_ref(app: &App) -> Self {
        app.log.clone()
    }
}

/// What `Count` does by its number.
async fn count(job: Count, ctx: Ctx, State(log): State<Log>) -> Result<Outcome, JobError> {
    log.add(format!("{} attempt {}", job.n, ctx.attempt()));
    match job.n {
        1 if ctx.attempt() < 3 => Err(JobError::from("not yet")),
        2 => Err(JobError::fatal("never")),
        3 => Ok(Outcome::Snooze(Duration::from_secs(60))),
        4 => Ok(Outcome::Cancel("changed my mind".into())),
        5 => panic!("five"),
        6 => {
            ctx.child(Count { n: 0 }).enqueue(ctx.pool()).await?;
            ctx.progress(50, "halfway");
            Ok(Outcome::Done)
        }
        7 => {
            let mut tx = ctx.begin().await?;
            sqlx::query("CREATE TABLE seven ()").execute(&mut *tx).await?;
            ctx.set_output(&"committed")?;
            ctx.complete(tx).await
        }
        8 => {
            ctx.cancelled().await;
            Err(JobError::from("told to stop"))
        }
        _ => Ok(Outcome::Done),
    }
}

fn welcome(job: Welcome, State(log): State<Log>) {
    log.add(format!("welcome {}", job.user));
}

fn worker(db: &Database, log: &Log) -> Worker {
    let dead = log.clone();
    Worker::builder(db.pool().clone())
        .state(App { log: log.clone() })
        .queue("default", 10)
        .queue("mail", 1)
        .handle(count)
        .handle_blocking(welcome)
        .on_dead(move |job| {
            dead.add(format!("{} died: {}", job.id, job.error));
            async {}
        })
        .build()
        .unwrap()
}

async fn left_of_the_worker(db: &Database) -> i64 {
    sqlx::query_scalar("SELECT (SELECT count(*) FROM haulage.leases) + (SELECT count(*) FROM haulage.workers)")
        .fetch_one(db.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_drain_runs_what_is_available_one_after_the_other_until_nothing_is_left() {
    let db = Database::new().await.unwrap();
    let log = Log::default();
    let mut worker = worker(&db, &log);
    assert_eq!(worker.drain().await.unwrap().to_string(), "nothing ran");
    Count { n: 0 }.with().queue("mial").enqueue(db.pool()).await.unwrap();
    let nothing = worker.drain().await.unwrap();
    let said = says(async { nothing.assert_completed() }).await;
    assert!(said.contains("nothing ran") && said.contains(r#"it does not take 1 of "count" in "mial""#), "{said}");

    Welcome { user: 1 }.enqueue(db.pool()).await.unwrap();
    let mut ids = Vec::new();
    for n in [6, 0, 7] {
        ids.push(Count { n }.enqueue(db.pool()).await.unwrap().id());
    }
    let urgent = Count { n: 9 }.with().priority(Priority::Urgent).enqueue(db.pool()).await.unwrap().id();
    let later = Count { n: 0 }.with().delay(Duration::from_secs(3_600)).enqueue(db.pool()).await.unwrap().id();
    let elsewhere = Count { n: 0 }.with().queue("elsewhere").enqueue(db.pool()).await.unwrap().id();

    let drained = worker.drain().await.unwrap();
    assert_eq!(drained.assert_completed(), 6);
    assert_eq!(log.entries(), ["9 attempt 1", "6 attempt 1", "0 attempt 1", "7 attempt 1", "0 attempt 1", "welcome 1"]);
    assert_eq!(drained.attempts()[0].id, urgent);
    assert_eq!(drained.of(ids[2]).next().unwrap().output_as::<String>().unwrap().as_deref(), Some("committed"));
    sqlx::query("SELECT FROM seven").execute(db.pool()).await.unwrap();
    for (id, state) in [(ids[0], JobState::Completed), (later, JobState::Scheduled), (elsewhere, JobState::Available)] {
        assert_eq!(job(db.pool(), id).await.unwrap().unwrap().state, state);
    }
    let child = job_detail(db.pool(), drained.attempts()[4].id).await.unwrap().unwrap();
    assert_eq!(child.parent, Some(ids[0]));
    assert_eq!(left_of_the_worker(&db).await, 0);
}

#[tokio::test]
async fn a_drain_tells_how_each_attempt_ended_and_leaves_retries_for_later() {
    let db = Database::new().await.unwrap();
    let log = Log::default();
    let mut worker = worker(&db, &log);
    let mut ids = Vec::new();
    for n in 1..=5 {
        ids.push(Count { n }.enqueue(db.pool()).await.unwrap().id());
    }
    let timed = Count { n: 8 }.with().timeout(Duration::from_millis(20)).max_attempts(1).enqueue(db.pool()).await.unwrap().id();

    let drained = worker.drain().await.unwrap();
    assert_eq!((drained.completed(), drained.failed(), drained.dead(), drained.snoozed(), drained.cancelled()), (0, 2, 2, 1, 1));
    let ended = |id: JobId| drained.of(id).next().unwrap().ended.clone();
    assert!(matches!(ended(ids[0]), Ended::Failed { error, retry_in } if error == "not yet" && retry_in > Duration::from_secs(10)));
    assert_eq!(ended(ids[1]), Ended::Dead { error: "never".into() });
    assert_eq!(ended(ids[2]), Ended::Snoozed(Duration::from_secs(60)));
    assert_eq!(ended(ids[3]), Ended::Cancelled { reason: "changed my mind".into() });
    assert!(matches!(ended(ids[4]), Ended::Failed { error, .. } if error.contains("five") && error.contains("tests/testing.rs:")));
    assert!(drained.of(timed).next().unwrap().error().unwrap().starts_with("timed out after 20ms"));
    // The hook has run when the drain returns, and the database says the same as the report.
    assert!(log.entries().contains(&format!("{} died: never", ids[1])));
    assert_eq!(only_count(&db, ids[0]).await, (JobState::Scheduled, 1, Some("not yet".into())));
    assert_eq!(only_count(&db, ids[1]).await, (JobState::Dead, 1, Some("never".into())));

    let said = says(async { drained.assert_completed() }).await;
    assert!(said.contains("0 of 6 did") && said.contains(&format!("job {} count attempt 1: dead: never", ids[1])), "{said}");
    assert!(worker.drain().await.unwrap().attempts().is_empty(), "retries and snoozes are not due");
}

async fn only_count(db: &Database, id: JobId) -> (JobState, i16, Option<String>) {
    let status = job(db.pool(), id).await.unwrap().unwrap();
    (status.state, status.failures, status.error)
}

#[tokio::test]
async fn a_drain_with_scheduled_goes_on_in_the_order_of_time_until_every_job_has_ended() {
    let db = Database::new().await.unwrap();
    let log = Log::default();
    let mut worker = worker(&db, &log);
    let tomorrow = Count { n: 0 }.with().delay(Duration::from_secs(86_400)).enqueue(db.pool()).await.unwrap().id();
    let retried = Count { n: 1 }.enqueue(db.pool()).await.unwrap().id();
    let dies = Count { n: 5 }.with().max_attempts(2).enqueue(db.pool()).await.unwrap().id();

    let drained = worker.drain().with_scheduled().await.unwrap();
    assert_eq!((drained.completed(), drained.failed(), drained.dead()), (2, 3, 1));
    assert_eq!(drained.of(retried).map(|ran| ran.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(drained.of(dies).last().unwrap().is_dead());
    assert_eq!(drained.attempts().last().unwrap().id, tomorrow);
    let status = job(db.pool(), tomorrow).await.unwrap().unwrap();
    assert!(status.run_at > status.finished_at.unwrap(), "its time is still told");
    assert_eq!(left_of_the_worker(&db).await, 0);
}

#[tokio::test]
async fn a_drain_of_jobs_that_never_end_is_stopped_with_an_error() {
    let db = Database::new().await.unwrap();
    let mut worker = worker(&db, &Log::default());
    let id = Count { n: 3 }.enqueue(db.pool()).await.unwrap().id();
    let error = worker.drain().with_scheduled().await.unwrap_err();
    assert!(matches!(error, DrainError::Endless { attempts: 100, .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("job {id} count attempt 100: snoozed for 60.0s")), "{error}");
    assert_eq!(left_of_the_worker(&db).await, 0);
}

#[tokio::test]
async fn one_job_is_performed_with_its_extractors_and_everything_else_is_left_alone() {
    let db = Database::new().await.unwrap();
    let log = Log::default();
    let mut worker = worker(&db, &log);
    let waiting = Count { n: 0 }.enqueue(db.pool()).await.unwrap().id();

    assert_eq!(worker.perform(Count { n: 1 }).await.unwrap().error(), Some("not yet"));
    assert!(worker.perform(Count { n: 1 }.with().max_attempts(1)).await.unwrap().is_dead());
    let ran = worker.perform(Count { n: 7 }.with().delay(Duration::from_secs(60))).await.unwrap();
    assert!(ran.is_completed(), "{ran}");
    assert!(worker.perform(Welcome { user: 1 }).await.unwrap().is_completed());
    assert!(worker.perform(Count { n: 6 }).await.unwrap().is_completed());
    assert_enqueued::<Count>(db.pool(), |job| job.args.n == 0 && job.id > ran.id && job.state == JobState::Available).await;
    assert_eq!(job(db.pool(), waiting).await.unwrap().unwrap().attempt, 0);

    assert!(worker.work_one(waiting).await.unwrap().is_completed());
    let error = worker.work_one(waiting).await.unwrap_err();
    assert_eq!(error.to_string(), format!("the job {waiting} can't run: it is completed"));
    assert!(matches!(worker.work_one(JobId(999_999)).await, Err(DrainError::NotFound { .. })));
    assert_eq!(left_of_the_worker(&db).await, 0);
}

#[tokio::test]
async fn what_can_not_be_performed_is_told_by_an_error() {
    #[derive(Serialize, Deserialize)]
    struct Unknown;
    impl Job for Unknown {
        const KIND: &'static str = "unknown";
    }
    let db = Database::new().await.unwrap();
    let mut worker = worker(&db, &Log::default());
    assert!(matches!(worker.perform(Unknown).await, Err(DrainError::NoHandler { kind }) if kind == "unknown"));
    let unknown = Unknown.enqueue(db.pool()).await.unwrap().id();
    assert!(matches!(worker.work_one(unknown).await, Err(DrainError::NoHandler { .. })));

    let holder = Welcome { user: 1 }.enqueue(db.pool()).await.unwrap().id();
    assert!(matches!(worker.perform(Welcome { user: 1 }).await, Err(DrainError::Held { job }) if job == holder));
    assert!(worker.work_one(holder).await.unwrap().is_completed());

    let empty = Database::empty().await.unwrap();
    let error = self::worker(&empty, &Log::default()).drain().await.unwrap_err();
    assert!(matches!(error, DrainError::Schema(_)), "{error:?}");
}

#[tokio::test]
async fn a_worker_that_was_drained_can_still_be_started() {
    let db = Database::new().await.unwrap();
    let mut worker = worker(&db, &Log::default());
    Count { n: 0 }.enqueue(db.pool()).await.unwrap();
    worker.drain().await.unwrap().assert_completed();
    let id = Count { n: 0 }.enqueue(db.pool()).await.unwrap().id();
    let handle = worker.start().await.unwrap();
    crate::support::wait_for_state(db.pool(), id, JobState::Completed).await;
    handle.shutdown().await;
}

#[tokio::test]
async fn a_drain_runs_what_waits_for_its_key_or_for_its_queue_one_after_the_other() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "k", Limit::running(1)).await.unwrap();
    ana().limit_queue(&pool, "default", Limit::running(1)).await.unwrap();
    enqueue_all(&pool, (0..5).map(|n| Count { n }.with().limit_key("k"))).await.unwrap();
    enqueue_all(&pool, (5..8).map(|n| Count { n })).await.unwrap();
    let mut worker = Worker::builder(pool.clone()).queue("default", 5).handle(|_: Count| async {}).build().unwrap();
    worker.drain().await.unwrap();
    assert_eq!(jobs_in(&pool, JobState::Completed).await, 8);
}
