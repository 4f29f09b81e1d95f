//! How many jobs wait in each minute, by queue.

use std::time::Duration;

use sqlx::{Connection, PgConnection, PgExecutor, Row};

use super::{Failure, QueueSample, failure, fleet::sample_queues, limit_lock, limit_statement};
use crate::depth::{Depth, DepthCounts};

/// Jobs of a queue are counted up to here: a backlog is seen to shrink long before it is nearly gone.
const COUNTED: i64 = 100_000;
/// Or up to here, where that takes too long.
const COUNTED_IN_HASTE: i64 = 10_000;
/// A count takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);
/// The row of a minute is waited for so long: other duties wait for the same connection.
const LOCKED: Duration = Duration::from_millis(50);

/// Counts the queues and notes it, unless somebody has done so in this minute. Returns whether it did.
pub async fn sample_depths(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let mut tx = connection.begin().await?;
    limit_statement(&mut *tx, PATIENCE).await?;
    limit_lock(&mut *tx, LOCKED).await?;
    if !arbitrate_depths(&mut tx).await? {
        return Ok(false);
    }
    let mut counting = tx.begin().await?;
    let counted = sample_queues(&mut counting, COUNTED).await;
    let (queues, most) = match counted {
        Ok(queues) => {
            counting.commit().await?;
            (queues, COUNTED)
        }
        Err(error) if failure(&error) == Failure::Cancelled => {
            counting.rollback().await?;
            (sample_queues(&mut tx, COUNTED_IN_HASTE).await?, COUNTED_IN_HASTE)
        }
        Err(error) => return Err(error),
    };
    save_depths(&mut tx, &queues, most).await?;
    tx.commit().await?;
    Ok(true)
}

/// Whether this transaction is the one that does it in this minute.
async fn arbitrate_depths(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/arbitrate_depths.sql")).fetch_one(connection).await
}

/// Notes queues that were counted up to so many, and their sum.
async fn save_depths(connection: &mut PgConnection, queues: &[QueueSample], most: i64) -> Result<(), sqlx::Error> {
    let sum = |of: fn(&QueueSample) -> i64| queues.iter().map(of).sum();
    let is_more = |queue: &QueueSample| queue.available > most || queue.parked > most;
    let mut rows =
        vec![("", sum(|queue| queue.available), sum(|queue| queue.parked), sum(|queue| queue.running), queues.iter().any(is_more))];
    let used = queues.iter().filter(|queue| queue.available + queue.parked + queue.running > 0);
    rows.extend(used.map(|queue| (queue.name.as_str(), queue.available, queue.parked, queue.running, is_more(queue))));
    sqlx::query(include_str!("../sql/save_depths.sql"))
        .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.1).collect::<Vec<i64>>())
        .bind(rows.iter().map(|row| row.2).collect::<Vec<i64>>())
        .bind(rows.iter().map(|row| row.3).collect::<Vec<i64>>())
        .bind(rows.iter().map(|row| row.4).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// What waited, in so many steps of so many minutes up to now, from rows of this length; the oldest first.
pub(crate) async fn list_depths<'c>(
    executor: impl PgExecutor<'c>,
    length: i16,
    step: i32,
    steps: i32,
    queue: Option<&str>,
) -> Result<Vec<Depth>, sqlx::Error> {
    let query = sqlx::query(include_str!("../sql/list_depths.sql")).bind(length).bind(step).bind(steps).bind(queue);
    let rows = query.fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            let waiting = match row.try_get("available")? {
                None => None,
                Some(available) => Some(DepthCounts {
                    available,
                    parked: row.try_get("parked")?,
                    running: row.try_get("running")?,
                    at_least: row.try_get("at_least")?,
                }),
            };
            Ok(Depth { start: row.try_get("start")?, waiting })
        })
        .collect()
}

/// Removes what is kept no longer, at most so many; returns how many.
pub async fn prune_depths(connection: &mut PgConnection, limit: i32) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/prune_depths.sql")).bind(limit).fetch_one(connection).await
}
