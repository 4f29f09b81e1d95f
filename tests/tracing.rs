//! The spans of jobs, seen by an exporter in memory: each row of the table in docs/tracing.md, by relation.

use std::{collections::HashMap, sync::OnceLock, time::Duration};

use haulage::{
    Builder, Ctx, Job, JobError, JobId, Outcome, Schedule, TraceCarrier, TraceContext, TraceDefaults, TraceRelation, Worker, enqueue_all,
    set_trace_defaults,
    story::{Found, Span as StorySpan, SpanKind, Story, StoryKey, tell},
};
use opentelemetry::{
    Context, KeyValue, Value,
    baggage::BaggageExt,
    global,
    trace::{SpanId, SpanKind as OtelSpanKind, Status, TraceContextExt, TracerProvider},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, InMemorySpanExporterBuilder, Sampler, SdkTracerProvider, SpanData};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, types::Uuid};
use tracing::{Instrument, dispatcher::DefaultGuard};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Registry, layer::SubscriberExt};

use crate::support::{self, Log, database, eventually};

/// One provider for all tests, because wait spans go to the global one; a test looks at the spans of its own queues.
fn provider() -> &'static (SdkTracerProvider, InMemorySpanExporter) {
    static PROVIDER: OnceLock<(SdkTracerProvider, InMemorySpanExporter)> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let exporter = InMemorySpanExporterBuilder::new().build();
        let sampler = Sampler::ParentBased(Box::new(haulage::telemetry::FollowLinks::ratio(1.0)));
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).with_sampler(sampler).build();
        global::set_tracer_provider(provider.clone());
        set_trace_defaults(TraceDefaults::new().baggage(["tenant"]));
        (provider, exporter)
    })
}

/// Traces what this thread does, which is all that a test does.
fn trace() -> DefaultGuard {
    // One for all, and kept: with the last subscriber the interest in every span goes, also for a test that has just begun.
    static DISPATCH: OnceLock<tracing::Dispatch> = OnceLock::new();
    let dispatch = DISPATCH.get_or_init(|| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider().0.tracer("it"));
        tracing::Dispatch::new(Registry::default().with(layer))
    });
    tracing::dispatcher::set_default(dispatch)
}

/// The finished spans about a queue, in the order in which they began.
fn spans(queue: &str) -> Vec<SpanData> {
    let mut spans = provider().1.get_finished_spans().unwrap();
    spans.retain(|span| attribute(span, "messaging.destination.name").as_deref() == Some(queue));
    spans.sort_by_key(|span| span.start_time);
    spans
}

fn named(queue: &str, name: &str) -> Vec<SpanData> {
    let name = format!("{name} {queue}");
    spans(queue).into_iter().filter(|span| span.name == name).collect()
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    span.attributes.iter().find(|attribute| attribute.key.as_str() == name).map(|attribute| match &attribute.value {
        Value::String(text) => text.to_string(),
        other => other.to_string(),
    })
}

fn links(span: &SpanData) -> Vec<(String, SpanId)> {
    span.links
        .iter()
        .map(|link| (link.attributes.iter().map(|attribute| attribute.value.to_string()).collect(), link.span_context.span_id()))
        .collect()
}

/// A job that does as it is told on each attempt: "fail", "snooze", "child", "cancel", "done".
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Script {
    queue: String,
    steps: Vec<String>,
}

impl Job for Script {
    const KIND: &'static str = "script";
}

fn script(queue: &str, steps: &[&str]) -> Script {
    Script { queue: queue.to_owned(), steps: steps.iter().map(ToString::to_string).collect() }
}

/// Leaves nothing when it completes.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fleeting;

impl Job for Fleeting {
    const KIND: &'static str = "fleeting";
    const KEEP_COMPLETED: bool = false;
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Child;

impl Job for Child {
    const KIND: &'static str = "child";
}

async fn play(job: Script, ctx: Ctx) -> Result<Outcome, JobError> {
    let step = usize::try_from(ctx.attempt() - 1).unwrap_or_default();
    match job.steps.get(step).map(String::as_str) {
        Some("fail") => Err(JobError::retry_after(Duration::from_millis(5), "as it was told")),
        Some("snooze") => Ok(Outcome::Snooze(Duration::from_millis(5))),
        Some("cancel") => Ok(Outcome::Cancel("as it was told".into())),
        Some("child") => {
            ctx.child(Child).queue(format!("{}-child", job.queue)).enqueue(ctx.pool()).await?;
            Ok(Outcome::Done)
        }
        Some("plain child") => {
            // Not through the context: the current span is enough.
            Child.with().queue(format!("{}-child", job.queue)).enqueue(ctx.pool()).await?;
            Ok(Outcome::Done)
        }
        _ => Ok(Outcome::Done),
    }
}

fn worker(pool: &PgPool, queue: &str) -> Builder {
    support::worker(pool).queue(queue, 5).queue(format!("{queue}-child"), 5).handle(play).handle(async |_: Child| {})
}

/// Runs what is there to its end.
async fn run(pool: &PgPool, worker: Worker) {
    let handle = worker.start().await.unwrap();
    eventually("every job has ended", async || {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.live_jobs").fetch_one(pool).await.unwrap();
        left == 0
    })
    .await;
    handle.shutdown().await;
}

/// A request that comes with a trace and baggage, and enqueues.
async fn in_request<T>(name: &str, work: impl Future<Output = T>) -> (T, TraceContext) {
    let span = tracing::info_span!("request", otel.name = name);
    let stored = TraceContext::parse(&format!("00-{:032x}-{:016x}-01", rand::random::<u128>(), rand::random::<u64>())).unwrap();
    let caller = opentelemetry::trace::SpanContext::new(
        opentelemetry::trace::TraceId::from(stored.trace_id),
        SpanId::from(stored.span_id),
        opentelemetry::trace::TraceFlags::SAMPLED,
        true,
        opentelemetry::trace::TraceState::default(),
    );
    span.set_parent(
        Context::new().with_remote_span_context(caller).with_baggage([KeyValue::new("tenant", "acme, ltd"), KeyValue::new("card", "1234")]),
    )
    .unwrap();
    (work.instrument(span).await, stored)
}

#[tokio::test]
async fn an_enqueue_is_a_producer_in_the_current_span_and_its_context_is_in_the_row() {
    let (pool, _guard) = (database().await.pool(), trace());
    let (id, request) = in_request("t-one", async { Child.with().queue("t-one").enqueue(&pool).await.unwrap().id() }).await;

    let [span] = spans("t-one").try_into().unwrap();
    assert_eq!((span.name.as_ref(), &span.span_kind), ("enqueue t-one", &OtelSpanKind::Producer));
    assert_eq!(span.span_context.trace_id().to_bytes(), request.trace_id.to_be_bytes());
    assert_ne!(span.parent_span_id, SpanId::INVALID);
    for (name, value) in [
        ("messaging.system", "haulage"),
        ("messaging.operation.name", "enqueue"),
        ("messaging.operation.type", "send"),
        ("messaging.message.id", &id.to_string()),
        ("haulage.job.kind", "child"),
    ] {
        assert_eq!(attribute(&span, name).as_deref(), Some(value), "{name}");
    }
    let (trace_id, span_id, flags, baggage): (Uuid, i64, i16, Option<String>) =
        sqlx::query_as("SELECT trace_id, span_id, trace_flags, baggage FROM haulage.live_jobs").fetch_one(&pool).await.unwrap();
    assert_eq!(trace_id.into_bytes(), span.span_context.trace_id().to_bytes());
    assert_eq!(span_id.to_be_bytes(), span.span_context.span_id().to_bytes());
    assert_eq!((flags, baggage.as_deref()), (1, Some("tenant=acme%2C%20ltd")), "and only the baggage that is allowed");
}

#[tokio::test]
async fn a_batch_is_one_producer_and_a_crowd_of_jobs_no_children_of_it() {
    let (pool, _guard) = (database().await.pool(), trace());
    for (queue, jobs, children) in [("t-batch", 100, true), ("t-crowd", 101, false)] {
        let batch = (0..jobs).map(|_| Child.with().queue(queue));
        in_request(queue, async { enqueue_all(&pool, batch).await.unwrap() }).await;
        run(&pool, worker(&pool, queue).build().unwrap()).await;

        let [producer] = named(queue, "enqueue").try_into().unwrap();
        assert_eq!(attribute(&producer, "messaging.batch.message_count"), Some(jobs.to_string()));
        let attempts = named(queue, "process");
        assert_eq!(attempts.len(), jobs);
        for attempt in attempts {
            let is_child = attempt.parent_span_id == producer.span_context.span_id();
            let is_in_trace = attempt.span_context.trace_id() == producer.span_context.trace_id();
            assert_eq!((is_child, is_in_trace), (children, children), "{queue}");
            assert_eq!(links(&attempt), [("creation".to_owned(), producer.span_context.span_id())], "{queue}");
        }
    }
}

#[tokio::test]
async fn every_attempt_stands_where_its_relation_puts_it_and_is_linked_to_the_one_before() {
    let (pool, _guard) = (database().await.pool(), trace());
    for (queue, relation, child_of_request, linked) in [
        ("t-auto", None, true, true),
        ("t-parent", Some(TraceRelation::Parent), true, true),
        ("t-link", Some(TraceRelation::Link), false, true),
        ("t-none", Some(TraceRelation::None), false, false),
    ] {
        let mut job = script(queue, &["fail", "snooze", "child"]).with().queue(queue);
        if let Some(relation) = relation {
            job = job.trace_relation(relation);
        }
        let (id, request) = in_request(queue, async { job.enqueue(&pool).await.unwrap().id() }).await;
        run(&pool, worker(&pool, queue).build().unwrap()).await;

        let [producer] = named(queue, "enqueue").try_into().unwrap();
        let attempts = named(queue, "process");
        let outcomes: Vec<_> = attempts.iter().map(|attempt| attribute(attempt, "haulage.job.outcome").unwrap()).collect();
        assert_eq!(outcomes, ["retried", "snoozed", "completed"], "{queue}");
        for (n, attempt) in attempts.iter().enumerate() {
            assert_eq!(
                (attempt.span_kind.clone(), attribute(attempt, "messaging.message.id")),
                (OtelSpanKind::Consumer, Some(id.to_string()))
            );
            assert_eq!(attribute(attempt, "haulage.job.attempt"), Some((n + 1).to_string()));
            assert_eq!(attribute(attempt, "messaging.operation.type").as_deref(), Some("process"));
            let wait: f64 = attribute(attempt, "haulage.job.wait").unwrap().parse().unwrap();
            assert!((0.0..30.0).contains(&wait), "{wait}");
            let in_trace = attempt.span_context.trace_id().to_bytes() == request.trace_id.to_be_bytes();
            assert_eq!(in_trace, child_of_request, "{queue}, attempt {n}");
            let parent = if child_of_request { producer.span_context.span_id() } else { SpanId::INVALID };
            assert_eq!((attempt.parent_span_id, attempt.parent_span_is_remote), (parent, child_of_request), "{queue}, attempt {n}");
            let mut expected = Vec::new();
            if linked {
                expected.push(("creation".to_owned(), producer.span_context.span_id()));
            }
            if n > 0 {
                expected.push(("previous attempt".to_owned(), attempts[n - 1].span_context.span_id()));
            }
            assert_eq!(links(attempt), expected, "{queue}, attempt {n}");
        }
        assert_eq!(attempts[0].status, Status::error("as it was told"));
        assert!(attribute(&attempts[0], "error.type").is_some());
        assert_eq!((attempts[1].status.clone(), attempts[2].status.clone()), (Status::Unset, Status::Unset));

        // The child belongs to the attempt that enqueued it, whatever that attempt belongs to.
        let child_queue = format!("{queue}-child");
        let [of_child] = named(&child_queue, "enqueue").try_into().unwrap();
        assert_eq!(of_child.parent_span_id, attempts[2].span_context.span_id(), "{queue}");
        let [child] = named(&child_queue, "process").try_into().unwrap();
        assert_eq!(child.parent_span_id, of_child.span_context.span_id(), "{queue}");
        assert_eq!(child.span_context.trace_id(), attempts[2].span_context.trace_id(), "{queue}");
    }
}

#[tokio::test]
async fn a_trace_that_an_attempt_has_of_its_own_leads_to_its_job() {
    let (pool, _guard) = (database().await.pool(), trace());
    let (linked, nested) = ("t-own-trace", "t-no-own-trace");
    let mut ids = Vec::new();
    for (queue, relation) in [(linked, TraceRelation::Link), (nested, TraceRelation::Parent)] {
        let job = script(queue, &["fail", "done"]).with().queue(queue).trace_relation(relation);
        let (id, request) = in_request(queue, async { job.enqueue(&pool).await.unwrap().id() }).await;
        run(&pool, worker(&pool, queue).build().unwrap()).await;
        let of_request = tell(&pool, &StoryKey::trace(request.trace_id)).await.unwrap().unwrap();
        assert!(has_job(&of_request, id), "{of_request:#?}");
        ids.push(id);
    }
    let fleeting = "t-fleeting-trace";
    let job = Fleeting.with().queue(fleeting).trace_relation(TraceRelation::Link);
    in_request(fleeting, async { job.enqueue(&pool).await.unwrap() }).await;
    run(&pool, worker(&pool, fleeting).handle(async |_: Fleeting| {}).build().unwrap()).await;
    assert_eq!(named(fleeting, "process").len(), 1);
    // Written when the worker has stopped at the latest; and one that is in its job's trace is not written, nor one of a kind whose jobs
    // leave nothing.
    let written: Vec<(i64, i32)> =
        sqlx::query_as("SELECT job_id, attempt FROM haulage.attempt_traces ORDER BY attempt").fetch_all(&pool).await.unwrap();
    assert_eq!(written, [(ids[0].0, 1), (ids[0].0, 2)]);
    for (n, attempt) in named(linked, "process").iter().enumerate() {
        let own = u128::from_be_bytes(attempt.span_context.trace_id().to_bytes());
        let story = tell(&pool, &StoryKey::trace(own)).await.unwrap().unwrap();
        assert_eq!(story.found, Found::Trace(format!("{own:032x}")));
        let traces: Vec<_> = attempts(&story.spans).into_iter().map(|span| span.trace.as_ref().unwrap()).collect();
        assert_eq!((traces.len(), traces[n].trace_id.as_str()), (2, format!("{own:032x}").as_str()));
        assert_eq!(traces[n].span_id, attempt.span_context.span_id().to_string());
    }
}

#[tokio::test]
async fn own_traces_wait_for_no_lock_and_hold_up_no_other_duty_and_a_day_without_a_partition_gets_one() {
    let (pool, _guard) = (database().await.pool(), trace());
    let names: Vec<String> = sqlx::query_scalar("SELECT relname::text FROM pg_class WHERE relname ~ '^attempt_traces_[0-9]{8}$'")
        .fetch_all(&pool)
        .await
        .unwrap();
    for name in names {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP TABLE haulage.{name}"))).execute(&pool).await.unwrap();
    }
    let queue = "t-locked-traces";
    let worker = worker(&pool, queue).without(haulage::Duty::Prune).build().unwrap().start().await.unwrap();
    let count = async || -> i64 { sqlx::query_scalar("SELECT count(*) FROM haulage.attempt_traces").fetch_one(&pool).await.unwrap() };
    let own = || script(queue, &["done"]).with().queue(queue).trace_relation(TraceRelation::Link);
    in_request(queue, async { own().enqueue(&pool).await.unwrap() }).await;
    eventually("the day gets its partition, and the trace is written", async || count().await == 1).await;

    let mut lock = pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE haulage.attempt_traces IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let (first, _) = in_request(queue, async { own().enqueue(&pool).await.unwrap().id() }).await;
    support::wait_for_state(&pool, first, haulage::JobState::Completed).await;
    // By then its trace is to be written, on the connection that lets later jobs run.
    let (later, _) = in_request(queue, async { own().delay(Duration::from_millis(2_500)).enqueue(&pool).await.unwrap().id() }).await;
    support::wait_for_state(&pool, later, haulage::JobState::Completed).await;
    lock.commit().await.unwrap();
    eventually("both are written", async || count().await == 3).await;
    worker.shutdown().await;
}

fn attempts(spans: &[StorySpan]) -> Vec<&StorySpan> {
    let mut found = Vec::new();
    for span in spans {
        found.extend(matches!(span.what, SpanKind::Attempt { .. }).then_some(span));
        found.extend(attempts(&span.children));
    }
    found
}

fn has_job(story: &Story, id: JobId) -> bool {
    fn within(spans: &[StorySpan], id: JobId) -> bool {
        spans.iter().any(|span| matches!(&span.what, SpanKind::Job { job, .. } if *job == id) || within(&span.children, id))
    }
    within(&story.spans, id)
}

#[tokio::test]
async fn a_job_for_later_starts_a_trace_of_its_own_with_a_link() {
    let (pool, _guard) = (database().await.pool(), trace());
    for (queue, relation, is_child) in [("t-later", None, false), ("t-later-parent", Some(TraceRelation::Parent), true)] {
        let mut job = script(queue, &["fail"]).with().queue(queue).delay(Duration::from_millis(20));
        if let Some(relation) = relation {
            job = job.trace_relation(relation);
        }
        in_request(queue, async { job.enqueue(&pool).await.unwrap() }).await;
        run(&pool, worker(&pool, queue).build().unwrap()).await;
        let [producer] = named(queue, "enqueue").try_into().unwrap();
        let attempts = named(queue, "process");
        assert_eq!(attempts.len(), 2);
        for attempt in attempts {
            assert_eq!(attempt.parent_span_id == producer.span_context.span_id(), is_child, "{queue}");
            assert_eq!(links(&attempt)[0], ("creation".to_owned(), producer.span_context.span_id()), "{queue}");
        }
    }
}

#[tokio::test]
async fn a_job_from_sql_that_waited_long_starts_a_trace_of_its_own_with_a_link() {
    let (pool, _guard) = (database().await.pool(), trace());
    let enqueue = "SELECT job_id FROM haulage.enqueue('child', queue => $1, traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')";
    for (queue, waited, is_child) in [("t-quick", "0 s", true), ("t-slow", "61 s", false)] {
        sqlx::query(enqueue).bind(queue).execute(&pool).await.unwrap();
        sqlx::query("UPDATE haulage.live_jobs SET created_at = created_at - $1::text::interval, run_at = run_at - $1::text::interval")
            .bind(waited)
            .execute(&pool)
            .await
            .unwrap();
        run(&pool, worker(&pool, queue).build().unwrap()).await;
        let [attempt] = named(queue, "process").try_into().unwrap();
        assert_eq!(attempt.span_context.trace_id().to_string() == "0af7651916cd43dd8448eb211c80319c", is_child, "{queue}");
        assert_eq!(links(&attempt).len(), 1, "{queue}");
    }
}

#[tokio::test]
async fn the_enqueue_outranks_the_worker_and_the_worker_the_client() {
    let (pool, _guard) = (database().await.pool(), trace());
    let queue = "t-rank";
    // 6 is "link" as a client's default.
    let by_client = "UPDATE haulage.live_jobs SET trace_relation = 6 WHERE id = $1";
    for (of_enqueue, of_client, of_worker, is_child) in [
        (None, false, None, true),
        (None, true, None, false),
        (None, true, Some(TraceRelation::Parent), true),
        (None, false, Some(TraceRelation::Link), false),
        (Some(TraceRelation::Auto), false, Some(TraceRelation::Link), true),
        (Some(TraceRelation::Parent), false, Some(TraceRelation::None), true),
        (Some(TraceRelation::Link), false, Some(TraceRelation::Parent), false),
    ] {
        let mut job = Child.with().queue(queue);
        if let Some(relation) = of_enqueue {
            job = job.trace_relation(relation);
        }
        let (id, _) = in_request(queue, async { job.enqueue(&pool).await.unwrap().id() }).await;
        if of_client {
            sqlx::query(by_client).bind(id.0).execute(&pool).await.unwrap();
        }
        let mut worker = worker(&pool, queue);
        if let Some(relation) = of_worker {
            worker = worker.trace_relation(relation);
        }
        run(&pool, worker.build().unwrap()).await;
        let of_job = |span: &SpanData| attribute(span, "messaging.message.id") == Some(id.to_string());
        let producer = named(queue, "enqueue").into_iter().find(of_job).unwrap();
        let attempt = named(queue, "process").into_iter().find(of_job).unwrap();
        let found = attempt.parent_span_id == producer.span_context.span_id();
        assert_eq!(found, is_child, "enqueue {of_enqueue:?}, client {of_client}, worker {of_worker:?}");
    }
}

#[tokio::test]
async fn baggage_comes_back_in_the_handler_and_goes_on_to_children() {
    let (pool, _guard) = (database().await.pool(), trace());
    for (queue, relation, seen) in [
        ("t-bag", TraceRelation::Parent, "acme, ltd"),
        ("t-bag-link", TraceRelation::Link, "acme, ltd"),
        ("t-bag-none", TraceRelation::None, "none"),
    ] {
        let log = Log::default();
        let noted = log.clone();
        let worker = support::worker(&pool).queue(queue, 1).handle(move |_: Child| {
            let noted = noted.clone();
            async move {
                let tenant = Context::map_current(|current| current.baggage().get("tenant").map(ToString::to_string));
                noted.add(tenant.unwrap_or_else(|| "none".into()));
            }
        });
        in_request(queue, async { Child.with().queue(queue).trace_relation(relation).enqueue(&pool).await.unwrap() }).await;
        run(&pool, worker.build().unwrap()).await;
        assert_eq!(log.entries(), [seen], "{queue}");
    }
}

#[tokio::test]
async fn a_wait_is_drawn_before_its_attempt_beside_it_or_inside() {
    let (pool, _guard) = (database().await.pool(), trace());
    for (queue, relation) in [("t-wait", TraceRelation::Parent), ("t-wait-link", TraceRelation::Link)] {
        let job = script(queue, &["fail"]).with().queue(queue).trace_relation(relation);
        in_request(queue, async { job.enqueue(&pool).await.unwrap() }).await;
        run(&pool, worker(&pool, queue).trace_waits().build().unwrap()).await;
        let (waits, attempts) = (named(queue, "wait"), named(queue, "process"));
        let reasons: Vec<_> = waits.iter().map(|wait| attribute(wait, "haulage.wait.reason").unwrap()).collect();
        assert_eq!(reasons, ["enqueued", "retried"], "{queue}");
        let [producer] = named(queue, "enqueue").try_into().unwrap();
        for (wait, attempt) in waits.iter().zip(&attempts) {
            assert_eq!(wait.span_kind, OtelSpanKind::Internal);
            assert!(wait.start_time <= wait.end_time, "{queue}: a bar of negative length");
            assert_eq!(wait.span_context.trace_id(), attempt.span_context.trace_id(), "{queue}");
            let parent = if relation == TraceRelation::Parent { &producer } else { attempt };
            assert_eq!(wait.parent_span_id, parent.span_context.span_id(), "{queue}");
        }
    }
}

#[tokio::test]
async fn a_job_taken_from_a_dead_worker_goes_on_in_its_trace() {
    let (pool, _guard) = (database().await.pool(), trace());
    let queue = "t-rescue";
    let (id, request) = in_request(queue, async { script(queue, &["fail"]).with().queue(queue).enqueue(&pool).await.unwrap().id() }).await;
    // As if a worker that is gone had claimed the second attempt.
    let first = worker(&pool, queue).build().unwrap().start().await.unwrap();
    eventually("the first attempt has failed", async || named(queue, "process").len() == 1).await;
    first.shutdown().await;
    let steal = "UPDATE haulage.live_jobs SET state = 2, place = 2, lease = 7, attempt = 2, claimed_at = now() WHERE id = $1";
    sqlx::query(steal).bind(id.0).execute(&pool).await.unwrap();
    sqlx::query("INSERT INTO haulage.leases (id, worker, ids) VALUES (7, 99, ARRAY[$1::bigint])").bind(id.0).execute(&pool).await.unwrap();
    run(&pool, worker(&pool, queue).build().unwrap()).await;

    let attempts = named(queue, "process");
    assert_eq!(attempts.len(), 2, "the lost attempt has no span: its process is gone");
    let [before, after] = attempts.try_into().unwrap();
    assert_eq!(attribute(&after, "haulage.job.attempt").as_deref(), Some("3"));
    assert_eq!(attribute(&after, "haulage.job.crashes").as_deref(), Some("1"));
    assert_eq!(after.span_context.trace_id().to_bytes(), request.trace_id.to_be_bytes());
    let [producer] = named(queue, "enqueue").try_into().unwrap();
    assert_eq!(links(&after), [("creation".to_owned(), producer.span_context.span_id())], "the attempt that was lost left no span");
    assert_eq!(before.parent_span_id, after.parent_span_id);
}

#[tokio::test]
async fn each_tick_of_a_schedule_is_a_trace_of_its_own() {
    let (pool, _guard) = (database().await.pool(), trace());
    let queue = "t-tick";
    let schedule = Schedule::new("every-second", "* * * * * *", Child.with().queue(queue));
    let handle = worker(&pool, queue).schedules("it", [schedule]).build().unwrap();
    // Not even a span around the worker is a tick's parent.
    let handle = async { handle.start().await.unwrap() }.instrument(tracing::info_span!("around")).await;
    eventually("two ticks have run", async || named(queue, "process").len() >= 2).await;
    handle.shutdown().await;

    let (ticks, attempts) = (named(queue, "enqueue"), named(queue, "process"));
    let by_id: HashMap<_, _> = ticks.iter().map(|tick| (attribute(tick, "messaging.message.id").unwrap(), tick)).collect();
    let traces: std::collections::HashSet<_> = ticks.iter().map(|tick| tick.span_context.trace_id()).collect();
    assert_eq!(traces.len(), ticks.len());
    for tick in &ticks {
        assert_eq!((tick.parent_span_id, &tick.span_kind), (SpanId::INVALID, &OtelSpanKind::Producer));
        assert_eq!(attribute(tick, "haulage.schedule.name").as_deref(), Some("every-second"));
    }
    for attempt in &attempts {
        let tick = by_id[&attribute(attempt, "messaging.message.id").unwrap()];
        assert_eq!(attempt.parent_span_id, tick.span_context.span_id());
    }
}

#[tokio::test]
async fn a_broken_context_starts_a_new_trace_and_fails_no_job() {
    let (pool, _guard) = (database().await.pool(), trace());
    let queue = "t-broken";
    for traceparent in ["zz", "00-00000000000000000000000000000000-b7ad6b7169203331-01", ""] {
        sqlx::query("SELECT haulage.enqueue('child', queue => $1, traceparent => $2, tracestate => '=,=', baggage => '%%%')")
            .bind(queue)
            .bind(traceparent)
            .execute(&pool)
            .await
            .unwrap();
    }
    // A context that is right beside a state and baggage that are not.
    let id: i64 = sqlx::query_scalar(
        "SELECT job_id FROM haulage.enqueue('child', queue => $1, traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
             tracestate => E'=\\001,=', baggage => 'tenant=%zz,=,;')",
    )
    .bind(queue)
    .fetch_one(&pool)
    .await
    .unwrap();
    run(&pool, worker(&pool, queue).build().unwrap()).await;
    let attempts = named(queue, "process");
    assert_eq!(attempts.len(), 4);
    for attempt in attempts {
        let whole = attribute(&attempt, "messaging.message.id") == Some(id.to_string());
        assert_eq!(attempt.parent_span_id != SpanId::INVALID, whole);
        assert_eq!(links(&attempt).len(), usize::from(whole));
    }
}

#[tokio::test]
async fn what_its_caller_did_not_sample_is_not_sampled_after_the_queue_either() {
    let (pool, _guard) = (database().await.pool(), trace());
    let caller = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00").unwrap();
    for relation in [TraceRelation::Parent, TraceRelation::Link] {
        let queue = "t-unsampled";
        Child.with().queue(queue).trace(caller).trace_relation(relation).enqueue(&pool).await.unwrap();
        run(&pool, worker(&pool, queue).build().unwrap()).await;
        assert_eq!(named(queue, "process").len(), 0, "{relation:?}");
    }
}

#[tokio::test]
async fn a_context_given_with_the_enqueue_is_stored_as_it_is() {
    let (pool, _guard) = (database().await.pool(), trace());
    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let carrier = TraceCarrier::from_headers(Some(given), Some("vendor=abc"), Some("tenant=acme,card=1234"));
    in_request("t-given", async { Child.with().queue("t-given").trace(carrier).enqueue(&pool).await.unwrap() }).await;
    let (trace_id, state, baggage): (Uuid, String, String) =
        sqlx::query_as("SELECT trace_id, tracestate, baggage FROM haulage.live_jobs").fetch_one(&pool).await.unwrap();
    assert_eq!(trace_id.simple().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((state.as_str(), baggage.as_str()), ("vendor=abc", "tenant=acme"));
    run(&pool, worker(&pool, "t-given").build().unwrap()).await;
    let [attempt] = named("t-given", "process").try_into().unwrap();
    assert_eq!(attempt.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(attempt.span_context.trace_state().header(), "vendor=abc");
}

#[tokio::test]
async fn a_child_stands_in_its_attempt_also_when_it_is_enqueued_outside_of_it() {
    let (pool, _guard) = (database().await.pool(), trace());
    let queue = "t-aside";
    let worker = support::worker(&pool).queue(queue, 1).queue("t-aside-child", 1).handle(async |_: Script, ctx: Ctx| {
        // A task has no current span.
        let child = tokio::spawn(async move { ctx.child(Child).queue("t-aside-child").enqueue(ctx.pool()).await });
        child.await??;
        Ok::<_, JobError>(())
    });
    let worker = worker.handle(async |_: Child| {});
    script(queue, &[]).with().queue(queue).enqueue(&pool).await.unwrap();
    run(&pool, worker.build().unwrap()).await;
    let [attempt] = named(queue, "process").try_into().unwrap();
    let [of_child] = named("t-aside-child", "enqueue").try_into().unwrap();
    assert_eq!(of_child.parent_span_id, attempt.span_context.span_id());
}

#[tokio::test]
async fn the_attempts_span_is_current_in_the_handler_also_on_a_blocking_thread() {
    let (pool, _guard) = (database().await.pool(), trace());
    let queue = "t-current";
    let log = Log::default();
    let (of_async, of_blocking) = (log.clone(), log.clone());
    let note = |log: &Log| log.add(Context::map_current(|current| current.span().span_context().span_id().to_string()));
    let worker = support::worker(&pool)
        .queue(queue, 1)
        .handle(move |_: Child| {
            note(&of_async);
            async {}
        })
        .handle_blocking(move |_: Script| note(&of_blocking));
    Child.with().queue(queue).enqueue(&pool).await.unwrap();
    script(queue, &[]).with().queue(queue).enqueue(&pool).await.unwrap();
    run(&pool, worker.build().unwrap()).await;
    let ids: Vec<_> = named(queue, "process").iter().map(|span| span.span_context.span_id().to_string()).collect();
    assert_eq!(log.entries(), ids);
}

#[tokio::test]
async fn the_history_tells_the_span_of_each_attempt_that_did_not_simply_succeed() {
    let (pool, _guard) = (database().await.pool(), trace());
    let queue = "t-history";
    let job = script(queue, &["fail", "cancel"]).with().queue(queue).trace_relation(TraceRelation::Link);
    in_request(queue, async { job.enqueue(&pool).await.unwrap() }).await;
    run(&pool, worker(&pool, queue).build().unwrap()).await;
    let told: Vec<(Uuid, i64)> =
        sqlx::query_as("SELECT trace_id, span_id FROM haulage.attempts ORDER BY attempt").fetch_all(&pool).await.unwrap();
    let attempts = named(queue, "process");
    assert_eq!(told.len(), 2);
    for ((trace_id, span_id), attempt) in told.into_iter().zip(attempts) {
        assert_eq!(trace_id.into_bytes(), attempt.span_context.trace_id().to_bytes());
        assert_eq!(span_id.to_be_bytes(), attempt.span_context.span_id().to_bytes());
    }
}

#[tokio::test]
async fn without_a_tracer_a_request_s_context_and_origin_still_reach_the_row_and_the_child() {
    let pool = database().await.pool();
    let origin = haulage::Origin::new("shop").version("1.2.3").route("POST /orders").request_id("req-7");
    let headers = TraceCarrier::from_headers(Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), Some("vendor=abc"), None);
    let id = origin
        .trace(headers)
        .scope(async { script("t-untraced", &["child"]).with().queue("t-untraced").enqueue(&pool).await.unwrap().id() })
        .await;
    let seen: serde_json::Value =
        sqlx::query_scalar("SELECT origin FROM haulage.live_jobs WHERE id = $1").bind(id.0).fetch_one(&pool).await.unwrap();
    assert_eq!(seen, serde_json::json!({ "service": "shop", "version": "1.2.3", "route": "POST /orders", "request_id": "req-7" }));
    run(&pool, worker(&pool, "t-untraced").build().unwrap()).await;
    let told: Vec<(String, String, String)> =
        sqlx::query_as("SELECT kind, replace(trace_id::text, '-', ''), tracestate FROM haulage.finished_jobs ORDER BY id")
            .fetch_all(&pool)
            .await
            .unwrap();
    let row = |kind: &str| (kind.to_owned(), "0af7651916cd43dd8448eb211c80319c".to_owned(), "vendor=abc".to_owned());
    assert_eq!(told, [row("script"), row("child")]);
}

#[tokio::test]
async fn the_layer_tells_a_job_its_request() {
    use axum::{Router, body::Body, extract::State, http::Request, routing::post};
    use tower::ServiceExt;

    let pool = database().await.pool();
    let enqueue = async |State(pool): State<PgPool>| {
        Child.with().queue("t-layer").enqueue(&pool).await.unwrap();
    };
    let app = Router::new()
        .route("/orders/{order}", post(enqueue))
        .layer(haulage::OriginLayer::new("shop").version("1.2.3"))
        .with_state(pool.clone());
    let given = Request::post("/orders/42")
        .header("x-request-id", "req-7")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let response = app.clone().oneshot(given.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "req-7");
    let made = app.oneshot(Request::post("/orders/43").header("traceparent", "zz").body(Body::empty()).unwrap()).await.unwrap();
    let made = made.headers()["x-request-id"].to_str().unwrap();

    let rows: Vec<(serde_json::Value, Option<Uuid>)> =
        sqlx::query_as("SELECT origin, trace_id FROM haulage.live_jobs ORDER BY id").fetch_all(&pool).await.unwrap();
    let origin = |id: &str| serde_json::json!({ "service": "shop", "version": "1.2.3", "route": "POST /orders/{order}", "request_id": id });
    assert_eq!(rows[0].0, origin("req-7"));
    assert_eq!(rows[0].1.unwrap().simple().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((&rows[1].0, rows[1].1), (&origin(made), None));
}

#[tokio::test]
async fn the_layer_opens_the_request_s_span_unless_one_is_open() {
    use axum::{Router, body::Body, extract::State, http::Request, routing::post};
    use tower::ServiceExt;

    let (pool, _guard) = (database().await.pool(), trace());
    let enqueue = async |State(pool): State<PgPool>| {
        Child.with().queue("t-span").enqueue(&pool).await.unwrap();
    };
    let app = Router::new().route("/t-span/{n}", post(enqueue)).layer(haulage::OriginLayer::new("shop")).with_state(pool.clone());
    let request = || {
        let request = Request::post("/t-span/1").header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        request.body(Body::empty()).unwrap()
    };
    app.clone().oneshot(request()).await.unwrap();
    let of_requests = || {
        let mut spans = provider().1.get_finished_spans().unwrap();
        spans.retain(|span| span.name == "POST /t-span/{n}");
        spans
    };
    let [span] = of_requests().try_into().unwrap();
    assert_eq!((span.span_kind.clone(), span.parent_span_id.to_string()), (OtelSpanKind::Server, "b7ad6b7169203331".to_owned()));
    assert_eq!(attribute(&span, "http.response.status_code").as_deref(), Some("200"));
    let [producer] = named("t-span", "enqueue").try_into().unwrap();
    assert_eq!(producer.parent_span_id, span.span_context.span_id());

    app.oneshot(request()).instrument(tracing::info_span!("another layer's")).await.unwrap();
    assert_eq!(of_requests().len(), 1);
}

#[tokio::test]
async fn jobs_that_wait_are_counted_in_bounded_time() {
    let pool = database().await.pool();
    let crowd = "INSERT INTO haulage.live_jobs (kind, queue, args, priority) SELECT 'child', 'q' || n % 2, '{}', n % 4 FROM generate_series(1, 40000) AS n";
    sqlx::query(crowd).execute(&pool).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let sample = haulage::store::sample_fleet(&mut connection).await.unwrap();
    let counted: Vec<_> = sample.queues.iter().map(|queue| (queue.name.as_str(), queue.available, queue.parked, queue.running)).collect();
    assert_eq!(counted, [("q0", 10_001, 0, 0), ("q1", 10_001, 0, 0)]);
    assert!(sample.queues[0].oldest_s.unwrap() >= 0.0);
}

#[tokio::test]
async fn one_process_of_the_fleet_counts_the_queues() {
    let pool = database().await.pool();
    let (mut one, mut other) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    let arbitrate = haulage::store::arbitrate_sample;
    assert!(arbitrate(&mut one, true).await.unwrap());
    assert!(!arbitrate(&mut other, true).await.unwrap());
    assert!(arbitrate(&mut one, true).await.unwrap(), "it stays the one");
    assert!(!arbitrate(&mut one, false).await.unwrap());
    assert!(arbitrate(&mut other, true).await.unwrap(), "until nobody reads what it counts");
}
