//! What travels from a request or an attempt to the jobs it enqueues.

use super::{TraceContext, baggage, defaults};

/// The longest `tracestate` kept.
const MAX_TRACESTATE: usize = 512;

/// A trace context with the vendor's state and the baggage that goes with it, as in the W3C headers of a request.
///
/// Of the baggage only keys that [`set_trace_defaults`](crate::set_trace_defaults) allows are kept, up to 1 KiB: it would sit in
/// the database and in its backups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TraceCarrier {
    pub(crate) context: Option<TraceContext>,
    pub(crate) tracestate: Option<Box<str>>,
    pub(crate) baggage: Option<Box<str>>,
}

impl TraceCarrier {
    /// Reads the headers `traceparent`, `tracestate` and `baggage`. Whatever is broken or too long is left out: with a broken
    /// `traceparent` the job starts a new trace.
    pub fn from_headers(traceparent: Option<&str>, tracestate: Option<&str>, baggage: Option<&str>) -> Self {
        Self::new(
            traceparent.and_then(TraceContext::parse),
            tracestate,
            baggage.and_then(|text| baggage::allowed(text, &defaults::trace_defaults().baggage)),
        )
    }

    pub(crate) fn new(context: Option<TraceContext>, tracestate: Option<&str>, baggage: Option<String>) -> Self {
        // A state belongs to a context; baggage is kept only with one, too, so that a job without a trace reads neither.
        let with_context = |text: &&str| context.is_some() && !text.is_empty() && printable(text);
        Self {
            context,
            tracestate: tracestate.filter(with_context).filter(|text| text.len() <= MAX_TRACESTATE).map(Into::into),
            baggage: baggage.filter(|text| with_context(&text.as_str())).map(Into::into),
        }
    }

    /// The trace context.
    pub fn context(&self) -> Option<TraceContext> {
        self.context
    }

    /// The header `tracestate`.
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// The header `baggage`.
    pub fn baggage(&self) -> Option<&str> {
        self.baggage.as_deref()
    }

    /// The same state and baggage, in another span of the trace.
    #[doc(hidden)]
    pub fn within(mut self, span: Option<TraceContext>) -> Self {
        self.context = span.or(self.context);
        self
    }

    pub(crate) fn or(self, other: impl FnOnce() -> Option<Self>) -> Self {
        if self.context.is_some() { self } else { other().unwrap_or_default() }
    }
}

impl From<TraceContext> for TraceCarrier {
    fn from(context: TraceContext) -> Self {
        Self { context: Some(context), ..Self::default() }
    }
}

impl From<Option<TraceContext>> for TraceCarrier {
    fn from(context: Option<TraceContext>) -> Self {
        Self { context, ..Self::default() }
    }
}

/// As a row has it. What somebody wrote there by hand is checked again where it becomes a header or a span.
pub(crate) fn from_stored(context: TraceContext, tracestate: Option<String>, baggage: Option<String>) -> TraceCarrier {
    TraceCarrier::new(Some(context), tracestate.as_deref(), baggage)
}

/// As a header may be.
fn printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: Option<&str> = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

    #[test]
    fn what_is_broken_or_too_long_is_left_out() {
        let long = format!("a={}", "x".repeat(MAX_TRACESTATE));
        assert_eq!(TraceCarrier::from_headers(PARENT, Some("vendor=abc"), None).tracestate(), Some("vendor=abc"));
        assert_eq!(TraceCarrier::from_headers(PARENT, Some(&long), None).tracestate(), None);
        assert_eq!(TraceCarrier::from_headers(PARENT, Some("a=\u{1}"), None).tracestate(), None);
        assert_eq!(TraceCarrier::from_headers(Some("zz"), Some("vendor=abc"), Some("k=v")), TraceCarrier::default());
    }
}
