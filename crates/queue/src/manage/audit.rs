//! Who did what.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};

use crate::{
    JobId, OperationId, Operator, ReadError,
    store::{self, AuditRow},
};

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
    /// To what: "job 42", "operation 7", "queue mail", "key tenant:42", "schedule nightly-digest", "worker 77".
    pub target: String,
    /// The jobs that were changed; of an operation's batch up to 1,000.
    pub jobs: Vec<JobId>,
    /// The act on many jobs that it belongs to.
    pub operation: Option<OperationId>,
    /// Why.
    pub reason: Option<String>,
    /// How it was: of a job state, queue, priority and the like, never args; of a queue its pause and limits. `None`: it was not there.
    pub before: Option<Value>,
    /// How it is since; `None` when it is gone.
    pub after: Option<Value>,
}

/// Which entries: all but the batches of operations, newest first, 50 at a time, unless told otherwise.
#[derive(Debug, Clone)]
#[must_use = "a filter does nothing until it is passed to `list_audit`"]
pub struct AuditFilter {
    pub(crate) job: Option<JobId>,
    pub(crate) operation: Option<OperationId>,
    pub(crate) target: Option<String>,
    pub(crate) who: Option<String>,
    pub(crate) before: Option<i64>,
    pub(crate) limit: u16,
}

impl Default for AuditFilter {
    fn default() -> Self {
        Self { job: None, operation: None, target: None, who: None, before: None, limit: 50 }
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

    /// Only what was done to this queue itself, not to its jobs. Of queue, key and schedule the last one counts.
    pub fn queue(mut self, name: &str) -> Self {
        self.target = Some(Target::Queue(name).to_string());
        self
    }

    /// Only what was done to the limits of this key, or with "word:*" to those of its class.
    pub fn key(mut self, key: &str) -> Self {
        self.target = Some(Target::Key(key).to_string());
        self
    }

    /// Only what was done to this schedule.
    pub fn schedule(mut self, name: &str) -> Self {
        self.target = Some(Target::Schedule(name).to_string());
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
    Ok(store::search_audit(executor, filter, None).await?.0)
}

/// Some of the entries that match a filter, newest first.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AuditPage {
    /// At most as many as the filter asks for; fewer, even none, when the search ended before it had as many.
    pub entries: Vec<AuditEntry>,
    /// Everything from this number on has been looked at: pass it to [`AuditFilter::before`] for the next page. `None`: nothing is left.
    pub next: Option<i64>,
}

/// Who did what, page by page. What a person did has no index: a page looks at the next 20,000 entries for it.
///
/// # Errors
/// [`ReadError`].
pub async fn audit_page<'c>(executor: impl PgExecutor<'c>, filter: &AuditFilter) -> Result<AuditPage, ReadError> {
    let (entries, next) = store::search_audit(executor, filter, Some(store::PAGE_REACH)).await?;
    Ok(AuditPage { entries, next })
}

/// What something was done to. As it is stored and looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    Job(JobId),
    Queue(&'a str),
    Key(&'a str),
    Schedule(&'a str),
    Session(i32),
    Worker(i64),
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(id) => write!(f, "job {id}"),
            Self::Queue(name) => write!(f, "queue {name}"),
            Self::Key(key) => write!(f, "key {key}"),
            Self::Schedule(name) => write!(f, "schedule {name}"),
            Self::Session(pid) => write!(f, "session {pid}"),
            Self::Worker(id) => write!(f, "worker {id}"),
        }
    }
}

impl Operator {
    /// Writes down what this operator does, in the transaction of the deed.
    pub(crate) async fn write_audit(
        &self,
        tx: &mut PgConnection,
        verb: &str,
        target: Target<'_>,
        jobs: &[i64],
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<(), sqlx::Error> {
        let row = AuditRow {
            who: &self.who,
            verb,
            target: &target.to_string(),
            jobs: (!jobs.is_empty()).then_some(jobs),
            operation: None,
            reason: self.reason.as_deref(),
            before,
            after,
        };
        store::write_audit(tx, &row).await
    }
}
