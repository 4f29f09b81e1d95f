//! Queues and limit keys: pauses, and what room limits leave.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::Result;
use crate::{
    JobId,
    store::limit::limit,
    why::facts::{Idle, KeyFacts, QueueFacts, Room},
};

/// What is said about queues: of these, or of all.
pub(crate) async fn why_queues(connection: &mut PgConnection, names: Option<&[String]>) -> Result<BTreeMap<String, QueueFacts>> {
    let rows = sqlx::query(include_str!("../../sql/why_queues.sql")).bind(names).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let name: String = row.try_get("name")?;
            let limit = limit(row)?;
            let room = (!limit.is_none()).then(|| {
                Ok::<_, sqlx::Error>(Room {
                    limit,
                    held: row.try_get("held")?,
                    idle: row.try_get("idle")?,
                    idle_by: idle(row, Some(&name))?,
                    starts: row.try_get("starts")?,
                    next_ms: row.try_get("next_ms")?,
                })
            });
            let facts = QueueFacts {
                paused: row.try_get("paused")?,
                paused_at: row.try_get("paused_at")?,
                paused_until: row.try_get("paused_until")?,
                paused_by: row.try_get("paused_by")?,
                paused_why: row.try_get("paused_why")?,
                updated_at: row.try_get("updated_at")?,
                room: room.transpose()?,
            };
            Ok((name, facts))
        })
        .collect()
}

/// How limit keys stand.
pub(crate) async fn why_keys(connection: &mut PgConnection, keys: &[String]) -> Result<BTreeMap<String, KeyFacts>> {
    let rows = sqlx::query(include_str!("../../sql/why_keys.sql")).bind(keys).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let key: String = row.try_get("key")?;
            let facts = KeyFacts {
                key: key.clone(),
                limited_by: row.try_get("limit_key")?,
                limit_updated_at: row.try_get("limit_updated_at")?,
                room: Room {
                    limit: limit(row)?,
                    held: row.try_get("admitted")?,
                    idle: row.try_get("idle")?,
                    idle_by: idle(row, None)?,
                    starts: row.try_get("starts")?,
                    next_ms: row.try_get("next_ms")?,
                },
                holder: row.try_get::<Option<i64>, _>("holder")?.map(JobId),
                holder_kind: row.try_get("holder_kind")?,
                holder_since: row.try_get("holder_since")?,
                waiting: row.try_get("waiting")?,
            };
            Ok((key, facts))
        })
        .collect()
}

/// The jobs that have a slot and wait, those alike together. `queue`: where there is but one.
fn idle(row: &PgRow, queue: Option<&str>) -> Result<Vec<Idle>> {
    let Some(jobs) = row.try_get::<Option<Vec<i64>>, _>("idle_jobs")? else { return Ok(Vec::new()) };
    let (ids, kinds, revisions): (Vec<i64>, Vec<String>, Vec<i16>) =
        (row.try_get("idle_ids")?, row.try_get("idle_kinds")?, row.try_get("idle_revisions")?);
    let queues = match queue {
        Some(queue) => vec![queue.to_owned(); jobs.len()],
        None => row.try_get("idle_queues")?,
    };
    let alike = jobs.into_iter().zip(ids).zip(queues).zip(kinds).zip(revisions);
    Ok(alike.map(|((((jobs, id), queue), kind), revision)| Idle { id: JobId(id), queue, kind, revision, jobs }).collect())
}
