//! Spans and metrics of the worker. Without the feature `otel` nothing is measured.

#[cfg(feature = "otel")]
mod meters;
#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
mod otel;
#[cfg(feature = "otel")]
mod own_traces;

#[cfg(feature = "otel")]
pub(crate) use meters::Meters;
#[cfg(not(feature = "otel"))]
pub(crate) use off::{AttemptSpan, Facts, Meters, OwnTraces, find_previous};
#[cfg(feature = "otel")]
pub(crate) use otel::{AttemptSpan, Facts, find_previous};
#[cfg(feature = "otel")]
pub(crate) use own_traces::OwnTraces;
