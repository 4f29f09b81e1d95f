//! What metrics and traces ask for.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

use super::{ids, limit_statement};
use crate::{CauseGroup, JobId, TraceContext};

/// A sample takes no longer than this: beside a wall of dead rows none is better than a slow one.
const PATIENCE: Duration = Duration::from_secs(2);

/// Counts stop one later.
const COUNTED: i64 = 10_000;

/// How the fleet's queues and the database stand.
#[derive(Debug, Clone, Default)]
pub struct FleetSample {
    /// By name, a hundred at most.
    pub queues: Vec<QueueSample>,
    /// Age of the oldest open transaction that this role may see, in seconds.
    pub oldest_transaction_s: Option<f64>,
    /// Dead rows by table.
    pub dead: Vec<(String, i64)>,
    /// How many causes there are, by group.
    pub cause_groups: BTreeMap<CauseGroup, i64>,
    /// What they hold up, by code and queue, a hundred at most.
    pub causes: Vec<CauseSample>,
}

/// What holds up jobs.
#[derive(Debug, Clone)]
pub struct CauseSample {
    /// The [`WhyCode`](crate::WhyCode), as text.
    pub code: &'static str,
    /// The queue; empty: no single one.
    pub queue: String,
    /// How many jobs, as far as they were counted.
    pub jobs: i64,
}

/// How a queue stands. Counts stop a little over 10,000.
#[derive(Debug, Clone)]
pub struct QueueSample {
    /// Its name.
    pub name: String,
    /// Jobs that could run.
    pub available: i64,
    /// Jobs set aside: held, waiting for their key, suspects.
    pub parked: i64,
    /// Jobs that run.
    pub running: i64,
    /// How long the oldest of those that could run has waited, in seconds; `None`: there is none.
    pub oldest_s: Option<f64>,
}

/// Takes a sample of queues and server, in bounded time; causes are left out.
pub async fn sample_fleet(connection: &mut PgConnection) -> Result<FleetSample, sqlx::Error> {
    let mut tx = connection.begin().await?;
    limit_statement(&mut *tx, PATIENCE).await?;
    let queues = sample_queues(&mut tx, COUNTED).await?;
    let (oldest_transaction_s, dead) = sample_database(&mut tx).await?;
    tx.commit().await?;
    Ok(FleetSample { queues, oldest_transaction_s, dead, ..FleetSample::default() })
}

/// The queues, each counted to one more than this.
pub(super) async fn sample_queues(connection: &mut PgConnection, most: i64) -> Result<Vec<QueueSample>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/sample_queues.sql")).bind(most + 1).fetch_all(connection).await?;
    let queues = rows.iter().map(|row| {
        Ok(QueueSample {
            name: row.try_get(0)?,
            available: row.try_get(1)?,
            parked: row.try_get(2)?,
            running: row.try_get(3)?,
            oldest_s: row.try_get(4)?,
        })
    });
    queues.collect()
}

async fn sample_database(connection: &mut PgConnection) -> Result<(Option<f64>, Vec<(String, i64)>), sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/sample_database.sql")).fetch_all(connection).await?;
    let oldest = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
    let dead = rows.iter().map(|row| Ok((row.try_get(1)?, row.try_get(2)?)));
    Ok((oldest, dead.collect::<Result<_, sqlx::Error>>()?))
}

/// Whether this session is the one of the fleet that samples, if it wants to be.
pub async fn arbitrate_sample(connection: &mut PgConnection, wanted: bool) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/arbitrate_sample.sql")).bind(wanted).fetch_one(connection).await
}

/// The spans of the last attempts of these jobs, of those that are known. Whether they were sampled is not stored: only the spans
/// of sampled attempts are.
pub async fn previous_attempts(connection: &mut PgConnection, jobs: &[JobId]) -> Result<Vec<(JobId, TraceContext)>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/previous_attempts.sql")).bind(ids(jobs)).fetch_all(connection).await?;
    let spans = rows.iter().map(|row| {
        let trace: Option<Uuid> = row.try_get(1)?;
        Ok(TraceContext::from_stored(trace, row.try_get(2)?, Some(1)).map(|span| (JobId(row.get(0)), span)))
    });
    spans.filter_map(Result::transpose).collect()
}

/// The database's clock.
pub(crate) async fn get_clock(connection: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/get_clock.sql")).fetch_one(connection).await
}
