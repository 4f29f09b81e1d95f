//! What one attempt has said, and which spans it has open.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use haulage_queue::{
    LogLevel,
    redact::{CUT, REDACTED, Rules},
    store::StoredLine,
    telemetry::{ATTEMPT, Speaker},
};
use serde_json::{Map, Value};
use tracing::{
    Event, Level,
    field::{Field, Visit},
};
use tracing_subscriber::registry::Extensions;

/// The last lines of an attempt: what a person reads, and small enough that a thousand attempts at once hold 16 MB.
const MOST_LINES: usize = 100;
const MOST_BYTES: usize = 16 << 10;
/// A message, or the value of a field, in bytes.
const LONGEST: usize = 2 << 10;
/// Fields of a line.
const MOST_FIELDS: usize = 32;
/// What they take of a line, which may be all of a tail: a message is to be beside them.
const MOST_OF_FIELDS: usize = MOST_BYTES - 2 * LONGEST;
/// What a line takes beside its texts, about.
const LINE: usize = 64;
/// Open spans of an attempt: more is a span for each item of a list.
const MOST_OPEN: usize = 64;

/// Shared by the layer, which writes it, and the attempt.
#[derive(Debug)]
pub(crate) struct Record {
    rules: Arc<Rules>,
    /// Whether lines are kept; spans always are.
    lines: bool,
    speaker: OnceLock<Speaker>,
    began: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    lines: VecDeque<Line>,
    bytes: usize,
    earlier: i32,
    open: Vec<Open>,
    /// Its tail is taken: whatever it has left running says the rest to nobody.
    ended: bool,
}

#[derive(Debug)]
struct Line {
    at: Instant,
    level: LogLevel,
    target: String,
    message: String,
    fields: Map<String, Value>,
    bytes: usize,
}

/// A span inside that of the attempt.
#[derive(Debug)]
struct Open {
    id: u64,
    parent: Option<u64>,
    name: &'static str,
    since: Instant,
}

/// What an attempt said last.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) earlier: i32,
    pub(super) bytes: usize,
    lines: VecDeque<Line>,
    rules: Arc<Rules>,
}

impl Record {
    pub(super) fn new(rules: Arc<Rules>, lines: bool) -> Self {
        Self { rules, lines, speaker: OnceLock::new(), began: Instant::now(), inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose it is.
    pub(crate) fn is_of(&self, speaker: Speaker) {
        self.speaker.set(speaker).ok();
    }

    pub(super) fn said(&self, event: &Event<'_>) {
        if !self.lines {
            return;
        }
        let metadata = event.metadata();
        // Outside the lock: a value's own Debug may log.
        let mut line = Line {
            at: Instant::now(),
            level: level(*metadata.level()),
            target: metadata.target().to_owned(),
            message: String::new(),
            fields: Map::new(),
            bytes: LINE,
        };
        event.record(&mut Gathered { line: &mut line, rules: &self.rules });
        line.bytes += line.message.len() + line.target.len();
        let mut inner = self.lock();
        if inner.ended {
            return;
        }
        inner.bytes += line.bytes;
        inner.lines.push_back(line);
        while inner.lines.len() > MOST_LINES || inner.bytes > MOST_BYTES && inner.lines.len() > 1 {
            if let Some(first) = inner.lines.pop_front() {
                inner.bytes -= first.bytes;
                inner.earlier = inner.earlier.saturating_add(1);
            }
        }
    }

    /// The end of what it has said, once; `None`: nothing.
    pub(super) fn take(&self) -> Option<Said> {
        let mut inner = self.lock();
        inner.ended = true;
        let lines = std::mem::take(&mut inner.lines);
        (!lines.is_empty()).then(|| Said { earlier: inner.earlier, bytes: inner.bytes, lines, rules: Arc::clone(&self.rules) })
    }

    /// Its attempt is over, and nobody wants to know what it has said: whatever it has left running speaks to nobody.
    pub(crate) fn end(&self) {
        let mut inner = self.lock();
        inner.ended = true;
        let said = std::mem::take(&mut inner.lines);
        drop((inner, said));
    }

    pub(super) fn opened(&self, id: u64, parent: Option<u64>, name: &'static str) {
        let mut inner = self.lock();
        if inner.open.len() < MOST_OPEN {
            inner.open.push(Open { id, parent, name, since: Instant::now() });
        }
    }

    pub(super) fn closed(&self, id: u64) {
        let mut inner = self.lock();
        // The innermost closes first.
        if let Some(place) = inner.open.iter().rposition(|open| open.id == id) {
            inner.open.remove(place);
        }
    }

    /// The span that was opened last and is still open, with those around it; and since when it is.
    pub(crate) fn path(&self) -> (String, Instant) {
        let inner = self.lock();
        let Some(last) = inner.open.last() else { return (ATTEMPT.to_owned(), self.began) };
        let mut names = vec![last.name];
        let mut around = last.parent;
        while let Some(open) = inner.open.iter().find(|open| Some(open.id) == around) {
            names.push(open.name);
            around = open.parent;
        }
        names.push(ATTEMPT);
        names.reverse();
        (names.join(" > "), last.since)
    }
}

/// The attempt in whose span somebody logs, by what a span carries.
#[doc(hidden)]
pub fn speaker<'a>(extensions: &'a Extensions<'_>) -> Option<&'a Speaker> {
    extensions.get::<Arc<Record>>()?.speaker.get()
}

impl Said {
    /// As it is stored: without what looks like a secret, and without what Postgres can't store.
    pub(super) fn stored(self, now: Instant) -> Vec<StoredLine> {
        let clean = |text: &str| self.rules.clean(text).replace('\0', "\u{FFFD}");
        let line = |line: Line| StoredLine {
            before_us: micros(now.saturating_duration_since(line.at)),
            level: line.level,
            target: clean(&line.target),
            message: clean(&line.message),
            fields: line
                .fields
                .into_iter()
                .map(|(name, value)| match value {
                    Value::String(text) => (name, clean(&text).into()),
                    other => (name, other),
                })
                .collect(),
        };
        self.lines.into_iter().map(line).collect()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

struct Gathered<'a> {
    line: &'a mut Line,
    rules: &'a Rules,
}

impl Gathered<'_> {
    fn put(&mut self, field: &Field, Cut { text, .. }: Cut) {
        match field.name() {
            "message" => self.line.message = text,
            "log.target" => self.line.target = text,
            _ => self.add(field, text.len(), text),
        }
    }

    fn add(&mut self, field: &Field, size: usize, value: impl Into<Value>) {
        let name = field.name();
        // What came by the crate `log` says where in fields of their own.
        let is_full = self.line.fields.len() >= MOST_FIELDS || self.line.bytes + name.len() + size > MOST_OF_FIELDS;
        if name.starts_with("log.") || is_full {
            return;
        }
        let value = if self.rules.cover(name) { REDACTED.into() } else { value.into() };
        self.line.bytes += name.len() + size;
        self.line.fields.insert(name.to_owned(), value);
    }
}

impl Visit for Gathered<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Cut::default();
        write!(text, "{value:?}").ok();
        self.put(field, text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = Cut::default();
        text.write_str(value).ok();
        self.put(field, text);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, 8, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, 8, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, 8, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, 8, value);
    }
}

/// A text that takes no more than it may, and ends the formatting of what is longer.
#[derive(Default)]
struct Cut {
    text: String,
    /// Nothing more is taken: some write on after an error.
    full: bool,
}

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.full {
            return Err(fmt::Error);
        }
        let left = LONGEST.saturating_sub(self.text.len());
        if text.len() <= left {
            self.text.push_str(text);
            return Ok(());
        }
        self.text.push_str(&text[..text.floor_char_boundary(left)]);
        self.text.push(CUT);
        self.full = true;
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::{super::recorded, *};
    use crate::AttemptLogs;

    /// Runs it inside the span of an attempt, and returns the record.
    fn record(work: impl FnOnce(&Record)) -> Arc<Record> {
        let subscriber = tracing_subscriber::registry().with(AttemptLogs::new().layer());
        tracing::subscriber::with_default(subscriber, || {
            let (span, record) = recorded(true, || tracing::info_span!(target: haulage_queue::telemetry::TARGET, parent: None, "process"));
            let record = record.unwrap();
            span.in_scope(|| work(&record));
            record
        })
    }

    #[test]
    fn the_last_lines_are_kept_and_the_earlier_ones_counted() {
        let record = record(|_| (0..150).for_each(|n| tracing::info!(n, "said")));
        let said = record.take().unwrap();
        assert_eq!((said.earlier, said.lines.len()), (50, MOST_LINES));
        let lines = said.stored(Instant::now());
        assert_eq!((&lines[0].fields["n"], &lines[99].fields["n"]), (&50.into(), &149.into()));
        assert!(record.take().is_none(), "once");
    }

    #[test]
    fn a_tail_is_bounded_in_bytes_whatever_is_said() {
        let long = "ä".repeat(100_000);
        let record = record(|_| (0..50).for_each(|_| tracing::info!(long, more = ?vec![long.as_str(); 3], "{long}")));
        let said = record.take().unwrap();
        assert!(said.lines.len() > 1 && said.earlier > 0, "{}", said.lines.len());
        let text = serde_json::to_string(&said.stored(Instant::now())).unwrap();
        assert!(text.len() < MOST_BYTES * 5 / 4, "{}", text.len());
    }

    #[test]
    fn one_line_is_bounded_too_and_a_text_is_cut_once() {
        /// Writes on whatever it is answered.
        struct Stubborn;
        impl fmt::Debug for Stubborn {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (0..5_000).for_each(|_| f.write_str("ab").unwrap_or_default());
                Ok(())
            }
        }
        let long = "x".repeat(10_000);
        let long = long.as_str();
        let record = record(|_| {
            tracing::info!(a = ?Stubborn, b = long, c = long, d = long, e = long, f = long, g = long, h = long, i = long, j = long, "{long}");
        });
        let said = record.take().unwrap();
        assert!(said.bytes <= MOST_BYTES, "{}", said.bytes);
        let line = said.stored(Instant::now()).remove(0);
        assert!((4..9).contains(&line.fields.len()) && line.message.len() > LONGEST, "{}", line.fields.len());
        let text = line.fields["a"].as_str().unwrap();
        assert_eq!((text.chars().count(), text.matches(CUT).count()), (LONGEST + 1, 1));
    }

    #[test]
    fn what_goes_on_after_the_end_of_its_attempt_is_not_kept() {
        let record = record(|record| {
            tracing::info!("inside");
            record.end();
            tracing::info!("from a task that it has left running");
            assert!(record.lock().lines.is_empty());
        });
        assert!(record.take().is_none());
    }

    #[test]
    fn only_what_is_said_inside_the_span_counts_and_only_until_the_tail_is_taken() {
        let record = record(|record| {
            tracing::info!("inside");
            tracing::debug!("too quiet");
            tracing::info_span!("deeper").in_scope(|| tracing::warn!("deeper"));
            tracing::info!(parent: None, "elsewhere");
            assert_eq!(record.take().unwrap().lines.len(), 2);
            tracing::info!("too late");
        });
        assert!(record.take().is_none());
    }

    #[test]
    fn the_path_is_that_of_the_last_span_that_is_open() {
        record(|record| {
            assert_eq!(record.path().0, "process");
            let render = tracing::info_span!("render");
            let inside = render.clone();
            inside.in_scope(|| {
                let (path, since) = record.path();
                assert_eq!(path, "process > render");
                {
                    let _upload = tracing::info_span!("upload").entered();
                    let hidden = tracing::debug_span!("hidden").entered();
                    assert_eq!(record.path().0, "process > render > upload");
                    drop(hidden);
                }
                assert_eq!(record.path(), (path, since), "back, and not begun again");
            });
            drop((render, inside));
            assert_eq!(record.path().0, "process");
        });
    }
}
