//! The traces that attempts have of their own: noted when a span is opened, written by a duty, so that no result waits for them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use haulage_queue::store::AttemptTrace;

/// Noted between two writes at most; what is beyond is forgotten. A worker that starts more of such attempts in a second drains a backlog,
/// and its log lines name the jobs.
const MOST: usize = 2_000;

/// Not written yet.
#[derive(Debug, Default)]
pub(crate) struct OwnTraces {
    noted: Mutex<Vec<AttemptTrace>>,
}

impl OwnTraces {
    fn lock(&self) -> MutexGuard<'_, Vec<AttemptTrace>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes it, if there is one and room for it.
    pub(crate) fn note(&self, trace: impl FnOnce() -> Option<AttemptTrace>) {
        let mut noted = self.lock();
        if noted.len() < MOST {
            noted.extend(trace());
        }
    }

    /// They could not be written; those beyond the bound are forgotten.
    pub(crate) fn put_back(&self, traces: Vec<AttemptTrace>) {
        let mut noted = self.lock();
        let room = MOST.saturating_sub(noted.len());
        noted.extend(traces.into_iter().take(room));
    }

    pub(crate) fn take(&self) -> Vec<AttemptTrace> {
        std::mem::take(&mut *self.lock())
    }
}
