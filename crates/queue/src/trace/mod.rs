//! The W3C trace context that rides in a job's row. Stored and forwarded as it is; a broken one is dropped and never fails a job.
//!
//! Needs no OpenTelemetry. With the feature `otel` an enqueue takes the context of the span it stands in; see `telemetry/`.

mod baggage;
mod carrier;
mod defaults;
mod url;

use uuid::Uuid;

#[cfg(feature = "otel")]
pub(crate) use baggage::{entries, join, member};
pub use carrier::TraceCarrier;
pub use defaults::{TraceDefaults, set_trace_defaults};
pub(crate) use url::LinkParts;
pub use url::{TraceUrl, TraceUrlError};
pub(crate) use {carrier::from_stored, defaults::trace_defaults};

/// How an attempt's span relates to the span that enqueued the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TraceRelation {
    /// A child if the attempt starts within 60 s of the enqueue, and the job was not scheduled for later nor one of a batch of more
    /// than 100; else a new trace with a link.
    #[default]
    Auto,
    /// Always a child.
    Parent,
    /// Always a new trace with a link.
    Link,
    /// A new trace without a link.
    None,
}

/// What a row says about the relation. The enqueue's own word outranks the worker's setting, which outranks the client's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[doc(hidden)]
pub struct StoredRelation {
    /// By the enqueue.
    pub asked: Option<TraceRelation>,
    /// By the client's default.
    pub default: TraceRelation,
    /// `Auto` is a link for this job: it is scheduled for later, or one of a crowd.
    pub apart: bool,
}

/// Codes beside NULL (nobody asked) and 1 to 3: `Auto` that the enqueue asked for; `Auto` that is a link for this job, asked for or
/// not; what is added to the code of a client's default.
const AUTO: i16 = 0;
const APART: i16 = 4;
const AUTO_APART: i16 = 8;
const DEFAULT: i16 = 4;

impl StoredRelation {
    pub(crate) fn code(self) -> Option<i16> {
        match (self.asked, self.default) {
            (Some(TraceRelation::Auto), _) => Some(if self.apart { AUTO_APART } else { AUTO }),
            (Some(asked), _) => Some(asked as i16),
            (None, TraceRelation::Auto) => self.apart.then_some(APART),
            (None, default) => Some(DEFAULT + default as i16),
        }
    }

    pub(crate) fn from_code(code: Option<i16>) -> Self {
        let relation = |code| match code {
            1 => TraceRelation::Parent,
            2 => TraceRelation::Link,
            3 => TraceRelation::None,
            _ => TraceRelation::Auto,
        };
        match code {
            None => Self::default(),
            Some(code @ (AUTO | AUTO_APART)) => Self { asked: Some(TraceRelation::Auto), apart: code == AUTO_APART, ..Self::default() },
            Some(APART) => Self { apart: true, ..Self::default() },
            Some(code @ 1..=3) => Self { asked: Some(relation(code)), ..Self::default() },
            Some(code) => Self { default: relation(code - DEFAULT), ..Self::default() },
        }
    }
}

/// A trace id, span id and flags, as in the W3C header `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// 16 bytes, never zero.
    pub trace_id: u128,
    /// 8 bytes, never zero.
    pub span_id: u64,
    /// Bit 0: sampled.
    pub flags: u8,
}

impl TraceContext {
    /// Reads a `traceparent` header; `None` when it is broken.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, length: usize| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !hex(version, 2) || version == "ff" || !hex(trace, 32) || !hex(span, 16) || !hex(flags, 2) {
            return None;
        }
        let context = Self {
            trace_id: u128::from_str_radix(trace, 16).ok()?,
            span_id: u64::from_str_radix(span, 16).ok()?,
            flags: u8::from_str_radix(flags, 16).ok()?,
        };
        (context.trace_id != 0 && context.span_id != 0).then_some(context)
    }

    /// Whether somebody records it.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// The header again, version 00.
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }

    pub(crate) fn stored(&self) -> (Uuid, i64, i16) {
        (Uuid::from_u128(self.trace_id), self.span_id.cast_signed(), i16::from(self.flags))
    }

    pub(crate) fn from_stored(trace_id: Option<Uuid>, span_id: Option<i64>, flags: Option<i16>) -> Option<Self> {
        Some(Self {
            trace_id: trace_id?.as_u128(),
            span_id: span_id?.cast_unsigned(),
            flags: u8::try_from(flags.unwrap_or(0)).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relation_survives_the_way_into_the_row_and_back() {
        let plain = StoredRelation::default();
        for stored in [
            plain,
            StoredRelation { apart: true, ..plain },
            StoredRelation { asked: Some(TraceRelation::Auto), ..plain },
            StoredRelation { asked: Some(TraceRelation::Auto), apart: true, ..plain },
            StoredRelation { asked: Some(TraceRelation::Parent), ..plain },
            StoredRelation { default: TraceRelation::Link, ..plain },
            StoredRelation { default: TraceRelation::None, ..plain },
        ] {
            assert_eq!(StoredRelation::from_code(stored.code()), stored, "{:?}", stored.code());
        }
    }

    #[test]
    fn a_traceparent_survives_the_way_into_the_row_and_back() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = TraceContext::parse(header).unwrap();
        let (trace_id, span_id, flags) = context.stored();
        let back = TraceContext::from_stored(Some(trace_id), Some(span_id), Some(flags)).unwrap();
        assert_eq!(back.traceparent(), header);
    }

    #[test]
    fn broken_contexts_are_none() {
        for header in [
            "",
            "00",
            "00-0-0-0",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(header), None, "{header}");
        }
    }
}
