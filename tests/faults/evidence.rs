//! Everything that a check looks at: what the database's own trail says, and what the processes have written down.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use sqlx::{PgPool, Row, postgres::PgRow, types::Uuid};

use crate::{
    clock::uptime,
    history::{self, Enqueued, Event, Line},
    process::Death,
};

/// A change of a job's row; see `audit.sql`. Times are seconds since 1970 by the database's clock.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) at: f64,
    pub(crate) xid: i64,
    pub(crate) finished: bool,
    pub(crate) op: Op,
    pub(crate) job: i64,
    pub(crate) k: Option<String>,
    pub(crate) kind: String,
    pub(crate) was: Stand,
    pub(crate) is: Stand,
    pub(crate) max_attempts: i16,
    pub(crate) run_at: f64,
    pub(crate) limit_key: Option<String>,
    pub(crate) unique_key: Option<Uuid>,
    pub(crate) worker: Option<i64>,
    pub(crate) holder_lives: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Insert,
    Update,
    Delete,
}

/// How a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) state: i16,
    pub(crate) parked_for: Option<i16>,
    pub(crate) lease: Option<i64>,
    pub(crate) attempt: i32,
    pub(crate) failures: i16,
    pub(crate) crashes: i16,
}

#[derive(Debug, Clone)]
pub(crate) struct Effect {
    pub(crate) k: String,
    pub(crate) attempt: i32,
}

/// What was done to the run that a check must know of. Times are uptimes.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    /// When the server forgot what was not flushed.
    pub(crate) crashes: Vec<f64>,
    pub(crate) deaths: Vec<Death>,
    /// What took the server away, when, and since when it, or its replica, takes writes again.
    pub(crate) outages: Vec<(&'static str, f64, f64)>,
    /// Since when the schema of the version before is this one's.
    pub(crate) migrated: Option<f64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Evidence {
    /// In the order in which they happened.
    pub(crate) jobs: BTreeMap<i64, Vec<Change>>,
    pub(crate) effects: HashMap<i64, Vec<Effect>>,
    /// Who took a lease: worker's id. Twice, if a token was handed out twice.
    pub(crate) leases: HashMap<i64, Vec<i64>>,
    /// Processes by the ids of their workers.
    pub(crate) workers: HashMap<i64, String>,
    /// By operators.
    pub(crate) deleted: HashSet<i64>,
    /// Instants of the schedule, and their jobs.
    pub(crate) fires: Vec<(f64, Option<i64>)>,
    pub(crate) histories: Vec<(String, Vec<Line>)>,
    pub(crate) enqueues: HashMap<String, Option<Enqueued>>,
    pub(crate) broken: Broken,
    /// The database's clock minus the uptime.
    pub(crate) offset: f64,
    /// The database's clock when this was gathered.
    pub(crate) now: f64,
}

impl Evidence {
    pub(crate) async fn gather(pool: &PgPool, folder: &Path, broken: Broken) -> anyhow::Result<Self> {
        let mut tx = pool.begin().await?;
        sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(&mut *tx).await?;
        let before = uptime();
        let now: f64 = sqlx::query_scalar("SELECT extract(epoch FROM clock_timestamp())::float8").fetch_one(&mut *tx).await?;
        let offset = now - before;
        let mut jobs: BTreeMap<i64, Vec<Change>> = BTreeMap::new();
        let rows = sqlx::query(
            "SELECT extract(epoch FROM at)::float8, xid, finished, op, job, k, kind, was, was_for, was_lease, was_attempt, was_failures,
                was_crashes, state, parked_for, lease, attempt, failures, crashes, max_attempts, extract(epoch FROM run_at)::float8,
                limit_key, unique_key, worker, holder_lives
             FROM faults.changes ORDER BY n",
        )
        .fetch_all(&mut *tx)
        .await?;
        for row in &rows {
            let change = Change::read(row)?;
            jobs.entry(change.job).or_default().push(change);
        }
        let mut effects: HashMap<i64, Vec<Effect>> = HashMap::new();
        for row in sqlx::query("SELECT job, k, attempt FROM faults.effects").fetch_all(&mut *tx).await? {
            effects.entry(row.try_get(0)?).or_default().push(Effect { k: row.try_get(1)?, attempt: row.try_get(2)? });
        }
        let mut leases: HashMap<i64, Vec<i64>> = HashMap::new();
        for row in sqlx::query("SELECT id, worker FROM faults.leases").fetch_all(&mut *tx).await? {
            leases.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
        }
        let workers: Vec<(i64, String)> = sqlx::query_as("SELECT id, name FROM faults.workers").fetch_all(&mut *tx).await?;
        let deleted: Vec<i64> =
            sqlx::query_scalar("SELECT unnest(jobs) FROM haulage.audit WHERE verb = 'delete'").fetch_all(&mut *tx).await?;
        let fires = sqlx::query_as("SELECT extract(epoch FROM instant)::float8, job_id FROM haulage.fires ORDER BY instant")
            .fetch_all(&mut *tx)
            .await?;
        tx.rollback().await?;
        // After the database, so that what it tells of was written down before.
        let histories = history::read(folder)?;
        let mut enqueues = HashMap::new();
        for line in histories.iter().flat_map(|(_, lines)| lines) {
            match &line.event {
                Event::Enqueue { k, .. } => drop(enqueues.entry(k.clone()).or_insert(None)),
                Event::Enqueued { k, how } => drop(enqueues.insert(k.clone(), Some(*how))),
                _ => {}
            }
        }
        let (workers, deleted) = (workers.into_iter().collect(), deleted.into_iter().collect());
        Ok(Self { jobs, effects, leases, workers, deleted, fires, histories, enqueues, broken, offset, now })
    }

    /// The process that took a lease, if it is known.
    pub(crate) fn process_of(&self, lease: Option<i64>) -> Option<&str> {
        let worker = self.leases.get(&lease?)?.first()?;
        self.workers.get(worker).map(String::as_str)
    }
}

impl Change {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let op = match row.try_get::<&str, _>(3)? {
            "INSERT" => Op::Insert,
            "UPDATE" => Op::Update,
            _ => Op::Delete,
        };
        Ok(Self {
            at: row.try_get(0)?,
            xid: row.try_get(1)?,
            finished: row.try_get(2)?,
            op,
            job: row.try_get(4)?,
            k: row.try_get(5)?,
            kind: row.try_get(6)?,
            was: Stand::read(row, 7)?,
            is: Stand::read(row, 13)?,
            max_attempts: row.try_get(19)?,
            run_at: row.try_get(20)?,
            limit_key: row.try_get(21)?,
            unique_key: row.try_get(22)?,
            worker: row.try_get(23)?,
            holder_lives: row.try_get(24)?,
        })
    }
}

impl Stand {
    /// What is NULL, because there was or is no row, is not looked at.
    fn read(row: &PgRow, at: usize) -> Result<Self, sqlx::Error> {
        Ok(Self {
            state: row.try_get::<Option<_>, _>(at)?.unwrap_or(-1),
            parked_for: row.try_get(at + 1)?,
            lease: row.try_get(at + 2)?,
            attempt: row.try_get::<Option<_>, _>(at + 3)?.unwrap_or(-1),
            failures: row.try_get::<Option<_>, _>(at + 4)?.unwrap_or(-1),
            crashes: row.try_get::<Option<_>, _>(at + 5)?.unwrap_or(-1),
        })
    }
}
