//! What only a look at the whole fleet shows.

use chrono::{DateTime, Utc};

use super::{DatabaseFacts, Holder, JobFacts, MissedFacts, OddFacts};
use crate::JobId;

/// What only a look at the whole fleet shows.
#[derive(Debug, Clone)]
pub(crate) struct Wide {
    pub(crate) lines: Vec<LineFacts>,
    /// What waits for keys.
    pub(crate) waiting: Vec<LineFacts>,
    pub(crate) orphans: Vec<OrphanFacts>,
    pub(crate) due: Option<DueFacts>,
    pub(crate) backoffs: Vec<BackoffFacts>,
    pub(crate) dead: Vec<DeadFacts>,
    pub(crate) database: DatabaseFacts,
    pub(crate) missed: Vec<MissedFacts>,
    pub(crate) odd: Vec<OddFacts>,
    /// Keys that a job waits for were more than are looked at.
    pub(crate) more_keys: bool,
}

/// Jobs at the beginning of a line that are alike; the job is the oldest of them.
#[derive(Debug, Clone)]
pub(crate) struct LineFacts {
    pub(crate) job: JobFacts,
    pub(crate) jobs: i64,
    /// There may be more.
    pub(crate) at_least: bool,
    /// Somebody has locked their rows.
    pub(crate) locked: bool,
    /// Since when the newest of them could run.
    pub(crate) newest: DateTime<Utc>,
}

/// Jobs on a worker that is gone, of one queue.
#[derive(Debug, Clone)]
pub(crate) struct OrphanFacts {
    pub(crate) holder: Holder,
    pub(crate) jobs: i64,
    pub(crate) job: JobId,
    pub(crate) oldest: Option<DateTime<Utc>>,
}

/// Scheduled jobs whose time has passed.
#[derive(Debug, Clone)]
pub(crate) struct DueFacts {
    pub(crate) jobs: i64,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) job: JobId,
}

/// Jobs of a kind that back off; the job is the one that failed most often.
#[derive(Debug, Clone)]
pub(crate) struct BackoffFacts {
    pub(crate) job: JobFacts,
    pub(crate) jobs: i64,
    /// Those that failed five times or more.
    pub(crate) often: i64,
}

/// Jobs of a kind that died lately.
#[derive(Debug, Clone)]
pub(crate) struct DeadFacts {
    pub(crate) queue: String,
    pub(crate) kind: String,
    pub(crate) error_class: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) jobs: i64,
    pub(crate) first_at: DateTime<Utc>,
    pub(crate) last_at: DateTime<Utc>,
    pub(crate) job: JobId,
    pub(crate) quarantined: bool,
}
