//! Where a job comes from: the running attempt, the trace and the request in which it is enqueued.

use std::sync::Arc;

use crate::{
    EnqueueError, JobId, Origin, Parent, TraceCarrier, TraceRelation,
    enqueue::Draft,
    telemetry::EnqueueSpan,
    trace::{StoredRelation, trace_defaults},
};

/// More jobs at once than this are no children of the request: a trace with thousands of them helps nobody.
const CROWD: usize = 100;

/// What an enqueue was told about where it stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Context {
    pub(crate) parent: Option<Parent>,
    pub(crate) trace: Option<TraceCarrier>,
    pub(crate) origin: Option<Arc<Origin>>,
}

impl Context {
    /// Opens the span of an enqueue, and decides what is stored about where the job comes from.
    pub(crate) fn open(&self, queue: Option<&str>, kind: &str, batch: Option<usize>) -> (EnqueueSpan, Provenance) {
        let origin = self.origin.clone().or_else(Origin::current);
        let around = || {
            let of_parent = self.parent.as_ref().map(|parent| parent.trace.clone()).unwrap_or_default();
            of_parent.or(|| origin.as_ref().map(|origin| origin.carrier().clone()))
        };
        let span = EnqueueSpan::open(queue, kind, batch, around);
        let from = self.provenance(&span, origin.as_deref(), batch);
        (span, from)
    }

    pub(crate) fn provenance(&self, span: &EnqueueSpan, origin: Option<&Origin>, batch: Option<usize>) -> Provenance {
        let trace = self.trace.clone().unwrap_or_else(|| span.carrier().clone());
        let default = if trace.context.is_some() { trace_defaults().relation } else { TraceRelation::Auto };
        Provenance {
            parent: self.parent.clone(),
            trace,
            origin: self.origin.as_deref().or(origin).map(Origin::json),
            default,
            crowd: batch.is_some_and(|jobs| jobs > CROWD),
        }
    }
}

/// What is stored about where a job comes from: the same for a whole batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Provenance {
    pub(crate) parent: Option<Parent>,
    pub(crate) trace: TraceCarrier,
    /// JSON text.
    pub(crate) origin: Option<String>,
    default: TraceRelation,
    crowd: bool,
}

impl Provenance {
    pub(crate) fn lease_lost(&self, kind: &'static str) -> EnqueueError {
        EnqueueError::LeaseLost { kind, parent: self.parent.as_ref().map_or(JobId(0), |parent| parent.id) }
    }

    /// The code of the relation of a job from here; nothing for a job without a trace of which nothing was asked.
    pub(crate) fn relation(&self, draft: &Draft) -> Option<i16> {
        let StoredRelation { asked, apart, .. } = draft.relation;
        if asked.is_none() && self.trace.context.is_none() {
            return None;
        }
        StoredRelation { asked, default: self.default, apart: apart || self.crowd }.code()
    }
}
