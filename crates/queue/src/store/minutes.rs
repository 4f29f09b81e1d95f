//! What ended in each minute, by queue and kind.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, Row};

use crate::stats::{LENGTHS, Lengths, Stat};

/// What a process has counted of a kind in a queue.
#[derive(Debug, Clone)]
pub struct Counted {
    /// The queue.
    pub queue: String,
    /// The kind.
    pub kind: String,
    /// How much.
    pub tally: Tally,
}

/// Attempts that ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Completed, retried, dead, cancelled, snoozed.
    pub outcomes: [u64; 5],
    /// How long they waited in all, in ms.
    pub wait_ms: u64,
    /// How long they ran in all, in ms.
    pub run_ms: u64,
    /// By [`Lengths::place`].
    pub waits: [u64; LENGTHS],
    /// The same.
    pub runs: [u64; LENGTHS],
}

/// Adds what was counted within a time whose middle was so many seconds ago. False: somebody has a lock, and nothing is stored.
pub async fn save_minutes(connection: &mut PgConnection, ago_s: f64, counted: &[Counted]) -> Result<bool, sqlx::Error> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let outcomes = |place: usize| counted.iter().map(|one| number(one.tally.outcomes[place])).collect::<Vec<_>>();
    sqlx::query_scalar(include_str!("../sql/save_minutes.sql"))
        .bind(ago_s)
        .bind(counted.iter().map(|one| one.queue.as_str()).collect::<Vec<_>>())
        .bind(counted.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>())
        .bind(outcomes(0))
        .bind(outcomes(1))
        .bind(outcomes(2))
        .bind(outcomes(3))
        .bind(outcomes(4))
        .bind(counted.iter().map(|one| number(one.tally.wait_ms)).collect::<Vec<_>>())
        .bind(counted.iter().map(|one| number(one.tally.run_ms)).collect::<Vec<_>>())
        .bind(counted.iter().map(|one| array(&one.tally.waits)).collect::<Vec<_>>())
        .bind(counted.iter().map(|one| array(&one.tally.runs)).collect::<Vec<_>>())
        .fetch_one(connection)
        .await
}

/// An array as text, without the zeros at its end.
fn array(counts: &[u64]) -> String {
    let end = counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
    let mut text = String::from("{");
    for (place, count) in counts[..end].iter().enumerate() {
        // Writing to a string does not fail.
        write!(text, "{}{count}", if place > 0 { "," } else { "" }).ok();
    }
    text.push('}');
    text
}

/// What ended, in so many steps of so many minutes up to now, from rows of this length; the oldest first, the last step goes on.
pub(crate) async fn list_minutes<'c>(
    executor: impl PgExecutor<'c>,
    length: i16,
    step: i32,
    steps: i32,
    queue: Option<&str>,
) -> Result<Vec<Stat>, sqlx::Error> {
    let query = sqlx::query(include_str!("../sql/list_minutes.sql")).bind(length).bind(step).bind(steps).bind(queue);
    let rows = query.fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            let lengths = |total: &str, counts: &str| -> Result<Lengths, sqlx::Error> {
                // NULL stands where none of the rows goes so far.
                let counts: Vec<Option<i64>> = row.try_get(counts)?;
                let mut counts: Vec<i64> = counts.into_iter().map(Option::unwrap_or_default).collect();
                counts.resize(LENGTHS, 0);
                Ok(Lengths { total_ms: row.try_get(total)?, counts })
            };
            Ok(Stat {
                start: row.try_get("start")?,
                completed: row.try_get("completed")?,
                retried: row.try_get("retried")?,
                dead: row.try_get("dead")?,
                cancelled: row.try_get("cancelled")?,
                snoozed: row.try_get("snoozed")?,
                wait: lengths("wait_ms", "waits")?,
                run: lengths("run_ms", "runs")?,
            })
        })
        .collect()
}

/// How many attempts ended in each of the last 30 whole minutes, by queue, the oldest first.
pub async fn list_paces<'c>(executor: impl PgExecutor<'c>, queues: &[&str]) -> Result<Vec<(String, DateTime<Utc>, i64)>, sqlx::Error> {
    sqlx::query_as(include_str!("../sql/list_paces.sql")).bind(queues).fetch_all(executor).await
}

/// Removes rows that are kept no longer, at most `limit`; returns how many.
pub async fn prune_minutes(connection: &mut PgConnection, limit: i32) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/prune_minutes.sql")).bind(limit).fetch_one(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_ends_with_what_was_counted() {
        assert_eq!(array(&[0, 0]), "{}");
        assert_eq!(array(&[0, 7, 0, 2, 0]), "{0,7,0,2}");
    }
}
