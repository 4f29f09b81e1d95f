//! Queues, limits, and who may start.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, Row, postgres::PgRow};

use crate::{
    limit::{KeyLimit, Limit, Rate},
    queue::{QueueStanding, QueueStatus},
    store::Kinds,
};

/// What an admission did.
#[derive(Debug, Clone, Copy)]
pub struct Admission {
    /// Jobs let in.
    pub admitted: i32,
    /// When it is worth while to ask again: a rate lets the next in, or somebody else held a lock.
    pub next: Option<Duration>,
}

/// Lets jobs of a limited queue in.
pub async fn admit_queue(connection: &mut PgConnection, queue: &str, kinds: &Kinds) -> Result<Admission, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/admit_queue.sql"))
        .bind(queue)
        .bind(&kinds.names)
        .bind(&kinds.revisions)
        .fetch_one(connection)
        .await?;
    admission(&row)
}

/// Lets jobs of these keys in that are of these queues and kinds.
pub async fn admit_keys(connection: &mut PgConnection, keys: &[String], queues: &[&str], kinds: &Kinds) -> Result<Admission, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/admit_keys.sql"))
        .bind(keys)
        .bind(queues)
        .bind(&kinds.names)
        .bind(&kinds.revisions)
        .fetch_one(connection)
        .await?;
    admission(&row)
}

/// Keys for which a job waits, in order, after this one.
pub async fn waiting_keys(connection: &mut PgConnection, after: &str, limit: i32) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/waiting_keys.sql")).bind(after).bind(limit).fetch_all(connection).await
}

/// Lets nothing into these queues and keys for this long, if they have a rate: (queue, key, time). Returns those that somebody has
/// locked, in words.
pub async fn hold_rates(connection: &mut PgConnection, holds: &[(&str, Option<&str>, Duration)]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/hold_rates.sql"))
        .bind(holds.iter().map(|(queue, ..)| *queue).collect::<Vec<_>>())
        .bind(holds.iter().map(|(_, key, _)| *key).collect::<Vec<_>>())
        .bind(holds.iter().map(|(.., time)| time.as_secs_f64()).collect::<Vec<_>>())
        .fetch_one(connection)
        .await
}

/// What was said about a queue; its row is locked.
pub(crate) async fn look_at_queue(connection: &mut PgConnection, queue: &str) -> Result<QueueStanding, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/look_at_queue.sql")).bind(queue).fetch_one(connection).await?;
    Ok(QueueStanding {
        paused_at: row.try_get("paused_at")?,
        paused_until: row.try_get("paused_until")?,
        paused_by: row.try_get("paused_by")?,
        paused_why: row.try_get("paused_why")?,
        limit: limit(&row)?,
    })
}

/// Pauses a queue that was looked at; returns until when.
pub(crate) async fn pause_queue(
    connection: &mut PgConnection,
    queue: &str,
    who: &str,
    why: Option<&str>,
    length: Option<Duration>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/pause_queue.sql"))
        .bind(queue)
        .bind(who)
        .bind(why)
        .bind(length.map(|length| length.as_secs_f64()))
        .fetch_one(connection)
        .await
}

/// Ends the pause of a queue that was looked at.
pub(crate) async fn resume_queue(connection: &mut PgConnection, queue: &str) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/resume_queue.sql")).bind(queue).execute(connection).await?;
    Ok(())
}

/// Sets the limits of a queue that was looked at.
pub(crate) async fn limit_queue(connection: &mut PgConnection, queue: &str, limit: Limit) -> Result<(), sqlx::Error> {
    let stored = limit.stored();
    sqlx::query(include_str!("../sql/limit_queue.sql"))
        .bind(queue)
        .bind(stored.max_running)
        .bind(stored.rate_count)
        .bind(stored.rate_ms)
        .bind(stored.rate_burst)
        .execute(connection)
        .await?;
    Ok(())
}

/// The limits of a key; the row is locked.
pub(crate) async fn look_at_key_limit(connection: &mut PgConnection, key: &str) -> Result<Limit, sqlx::Error> {
    limit(&sqlx::query(include_str!("../sql/look_at_key_limit.sql")).bind(key).fetch_one(connection).await?)
}

/// Sets the limits of a key that was looked at.
pub(crate) async fn limit_key(connection: &mut PgConnection, key: &str, limit: Limit, who: &str) -> Result<(), sqlx::Error> {
    let stored = limit.stored();
    sqlx::query(include_str!("../sql/limit_key.sql"))
        .bind(key)
        .bind(stored.max_running)
        .bind(stored.rate_count)
        .bind(stored.rate_ms)
        .bind(stored.rate_burst)
        .bind(who)
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes the limits of a key away; returns what they were, `None`: it had none.
pub(crate) async fn unlimit_key(connection: &mut PgConnection, key: &str) -> Result<Option<Limit>, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/unlimit_key.sql")).bind(key).fetch_optional(connection).await?;
    row.as_ref().map(limit).transpose()
}

/// The limits of keys, by key, at most so many.
pub async fn list_key_limits<'c>(executor: impl PgExecutor<'c>, most: Option<i64>) -> Result<Vec<KeyLimit>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_key_limits.sql")).bind(most).fetch_all(executor).await?;
    rows.iter().map(|row| key_limit(row, None)).collect()
}

/// Keys that have jobs and the limit of their class, by key, at most so many.
pub(crate) async fn list_class_keys<'c>(executor: impl PgExecutor<'c>, most: i64) -> Result<Vec<KeyLimit>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_class_keys.sql")).bind(most).fetch_all(executor).await?;
    rows.iter().map(|row| key_limit(row, row.try_get("class")?)).collect()
}

fn key_limit(row: &PgRow, class: Option<String>) -> Result<KeyLimit, sqlx::Error> {
    Ok(KeyLimit {
        key: row.try_get("key")?,
        limit: limit(row)?,
        class,
        set_by: row.try_get("set_by")?,
        updated_at: row.try_get("updated_at")?,
        admitted: row.try_get("admitted")?,
        waiting: row.try_get("waiting")?,
    })
}

/// The names of queues, at most so many, and how long the oldest job in line has waited, in seconds. Nothing is counted.
pub async fn list_queue_names<'c>(executor: impl PgExecutor<'c>, most: i64) -> Result<Vec<(String, Option<f64>)>, sqlx::Error> {
    sqlx::query_as(include_str!("../sql/list_queue_names.sql")).bind(most).fetch_all(executor).await
}

/// Queues, by name: only those of these names, or at most so many.
pub async fn list_queues<'c>(
    executor: impl PgExecutor<'c>,
    names: Option<&[&str]>,
    most: Option<i64>,
) -> Result<Vec<QueueStatus>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/list_queues.sql")).bind(names).bind(most).fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            Ok(QueueStatus {
                name: row.try_get("name")?,
                available: row.try_get("available")?,
                running: row.try_get("running")?,
                parked: row.try_get("parked")?,
                oldest_s: row.try_get("oldest_s")?,
                workers: row.try_get("workers")?,
                slots: row.try_get("slots")?,
                limit: limit(row)?,
                paused_at: row.try_get("paused_at")?,
                paused_until: row.try_get("paused_until")?,
                paused_by: row.try_get("paused_by")?,
                paused_why: row.try_get("paused_why")?,
            })
        })
        .collect()
}

fn admission(row: &PgRow) -> Result<Admission, sqlx::Error> {
    let next_ms: Option<f64> = row.try_get("next_ms")?;
    let next = next_ms.filter(|ms| *ms > 0.0).and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok());
    Ok(Admission { admitted: row.try_get("admitted")?, next })
}

pub(super) fn limit(row: &PgRow) -> Result<Limit, sqlx::Error> {
    let number = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
    let (count, ms, burst) = (number(row.try_get("rate_count")?), number(row.try_get("rate_ms")?), number(row.try_get("rate_burst")?));
    let rate = count.zip(ms).zip(burst).map(|((count, ms), burst)| Rate { count, per: Duration::from_millis(ms.into()), burst });
    Ok(Limit { running: number(row.try_get("max_running")?), rate })
}
