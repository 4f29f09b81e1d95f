//! Without OpenTelemetry: nothing is measured.

use std::{sync::Arc, time::Duration};

use haulage_queue::{
    TraceContext,
    store::{AttemptTrace, Claimed, FleetSample, Rescued},
};
use sqlx::PgConnection;
use tracing::Span;

use crate::{
    context::Attempt,
    execute::{Registry, Resolution, Resolved},
    shared::Shared,
};

#[derive(Debug)]
pub(crate) struct Facts;

impl Facts {
    pub(crate) fn new(_: &Claimed) -> Self {
        Self
    }

    pub(crate) fn span(&self) -> Option<TraceContext> {
        None
    }

    pub(crate) fn sampled_span(&self) -> Option<TraceContext> {
        None
    }
}

#[derive(Debug)]
pub(crate) struct AttemptSpan(Span);

impl Default for AttemptSpan {
    fn default() -> Self {
        Self(Span::none())
    }
}

impl AttemptSpan {
    pub(crate) fn open(shared: &Shared, attempt: &Attempt) -> Self {
        Self(super::span::open(shared, attempt))
    }

    pub(crate) fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.in_scope(work)
    }

    pub(crate) fn ended(self, _: &Attempt, _: &Resolution) {}
}

/// What is current in the handler, for the thread of a blocking one.
#[derive(Debug)]
pub(crate) struct Current(Span);

impl Current {
    pub(crate) fn take() -> Self {
        Self(Span::current())
    }

    pub(crate) fn run<T>(self, work: impl FnOnce() -> T) -> T {
        self.0.in_scope(work)
    }
}

#[derive(Debug)]
pub(crate) struct Meters;

impl Meters {
    pub(crate) fn new(_: &Registry, _: &[String]) -> Self {
        Self
    }

    pub(crate) fn observe(_: &Arc<Shared>) {}

    pub(crate) fn settled(&self, _: &Resolved) {}

    pub(crate) fn flush(&self) {}

    pub(crate) fn rescued(&self, _: &Rescued) {}

    pub(crate) fn renewed(&self) {}

    pub(crate) fn lost(&self, _: usize) {}

    pub(crate) fn fenced(&self) {}

    pub(crate) fn stalled(&self, _: &Attempt, _: Duration) {}

    pub(crate) fn are_read(&self) -> bool {
        false
    }

    pub(crate) fn sampled(&self, _: FleetSample) {}
}

#[derive(Debug, Default)]
pub(crate) struct OwnTraces;

impl OwnTraces {
    pub(crate) fn take(&self) -> Vec<AttemptTrace> {
        Vec::new()
    }

    pub(crate) fn put_back(&self, _: Vec<AttemptTrace>) {}
}

pub(crate) async fn find_previous(_: &mut PgConnection, _: &mut [Claimed]) {}
