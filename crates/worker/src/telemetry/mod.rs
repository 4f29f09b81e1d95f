//! Spans and metrics of the worker. Without the feature `otel` nothing is measured, and the span of an attempt is only `tracing`'s.

mod inside;
mod span;

#[cfg(feature = "otel")]
mod meters;
#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
mod otel;
#[cfg(feature = "otel")]
mod own_traces;

pub(crate) use inside::Inside;
#[cfg(feature = "otel")]
pub(crate) use meters::Meters;
#[cfg(not(feature = "otel"))]
pub(crate) use off::{AttemptSpan, Current, Facts, Meters, OwnTraces, find_previous};
#[cfg(feature = "otel")]
pub(crate) use otel::{AttemptSpan, Current, Facts, find_previous};
#[cfg(feature = "otel")]
pub(crate) use own_traces::OwnTraces;
