//! The layer of the application's subscriber that gathers what handlers log.

use std::{cell::RefCell, sync::Arc};

use haulage_queue::{redact::Rules, telemetry::is_attempt};
use tracing::{
    Event, Level, Subscriber,
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, filter::LevelFilter, layer::Context, registry::LookupSpan};

use super::Record;

/// Gathers what handlers log, for the worker of the same process: the end of it is stored with attempts that fail, and the span that a
/// long attempt is in with the job. `haulage::telemetry::init` adds it; a program with a subscriber of its own adds it there:
///
/// ```
/// use haulage_worker::AttemptLogs;
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let subscriber = tracing_subscriber::registry().with(AttemptLogs::new().redact(["iban"]).layer());
/// # drop(subscriber);
/// // Then `tracing::subscriber::set_global_default(subscriber)`, as ever.
/// ```
///
/// It takes events of level INFO and above that are logged inside the attempt's span, whatever other layers show. Their text is the
/// application's: **what a handler logs is stored**. Values of fields whose names contain `password`, `secret`, `token`,
/// `authorization`, `api_key`, `cookie` and the like are replaced by `[redacted]`, and so is what looks like a secret in a text: what
/// follows such a name and `=` or `:`, bearer tokens, passwords in URLs, private keys.
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is gathered until the layer is added to the subscriber"]
pub struct AttemptLogs {
    rules: Rules,
}

impl AttemptLogs {
    /// With the names above.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also replaces the values of fields whose names contain one of these. Case, `_`, `-` and `.` do not matter.
    pub fn redact(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        names.into_iter().for_each(|name| self.rules.add(name.as_ref()));
        self
    }

    /// The layer, with a filter of its own: it neither shows nor hides anything to others.
    pub fn layer<S>(self) -> impl Layer<S> + Send + Sync
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        self.unfiltered_layer().with_filter(LevelFilter::INFO)
    }

    /// The same for a subscriber whose layers share one filter.
    #[doc(hidden)]
    pub fn unfiltered_layer<S>(self) -> impl Layer<S> + Send + Sync
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        Gather { rules: Arc::new(self.rules) }
    }
}

/// A span inside that of an attempt; it goes when the span is closed.
#[derive(Debug)]
struct Open {
    record: Arc<Record>,
    id: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.record.closed(self.id);
    }
}

#[derive(Debug)]
struct Gather {
    rules: Arc<Rules>,
}

/// How the worker and the layer meet: the one opens the span of an attempt, and the other is told of it on the same thread.
enum Opening {
    No,
    Awaited { lines: bool },
    Made(Arc<Record>),
}

thread_local! {
    static OPENING: RefCell<Opening> = const { RefCell::new(Opening::No) };
}

/// Opens the span of an attempt, and returns with it the record, if a layer keeps one. `lines`: not only where it is, also what it says.
pub(crate) fn recorded<T>(lines: bool, open: impl FnOnce() -> T) -> (T, Option<Arc<Record>>) {
    OPENING.with(|opening| opening.replace(Opening::Awaited { lines }));
    let opened = open();
    match OPENING.with(|opening| opening.replace(Opening::No)) {
        Opening::Made(record) => (opened, Some(record)),
        _ => (opened, None),
    }
}

impl<S> Layer<S> for Gather
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        if *metadata.level() > Level::INFO {
            return;
        }
        let Some(span) = context.span(id) else { return };
        if is_attempt(metadata) {
            let made = OPENING.with(|opening| {
                let mut opening = opening.borrow_mut();
                let Opening::Awaited { lines } = *opening else { return None };
                let record = Arc::new(Record::new(Arc::clone(&self.rules), lines));
                *opening = Opening::Made(Arc::clone(&record));
                Some(record)
            });
            if let Some(record) = made {
                span.extensions_mut().insert(record);
            }
            return;
        }
        let around = span.parent().and_then(|parent| parent.extensions().get::<Arc<Record>>().cloned());
        if let Some(record) = around {
            record.opened(id.into_u64(), span.parent().map(|parent| parent.id().into_u64()), metadata.name());
            let mut extensions = span.extensions_mut();
            extensions.insert(Open { record: Arc::clone(&record), id: id.into_u64() });
            extensions.insert(record);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() > Level::INFO {
            return;
        }
        let record = context.event_span(event).and_then(|span| span.extensions().get::<Arc<Record>>().cloned());
        if let Some(record) = record {
            record.said(event);
        }
    }
}
