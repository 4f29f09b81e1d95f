//! What holds for every enqueue of this process.

use std::sync::{Arc, PoisonError, RwLock};

use super::TraceRelation;

/// What holds for the traces of every enqueue of this process, unless the enqueue says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TraceDefaults {
    pub(crate) relation: TraceRelation,
    pub(crate) baggage: Vec<String>,
}

impl TraceDefaults {
    /// [`TraceRelation::Auto`], and no baggage is stored.
    pub fn new() -> Self {
        Self::default()
    }

    /// How attempts relate to what enqueued their job, where neither the enqueue nor the worker says it.
    pub fn relation(mut self, relation: TraceRelation) -> Self {
        self.relation = relation;
        self
    }

    /// The baggage keys that may be stored with a job, and come back in its handler. Baggage can hold personal data.
    pub fn baggage<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.baggage.extend(keys.into_iter().map(Into::into));
        self
    }
}

static DEFAULTS: RwLock<Option<Arc<TraceDefaults>>> = RwLock::new(None);

/// Sets what holds for every later enqueue of this process.
pub fn set_trace_defaults(defaults: TraceDefaults) {
    *DEFAULTS.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(defaults));
}

pub(crate) fn trace_defaults() -> Arc<TraceDefaults> {
    DEFAULTS.read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
}
