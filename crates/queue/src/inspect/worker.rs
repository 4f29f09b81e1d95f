//! Who works.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::{ReadError, store};

/// A worker process as it last told of itself. One that stopped in order is not in the list any more; a dead one for an hour.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Random; drawn anew each time it registers. As text: it does not fit a JavaScript number.
    pub id: String,
    /// Host and process id, unless it was given another name.
    pub name: String,
    /// Of Haulage.
    pub version: String,
    /// Whether it lives.
    pub life: WorkerLife,
    /// The queues it works on.
    pub queues: Vec<String>,
    /// How many jobs it runs at once, queue by queue.
    pub slots: Vec<i32>,
    /// The kinds it handles.
    pub kinds: Vec<String>,
    /// The last revision that it knows of each, parallel to `kinds`. Empty of a version of Haulage that takes every revision.
    pub revisions: Vec<i16>,
    /// Jobs that it held at its last heartbeat.
    pub running: i32,
    /// How long ago its last heartbeat came, in seconds.
    pub heartbeat_age_s: f64,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When others declared it dead.
    pub dead_at: Option<DateTime<Utc>>,
    /// Since when it claims nothing, because somebody said so.
    pub quiet_at: Option<DateTime<Utc>>,
    /// Who said so.
    pub quiet_by: Option<String>,
    /// Why.
    pub quiet_why: Option<String>,
}

/// Whether a worker lives, by its heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WorkerLife {
    /// Its heartbeat came within its lease.
    Alive,
    /// Its heartbeat is overdue; any worker will declare it dead.
    Silent,
    /// Declared dead: others take its jobs.
    Dead,
}

impl WorkerLife {
    /// The name: lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Silent => "silent",
            Self::Dead => "dead",
        }
    }
}

/// Every worker that is known, the living first, by name; at most 1,000.
///
/// # Errors
/// [`ReadError`].
pub async fn list_workers<'c>(executor: impl PgExecutor<'c>) -> Result<Vec<WorkerInfo>, ReadError> {
    Ok(store::list_workers(executor).await?)
}
