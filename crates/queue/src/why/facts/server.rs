//! What the server, the workers and the schedules show by themselves.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::why::finding::Finding;

/// What the server, the workers and the schedules show by themselves, without a look at jobs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ServerFacts {
    pub(crate) now: DateTime<Utc>,
    pub(crate) live_workers: i64,
    pub(crate) lock_waits: Vec<LockWait>,
    pub(crate) database: DatabaseFacts,
    pub(crate) missed: Vec<MissedFacts>,
    pub(crate) odd: Vec<OddFacts>,
}

/// A session of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Session {
    pub(crate) pid: i32,
    pub(crate) backend_start: Option<DateTime<Utc>>,
    pub(crate) application: String,
    pub(crate) user: Option<String>,
    pub(crate) state: Option<String>,
    /// When its transaction began.
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) query: Option<String>,
}

/// A session that others wait for.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LockWait {
    pub(crate) session: Session,
    pub(crate) waiters: i64,
    /// Of these, connections of workers.
    pub(crate) workers: i64,
    pub(crate) since: DateTime<Utc>,
    /// A table of ours is or is to be locked against everybody.
    pub(crate) exclusive: bool,
    pub(crate) relation: Option<String>,
}

impl LockWait {
    /// What it is.
    pub(crate) fn finding(&self) -> Finding {
        let (session, waiters, workers, waiting_since) = (self.session.clone(), self.waiters, self.workers, self.since);
        match self.exclusive {
            true => Finding::TableLock { session, waiters, workers, waiting_since, relation: self.relation.clone() },
            false => Finding::DbLock { session, waiters, workers, waiting_since },
        }
    }
}

/// How the server is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct DatabaseFacts {
    /// Who holds the oldest snapshot.
    pub(crate) oldest: Option<Session>,
    /// Dead rows of the job table.
    pub(crate) dead_rows: i64,
    pub(crate) connections: i64,
    pub(crate) most_connections: i64,
}

/// A schedule that should have fired.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MissedFacts {
    pub(crate) schedule: String,
    pub(crate) owner: String,
    pub(crate) due_at: DateTime<Utc>,
}

/// A live worker whose clock is off, or that hears nothing.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct OddFacts {
    pub(crate) worker: String,
    /// `None`: it is right.
    pub(crate) clock_offset_ms: Option<i64>,
    pub(crate) heard_at: Option<DateTime<Utc>>,
}
