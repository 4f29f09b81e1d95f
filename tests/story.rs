//! The story of a job: its waits are cut by their reason and stand end to end with its attempts, and what the tables don't know is said.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use haulage::{
    Builder, Ctx, Job, JobError, JobId, JobState, Limit, Operator, Origin, Outcome, TraceUrl, Worker,
    story::{Found, Span, SpanKind, Story, StoryKey, WaitReason, tell},
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::support::{Count, ana, database, eventually, wait_for_state, worker};

/// A job that does as it is told on each attempt: "fail", "snooze", "child", "wait", "done".
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Script {
    steps: Vec<String>,
    key: Option<String>,
}

impl Job for Script {
    const KIND: &'static str = "script";

    fn limit_key(&self) -> Option<String> {
        self.key.clone()
    }
}

fn script(steps: &[&str]) -> Script {
    Script { steps: steps.iter().map(ToString::to_string).collect(), key: None }
}

async fn play(job: Script, ctx: Ctx) -> Result<Outcome, JobError> {
    let step = usize::try_from(ctx.attempt() - 1).unwrap_or_default();
    match job.steps.get(step).map(String::as_str) {
        Some("fail") => Err(JobError::from("the printer is out of paper")),
        Some("snooze") => Ok(Outcome::Snooze(Duration::from_millis(30))),
        Some("child") => {
            ctx.child(Count { n: 7 }).enqueue(ctx.pool()).await?;
            Ok(Outcome::Done)
        }
        _ => Ok(Outcome::Done),
    }
}

fn scripted(pool: &PgPool) -> Builder {
    worker(pool).backoff(|_| Duration::from_millis(30)).handle(play).handle(async |_: Count| {})
}

async fn started(builder: Builder) -> haulage::WorkerHandle {
    let worker: Worker = builder.build().unwrap();
    worker.start().await.unwrap()
}

async fn story(pool: &PgPool, key: impl Into<StoryKey>) -> Story {
    tell(pool, &key.into()).await.unwrap().unwrap()
}

/// The span of a job, wherever it is.
fn of_job(spans: &[Span], id: JobId) -> Option<&Span> {
    spans.iter().find_map(|span| match &span.what {
        SpanKind::Job { job, .. } if *job == id => Some(span),
        _ => of_job(&span.children, id),
    })
}

/// The story of a job in words; checks that its waits and attempts fill its time, end to end and in order.
async fn life(pool: &PgPool, id: JobId) -> Vec<String> {
    let story = story(pool, id).await;
    let job = of_job(&story.spans, id).unwrap();
    let until = story.length_ms();
    let (mut told, mut sum, mut earlier, mut words) = (job.start_ms, 0.0, 0.0, Vec::new());
    for span in &job.children {
        match &span.what {
            SpanKind::Wait { .. } | SpanKind::Attempt { .. } => {
                assert!((span.start_ms - told).abs() < 0.002, "a gap before {span:#?} in {job:#?}");
                assert!(span.length_ms(until) >= 0.0, "{span:#?}");
                told = span.end_ms.unwrap_or(until);
                sum += span.length_ms(until);
                if matches!(span.what, SpanKind::Wait { reason: WaitReason::Earlier, .. }) {
                    earlier += span.length_ms(until);
                }
            }
            SpanKind::Enqueue { .. } | SpanKind::Act { .. } => assert_eq!(Some(span.start_ms), span.end_ms),
            _ => continue,
        }
        words.extend(match &span.what {
            // Between the claim and the handler, on a machine that is busy.
            SpanKind::Wait { reason: WaitReason::Taken, .. } | SpanKind::Enqueue { .. } => None,
            SpanKind::Wait { reason, .. } => Some(reason.as_str().to_owned()),
            SpanKind::Attempt { attempt, outcome, .. } => Some(format!("attempt {attempt} {outcome}")),
            SpanKind::Act { verb, who, .. } => Some(format!("{verb} by {who}")),
            _ => None,
        });
    }
    assert!(matches!(job.children[0].what, SpanKind::Enqueue { .. }), "{job:#?}");
    let total = job.length_ms(until);
    assert!((total - sum).abs() < 0.01, "{sum} of {total} ms are told of {job:#?}");
    let SpanKind::Job { waited_ms, worked_ms, lost_ms, asked: true, .. } = job.what else { panic!("{job:#?}") };
    // That stretch has work in it.
    assert!((total - waited_ms - worked_ms - lost_ms - earlier).abs() < 0.01, "{job:#?}");
    words
}

#[tokio::test]
async fn a_job_that_fails_twice_and_works_is_told_with_its_backoffs() {
    let pool = database().await.pool();
    let id = script(&["fail", "fail"]).enqueue(&pool).await.unwrap().id();
    let worker = started(scripted(&pool)).await;
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    assert_eq!(
        life(&pool, id).await,
        ["in line", "attempt 1 failed", "backoff", "in line", "attempt 2 failed", "backoff", "in line", "attempt 3 completed"]
    );
    let story = story(&pool, id).await;
    let failed = of_job(&story.spans, id).unwrap().children.iter().find(|span| matches!(span.what, SpanKind::Attempt { .. })).unwrap();
    let SpanKind::Attempt { error: Some(error), worker: Some(_), .. } = &failed.what else { panic!("{failed:#?}") };
    assert_eq!(error, "the printer is out of paper");
    assert_eq!((story.found, story.ended_at.is_some()), (Found::Job(id), true));
}

#[tokio::test]
async fn a_job_for_later_that_snoozes_is_told_with_both() {
    let pool = database().await.pool();
    let id = script(&["snooze"]).with().delay(Duration::from_millis(40)).enqueue(&pool).await.unwrap().id();
    let later = script(&[]).with().delay(Duration::from_secs(3_600)).enqueue(&pool).await.unwrap().id();
    assert_eq!(life(&pool, later).await, ["scheduled for later"]);
    let worker = started(scripted(&pool)).await;
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    assert_eq!(life(&pool, id).await, ["scheduled for later", "in line", "attempt 1 snoozed", "snoozed", "in line", "attempt 2 completed"]);
}

#[tokio::test]
async fn a_child_stands_under_the_attempt_that_enqueued_it_and_both_under_their_request() {
    let pool = database().await.pool();
    let origin = Origin::new("shop").version("1.2.0").route("POST /orders").request_id("req-7f3a");
    let id = script(&["fail", "child"]).with().origin(origin.clone()).enqueue(&pool).await.unwrap().id();
    let other = Count { n: 1 }.with().origin(origin).enqueue(&pool).await.unwrap().id();
    let worker = started(scripted(&pool)).await;
    wait_for_state(&pool, id, JobState::Completed).await;
    wait_for_state(&pool, other, JobState::Completed).await;
    let child: i64 = sqlx::query_scalar("SELECT id FROM haulage.jobs WHERE parent_id = $1").bind(id.0).fetch_one(&pool).await.unwrap();
    wait_for_state(&pool, JobId(child), JobState::Completed).await;
    worker.shutdown().await;

    // By the job, by its child, by the request.
    for (key, jobs) in [(StoryKey::from(id), 1), (JobId(child).into(), 1), (StoryKey::request("req-7f3a"), 2)] {
        let story = tell(&pool, &key).await.unwrap().unwrap();
        let [request] = story.spans.as_slice() else { panic!("{story:#?}") };
        let SpanKind::Request { request_id, route, service, version } = &request.what else { panic!("{request:#?}") };
        let told = [request_id, route, service, version].map(|part| part.as_deref().unwrap());
        assert_eq!(told, ["req-7f3a", "POST /orders", "shop", "1.2.0"]);
        assert_eq!(request.children.len(), jobs, "{story:#?}");
        let parent = of_job(&story.spans, id).unwrap();
        let attempt = parent.children.last().unwrap();
        assert!(matches!(&attempt.what, SpanKind::Attempt { attempt: 2, .. }), "{parent:#?}");
        let [of_child] = attempt.children.as_slice() else { panic!("{attempt:#?}") };
        assert!(matches!(&of_child.what, SpanKind::Job { job, .. } if job.0 == child), "{of_child:#?}");
        assert!(of_child.start_ms >= attempt.start_ms && Some(of_child.start_ms) <= attempt.end_ms);
        assert!(story.ended_at.is_some() && story.notes.is_empty());
    }
}

#[tokio::test]
async fn the_wait_for_a_key_is_told_apart_from_the_line_also_after_a_backoff() {
    let pool = database().await.pool();
    ana().limit_key(&pool, "tenant:*", Limit::running(1)).await.unwrap();
    let keyed = |steps: &[&str]| Script { key: Some("tenant:1".into()), ..script(steps) };
    let gate = Arc::new(Semaphore::new(0));
    let holder = Gate { key: "tenant:1".into() }.enqueue(&pool).await.unwrap().id();
    let opened = Arc::clone(&gate);
    let worker = started(scripted(&pool).handle(gated(opened))).await;
    wait_for_state(&pool, holder, JobState::Running).await;
    let id = keyed(&["fail"]).enqueue(&pool).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Parked).await;
    assert_eq!(life(&pool, id).await, ["for its key"]);
    gate.add_permits(1);
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    let told = life(&pool, id).await;
    assert_eq!(told, ["for its key", "in line", "attempt 1 failed", "backoff", "for its key", "in line", "attempt 2 completed"]);
    let open = story(&pool, id).await;
    let job = of_job(&open.spans, id).unwrap();
    assert_eq!(job.children[1].what, SpanKind::Wait { reason: WaitReason::Key, detail: Some("tenant:1".into()) });
    // Of an attempt of an older program it is not known when it was to run.
    sqlx::query("UPDATE haulage.attempts SET due_at = NULL").execute(&pool).await.unwrap();
    assert_eq!(life(&pool, id).await[..2], ["reason not stored", "in line"]);
    let old = story(&pool, id).await;
    let detail = Some("scheduled for later, or for its key tenant:1".into());
    assert_eq!(of_job(&old.spans, id).unwrap().children[1].what, SpanKind::Wait { reason: WaitReason::Unknown, detail });
}

#[tokio::test]
async fn a_delay_is_never_told_as_the_key() {
    let pool = database().await.pool();
    let keyed = |steps: &[&str]| Script { key: Some("tenant:1".into()), ..script(steps) };
    let mut ids = Vec::new();
    for steps in [&["done"][..], &["fail"]] {
        let delayed = keyed(steps).with().delay(Duration::from_millis(300)).max_attempts(1);
        ids.push(delayed.enqueue(&pool).await.unwrap().id());
    }
    ids.push(keyed(&["fail", "done"]).with().delay(Duration::from_millis(300)).enqueue(&pool).await.unwrap().id());
    let worker = started(scripted(&pool)).await;
    for (id, state) in ids.iter().zip([JobState::Completed, JobState::Dead, JobState::Completed]) {
        wait_for_state(&pool, *id, state).await;
    }
    worker.shutdown().await;
    let first = async |id| life(&pool, id).await.remove(0);
    for id in &ids {
        assert_eq!(first(*id).await, "scheduled for later");
    }
    sqlx::query("UPDATE haulage.attempts SET due_at = NULL").execute(&pool).await.unwrap();
    for (id, told) in ids.iter().zip(["scheduled for later", "scheduled for later", "reason not stored"]) {
        assert_eq!(first(*id).await, told, "as of an older program: known if no attempt has given it another time");
    }
}

#[tokio::test]
async fn a_line_is_not_told_as_a_schedule_because_somebody_released_or_retried_the_job() {
    let pool = database().await.pool();
    let [held, retried] = [script(&["fail", "done"]), script(&["fail", "done"])];
    let (held, retried) = (held.enqueue(&pool).await.unwrap().id(), retried.enqueue(&pool).await.unwrap().id());
    let later = script(&["fail", "done"]).with().delay(Duration::from_secs(3_600)).enqueue(&pool).await.unwrap().id();
    ana().hold(&pool, held).await.unwrap();
    ana().release(&pool, held).await.unwrap();
    ana().discard(&pool, retried).await.unwrap();
    ana().retry(&pool, retried).await.unwrap();
    ana().run_now(&pool, later).await.unwrap();
    let worker = started(scripted(&pool)).await;
    for id in [held, retried, later] {
        wait_for_state(&pool, id, JobState::Completed).await;
    }
    worker.shutdown().await;
    let end = ["in line", "attempt 1 failed", "backoff", "in line", "attempt 2 completed"];
    assert_eq!(life(&pool, held).await, [&["in line", "hold by ana", "held", "release by ana"], &end[..]].concat());
    let begin = ["reason not stored", "discard by ana", "ended, until retried", "retry by ana"];
    assert_eq!(life(&pool, retried).await, [&begin, &end[..]].concat());
    assert_eq!(life(&pool, later).await, [&["scheduled for later", "run-now by ana"], &end[..]].concat());
}

#[tokio::test]
async fn of_a_thousand_acts_and_more_the_last_are_told() {
    let pool = database().await.pool();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    ana().hold(&pool, id).await.unwrap();
    sqlx::query("INSERT INTO haulage.audit (who, verb, target, jobs) SELECT 'bo', 'reprioritise', 'job ' || $1, ARRAY[$1] FROM generate_series(1, 999)")
        .bind(id.0)
        .execute(&pool)
        .await
        .unwrap();
    assert!(story(&pool, id).await.notes.is_empty());
    ana().release(&pool, id).await.unwrap();
    let open = story(&pool, id).await;
    assert_eq!(open.notes, ["Of what operators did only the last acts are told."]);
    let verbs: Vec<&str> = of_job(&open.spans, id)
        .unwrap()
        .children
        .iter()
        .filter_map(|span| match &span.what {
            SpanKind::Act { verb, .. } => Some(verb.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!((verbs.len(), verbs[0], verbs[999]), (1_000, "reprioritise", "release"));
}

/// Runs until it is let go.
#[derive(Debug, Serialize, Deserialize)]
struct Gate {
    key: String,
}

impl Job for Gate {
    const KIND: &'static str = "gate";

    fn limit_key(&self) -> Option<String> {
        Some(self.key.clone())
    }
}

/// Its handler: each permit lets one go.
fn gated(gate: Arc<Semaphore>) -> impl Fn(Gate) -> BoxFuture<'static, ()> + Clone + Send + Sync + 'static {
    move |_| {
        let gate = Arc::clone(&gate);
        Box::pin(async move { gate.acquire().await.unwrap().forget() })
    }
}

#[tokio::test]
async fn a_hold_is_told_with_who_and_why_also_over_a_time_to_come() {
    let pool = database().await.pool();
    let bo = Operator::new("bo").because("wait for\nthe invoice");
    let (now, later) = (Count { n: 1 }, Count { n: 2 });
    let now = now.enqueue(&pool).await.unwrap().id();
    let later = later.with().delay(Duration::from_secs(3_600)).enqueue(&pool).await.unwrap().id();
    for id in [now, later] {
        bo.hold(&pool, id).await.unwrap();
    }
    let told = life(&pool, now).await;
    // Nobody would take it either; but a held one nobody should.
    assert_eq!(told, ["in line", "hold by bo", "held"]);
    let open = story(&pool, now).await;
    let held = of_job(&open.spans, now).unwrap().children.last().unwrap();
    assert_eq!((held.end_ms, open.ended_at), (None, None));
    let SpanKind::Wait { detail: Some(why), .. } = &held.what else { panic!("{held:#?}") };
    assert_eq!(why, "by bo: wait for\nthe invoice");

    for id in [now, later] {
        ana().release(&pool, id).await.unwrap();
    }
    assert_eq!(life(&pool, later).await, ["scheduled for later", "hold by bo", "held", "release by ana", "scheduled for later"]);
    ana().run_now(&pool, later).await.unwrap();
    let worker = started(scripted(&pool)).await;
    for id in [now, later] {
        wait_for_state(&pool, id, JobState::Completed).await;
    }
    worker.shutdown().await;
    assert_eq!(life(&pool, now).await, ["in line", "hold by bo", "held", "release by ana", "in line", "attempt 1 completed"]);
    assert_eq!(
        life(&pool, later).await,
        [
            "scheduled for later",
            "hold by bo",
            "held",
            "release by ana",
            "scheduled for later",
            "run-now by ana",
            "in line",
            "attempt 1 completed"
        ]
    );
}

#[tokio::test]
async fn a_dead_job_that_is_retried_was_dead_between() {
    let pool = database().await.pool();
    let id = script(&["fail"]).with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    let worker = started(scripted(&pool)).await;
    wait_for_state(&pool, id, JobState::Dead).await;
    assert_eq!(life(&pool, id).await, ["in line", "attempt 1 failed"]);
    let story = story(&pool, id).await;
    let SpanKind::Job { state: JobState::Dead, error: Some(error), .. } = &of_job(&story.spans, id).unwrap().what else { panic!() };
    assert_eq!(error, "the printer is out of paper");
    ana().retry(&pool, id).await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    assert_eq!(
        life(&pool, id).await,
        ["in line", "attempt 1 failed", "ended, until retried", "retry by ana", "in line", "attempt 2 completed"]
    );

    // One that never ran.
    let id = script(&[]).with().delay(Duration::from_secs(3_600)).enqueue(&pool).await.unwrap().id();
    ana().discard(&pool, id).await.unwrap();
    assert_eq!(life(&pool, id).await, ["scheduled for later", "discard by ana"]);
    ana().retry(&pool, id).await.unwrap();
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    let told = life(&pool, id).await;
    assert_eq!(told, ["scheduled for later", "discard by ana", "ended, until retried", "retry by ana", "in line", "attempt 1 completed"]);
}

#[tokio::test]
async fn a_paused_queue_and_a_limited_one_are_told_for_the_time_that_a_job_was_in_them() {
    let pool = database().await.pool();
    let id = Count { n: 1 }.with().queue("a").enqueue(&pool).await.unwrap().id();
    let bo = Operator::new("bo").because("the relay is down");
    bo.pause_queue(&pool, "a", None).await.unwrap();
    ana().pause_queue(&pool, "b", None).await.unwrap();
    assert_eq!(life(&pool, id).await, ["in line", "queue paused"]);
    let open = story(&pool, id).await;
    let SpanKind::Wait { detail: Some(why), .. } = &of_job(&open.spans, id).unwrap().children.last().unwrap().what else { panic!() };
    assert_eq!(why, "by bo: the relay is down");
    ana().resume_queue(&pool, "b").await.unwrap();
    ana().move_to(&pool, id, "b").await.unwrap();
    ana().resume_queue(&pool, "a").await.unwrap();
    ana().limit_queue(&pool, "b", Limit::running(1)).await.unwrap();
    let worker = started(scripted(&pool).queue("a", 1).queue("b", 1)).await;
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    assert_eq!(
        life(&pool, id).await,
        ["in line", "queue paused", "move by ana", "in line", "in line of a limited queue", "attempt 1 completed"]
    );
}

#[tokio::test]
async fn a_job_that_no_live_worker_takes_says_so_and_one_that_runs_goes_on() {
    let pool = database().await.pool();
    let id = Gate { key: "k".into() }.enqueue(&pool).await.unwrap().id();
    let worker = started(scripted(&pool)).await;
    assert_eq!(life(&pool, id).await, ["no worker takes it"]);
    worker.shutdown().await;

    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let worker = started(scripted(&pool).handle(gated(opened))).await;
    wait_for_state(&pool, id, JobState::Running).await;
    assert_eq!(life(&pool, id).await, ["for its key", "in line", "attempt 1 running"]);
    let story = story(&pool, id).await;
    let running = of_job(&story.spans, id).unwrap().children.last().unwrap();
    let SpanKind::Attempt { worker: Some(name), .. } = &running.what else { panic!("{running:#?}") };
    assert!(name.ends_with(&std::process::id().to_string()), "{name}");
    assert_eq!((running.end_ms, story.ended_at), (None, None));
    gate.add_permits(1);
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
}

/// A worker that is not there any more has claimed the job.
async fn lost_claim(pool: &PgPool, id: JobId) {
    let lease: i64 = sqlx::query_scalar(
        "UPDATE haulage.live_jobs SET state = 2, attempt = attempt + 1, lease = id * 1000 + attempt, claimed_at = clock_timestamp(),
         place = CASE place WHEN 3 THEN 2 ELSE place END, parked_for = NULL WHERE id = $1 RETURNING lease",
    )
    .bind(id.0)
    .fetch_one(pool)
    .await
    .unwrap();
    sqlx::query("INSERT INTO haulage.leases (id, worker, ids) VALUES ($1, 1, ARRAY[$2])")
        .bind(lease)
        .bind(id.0)
        .execute(pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn after_a_crash_a_job_waits_from_its_rescue_on_and_not_since_its_enqueue() {
    let pool = database().await.pool();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    lost_claim(&pool, id).await;
    let worker = started(worker(&pool).handle(play)).await;
    wait_for_state(&pool, id, JobState::Available).await;
    lost_claim(&pool, id).await;
    wait_for_state(&pool, id, JobState::Parked).await;
    worker.shutdown().await;
    let (as_of_rescue, attempts): (bool, Vec<bool>) = sqlx::query_as(
        "SELECT j.eligible_at = max(a.ended_at), array_agg(a.eligible_at <= a.claimed_at ORDER BY a.attempt)
         FROM haulage.live_jobs AS j JOIN haulage.attempts AS a ON a.job_id = j.id GROUP BY j.id",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((as_of_rescue, attempts), (true, vec![true, true]));
    let worker = started(scripted(&pool)).await;
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    assert_eq!(
        life(&pool, id).await,
        ["in line", "attempt 1 worker lost", "in line", "attempt 2 worker lost", "suspect, to run alone", "attempt 3 completed"]
    );
    // What is lost is no work, as `why` says too.
    let told = async || {
        let story = story(&pool, id).await;
        let SpanKind::Job { worked_ms, lost_ms, .. } = of_job(&story.spans, id).unwrap().what else { panic!("{story:#?}") };
        (worked_ms, lost_ms)
    };
    let lost: f64 = sqlx::query_scalar(
        "SELECT sum(extract(epoch FROM ended_at - claimed_at) * 1000)::float8 FROM haulage.attempts WHERE outcome = 'worker lost'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    let (worked_ms, lost_ms) = told().await;
    assert!((lost_ms - lost).abs() < 0.01 && lost > 0.0, "{lost_ms}, by the attempts {lost}");
    // The same while it is known when the worker was heard last: in the middle of the first attempt, and not in the second.
    sqlx::raw_sql(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, heartbeat_at, dead_at)
         SELECT 1, 'host-2', '0', '{}', '{}', '{}', 30000, claimed_at + (ended_at - claimed_at) / 2, now() FROM haulage.attempts WHERE attempt = 1",
    )
    .execute(&pool)
    .await
    .unwrap();
    let words = life(&pool, id).await;
    assert_eq!(words[1..5], ["attempt 1 worker lost", "for its rescue", "in line", "attempt 2 worker lost"], "{words:?}");
    assert_eq!(told().await, (worked_ms, lost_ms));
}

#[tokio::test]
async fn what_left_no_row_is_said_and_not_guessed() {
    let pool = database().await.pool();
    let id = script(&["", "fail"]).enqueue(&pool).await.unwrap().id();
    // As if a worker had given it back.
    sqlx::query("UPDATE haulage.live_jobs SET attempt = 1").execute(&pool).await.unwrap();
    let worker = started(scripted(&pool)).await;
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    assert_eq!(life(&pool, id).await, ["in line", "attempt 2 failed", "backoff", "in line", "attempt 3 completed"]);
    let story = story(&pool, id).await;
    let notes: Vec<&String> = of_job(&story.spans, id).unwrap().children.iter().flat_map(|span| &span.notes).collect();
    assert_eq!(notes, ["Nothing is stored of attempt 1: given back unharmed, or past its retention."]);
}

#[tokio::test]
async fn a_job_that_was_enqueued_for_a_time_in_the_past_has_waited_since_its_enqueue() {
    let pool = database().await.pool();
    let id = Count { n: 1 }.with().run_at("2020-01-01T00:00:00Z".parse().unwrap()).enqueue(&pool).await.unwrap().id();
    let oldest = haulage::queues(&pool).await.unwrap().remove(0).oldest_s.unwrap();
    assert!(oldest < 3_600.0, "{oldest}");
    let worker = started(scripted(&pool)).await;
    wait_for_state(&pool, id, JobState::Completed).await;
    worker.shutdown().await;
    assert_eq!(life(&pool, id).await, ["in line", "attempt 1 completed"]);
}

#[tokio::test]
async fn a_large_family_and_a_long_life_are_told_in_part_and_it_says_so() {
    let pool = database().await.pool();
    let id = Count { n: 0 }.enqueue(&pool).await.unwrap().id();
    sqlx::query(
        "INSERT INTO haulage.live_jobs (kind, args, parent_id, root_id) SELECT 'count', '{\"n\": 1}', $1, $1 FROM generate_series(1, 250)",
    )
    .bind(id.0)
    .execute(&pool)
    .await
    .unwrap();
    let last: i64 = sqlx::query_scalar("SELECT max(id) FROM haulage.live_jobs").fetch_one(&pool).await.unwrap();
    for asked in [id, JobId(last)] {
        let story = story(&pool, asked).await;
        assert_eq!(story.notes, ["More jobs belong to it: only 200 are told."]);
        assert!(of_job(&story.spans, asked).is_some());
    }

    let id = script(&[]).enqueue(&pool).await.unwrap().id();
    sqlx::query(
        "INSERT INTO haulage.attempts (job_id, attempt, outcome, claimed_at, ended_at, next_run_at)
         SELECT $1, n, 'snoozed', now() + n * interval '10 ms', now() + n * interval '10 ms' + interval '1 ms', now() + n * interval '10 ms'
         FROM generate_series(1, 60) AS n",
    )
    .bind(id.0)
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query("UPDATE haulage.live_jobs SET attempt = 60 WHERE id = $1").bind(id.0).execute(&pool).await.unwrap();
    eventually("these times are past", async || {
        sqlx::query_scalar("SELECT max(ended_at) < now() FROM haulage.attempts").fetch_one(&pool).await.unwrap()
    })
    .await;
    let told = life(&pool, id).await;
    assert_eq!((told[0].as_str(), told[1].as_str()), ("earlier attempts", "attempt 11 snoozed"));
}

#[tokio::test]
async fn the_last_log_lines_of_an_attempt_stand_under_it() {
    let pool = database().await.pool();
    let id = script(&["fail"]).with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    let worker = started(scripted(&pool)).await;
    wait_for_state(&pool, id, JobState::Dead).await;
    worker.shutdown().await;
    let lines = r#"[{"before_us": 2000, "level": "WARN", "target": "shop", "message": "jam in tray 2", "fields": {"page": 3}}]"#;
    sqlx::query(
        "INSERT INTO haulage.attempt_logs (job_id, attempt, ended_at, earlier, lines)
         SELECT job_id, attempt, ended_at, 2, $1::text::jsonb FROM haulage.attempts",
    )
    .bind(lines)
    .execute(&pool)
    .await
    .unwrap();
    let story = story(&pool, id).await;
    let attempt = of_job(&story.spans, id).unwrap().children.last().unwrap();
    let SpanKind::Attempt { log, .. } = &attempt.what else { panic!("{attempt:#?}") };
    assert_eq!((log.len(), log[0].message.as_str(), log[0].fields["page"].as_i64()), (1, "jam in tray 2", Some(3)));
    assert_eq!(attempt.notes, ["2 lines that it logged before were not kept."]);
}

#[tokio::test]
async fn nothing_is_told_of_what_is_not_there() {
    let pool = database().await.pool();
    for key in ["42", "0af7651916cd43dd8448eb211c80319c", "req-1"] {
        assert!(tell(&pool, &key.parse().unwrap()).await.unwrap().is_none(), "{key}");
    }
    // Whatever somebody has written into the columns.
    sqlx::query("INSERT INTO haulage.live_jobs (id, kind, args, parent_id, root_id) VALUES (100, 'a', '1', 101, 101), (101, 'a', '1', 100, 100), (102, 'a', '1', 102, 102)")
        .execute(&pool)
        .await
        .unwrap();
    for id in [100, 101, 102] {
        assert!(of_job(&story(&pool, JobId(id)).await.spans, JobId(id)).is_some(), "{id}");
    }
}

#[tokio::test]
async fn a_job_leads_to_its_page_in_a_tracing_backend() {
    let pool = database().await.pool();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let trace = haulage::TraceCarrier::from_headers(Some(trace), None, None);
    let id = Count { n: 1 }.with().trace(trace).enqueue(&pool).await.unwrap().id();
    let url: TraceUrl = "https://t.example.org/{trace_id}/{span_id}?job={job_id}".parse().unwrap();
    for key in [StoryKey::from(id), StoryKey::trace(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c)] {
        let story = tell(&pool, &key).await.unwrap().unwrap().with_links(&url);
        let trace = of_job(&story.spans, id).unwrap().trace.as_ref().unwrap();
        let page = format!("https://t.example.org/0af7651916cd43dd8448eb211c80319c/b7ad6b7169203331?job={id}");
        assert_eq!((trace.url.as_deref(), trace.sampled), (Some(page.as_str()), Some(false)));
    }
}

#[cfg(feature = "cli")]
mod command {
    use std::process::{Command, Output, Stdio};

    use serde_json::Value;

    use super::*;

    fn trace(url: &str, columns: &str, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haulage"));
        command.arg("trace").args(args).stdin(Stdio::null()).env("DATABASE_URL", url).env("COLUMNS", columns);
        command.env_remove("HAULAGE_TRACE_URL").output().unwrap()
    }

    fn text(output: Output) -> String {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[tokio::test]
    async fn a_story_is_drawn_within_the_width_of_the_terminal_and_printed_as_json() {
        let database = database().await;
        let (pool, url) = (database.pool(), database.url());
        let origin = Origin::new("shop").route("POST /orders/{order}/with/a/route/that/is/rather/long").request_id("req-1");
        let id = script(&["fail", "child"]).with().origin(origin).enqueue(&pool).await.unwrap().id();
        let worker = started(scripted(&pool)).await;
        wait_for_state(&pool, id, JobState::Completed).await;
        eventually("its child too", async || crate::support::jobs_in(&pool, JobState::Completed).await == 2).await;
        worker.shutdown().await;
        for columns in [60, 80, 120] {
            let drawn = text(trace(&url, &columns.to_string(), &[&id.to_string()]));
            let longest = drawn.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= columns, "{longest} > {columns}:\n{drawn}");
            for part in
                ["POST /orders", "req-1", "script, completed", "attempt 1 failed", "out of paper", "backoff", "count", " was waiting: "]
            {
                assert!(drawn.contains(part), "{part} is not in\n{drawn}");
            }
            assert!(!drawn.contains('\u{1b}'), "no colors but on a terminal");
        }
        // What an error says last is what tells.
        let error = format!("{}: refused by the printer", "no answer from the print server ".repeat(6).trim());
        sqlx::query("UPDATE haulage.attempts SET message = $1").bind(&error).execute(&pool).await.unwrap();
        assert!(text(trace(&url, "", &[&id.to_string()])).contains(&error), "nothing is cut in a pipe");
        assert!(text(trace(&url, "80", &[&id.to_string()])).contains(" by the printer"), "the middle is cut");

        let story: Value = serde_json::from_str(&text(trace(&url, "80", &["req-1", "--json"]))).unwrap();
        assert_eq!(story["found"]["request"], "req-1");
        let job = &story["spans"][0]["children"][0];
        assert_eq!((&job["span"], &job["job"], &job["kind"]), (&"job".into(), &id.0.into(), &"script".into()));
        let spans: Vec<&str> = job["children"].as_array().unwrap().iter().map(|span| span["span"].as_str().unwrap()).collect();
        assert_eq!((&spans[..2], spans.last()), (&["enqueue", "wait"][..], Some(&"attempt")));
        assert_eq!(job["children"][1]["reason"], "line");
        assert!(job["children"][1]["end_ms"].as_f64() > job["children"][1]["start_ms"].as_f64());
    }

    #[tokio::test]
    async fn a_chain_of_forty_jobs_is_drawn_at_any_width_and_an_empty_variable_is_none() {
        let database = database().await;
        let (pool, url) = (database.pool(), database.url());
        sqlx::query(
            "INSERT INTO haulage.live_jobs (id, kind, args, parent_id, root_id)
             SELECT n, 'count', '{\"n\": 1}', CASE WHEN n > 1 THEN n - 1 END, CASE WHEN n > 1 THEN 1 END FROM generate_series(1, 40) AS n",
        )
        .execute(&pool)
        .await
        .unwrap();
        for columns in [60, 67, 74, 81, 100, 121, 143, 160] {
            let drawn = text(trace(&url, &columns.to_string(), &["1"]));
            let longest = drawn.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= columns, "{longest} > {columns}:\n{drawn}");
            assert!((1..=40).all(|n| drawn.contains(&format!("job {n} "))), "{drawn}");
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_haulage"));
        command.args(["trace", "1"]).stdin(Stdio::null()).env("DATABASE_URL", &url).env("HAULAGE_TRACE_URL", "");
        assert!(text(command.output().unwrap()).contains("job 40"));
    }

    #[tokio::test]
    async fn what_comes_from_outside_cannot_steer_the_terminal() {
        let database = database().await;
        let (pool, url) = (database.pool(), database.url());
        let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\u{9b}31m\u{202e}gnp\nsecond\tline";
        let id = script(&["evil"]).enqueue(&pool).await.unwrap().id();
        sqlx::query("UPDATE haulage.live_jobs SET origin = jsonb_build_object('request_id', $1::text, 'route', $1::text, 'service', $1::text), limit_key = $1, meta = jsonb_build_object('schedule', $1::text, 'instant', $1::text)")
            .bind(evil)
            .execute(&pool)
            .await
            .unwrap();
        let bo = Operator::new(evil).because(evil);
        bo.hold(&pool, id).await.unwrap();
        bo.release(&pool, id).await.unwrap();
        bo.pause_queue(&pool, "default", None).await.unwrap();
        sqlx::query(
            "INSERT INTO haulage.attempts (job_id, attempt, outcome, message, claimed_at, next_run_at, worker_name)
             VALUES ($1, 1, 'failed', $2, now(), now(), $2)",
        )
        .bind(id.0)
        .bind(evil)
        .execute(&pool)
        .await
        .unwrap();
        sqlx::query("UPDATE haulage.live_jobs SET attempt = 1").execute(&pool).await.unwrap();
        let drawn = text(trace(&url, "100", &[&id.to_string()]));
        assert!(drawn.contains("\\u{1b}]0;owned") && drawn.contains("\\u{202e}gnp"), "{drawn}");
        assert!(!drawn.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{drawn:?}");
    }

    #[tokio::test]
    async fn what_is_not_there_and_what_can_not_work_have_their_exit_codes() {
        let url = database().await.url();
        let refused = |output: Output, code: i32| {
            assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout.is_empty());
            String::from_utf8(output.stderr).unwrap()
        };
        let said = refused(trace(&url, "80", &["no\u{1b}[31msuch"]), 3);
        assert!(said.starts_with("haulage: nothing is known of \"no\\u{1b}[31msuch\"") && said.lines().count() == 1, "{said}");
        assert!(refused(trace(&url, "80", &[""]), 2).contains("1 to 256 bytes"));
        // Also when there is nothing to show: at the start.
        let said = refused(trace(&url, "80", &["1", "--trace-url", "https://t.example.org/{trace}"]), 2);
        assert!(said.contains("the variable {trace}, which is unknown: use {trace_id}"), "{said}");
        assert!(refused(trace(&url, "80", &["1", "--trace-url", "https://t.example.org/"]), 2).contains("has no {trace_id}"));
    }
}
