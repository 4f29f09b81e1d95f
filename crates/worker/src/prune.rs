//! Keeps the history's partitions: made ahead, dropped behind. Any worker may.

use haulage_queue::store;
use sqlx::PgConnection;

use crate::shared::Settings;

/// Days from yesterday for which partitions stand: a fleet may be down for most of them.
pub(crate) const DAYS_AHEAD: i32 = 5;

pub(crate) async fn run(connection: &mut PgConnection, settings: &Settings) -> Result<(), sqlx::Error> {
    let made = store::make_partitions(connection, DAYS_AHEAD).await?;
    if made > 0 {
        tracing::debug!(partitions = made, "made partitions ahead");
    }
    for (parent, days) in [
        ("finished_completed", settings.keep_completed),
        ("finished_failed", settings.keep_failed),
        ("attempts", settings.keep_completed.max(settings.keep_failed)),
    ] {
        while let Some(name) = store::drop_partition(connection, parent, days).await? {
            tracing::info!(partition = name, "dropped a day of history past its retention");
        }
    }
    Ok(())
}
