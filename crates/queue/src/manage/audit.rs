//! Who did what.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::{JobId, OperationId, ReadError, store};

/// One deed of an operator.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Its number; later ones are larger.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub who: String,
    /// What: "retry", "run-now", "start retry", ...
    pub verb: String,
    /// To what: "job 42", "operation 7".
    pub target: String,
    /// The jobs that were changed; of an operation's batch up to 1,000.
    pub jobs: Vec<JobId>,
    /// The act on many jobs that it belongs to.
    pub operation: Option<OperationId>,
    /// Why.
    pub reason: Option<String>,
    /// How it was: state, queue, priority and the like, never args.
    pub before: Option<serde_json::Value>,
    /// How it is since; `None` when it is gone.
    pub after: Option<serde_json::Value>,
}

/// Which entries: all but the batches of operations, newest first, 50 at a time, unless told otherwise.
#[derive(Debug, Clone)]
#[must_use = "a filter does nothing until it is passed to `list_audit`"]
pub struct AuditFilter {
    pub(crate) job: Option<JobId>,
    pub(crate) operation: Option<OperationId>,
    pub(crate) who: Option<String>,
    pub(crate) before: Option<i64>,
    pub(crate) limit: u16,
}

impl Default for AuditFilter {
    fn default() -> Self {
        Self { job: None, operation: None, who: None, before: None, limit: 50 }
    }
}

impl AuditFilter {
    /// All entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only what was done to this job, alone or in the batch of an operation.
    pub fn job(mut self, id: JobId) -> Self {
        self.job = Some(id);
        self
    }

    /// Only what belongs to this operation, its batches too.
    pub fn operation(mut self, id: OperationId) -> Self {
        self.operation = Some(id);
        self
    }

    /// Only what this person did.
    pub fn who(mut self, who: impl Into<String>) -> Self {
        self.who = Some(who.into());
        self
    }

    /// Only entries with a number below this one: the last of the page before.
    pub fn before(mut self, id: i64) -> Self {
        self.before = Some(id);
        self
    }

    /// At most so many, up to 1,000.
    pub fn limit(mut self, limit: u16) -> Self {
        self.limit = limit.min(1_000);
        self
    }
}

/// Who did what, newest first.
///
/// # Errors
/// [`ReadError`].
pub async fn list_audit<'c>(executor: impl PgExecutor<'c>, filter: &AuditFilter) -> Result<Vec<AuditEntry>, ReadError> {
    Ok(store::search_audit(executor, filter).await?)
}
