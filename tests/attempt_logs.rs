//! What handlers said before they failed, and where long ones are. In the binary of spans, because it takes subscribers of our own.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use haulage::{
    AttemptLog, AttemptLogs, Ctx, Job, JobError, JobId, JobState, KeepLogs, LogLevel, Outcome, attempt_logs, enqueue_all, job_detail,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Row};
use tokio::sync::Notify;
use tracing::{Dispatch, Instrument, dispatcher::DefaultGuard};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{Count, ana, database, eventually, wait_for_state, worker};

/// Stands in args and in what handlers say, and must not be stored with that.
const CANARY: &str = "hunter2-canary";

/// One for all, and kept: with the last subscriber the interest in every span goes.
fn dispatch() -> &'static Dispatch {
    static DISPATCH: OnceLock<Dispatch> = OnceLock::new();
    DISPATCH.get_or_init(|| Dispatch::new(tracing_subscriber::registry().with(AttemptLogs::new().redact(["iban"]).layer())))
}

/// Gathers what this thread logs, which is all that a test does.
fn gather() -> DefaultGuard {
    tracing::dispatcher::set_default(dispatch())
}

/// What it is told to do.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    does: String,
    secret: String,
}

impl Job for Told {
    const KIND: &'static str = "told";
}

fn told(does: &str) -> Told {
    Told { does: does.to_owned(), secret: CANARY.to_owned() }
}

/// Says so when it goes.
struct Held;

impl Drop for Held {
    fn drop(&mut self) {
        tracing::info!("let go");
    }
}

async fn obey(job: Told) -> Result<Outcome, JobError> {
    tracing::info!(does = job.does, n = 3, "begun");
    match job.does.as_str() {
        "fail" => return Err("as it was told".into()),
        "panic" => panic!("as it was told"),
        "hang" => std::future::pending().await,
        "hold" => {
            let _held = Held;
            std::future::pending::<()>().await;
        }
        "cancel" => return Ok(Outcome::Cancel("as it was told".into())),
        "snooze" => return Ok(Outcome::Snooze(Duration::from_secs(3_600))),
        "leak" => {
            tracing::warn!(password = job.secret, user = "ana", "refused");
            tracing::info!(?job, "careless");
            tracing::info!(customer_iban = job.secret, "postgres://shop:{}@db/shop is down", job.secret);
            tracing::error!(header = format!("Authorization: Bearer {}", job.secret), "sent");
            return Err("as it was told".into());
        }
        "talk" => {
            (0..150).for_each(|n| tracing::info!(n, "{}", "said ".repeat(10)));
            return Err("as it was told".into());
        }
        _ => {}
    }
    Ok(Outcome::Done)
}

async fn logs(pool: &PgPool, id: JobId) -> Vec<AttemptLog> {
    attempt_logs(pool, &[id]).await.unwrap()
}

/// Waits until an attempt's logs are stored.
async fn logged(pool: &PgPool, id: JobId) -> AttemptLog {
    eventually("the logs are stored", async || !logs(pool, id).await.is_empty()).await;
    logs(pool, id).await.remove(0)
}

#[tokio::test]
async fn an_attempt_that_fails_panics_times_out_or_is_cancelled_leaves_its_last_lines_and_others_leave_none() {
    let _gather = gather();
    let pool = database().await.pool();
    let worker = worker(&pool).handle(obey).build().unwrap().start().await.unwrap();
    let mut ids = Vec::new();
    for (does, outcome) in [("fail", "failed"), ("panic", "panicked"), ("hang", "timed out"), ("cancel", "cancelled")] {
        let job = told(does).with().max_attempts(1).timeout(Duration::from_millis(50));
        ids.push((outcome, job.enqueue(&pool).await.unwrap().id()));
    }
    let quiet = [told("succeed").enqueue(&pool).await.unwrap().id(), told("snooze").enqueue(&pool).await.unwrap().id()];
    for (outcome, id) in ids {
        let log = logged(&pool, id).await;
        let detail = job_detail(&pool, id).await.unwrap().unwrap();
        assert_eq!((log.attempt, log.earlier, log.lines.len(), detail.logs.len()), (1, 0, 1, 1), "{outcome}");
        assert_eq!((detail.attempts[0].outcome.as_str(), detail.attempts[0].ended_at), (outcome, log.ended_at));
        let line = &log.lines[0];
        assert_eq!((line.level, line.target.as_str(), line.message.as_str()), (LogLevel::Info, "traces::attempt_logs", "begun"));
        assert_eq!(line.fields["n"], 3);
        let (started, ended) = (detail.attempts[0].claimed_at.unwrap(), log.ended_at);
        // The lines count back from when they were written.
        let within = Duration::from_secs(10);
        assert!(line.at >= started - within && line.at <= ended + within, "{} is not from {started} to {ended}", line.at);
    }
    worker.shutdown().await;
    for id in quiet {
        assert!(logs(&pool, id).await.is_empty());
    }
}

#[tokio::test]
async fn a_handler_that_is_given_up_is_dropped_inside_its_span() {
    let _gather = gather();
    let pool = database().await.pool();
    let worker = worker(&pool).handle(obey).build().unwrap().start().await.unwrap();
    let id = told("hold").with().max_attempts(1).timeout(Duration::from_millis(50)).enqueue(&pool).await.unwrap().id();
    let log = logged(&pool, id).await;
    assert_eq!(log.lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["begun", "let go"]);
    worker.shutdown().await;
}

#[tokio::test]
async fn no_secret_of_the_args_or_of_what_is_said_is_stored() {
    let _gather = gather();
    let pool = database().await.pool();
    let mut worker = worker(&pool).handle(obey).build().unwrap();
    let id = told("leak").with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    worker.drain().await.unwrap();
    let said: Vec<String> = logs(&pool, id).await[0].lines.iter().map(|line| line.message.clone()).collect();
    assert_eq!(said, ["begun", "refused", "careless", "postgres://shop:[redacted]@db/shop is down", "sent"]);
    let stored: String =
        sqlx::query_scalar("SELECT string_agg(l::text, ' ') FROM haulage.attempt_logs AS l").fetch_one(&pool).await.unwrap();
    assert!(!stored.contains(CANARY) && stored.contains("ana"), "{stored}");
    let kept: bool = sqlx::query_scalar("SELECT args ->> 'secret' = $1 FROM haulage.jobs").bind(CANARY).fetch_one(&pool).await.unwrap();
    assert!(kept, "it was there to be leaked");
}

#[tokio::test]
async fn the_last_hundred_lines_are_kept_and_the_rest_is_counted() {
    let _gather = gather();
    let pool = database().await.pool();
    let mut worker = worker(&pool).handle(obey).build().unwrap();
    let id = told("talk").with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    worker.drain().await.unwrap();
    let log = logs(&pool, id).await.remove(0);
    assert_eq!((log.lines.len(), log.earlier), (100, 51), "with the first");
    let n: Vec<_> = log.lines.iter().map(|line| line.fields["n"].as_i64().unwrap()).collect();
    assert_eq!(n, (50..150).collect::<Vec<_>>());
    assert!(log.lines.is_sorted_by_key(|line| line.at));

    // The page's statement for psql finds the same.
    let page = include_str!("../docs/tracing.md");
    let statement =
        page.split("```sql\n").find_map(|block| block.split_once("```").map(|(sql, _)| sql).filter(|sql| sql.contains("attempt_logs")));
    let statement = statement.unwrap().replace("= 42", &format!("= {id}"));
    let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&pool).await.unwrap();
    let found: Vec<(chrono::DateTime<chrono::Utc>, &str, &str)> =
        rows.iter().map(|row| (row.get("at"), row.get("level"), row.get("message"))).collect();
    let known: Vec<_> = log.lines.iter().map(|line| (line.at, line.level.as_str(), line.message.as_str())).collect();
    assert_eq!(found, known);
}

#[tokio::test]
async fn those_that_succeed_are_kept_when_the_worker_says_so_and_none_when_it_says_never() {
    let _gather = gather();
    let pool = database().await.pool();
    let mut ids = Vec::new();
    for keep in [KeepLogs::Always, KeepLogs::Never] {
        let mut worker = worker(&pool).keep_logs(keep).handle(obey).build().unwrap();
        for does in ["succeed", "snooze", "fail"] {
            ids.push(told(does).with().max_attempts(1).enqueue(&pool).await.unwrap().id());
        }
        worker.drain().await.unwrap();
    }
    let of: Vec<JobId> = attempt_logs(&pool, &ids).await.unwrap().iter().map(|log| log.job).collect();
    assert_eq!(of, ids[..3]);
}

#[tokio::test]
async fn a_settle_never_waits_for_logs_and_what_could_not_be_stored_is_stored_later() {
    let _gather = gather();
    let pool = database().await.pool();
    let worker = worker(&pool).handle(obey).build().unwrap().start().await.unwrap();
    let mut lock = pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE haulage.attempt_logs IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let ids = enqueue_all(&pool, (0..100).map(|_| told("fail").with().max_attempts(1))).await.unwrap();
    let later = told("succeed").with().delay(Duration::from_millis(600)).enqueue(&pool).await.unwrap().id();
    for id in &ids {
        wait_for_state(&pool, id.id(), JobState::Dead).await;
    }
    // The duties share the connection that writes logs; their work goes on.
    wait_for_state(&pool, later, JobState::Completed).await;
    lock.commit().await.unwrap();
    let ids: Vec<JobId> = ids.iter().map(|id| id.id()).collect();
    eventually("all logs are stored", async || attempt_logs(&pool, &ids).await.unwrap().len() == 100).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_tail_that_is_refused_costs_no_other_and_an_error_that_stays_holds_up_none_for_ever() {
    let _gather = gather();
    let pool = database().await.pool();
    let refused = told("fail").with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    let beside = told("fail").with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    let check = format!("ALTER TABLE haulage.attempt_logs ADD CONSTRAINT not_this CHECK (job_id <> {refused})");
    sqlx::raw_sql(sqlx::AssertSqlSafe(check)).execute(&pool).await.unwrap();
    let mut draining = worker(&pool).handle(obey).build().unwrap();
    draining.drain().await.unwrap();
    assert_eq!((logs(&pool, refused).await.len(), logs(&pool, beside).await.len()), (0, 1));

    // As by a right that is missing: no error of a value, and none that passes.
    let id = told("fail").with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    let trigger = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN IF NEW.job_id = {id} THEN RAISE EXCEPTION 'no' USING ERRCODE = 'insufficient_privilege'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON haulage.attempt_logs FOR EACH ROW EXECUTE FUNCTION refuse()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(&pool).await.unwrap();
    let worker = worker(&pool).handle(obey).build().unwrap().start().await.unwrap();
    eventually("what fails later is stored", async || {
        let later = told("fail").with().max_attempts(1).enqueue(&pool).await.unwrap().id();
        wait_for_state(&pool, later, JobState::Dead).await;
        sqlx::query_scalar("SELECT count(*) > 1 FROM haulage.attempt_logs").fetch_one(&pool).await.unwrap()
    })
    .await;
    worker.shutdown().await;
    assert!(logs(&pool, id).await.is_empty());
}

#[tokio::test]
async fn what_is_left_when_the_worker_stops_is_stored_before_it_ends() {
    let _gather = gather();
    let pool = database().await.pool();
    let worker = worker(&pool).handle(obey).build().unwrap().start().await.unwrap();
    let id = told("fail").with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Dead).await;
    worker.shutdown().await;
    assert_eq!(logs(&pool, id).await.len(), 1);
}

#[tokio::test]
async fn a_day_without_a_partition_gets_one_and_what_is_deleted_leaves_no_logs() {
    let _gather = gather();
    let pool = database().await.pool();
    let names: Vec<String> =
        sqlx::query_scalar("SELECT relname::text FROM pg_class WHERE relname ~ '^attempt_logs_[0-9]{8}$'").fetch_all(&pool).await.unwrap();
    assert!(names.len() >= 5, "made ahead: {names:?}");
    for name in names {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP TABLE haulage.{name}"))).execute(&pool).await.unwrap();
    }
    let mut worker = worker(&pool).without(haulage::Duty::Prune).keep_logs(KeepLogs::Always).handle(obey).build().unwrap();
    let mut ids = Vec::new();
    for does in ["succeed", "fail"] {
        ids.push(told(does).with().max_attempts(1).enqueue(&pool).await.unwrap().id());
    }
    worker.drain().await.unwrap();
    assert_eq!(attempt_logs(&pool, &ids).await.unwrap().len(), 2);
    for id in &ids {
        ana().delete(&pool, *id).await.unwrap();
    }
    assert!(attempt_logs(&pool, &ids).await.unwrap().is_empty());
}

/// Every thread of this runtime gathers.
#[test]
fn what_a_handler_says_on_other_threads_counts_if_it_is_inside_its_span() {
    let gathering = || std::mem::forget(gather());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().on_thread_start(gathering).build().unwrap();
    runtime.block_on(async {
        let pool = database().await.pool();
        let blocking = |_: Count, ctx: Ctx| {
            tracing::info!("on a thread of its own");
            Err::<(), _>(JobError::fatal(format!("{}", ctx.id())))
        };
        let spawning = async |_: Told| {
            let inside = async { tracing::info!("in a task") }.instrument(tracing::info_span!("task"));
            tokio::spawn(inside).await?;
            tokio::spawn(async { tracing::info!("outside") }).await?;
            Err::<(), _>(JobError::fatal("no"))
        };
        let worker = worker(&pool).handle_blocking(blocking).handle(spawning).build().unwrap().start().await.unwrap();
        let jobs = [Count { n: 1 }.enqueue(&pool).await.unwrap().id(), told("").enqueue(&pool).await.unwrap().id()];
        for (id, expected) in jobs.into_iter().zip(["on a thread of its own", "in a task"]) {
            let said: Vec<String> = logged(&pool, id).await.lines.into_iter().map(|line| line.message).collect();
            assert_eq!(said, [expected]);
        }
        worker.shutdown().await;
    });
}

#[tokio::test]
async fn the_span_that_a_long_attempt_is_in_is_shown_while_it_runs_and_only_then() {
    let _gather = gather();
    let pool = database().await.pool();
    let steps = Arc::new((Notify::new(), Notify::new()));
    let told = Arc::clone(&steps);
    let handler = move |_: Count| {
        let told = Arc::clone(&told);
        async move {
            let render = async {
                async { told.0.notified().await }.instrument(tracing::info_span!("upload")).await;
                told.1.notified().await;
            };
            render.instrument(tracing::info_span!("render")).await;
        }
    };
    // Longer than the lease of the support's worker, 1.5 s, is long.
    let worker = worker(&pool).handle(handler).build().unwrap().start().await.unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    let span = async || job_detail(&pool, id).await.unwrap().unwrap().span;
    eventually("it is shown", async || span().await.is_some()).await;
    let shown = span().await.unwrap();
    assert_eq!(shown.path, "process > render > upload");
    let detail = job_detail(&pool, id).await.unwrap().unwrap();
    let since_claim = (shown.since - detail.status.claimed_at.unwrap()).num_milliseconds();
    assert!((-100..1_000).contains(&since_claim), "since its beginning and not since it was looked at: {since_claim} ms");
    // Nothing changes, so nothing is written.
    let version = "SELECT xmin::text FROM haulage.running_spans";
    let before: String = sqlx::query_scalar(version).fetch_one(&pool).await.unwrap();
    let beat = "SELECT extract(epoch FROM heartbeat_at)::float8 FROM haulage.workers";
    let at: f64 = sqlx::query_scalar(beat).fetch_one(&pool).await.unwrap();
    eventually("it has beaten again", async || sqlx::query_scalar::<_, f64>(beat).fetch_one(&pool).await.unwrap() > at + 0.3).await;
    assert_eq!(sqlx::query_scalar::<_, String>(version).fetch_one(&pool).await.unwrap(), before);

    steps.0.notify_one();
    eventually("the upload is over", async || span().await.is_some_and(|span| span.path == "process > render")).await;
    steps.1.notify_one();
    wait_for_state(&pool, id, JobState::Completed).await;
    assert_eq!(span().await, None);
    worker.shutdown().await;
}

#[tokio::test]
async fn a_heartbeat_does_not_wait_when_somebody_has_locked_where_attempts_are() {
    let _gather = gather();
    let pool = database().await.pool();
    let stop = Arc::new(Notify::new());
    let told = Arc::clone(&stop);
    let handler = move |_: Count| {
        let told = Arc::clone(&told);
        async move { told.notified().await }.instrument(tracing::info_span!("wait"))
    };
    let worker = worker(&pool).handle(handler).build().unwrap().start().await.unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Running).await;
    let mut lock = pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE haulage.running_spans IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    // Long enough for the attempt to be a long one, and then for the worker to be taken for dead.
    let beats = "SELECT extract(epoch FROM heartbeat_at - claimed_at)::float8 FROM haulage.workers, haulage.live_jobs";
    eventually("it goes on beating", async || sqlx::query_scalar::<_, f64>(beats).fetch_one(&pool).await.unwrap() > 4.0).await;
    lock.commit().await.unwrap();
    let path = async || job_detail(&pool, id).await.unwrap().unwrap().span.map(|span| span.path);
    eventually("it is told later", async || path().await.as_deref() == Some("process > wait")).await;
    stop.notify_one();
    wait_for_state(&pool, id, JobState::Completed).await;
    assert_eq!(job_detail(&pool, id).await.unwrap().unwrap().status.attempt, 1);
    worker.shutdown().await;
}
