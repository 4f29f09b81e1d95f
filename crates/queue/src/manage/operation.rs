//! Acts on every job that matches a filter, kept by the database: whoever goes on with one goes on where it stopped.

use std::{collections::BTreeMap, fmt, num::ParseIntError, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};

use super::Operator;
use crate::{
    JobFilter, JobId, ManageError, ReadError, Verb,
    store::{self, AuditRow, Parts},
};

/// Names one act on many jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub i64);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for OperationId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// An act on every job that matched, and how far it is. `done`, `skipped` and `failed` together are the jobs that matched.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Operation {
    /// Its number.
    pub id: OperationId,
    /// Who started it.
    pub who: String,
    /// Why.
    pub reason: Option<String>,
    /// What is done.
    #[serde(flatten)]
    pub verb: Verb,
    /// To which jobs.
    pub filter: JobFilter,
    /// Whether it goes on.
    pub state: OperationState,
    /// Jobs with a larger id were enqueued later and are not touched.
    pub up_to: JobId,
    /// Jobs up to this id have had their turn.
    pub cursor: JobId,
    /// Jobs that it was done to; of a cancel also those that were told.
    pub done: u64,
    /// Jobs that it did not fit, by reason: "running", "unique key held", "locked or changed", ...
    pub skipped: BTreeMap<String, u64>,
    /// Jobs that the database refused to change, by what it said.
    pub failed: BTreeMap<String, u64>,
    /// When it was started. Jobs that finished later are not touched.
    pub started_at: DateTime<Utc>,
    /// When the last batch was done.
    pub stepped_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Whether an operation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OperationState {
    /// It goes on as soon as somebody drives it.
    Open,
    /// Every job has had its turn.
    Done,
    /// Stopped by somebody; it can be resumed.
    Cancelled,
}

impl OperationState {
    /// The name: lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One operation; `None` when there is none of this number.
///
/// # Errors
/// [`ReadError`].
pub async fn operation<'c>(executor: impl PgExecutor<'c>, id: OperationId) -> Result<Option<Operation>, ReadError> {
    Ok(store::get_operation(executor, id).await?)
}

/// Operations, newest first, at most `limit` (up to 1,000) with a number below `before`.
///
/// # Errors
/// [`ReadError`].
pub async fn list_operations<'c>(
    executor: impl PgExecutor<'c>,
    before: Option<OperationId>,
    limit: u16,
) -> Result<Vec<Operation>, ReadError> {
    Ok(store::list_operations(executor, before.unwrap_or(OperationId(i64::MAX)), limit.min(1_000)).await?)
}

/// What a filter means for a verb, and where such jobs are.
pub(crate) fn scope(verb: &Verb, mut filter: JobFilter) -> Result<(JobFilter, Parts), ManageError> {
    verb.check()?;
    if filter.is_empty() {
        return Err(ManageError::EmptyFilter);
    }
    filter.state = filter.state.or(verb.default_state());
    if let Some(state) = filter.state.filter(|state| !verb.states().contains(state)) {
        let takes = verb.states().iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
        return Err(ManageError::FilterState { verb: verb.clone(), state, takes });
    }
    let parts = Parts::of(&filter);
    Ok((filter, if verb.is_for_live_jobs() { parts.only_live() } else { parts }))
}

pub(crate) async fn start(tx: &mut PgConnection, operator: &Operator, verb: &Verb, filter: JobFilter) -> Result<Operation, ManageError> {
    operator.check()?;
    let (filter, _) = scope(verb, filter)?;
    let started = store::start_operation(tx, operator, verb, &filter).await?;
    note(tx, operator, &format!("start {}", verb.as_str()), &started, Some(json!({ "verb": verb, "filter": filter }))).await?;
    Ok(started)
}

pub(crate) async fn cancel(tx: &mut PgConnection, operator: &Operator, id: OperationId) -> Result<Operation, ManageError> {
    operator.check()?;
    let Some(cancelled) = store::cancel_operation(tx, id).await? else {
        let there = store::get_operation(tx, id).await?.ok_or(ManageError::NoOperation { id })?;
        return Err(ManageError::OperationState { id, state: there.state.as_str(), why: "it has ended, so nothing is left to cancel" });
    };
    note(tx, operator, "cancel", &cancelled, None).await?;
    Ok(cancelled)
}

pub(crate) async fn resume(tx: &mut PgConnection, operator: &Operator, id: OperationId) -> Result<Operation, ManageError> {
    operator.check()?;
    let Some(open) = store::reopen_operation(tx, id).await? else {
        let there = store::get_operation(tx, id).await?.ok_or(ManageError::NoOperation { id })?;
        return match there.state {
            OperationState::Open => Ok(there),
            state => Err(ManageError::OperationState { id, state: state.as_str(), why: "every job has had its turn; start another one" }),
        };
    };
    note(tx, operator, "resume", &open, None).await?;
    Ok(open)
}

/// Writes to the audit what was done to an operation itself.
pub(crate) async fn note(
    tx: &mut PgConnection,
    operator: &Operator,
    verb: &str,
    operation: &Operation,
    after: Option<serde_json::Value>,
) -> Result<(), sqlx::Error> {
    let target = format!("operation {}", operation.id);
    let row = AuditRow {
        who: &operator.who,
        verb,
        target: &target,
        jobs: None,
        operation: Some(operation.id),
        reason: operator.reason.as_deref(),
        before: None,
        after,
    };
    store::write_audit(tx, &row).await
}
