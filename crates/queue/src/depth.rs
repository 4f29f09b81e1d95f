//! How many jobs waited, step by step: what charts of the depth are drawn from.
//!
//! Whichever worker is first in a minute counts the queues and notes it, so reading it costs a row a minute and no count. Jobs that are
//! scheduled are not among it: they wait for their time and not for a worker.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::{ReadError, StatsRange, store};

/// What waited in one step.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Depth {
    /// When the step begins.
    pub start: DateTime<Utc>,
    /// What waited and ran; `None`: no worker has looked.
    pub waiting: Option<DepthCounts>,
}

/// How many jobs waited and ran: of several looks the most of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DepthCounts {
    /// Jobs that could start.
    pub available: i64,
    /// Jobs set aside: held, waiting for their key, suspects.
    pub parked: i64,
    /// Jobs that ran.
    pub running: i64,
    /// There were more: a queue is counted to 100,000, to 10,000 where that takes too long.
    pub at_least: bool,
}

/// What waited in the fleet, or in one queue, step by step, the oldest first; the last step goes on.
///
/// # Errors
/// [`ReadError`].
pub async fn depths<'c>(executor: impl PgExecutor<'c>, range: StatsRange, queue: Option<&str>) -> Result<Vec<Depth>, ReadError> {
    Ok(store::list_depths(executor, range.length(), range.step(), range.steps(), queue).await?)
}
