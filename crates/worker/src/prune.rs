//! Keeps the history's partitions: made ahead, dropped behind. And removes what is old of the audit, of minutes, of depths, of errors and of answered
//! requests. Any worker may.

use std::time::{Duration, Instant};

use haulage_queue::store;
use sqlx::PgConnection;

use crate::shared::Settings;

/// Days from yesterday for which partitions stand: a fleet may be down for most of them.
pub(crate) const DAYS_AHEAD: i32 = 5;

/// Rows of the audit that one statement removes: it holds their locks for milliseconds.
const BATCH: i32 = 1_000;
/// It is removed for this long before the other duties have their turn.
const TURN: Duration = Duration::from_millis(250);

/// Returns whether more is left for a next turn.
pub(crate) async fn run(connection: &mut PgConnection, settings: &Settings) -> Result<bool, sqlx::Error> {
    let made = store::make_partitions(connection, DAYS_AHEAD).await?;
    if made > 0 {
        tracing::debug!(partitions = made, "made partitions ahead");
    }
    for (parent, days) in [
        ("finished_completed", settings.keep_completed),
        ("finished_failed", settings.keep_failed),
        ("attempts", settings.keep_completed.max(settings.keep_failed)),
        ("attempt_logs", settings.keep_completed.max(settings.keep_failed)),
        // Almost all are of jobs that completed.
        ("attempt_traces", settings.keep_completed),
    ] {
        while let Some(name) = store::drop_partition(connection, parent, days).await? {
            tracing::info!(partition = name, "dropped a day of history past its retention");
        }
    }
    let started = Instant::now();
    for old in [Old::Audit, Old::Operations, Old::Minutes, Old::Depths, Old::Requests, Old::Errors] {
        while old.prune(connection, settings).await? >= BATCH.into() {
            if started.elapsed() >= TURN {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// What lies in no partition that could be dropped.
#[derive(Clone, Copy)]
enum Old {
    Audit,
    Operations,
    Minutes,
    Depths,
    Requests,
    Errors,
}

impl Old {
    /// Removes a batch of what is kept no longer; returns how many.
    async fn prune(self, connection: &mut PgConnection, settings: &Settings) -> Result<i64, sqlx::Error> {
        match self {
            Self::Audit => store::prune_audit(connection, settings.keep_audit, BATCH).await,
            Self::Operations => store::prune_operations(connection, settings.keep_audit, BATCH).await,
            Self::Minutes => store::prune_minutes(connection, BATCH).await,
            Self::Depths => store::prune_depths(connection, BATCH).await,
            Self::Requests => store::prune_requests(connection, BATCH).await,
            // An error is known for as long as the jobs that died of it.
            Self::Errors => store::prune_errors(connection, settings.keep_failed, BATCH).await,
        }
    }
}
