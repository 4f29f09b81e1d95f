//! What was done, in words and for programs.

use haulage_queue::{JobId, JobState, OperationId};

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Done {
    /// For people.
    pub(crate) sentence: String,
    /// Whether anything is other than before.
    pub(crate) changed: bool,
    /// The job that it was done to, or that it made.
    pub(crate) job: Option<JobId>,
    /// The state of that job now; `None` when there is no job, or it is gone.
    pub(crate) state: Option<JobState>,
    /// The operation that it was done to, or that it started.
    pub(crate) operation: Option<OperationId>,
}

impl Done {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), changed: true, job: None, state: None, operation: None }
    }

    /// It was so already.
    pub(crate) fn nothing(sentence: impl Into<String>) -> Self {
        Self { changed: false, ..Self::new(sentence) }
    }

    pub(crate) fn job(self, id: JobId, state: Option<JobState>) -> Self {
        Self { job: Some(id), state, ..self }
    }

    pub(crate) fn operation(self, id: OperationId) -> Self {
        Self { operation: Some(id), ..self }
    }
}
