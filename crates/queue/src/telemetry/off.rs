//! Without OpenTelemetry: what a caller gave is passed on.

use crate::{EnqueueError, Enqueued, TraceCarrier};

/// Nothing but the context that the job is given.
#[derive(Debug, Default)]
pub(crate) struct EnqueueSpan {
    carrier: TraceCarrier,
}

impl EnqueueSpan {
    pub(crate) fn open(_: Option<&str>, _: &str, _: Option<usize>, around: impl FnOnce() -> TraceCarrier) -> Self {
        Self { carrier: around() }
    }

    pub(crate) fn carrier(&self) -> &TraceCarrier {
        &self.carrier
    }

    pub(crate) fn run<F: Future>(&self, future: F) -> F {
        future
    }

    pub(crate) fn ended(self, stored: Result<Enqueued, EnqueueError>) -> Result<Enqueued, EnqueueError> {
        stored
    }

    pub(crate) fn ended_batch(self, stored: Result<Vec<Enqueued>, EnqueueError>) -> Result<Vec<Enqueued>, EnqueueError> {
        stored
    }
}

#[cfg(feature = "axum")]
#[derive(Debug)]
pub(crate) struct RequestSpan;

#[cfg(feature = "axum")]
impl RequestSpan {
    pub(crate) fn open(_: &str, _: Option<&str>, _: &TraceCarrier) -> Self {
        Self
    }

    pub(crate) fn run<F: Future>(&self, future: F) -> F {
        future
    }

    pub(crate) fn answered(self, _: u16) {}
}

#[cfg(feature = "schedules")]
pub(crate) fn tick(_: &super::Tick<'_>) -> Option<crate::TraceContext> {
    None
}
