//! One job, who has it, and what became of it before.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{KeyFacts, Session};
use crate::{JobId, JobState, ParkedFor, Priority, why::verdict::text_of};

/// A job, or the oldest of several that are alike.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JobFacts {
    #[serde(serialize_with = "text_of")]
    pub(crate) id: JobId,
    pub(crate) state: JobState,
    /// 0 timed, 1 in line, 2 returned, 3 parked.
    pub(crate) place: i16,
    pub(crate) parked_for: Option<ParkedFor>,
    pub(crate) queue: String,
    pub(crate) kind: String,
    pub(crate) revision: i16,
    pub(crate) priority: Priority,
    #[serde(skip)]
    pub(crate) pos: i64,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) eligible_at: DateTime<Utc>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) claimed_at: Option<DateTime<Utc>>,
    pub(crate) attempt: i32,
    pub(crate) failures: i16,
    pub(crate) max_attempts: i16,
    pub(crate) crashes: i16,
    pub(crate) timeout_ms: Option<i32>,
    pub(crate) percent: Option<i16>,
    /// Who has it, while it runs.
    pub(crate) holder: Option<Holder>,
    pub(crate) cancel: Option<Act>,
    pub(crate) held: Option<Act>,
    /// The newest attempts that did not simply succeed, newest first.
    pub(crate) attempts: Vec<Past>,
    /// Who has locked its row.
    pub(crate) locker: Option<Session>,
    pub(crate) key: Option<KeyFacts>,
    /// Jobs of its key that an admission would take before it: the fewest that any worker sees.
    pub(crate) before_in_key: i64,
    /// Jobs of its queue that a claim would take before it, likewise; counted to 10,001.
    pub(crate) before_in_line: i64,
    /// A job of a higher priority waits that came after it.
    pub(crate) overtaken: bool,
}

/// Who has a running job.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Holder {
    /// `None`: it is not known any more.
    pub(crate) worker: Option<String>,
    pub(crate) heartbeat_at: Option<DateTime<Utc>>,
    pub(crate) dead_at: Option<DateTime<Utc>>,
    pub(crate) lease_ms: i32,
}

/// Others look for dead workers this often, at the latest: a heartbeat, by default five seconds.
const BEAT: TimeDelta = TimeDelta::seconds(5);

impl Holder {
    /// When others will have taken its jobs.
    pub(crate) fn rescue_at(&self) -> Option<DateTime<Utc>> {
        self.heartbeat_at.map(|beat| beat + TimeDelta::milliseconds(self.lease_ms.into()) + BEAT)
    }

    /// Whether it lives no more, or looks so: half a lease without a heartbeat is no accident, since at least three, and by default six,
    /// should come in a whole one. The jobs stay with it until the lease is over.
    pub(crate) fn silent(&self, now: DateTime<Utc>) -> bool {
        !self.beat_within(self.lease_ms / 2, now)
    }

    /// Whether it still counts among the live workers.
    pub(crate) fn counts(&self, now: DateTime<Utc>) -> bool {
        self.beat_within(self.lease_ms, now)
    }

    fn beat_within(&self, ms: i32, now: DateTime<Utc>) -> bool {
        self.dead_at.is_none() && self.heartbeat_at.is_some_and(|beat| now < beat + TimeDelta::milliseconds(ms.into()))
    }
}

/// What a person did.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Act {
    pub(crate) who: Option<String>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) why: Option<String>,
}

/// An attempt that did not simply succeed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Past {
    pub(crate) attempt: i32,
    pub(crate) outcome: String,
    pub(crate) error_class: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) eligible_at: Option<DateTime<Utc>>,
    pub(crate) claimed_at: Option<DateTime<Utc>>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) ended_at: DateTime<Utc>,
    pub(crate) next_run_at: Option<DateTime<Utc>>,
}
