//! OpenTelemetry's side of the client: the spans of enqueues, requests and ticks, and what moves between a span and a row.
//!
//! Spans are made by `tracing`, under one target; the layer of `tracing-opentelemetry`, which the application installs, turns them
//! into OpenTelemetry's. Nobody interested: a span costs a load and a branch. The names follow the messaging conventions 1.44, which
//! are not stable yet, so they stand only in the two files called `otel`.

use std::{str::FromStr, sync::OnceLock};

use opentelemetry::{
    Context, KeyValue,
    baggage::BaggageExt,
    global,
    metrics::{Counter, Histogram},
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tracing::{Instrument, Span, instrument::Instrumented};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{TARGET, metric};
use crate::{
    EnqueueError, Enqueued, TraceCarrier, TraceContext,
    trace::{entries, join, member, trace_defaults},
};

/// Of the conventions.
pub const SYSTEM: &str = "haulage";

/// A carrier's context, as one that came from elsewhere; `None`: it has none.
pub fn remote(carrier: &TraceCarrier) -> Option<SpanContext> {
    carrier.context.map(|context| of(context, carrier.tracestate()))
}

/// A context that came from elsewhere.
pub fn of(context: TraceContext, tracestate: Option<&str>) -> SpanContext {
    SpanContext::new(
        TraceId::from(context.trace_id),
        SpanId::from(context.span_id),
        TraceFlags::new(context.flags),
        true,
        tracestate.and_then(|text| TraceState::from_str(text).ok()).unwrap_or_default(),
    )
}

/// A context with the carrier's baggage, and without a span: a span that begins in it begins a trace.
pub fn with_baggage(carrier: &TraceCarrier) -> Context {
    match carrier.baggage() {
        None => Context::new(),
        Some(baggage) => Context::new().with_baggage(entries(baggage).map(|(key, value)| KeyValue::new(key, value))),
    }
}

/// Says of a span that is not made yet whether it is certain that nobody records it: by whether its parent is sampled, if it has one, and
/// whether any of what it is linked to is, if it is linked.
type Foretell = Box<dyn Fn(Option<bool>, Option<bool>) -> bool + Send + Sync>;

static FORETELL: OnceLock<Foretell> = OnceLock::new();

/// Whoever installs the sampler and the subscriber says once what the one will do: the span of an attempt that nobody records then has no
/// fields, and what the other writes about the attempt it takes from its record.
pub fn foretell(never_recorded: impl Fn(Option<bool>, Option<bool>) -> bool + Send + Sync + 'static) {
    FORETELL.set(Box::new(never_recorded)).ok();
}

/// Whether it is certain that nobody records a span with this parent and these links.
pub fn never_recorded(parent: Option<bool>, linked: Option<bool>) -> bool {
    FORETELL.get().is_some_and(|foretold| foretold(parent, linked))
}

/// A span's context, if it has one.
pub fn stored(context: &SpanContext) -> Option<TraceContext> {
    context.is_valid().then(|| TraceContext {
        trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(context.span_id().to_bytes()),
        flags: context.trace_flags().to_u8(),
    })
}

fn carrier(context: &Context) -> TraceCarrier {
    let span = context.span();
    let span = span.span_context();
    let Some(stored) = stored(span) else { return TraceCarrier::default() };
    let allowed = &trace_defaults().baggage;
    let baggage = allowed.iter().filter_map(|key| Some(member(key, context.baggage().get(key)?.as_str())));
    TraceCarrier::new(Some(stored), Some(&span.trace_state().header()), join(baggage))
}

/// The span of an enqueue, and the context that its jobs are given.
#[derive(Debug)]
pub(crate) struct EnqueueSpan {
    span: Span,
    carrier: TraceCarrier,
    queue: Option<String>,
}

impl Default for EnqueueSpan {
    fn default() -> Self {
        Self { span: Span::none(), carrier: TraceCarrier::default(), queue: None }
    }
}

impl EnqueueSpan {
    /// A child of the current span, or of what is around if there is none.
    pub(crate) fn open(queue: Option<&str>, kind: &str, batch: Option<usize>, around: impl FnOnce() -> TraceCarrier) -> Self {
        let span = tracing::info_span!(
            target: TARGET,
            "enqueue",
            otel.name = queue.map_or_else(|| "enqueue".to_owned(), |queue| format!("enqueue {queue}")),
            otel.kind = "producer",
        );
        let current = Context::map_current(carrier);
        let traced = current.context.is_some();
        let outer = current.or(|| Some(around()));
        let queue_of_metric = queue.map(ToOwned::to_owned);
        if span.is_disabled() {
            return Self { span, carrier: outer, queue: queue_of_metric };
        }
        if !traced && let Some(parent) = remote(&outer) {
            // Fails without the layer, and then there is no span to have a parent.
            span.set_parent(with_baggage(&outer).with_remote_span_context(parent)).ok();
        }
        let context = span.context();
        let inner = carrier(&context);
        if context.span().is_recording() {
            let mut attributes = attributes("enqueue", "send", queue);
            attributes.push(KeyValue::new("haulage.job.kind", kind.to_owned()));
            if let Some(jobs) = batch.and_then(|jobs| i64::try_from(jobs).ok()) {
                attributes.push(KeyValue::new("messaging.batch.message_count", jobs));
            }
            attributes.into_iter().for_each(|attribute| context.span().set_attribute(attribute));
        }
        Self { span, carrier: inner.or(|| Some(outer)), queue: queue_of_metric }
    }

    pub(crate) fn carrier(&self) -> &TraceCarrier {
        &self.carrier
    }

    pub(crate) fn run<F: Future>(&self, future: F) -> Instrumented<F> {
        future.instrument(self.span.clone())
    }

    pub(crate) fn ended(self, stored: Result<Enqueued, EnqueueError>) -> Result<Enqueued, EnqueueError> {
        match &stored {
            Ok(stored) => {
                self.span.set_attribute("messaging.message.id", stored.id().to_string());
                self.count(std::slice::from_ref(stored));
            }
            Err(error) => fail(&self.span, error),
        }
        stored
    }

    pub(crate) fn ended_batch(self, stored: Result<Vec<Enqueued>, EnqueueError>) -> Result<Vec<Enqueued>, EnqueueError> {
        match &stored {
            Ok(all) => self.count(all),
            Err(error) => fail(&self.span, error),
        }
        stored
    }

    /// Those that are new, and those that were there.
    fn count(&self, stored: &[Enqueued]) {
        let new = stored.iter().filter(|stored| stored.is_new()).count();
        if new < stored.len() {
            self.span.set_attribute("haulage.enqueue.duplicates", i64::try_from(stored.len() - new).unwrap_or(i64::MAX));
        }
        if new > 0 {
            let queue = self.queue.clone().unwrap_or_else(|| "several".to_owned());
            sent().add(new as u64, &[KeyValue::new("messaging.destination.name", queue)]);
        }
    }
}

/// Of every span about jobs.
pub fn attributes(name: &'static str, kind: &'static str, queue: Option<&str>) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(16);
    attributes.push(KeyValue::new("messaging.system", SYSTEM));
    attributes.push(KeyValue::new("messaging.operation.name", name));
    attributes.push(KeyValue::new("messaging.operation.type", kind));
    if let Some(queue) = queue {
        attributes.push(KeyValue::new("messaging.destination.name", queue.to_owned()));
    }
    attributes
}

fn sent() -> &'static Counter<u64> {
    static SENT: OnceLock<Counter<u64>> = OnceLock::new();
    SENT.get_or_init(|| counter(metric::SENT))
}

/// The counter of this metric.
pub fn counter(metric: metric::Metric) -> Counter<u64> {
    global::meter("haulage").u64_counter(metric.name).with_unit(metric.unit).with_description(metric.help).build()
}

/// Records values of one histogram with the same attributes each time.
pub type Record = Box<dyn Fn(f64) + Send + Sync>;
/// Makes one of a histogram and attributes.
type Bind = fn(&Histogram<f64>, &[KeyValue]) -> Record;

static BIND: OnceLock<Bind> = OnceLock::new();

/// Whoever installs the meter provider says once how attributes are bound to a histogram: the SDK then looks up their series once, and not
/// at each value. OpenTelemetry's API has that only with an experimental feature, which is the SDK's to choose.
pub fn bind_with(bind: Bind) {
    BIND.set(bind).ok();
}

/// Binds attributes to a histogram, if somebody has said how; else they go with each value.
pub fn bound(histogram: &Histogram<f64>, attributes: &[KeyValue]) -> Record {
    if let Some(bind) = BIND.get() {
        return bind(histogram, attributes);
    }
    let (histogram, attributes) = (histogram.clone(), attributes.to_vec());
    Box::new(move |value| histogram.record(value, &attributes))
}

/// The error's own text, which holds no args, and not its source's.
fn fail(span: &Span, error: &EnqueueError) {
    span.set_attribute("error.type", error.class());
    span.set_status(opentelemetry::trace::Status::error(error.to_string()));
}

/// The span of a request, unless one is open.
#[cfg(feature = "axum")]
#[derive(Debug)]
pub(crate) struct RequestSpan(Span);

#[cfg(feature = "axum")]
impl RequestSpan {
    pub(crate) fn open(method: &str, route: Option<&str>, carrier: &TraceCarrier) -> Self {
        if Context::map_current(|current| current.span().span_context().is_valid()) {
            return Self(Span::none());
        }
        let span = tracing::info_span!(
            target: TARGET,
            "request",
            otel.name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")),
            otel.kind = "server",
            http.request.method = method,
            http.route = route,
            http.response.status_code = tracing::field::Empty,
        );
        if let Some(parent) = remote(carrier) {
            span.set_parent(with_baggage(carrier).with_remote_span_context(parent)).ok();
        }
        Self(span)
    }

    pub(crate) fn run<F: Future>(&self, future: F) -> Instrumented<F> {
        future.instrument(self.0.clone())
    }

    pub(crate) fn answered(self, status: u16) {
        self.0.record("http.response.status_code", status);
        if status >= 500 {
            self.0.set_status(opentelemetry::trace::Status::error(""));
        }
    }
}

/// Makes the span of a tick, a trace of its own, and counts it.
#[cfg(feature = "schedules")]
pub(crate) fn tick(tick: &super::Tick<'_>) -> Option<TraceContext> {
    static METERS: OnceLock<(Counter<u64>, Histogram<f64>)> = OnceLock::new();
    let (ticks, lag) = METERS.get_or_init(|| (counter(metric::TICKS), histogram(metric::LAG, &metric::WAIT_BUCKETS)));
    let queue = [KeyValue::new("messaging.destination.name", tick.queue.to_owned())];
    ticks.add(1, &queue);
    lag.record(tick.lag.as_secs_f64(), &queue);
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "enqueue",
        otel.name = format!("enqueue {}", tick.queue),
        otel.kind = "producer",
    );
    let context = span.context();
    if context.span().is_recording() {
        let mut attributes = attributes("enqueue", "send", Some(tick.queue));
        attributes.push(KeyValue::new("messaging.message.id", tick.job.to_string()));
        attributes.push(KeyValue::new("haulage.job.kind", tick.kind.to_owned()));
        attributes.push(KeyValue::new("haulage.schedule.name", tick.schedule.to_owned()));
        attributes.into_iter().for_each(|attribute| context.span().set_attribute(attribute));
    }
    stored(context.span().span_context())
}

/// The histogram of this metric.
pub fn histogram(metric: metric::Metric, buckets: &[f64]) -> Histogram<f64> {
    global::meter("haulage")
        .f64_histogram(metric.name)
        .with_unit(metric.unit)
        .with_description(metric.help)
        .with_boundaries(buckets.to_vec())
        .build()
}
