//! Queues and limit keys: what is said about them, and what is left of their limits.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    JobId, Limit,
    why::verdict::{text_of, text_of_some},
};

/// What is said about a queue.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct QueueFacts {
    pub(crate) paused: bool,
    pub(crate) paused_at: Option<DateTime<Utc>>,
    pub(crate) paused_until: Option<DateTime<Utc>>,
    pub(crate) paused_by: Option<String>,
    pub(crate) paused_why: Option<String>,
    /// When somebody said something about it last.
    pub(crate) updated_at: DateTime<Utc>,
    /// `None`: it has no limit.
    pub(crate) room: Option<Room>,
}

/// How a limit key stands.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct KeyFacts {
    pub(crate) key: String,
    /// The key or the class whose limit it is; `None`: it has none.
    pub(crate) limited_by: Option<String>,
    pub(crate) limit_updated_at: Option<DateTime<Utc>>,
    pub(crate) room: Room,
    /// Who has run longest of what it has let in.
    #[serde(serialize_with = "text_of_some")]
    pub(crate) holder: Option<JobId>,
    pub(crate) holder_kind: Option<String>,
    pub(crate) holder_since: Option<DateTime<Utc>>,
    /// Counted to 10,001.
    pub(crate) waiting: i64,
}

/// A limit, and what is left of it.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Room {
    pub(crate) limit: Limit,
    /// Jobs that have a slot.
    pub(crate) held: i64,
    /// Of these, jobs that wait for a worker.
    pub(crate) idle: i64,
    /// Those, by queue and kind.
    pub(crate) idle_by: Vec<Idle>,
    /// Starts that the rate allows now.
    pub(crate) starts: Option<i32>,
    /// When it allows the next.
    pub(crate) next_ms: Option<f64>,
}

/// Jobs that have a slot and wait for a worker, of a kind and revision; the first of them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Idle {
    #[serde(serialize_with = "text_of")]
    pub(crate) id: JobId,
    pub(crate) queue: String,
    pub(crate) kind: String,
    pub(crate) revision: i16,
    pub(crate) jobs: i64,
}

/// An admission lets in no more at once.
const MOST: i64 = 1_000;

impl Room {
    /// Free slots; of a thing without that limit as many as an admission takes at once.
    pub(crate) fn slots(&self) -> i64 {
        self.limit.max_running().map_or(MOST, |most| i64::from(most) - self.held)
    }

    /// Jobs that an admission would let in now. As `haulage.admit_queue` and `haulage.admit_keys` have it; a property test holds them
    /// equal.
    pub(crate) fn free(&self) -> i64 {
        let mut free = self.slots().min(MOST);
        if let Some((.., burst)) = self.limit.max_starts() {
            free = free.min(self.starts.unwrap_or(0).into()).min(i64::from(burst) - self.idle);
        }
        free.max(0)
    }
}
