//! Which jobs are meant: for lists and for acts on many jobs.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{JobId, JobState, ParkedFor, unique};

/// Which jobs to list: all, newest id first, 50 at a time, unless told otherwise. Every condition given must hold.
///
/// Cheap, whatever the history holds: state, root, parent, the group of an error, a window of `finished`; and in days that are over, by the indexes that a worker
/// builds for them, kind, tag, args and trace, if they match no more than 5,000 jobs. The others are compared row by row, newest id first.
/// As JSON it keeps its names for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use = "a filter does nothing until it is passed on"]
pub struct JobFilter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<JobState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parked_for: Option<ParkedFor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) args: Option<serde_json::Value>,
    /// 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_from: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_before: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finished_from: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finished_before: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_class: Option<String>,
    /// A fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_group: Option<String>,
    /// The stored form, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unique_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) root: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<JobId>,
    #[serde(skip)]
    pub(crate) limit: u16,
}

impl Default for JobFilter {
    fn default() -> Self {
        Self {
            state: None,
            parked_for: None,
            queue: None,
            kind: None,
            tag: None,
            args: None,
            trace: None,
            created_from: None,
            created_before: None,
            finished_from: None,
            finished_before: None,
            error: None,
            error_class: None,
            error_group: None,
            unique_key: None,
            parent: None,
            root: None,
            before: None,
            limit: 50,
        }
    }
}

impl JobFilter {
    /// All jobs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only jobs in this state.
    pub fn state(mut self, state: JobState) -> Self {
        self.state = Some(state);
        self
    }

    /// Only parked jobs that wait for this.
    pub fn parked_for(self, what: ParkedFor) -> Self {
        Self { parked_for: Some(what), ..self.state(JobState::Parked) }
    }

    /// Only jobs of this queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// Only jobs of this kind.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Only jobs with this tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Only jobs whose args contain this: `json!({"order": 42})` matches args that have that field, whatever else they have.
    pub fn args(mut self, part: impl Into<serde_json::Value>) -> Self {
        self.args = Some(part.into());
        self
    }

    /// Only jobs enqueued in this trace. [`find_jobs_by_trace`](crate::find_jobs_by_trace) also finds those of which an attempt was a part
    /// of it.
    pub fn trace(mut self, trace_id: u128) -> Self {
        self.trace = Some(format!("{trace_id:032x}"));
        self
    }

    /// Only jobs enqueued at this time or later.
    pub fn created_from(mut self, time: DateTime<Utc>) -> Self {
        self.created_from = Some(time);
        self
    }

    /// Only jobs enqueued before this time.
    pub fn created_before(mut self, time: DateTime<Utc>) -> Self {
        self.created_before = Some(time);
        self
    }

    /// Only jobs that finished at this time or later.
    pub fn finished_from(mut self, time: DateTime<Utc>) -> Self {
        self.finished_from = Some(time);
        self
    }

    /// Only jobs that finished before this time.
    pub fn finished_before(mut self, time: DateTime<Utc>) -> Self {
        self.finished_before = Some(time);
        self
    }

    /// Only jobs whose last error contains this text; upper and lower case are the same.
    pub fn error(mut self, text: impl Into<String>) -> Self {
        self.error = Some(text.into());
        self
    }

    /// Only jobs whose last attempt that did not succeed has this class of error, such as "timeout" or "panic".
    pub fn error_class(mut self, class: impl Into<String>) -> Self {
        self.error_class = Some(class.into());
        self
    }

    /// Only jobs whose last attempt failed with this error: the [`fingerprint`](crate::ErrorGroup::fingerprint) of one of
    /// [`error_groups`](crate::error_groups). Of finished jobs only those that died of it.
    pub fn error_group(mut self, fingerprint: impl Into<String>) -> Self {
        self.error_group = Some(fingerprint.into());
        self
    }

    /// Only jobs of this unique key: the text given to `haulage.enqueue()`, or the compact JSON text of what was given to
    /// [`Unique::by`](crate::Unique::by).
    pub fn unique_key(mut self, kind: &str, key: &str) -> Self {
        self.unique_key = Some(unique::hash(kind, key).to_string());
        self
    }

    /// Only jobs that the handler of this one enqueued.
    pub fn parent(mut self, id: JobId) -> Self {
        self.parent = Some(id);
        self
    }

    /// Only descendants of this job, which has no parent itself.
    pub fn root(mut self, id: JobId) -> Self {
        self.root = Some(id);
        self
    }

    /// Only jobs with an id below this one: the last id of the page before, or its [`next`](crate::JobPage::next).
    pub fn before(mut self, id: JobId) -> Self {
        self.before = Some(id);
        self
    }

    /// At most so many, up to 1,000.
    pub fn limit(mut self, limit: u16) -> Self {
        self.limit = limit.min(1_000);
        self
    }

    /// Whether every job there is matches.
    pub fn is_empty(&self) -> bool {
        *self == Self { limit: self.limit, ..Self::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_stored_under_the_names_it_is_built_with() {
        let filter = JobFilter::new().state(JobState::Dead).queue("mail").error("timed out").root(JobId(7)).limit(3);
        let text = serde_json::to_string(&filter).unwrap();
        assert_eq!(text, r#"{"state":"dead","queue":"mail","error":"timed out","root":7}"#);
        assert_eq!(serde_json::from_str::<JobFilter>(&text).unwrap(), filter.limit(50));
        assert!(serde_json::from_str::<JobFilter>(r#"{"quue": "mail"}"#).is_err(), "a filter of a later version matches too much");
    }

    #[test]
    fn a_limit_alone_is_no_condition() {
        assert!(JobFilter::new().limit(7).is_empty());
        assert!(!JobFilter::new().kind("k").is_empty());
    }
}
