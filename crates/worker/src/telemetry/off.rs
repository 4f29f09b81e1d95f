//! Without OpenTelemetry: nothing is measured.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use haulage_queue::{
    TraceContext,
    store::{AttemptTrace, Claimed, FleetSample, Rescued},
};
use sqlx::PgConnection;

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

    pub(crate) fn ran(&self, _: Instant, _: Duration) {}
}

#[derive(Debug, Default)]
pub(crate) struct AttemptSpan(());

impl AttemptSpan {
    pub(crate) fn open(_: &Shared, _: &Attempt) -> Self {
        Self(())
    }

    pub(crate) fn instrument<F: Future>(&self, future: F) -> F {
        future
    }

    pub(crate) fn ended(self, _: &Attempt, _: &Resolution) {}
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
}

pub(crate) async fn find_previous(_: &mut PgConnection, _: &mut [Claimed]) {}
