//! Log lines with the trace, the span and the job they belong to.

use std::{
    fmt::{self, Write as _},
    io::{IsTerminal, Write as _, stderr},
    time::SystemTime,
};

use haulage_queue::telemetry::Speaker;
#[cfg(feature = "worker")]
use haulage_worker::speaker;
use opentelemetry::{Context as OtelContext, trace::TraceContextExt};
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{FilterFn, LevelFilter, Targets, filter_fn},
    layer::Context,
    registry::LookupSpan,
};

/// How log lines are written to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Logs {
    /// For people on a terminal, else JSON.
    #[default]
    Auto,
    /// An object a line: `timestamp`, `level`, `target`, `message`, `trace_id`, `span_id`, `job`, `kind`, `queue`, `attempt`, and the
    /// event's own fields under `fields`.
    Json,
    /// A line for people.
    Pretty,
    /// None.
    Off,
}

/// What is logged; and what `RUST_LOG` says, if that is not understood.
pub(super) fn levels(wanted: Option<&str>, otherwise: &str) -> (Targets, Option<String>) {
    let otherwise = otherwise.parse().unwrap_or_else(|_| Targets::new().with_default(Level::INFO));
    match wanted.map(str::parse) {
        Some(Ok(targets)) => (targets, None),
        Some(Err(_)) => (otherwise, wanted.map(ToOwned::to_owned)),
        None => (otherwise, None),
    }
}

/// Whether something below INFO is logged.
pub(super) fn is_verbose(logged: &Targets) -> bool {
    most(logged) > LevelFilter::INFO
}

fn most(logged: &Targets) -> LevelFilter {
    logged.iter().map(|(_, level)| level).chain(logged.default_level()).max().unwrap_or(LevelFilter::OFF)
}

/// What any of the layers wants: the spans and events of traces and attempts, and what is logged. One filter for all: each layer that has
/// one of its own looks up each span once more whenever it is entered, left or closed.
pub(super) fn wanted(logged: Targets) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    let most = most(&logged).max(LevelFilter::INFO);
    let wanted = move |metadata: &Metadata<'_>| {
        if metadata.is_span() { belongs_to_a_trace(metadata) } else { *metadata.level() <= Level::INFO || is_logged(&logged, metadata) }
    };
    filter_fn(wanted).with_max_level_hint(most)
}

fn is_logged(logged: &Targets, metadata: &Metadata<'_>) -> bool {
    logged.would_enable(metadata.target(), metadata.level())
}

/// Spans and events of level INFO and above, but for those of the libraries that send them.
pub(super) fn belongs_to_a_trace(metadata: &Metadata<'_>) -> bool {
    const SENDERS: [&str; 6] = ["h2", "hyper", "hyper_util", "opentelemetry", "tonic", "tower"];
    let root = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO && !SENDERS.contains(&root) && !root.starts_with("opentelemetry")
}

pub(super) fn layer(logs: Logs, logged: &Targets) -> Option<LogLayer> {
    let terminal = stderr().is_terminal();
    let (json, colors) = match logs {
        Logs::Off => return None,
        Logs::Json => (true, false),
        Logs::Pretty => (false, terminal),
        Logs::Auto => (!terminal, terminal),
    };
    Some(LogLayer { json, colors, logged: logged.clone() })
}

/// Without a worker there are no attempts.
#[cfg(not(feature = "worker"))]
fn speaker<'a>(_: &'a tracing_subscriber::registry::Extensions<'_>) -> Option<&'a Speaker> {
    None
}

/// Writes each event as a line.
#[derive(Debug)]
pub(super) struct LogLayer {
    json: bool,
    colors: bool,
    logged: Targets,
}

/// The message and the fields of an event.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" { self.message = text } else { self.add(field, text) }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" { self.message = value.to_owned() } else { self.add(field, value) }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // Others want events that are not logged.
        if !is_logged(&self.logged, event.metadata()) {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let trace = OtelContext::map_current(|current| {
            let span = current.span();
            let span = span.span_context();
            span.is_valid().then(|| (span.trace_id().to_string(), span.span_id().to_string(), span.trace_flags().to_u8()))
        });
        let scope = context.event_scope(event);
        let job = scope.and_then(|scope| scope.into_iter().find_map(|span| speaker(&span.extensions()).cloned()));
        let metadata = event.metadata();
        let line = if self.json {
            json(metadata, fields, trace, job.as_ref())
        } else {
            pretty(metadata, &fields, trace, job.as_ref(), self.colors)
        };
        // In one write, so that lines of several threads or processes don't mix. Nobody can be told that it failed.
        stderr().lock().write_all(line.as_bytes()).ok();
    }
}

type Trace = Option<(String, String, u8)>;

fn now() -> String {
    humantime::format_rfc3339_micros(SystemTime::now()).to_string()
}

fn json(metadata: &Metadata<'_>, fields: Fields, trace: Trace, job: Option<&Speaker>) -> String {
    let mut line = Map::new();
    line.insert("timestamp".into(), now().into());
    line.insert("level".into(), metadata.level().as_str().into());
    line.insert("target".into(), metadata.target().into());
    line.insert("message".into(), fields.message.into());
    if let Some((trace_id, span_id, flags)) = trace {
        line.insert("trace_id".into(), trace_id.into());
        line.insert("span_id".into(), span_id.into());
        line.insert("trace_flags".into(), flags.into());
    }
    if let Some(Speaker { job, kind, queue, attempt }) = job {
        line.insert("job".into(), job.to_string().into());
        line.insert("kind".into(), (**kind).into());
        line.insert("queue".into(), (**queue).into());
        line.insert("attempt".into(), (*attempt).into());
    }
    if !fields.others.is_empty() {
        line.insert("fields".into(), fields.others.into());
    }
    let mut text = Value::Object(line).to_string();
    text.push('\n');
    text
}

fn pretty(metadata: &Metadata<'_>, fields: &Fields, trace: Trace, job: Option<&Speaker>, colors: bool) -> String {
    let (color, dim, plain) = match (colors, *metadata.level()) {
        (false, _) => ("", "", ""),
        (true, Level::ERROR) => ("\x1b[31m", "\x1b[2m", "\x1b[0m"),
        (true, Level::WARN) => ("\x1b[33m", "\x1b[2m", "\x1b[0m"),
        (true, _) => ("\x1b[32m", "\x1b[2m", "\x1b[0m"),
    };
    let mut text = format!("{dim}{}{plain} {color}{:>5}{plain} {}: {}", now(), metadata.level(), metadata.target(), clean(&fields.message));
    for (name, value) in &fields.others {
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        write!(text, " {dim}{name}={plain}{}", clean(&value)).ok();
    }
    if let Some(Speaker { job, kind, queue, attempt }) = job {
        write!(text, " {dim}job={job} kind={kind} queue={queue} attempt={attempt}{plain}").ok();
    }
    if let Some((trace_id, span_id, _)) = trace {
        write!(text, " {dim}trace_id={trace_id} span_id={span_id}{plain}").ok();
    }
    text.push('\n');
    text
}

/// On one line, and without what a terminal would obey.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
