//! Spans and metrics of the client. Without the feature `otel` nothing is measured, and a caller's context is only passed on.
//!
//! No promise of stability; the parts that are public are for the worker.

pub mod metric;

use std::sync::Arc;

use crate::JobId;
pub use crate::why::sample_fleet;

/// The target of every span of ours.
pub const TARGET: &str = "haulage::trace";
/// The name of the span of an attempt.
pub const ATTEMPT: &str = "process";

/// Whether a span is that of an attempt, recorded or not.
pub fn is_attempt(span: &tracing::Metadata<'_>) -> bool {
    span.target() == TARGET && span.name() == ATTEMPT
}

/// Which attempt it is that logs.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// Its job.
    pub job: JobId,
    /// The job's kind.
    pub kind: Arc<str>,
    /// The job's queue.
    pub queue: Arc<str>,
    /// Its number.
    pub attempt: i32,
}

#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
pub mod otel;

#[cfg(not(feature = "otel"))]
pub(crate) use off::EnqueueSpan;
#[cfg(all(not(feature = "otel"), feature = "axum"))]
pub(crate) use off::RequestSpan;
#[cfg(all(not(feature = "otel"), feature = "schedules"))]
pub(crate) use off::tick;
#[cfg(feature = "otel")]
pub(crate) use otel::EnqueueSpan;
#[cfg(all(feature = "otel", feature = "axum"))]
pub(crate) use otel::RequestSpan;
#[cfg(all(feature = "otel", feature = "schedules"))]
pub(crate) use otel::tick;

/// A schedule has made a job.
#[cfg(feature = "schedules")]
#[derive(Debug)]
#[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "nothing is told without OpenTelemetry"))]
pub(crate) struct Tick<'a> {
    pub(crate) schedule: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) queue: &'a str,
    pub(crate) job: JobId,
    /// After its instant.
    pub(crate) lag: std::time::Duration,
}
