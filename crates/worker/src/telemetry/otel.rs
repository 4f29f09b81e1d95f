//! The span of an attempt: a root of `tracing`, current while the handler runs, so that everything the handler does stands under it.
//!
//! Its parent in OpenTelemetry's sense is decided by the relation. The attributes are set only when it is recorded. One that nobody records
//! is made all the same, because what the handler spawns and calls finds the attempt's context in it; where it is known beforehand (see
//! `foretell`) it is made bare, without a field.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use haulage_queue::{
    JobId, TraceContext, TraceRelation,
    store::{self, AttemptTrace, Claimed},
    telemetry::{
        TARGET,
        otel::{SYSTEM, attributes, never_recorded, of, remote, stored, with_baggage},
    },
};
use opentelemetry::{
    Context, KeyValue, global,
    trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer},
};
use sqlx::PgConnection;
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{
    context::{Attempt, Stop},
    execute::Resolution,
    shared::Shared,
    times::Times,
};

/// `Auto` makes a child of what starts within this time of its enqueue: what a person sees on one screen, and as long as collectors
/// that sample whole traces usually wait.
const CLOSE: Duration = Duration::from_secs(60);
/// The longest error text in a span, in bytes.
const MAX_TEXT: usize = 1_024;

/// What spans and metrics say about an attempt.
#[derive(Debug)]
pub(crate) struct Facts {
    relation: store::StoredRelation,
    crashes: i16,
    previous: Option<TraceContext>,
    span: OnceLock<TraceContext>,
}

impl Facts {
    pub(crate) fn new(job: &Claimed) -> Self {
        Self { relation: job.relation, crashes: job.crashes, previous: job.previous, span: OnceLock::new() }
    }

    /// The attempt's own span, sampled or not.
    pub(crate) fn span(&self) -> Option<TraceContext> {
        self.span.get().copied()
    }

    /// The attempt's own span, if somebody can look at it.
    pub(crate) fn sampled_span(&self) -> Option<TraceContext> {
        self.span().filter(TraceContext::is_sampled)
    }

    /// Parent, link or none.
    fn relation(&self, times: &Times, of_worker: Option<TraceRelation>) -> TraceRelation {
        let store::StoredRelation { asked, default, apart } = self.relation;
        match asked.or(of_worker).unwrap_or(default) {
            TraceRelation::Auto if apart || times.age() > CLOSE => TraceRelation::Link,
            TraceRelation::Auto => TraceRelation::Parent,
            relation => relation,
        }
    }

    /// Why it waited.
    fn reason(&self, attempt: &Attempt) -> &'static str {
        match attempt.number {
            _ if self.crashes > 0 => "rescued",
            _ if attempt.failures > 0 => "retried",
            1 => "enqueued",
            _ => "snoozed or given back",
        }
    }
}

/// The span of an attempt; none while the handler has not started.
#[derive(Debug)]
pub(crate) struct AttemptSpan {
    span: Span,
    /// Of the span, if somebody records it.
    recorded: Option<Context>,
}

impl Default for AttemptSpan {
    fn default() -> Self {
        Self { span: Span::none(), recorded: None }
    }
}

impl AttemptSpan {
    pub(crate) fn open(shared: &Shared, attempt: &Attempt) -> Self {
        let related = Related::new(shared, attempt);
        let bare = related.is_never_recorded();
        let span = if bare { super::span::open_bare(shared, attempt) } else { super::span::open(shared, attempt) };
        let recorded = if span.is_disabled() { None } else { begin(&span, shared, attempt, &related, bare) };
        Self { span, recorded }
    }

    pub(crate) fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        self.span.in_scope(work)
    }

    /// The attempt is over, whatever the handler has left running in its span.
    pub(crate) fn ended(self, attempt: &Attempt, resolution: &Resolution) {
        let Some(context) = self.recorded else { return };
        let span = context.span();
        span.set_attribute(KeyValue::new("haulage.job.outcome", outcome(attempt, resolution)));
        if let Resolution::Later { end, .. } | Resolution::Bury { end, .. } = resolution
            && end.failed
        {
            span.set_attribute(KeyValue::new("error.type", end.class.unwrap_or(end.outcome)));
            span.set_status(Status::error(cut(end.message.as_deref().unwrap_or_default())));
        }
        span.end();
    }
}

/// What is current in the handler, for the thread of a blocking one.
#[derive(Debug)]
pub(crate) struct Current {
    span: Span,
    context: Context,
}

impl Current {
    pub(crate) fn take() -> Self {
        Self { span: Span::current(), context: Context::current() }
    }

    pub(crate) fn run<T>(self, work: impl FnOnce() -> T) -> T {
        let _context = self.context.attach();
        let _span = self.span.entered();
        work()
    }
}

/// What an attempt's span has to do with other spans.
struct Related {
    relation: TraceRelation,
    /// The span that enqueued the job, if it is the attempt's parent.
    parent: Option<TraceContext>,
    /// The same, if it is linked to.
    creation: Option<TraceContext>,
    /// The attempt before.
    previous: Option<TraceContext>,
}

impl Related {
    fn new(shared: &Shared, attempt: &Attempt) -> Self {
        let (facts, creation) = (&attempt.facts, attempt.trace.context());
        // What comes from nowhere relates to nothing.
        let relation = creation.map_or(TraceRelation::None, |_| facts.relation(&attempt.times, shared.settings.trace_relation));
        Self {
            relation,
            parent: creation.filter(|_| relation == TraceRelation::Parent),
            creation: creation.filter(|_| relation != TraceRelation::None),
            previous: facts.previous,
        }
    }

    fn is_never_recorded(&self) -> bool {
        let linked = self.creation.into_iter().chain(self.previous);
        never_recorded(
            self.parent.as_ref().map(TraceContext::is_sampled),
            linked.map(|context| context.is_sampled()).reduce(|one, other| one || other),
        )
    }
}

/// Keeps in mind which span the attempt has, and notes its trace if that is not the job's, by which it is found anyway; and not of a kind
/// whose jobs leave nothing.
fn keep(shared: &Shared, attempt: &Attempt, own: TraceContext) {
    attempt.facts.span.set(own).ok();
    let is_own = attempt.trace.context().is_none_or(|job| job.trace_id != own.trace_id);
    if is_own {
        shared.own_traces.note(|| {
            let trace = AttemptTrace { job: attempt.settled.id, attempt: attempt.number, trace: own };
            shared.registry.keeps_completed(&attempt.kind).then_some(trace)
        });
    }
}

/// Gives the span its place: parent, links, and if somebody records it name and attributes.
fn begin(span: &Span, shared: &Shared, attempt: &Attempt, related: &Related, bare: bool) -> Option<Context> {
    let facts = &attempt.facts;
    let creation = related.creation.and_then(|_| remote(&attempt.trace));
    // Set only where there is something to set: an empty context is what a root has anyway.
    let parent = creation.as_ref().filter(|_| related.parent.is_some());
    if let Some(parent) = parent {
        span.set_parent(with_baggage(&attempt.trace).with_remote_span_context(parent.clone())).ok();
    } else if related.relation == TraceRelation::Link && attempt.trace.baggage().is_some() {
        span.set_parent(with_baggage(&attempt.trace)).ok();
    }
    // Not of one that is not recorded because its parent is not; else the sampler goes by the links.
    if !bare || parent.is_none() {
        if let Some(creation) = &creation {
            span.add_link_with_attributes(creation.clone(), vec![link("creation")]);
        }
        if let Some(previous) = related.previous {
            span.add_link_with_attributes(of(previous, None), vec![link("previous attempt")]);
        }
    }
    let context = span.context();
    let own = context.span();
    keep(shared, attempt, stored(own.span_context())?);
    if !own.is_recording() {
        return None;
    }
    own.update_name(format!("process {}", attempt.queue));
    own.set_attribute(KeyValue::new("messaging.message.id", attempt.settled.id.to_string()));
    for attribute in attributes("process", "process", None) {
        own.set_attribute(attribute);
    }
    own.set_attribute(KeyValue::new("messaging.client.id", shared.name.clone()));
    own.set_attribute(KeyValue::new("haulage.job.max_attempts", i64::from(attempt.max_attempts)));
    own.set_attribute(KeyValue::new("haulage.job.wait", attempt.times.wait().as_secs_f64()));
    if facts.crashes > 0 {
        own.set_attribute(KeyValue::new("haulage.job.crashes", i64::from(facts.crashes)));
    }
    if shared.settings.trace_waits {
        let beside = parent.map(|parent| Context::new().with_remote_span_context(parent.clone()));
        wait_span(&beside.unwrap_or_else(|| context.clone()), attempt);
    }
    Some(context.clone())
}

fn link(what: &'static str) -> KeyValue {
    KeyValue::new("haulage.link", what)
}

/// The wait that has just ended, drawn before the attempt. Measured by the database's clock and then by ours, and laid back from now,
/// so that clocks that differ make no bar of negative length.
#[expect(clippy::disallowed_methods, reason = "a span's time is that of this machine's clock, like those of all others that it makes")]
fn wait_span(parent: &Context, attempt: &Attempt) {
    let (now, wait) = (SystemTime::now(), attempt.times.wait());
    let tracer = global::tracer("haulage");
    let mut span = tracer
        .span_builder(format!("wait {}", attempt.queue))
        .with_kind(SpanKind::Internal)
        .with_start_time(now.checked_sub(wait).unwrap_or(now))
        .with_attributes([
            KeyValue::new("messaging.system", SYSTEM),
            KeyValue::new("messaging.destination.name", attempt.queue.to_string()),
            KeyValue::new("messaging.message.id", attempt.settled.id.to_string()),
            KeyValue::new("haulage.wait.reason", attempt.facts.reason(attempt)),
        ])
        .start_with_context(&tracer, parent);
    span.end_with_timestamp(now);
}

/// What became of an attempt, in a word.
pub(super) fn outcome(attempt: &Attempt, resolution: &Resolution) -> &'static str {
    match resolution {
        Resolution::Complete { .. } => "completed",
        Resolution::Later { end, .. } if end.failed => "retried",
        Resolution::Later { .. } => "snoozed",
        Resolution::Bury { cancelled: true, .. } => "cancelled",
        Resolution::Bury { .. } => "dead",
        Resolution::Return => "returned",
        Resolution::Nothing if attempt.completed() => "completed",
        Resolution::Nothing if attempt.stopped() == Some(Stop::LeaseLost) => "lease lost",
        Resolution::Nothing => "unknown",
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

/// Looks up the spans of earlier attempts, for later ones to link to. Costs a round trip only when something is claimed again while
/// somebody traces; without an answer there is no link.
pub(crate) async fn find_previous(connection: &mut PgConnection, jobs: &mut [Claimed]) {
    let sampled = |job: &Claimed| job.trace.context().is_none_or(|trace| trace.is_sampled());
    let again = |job: &Claimed| job.attempt > 1 && sampled(job);
    if !jobs.iter().any(again) || !tracing::span_enabled!(target: TARGET, Level::INFO) {
        return;
    }
    let ids: Vec<JobId> = jobs.iter().filter(|job| again(job)).map(|job| job.id).collect();
    match store::previous_attempts(connection, &ids).await {
        Ok(spans) => {
            for (id, span) in spans {
                if let Some(job) = jobs.iter_mut().find(|job| job.id == id) {
                    // An attempt without a span of its own was noted with that of the enqueue.
                    job.previous = Some(span).filter(|span| job.trace.context().is_none_or(|trace| trace.span_id != span.span_id));
                }
            }
        }
        Err(error) => tracing::debug!(%error, "the spans of earlier attempts were not found; there are no links to them"),
    }
}
