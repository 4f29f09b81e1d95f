//! Taking jobs.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::{
    JobId, TraceCarrier, TraceContext,
    trace::{StoredRelation, from_stored},
};

/// What a claim brought, and what it needs to move its bounds.
#[derive(Debug, Default)]
pub struct Claim {
    /// The jobs taken.
    pub jobs: Vec<Claimed>,
    /// Rows that could not be read: their ids and why. They stay under the lease and must be settled.
    pub unreadable: Vec<(JobId, String)>,
    /// The oldest transaction that still ran at the claim's snapshot, of those that are waited for; if none, the one after
    /// the last that had ended.
    pub oldest: i64,
    /// The same of all transactions.
    pub xmin: i64,
    /// The next transaction to be given a number. More than the end of the snapshot: a transaction that had its number and had not
    /// ended is invisible to the snapshot and not among those that it says are running.
    pub next_xid: i64,
    /// The last position handed out.
    pub last_pos: i64,
    /// Whether the worker was alive; if not, nothing was looked at.
    pub alive: bool,
    /// Queues that are paused: they were not looked at.
    pub paused: Vec<String>,
    /// Queues that have a limit: only what was let in was looked at.
    pub limited: Vec<String>,
    /// Jobs were chosen that are too new to be taken by this claim: the next one takes them, and no line has run dry.
    pub left: bool,
    /// Of its time, what it waited for its turn.
    pub waited: Duration,
    /// A turn did not come: somebody stopped in the middle of his.
    pub given_up: bool,
}

/// A job under our lease.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: Arc<str>,
    /// Its kind.
    pub kind: Arc<str>,
    /// Its args, JSON text.
    pub args: String,
    /// Priority, 0 to 3.
    pub priority: i16,
    /// 1 in line, 2 returned.
    pub place: i16,
    /// Position in line.
    pub pos: i64,
    /// Claims so far, this one counted.
    pub attempt: i32,
    /// Failures so far.
    pub failures: i16,
    /// Failures allowed.
    pub max_attempts: i16,
    /// Limit of this attempt in ms.
    pub timeout_ms: Option<i32>,
    /// First job of its family.
    pub root: Option<JobId>,
    /// The trace it belongs to.
    pub trace: TraceCarrier,
    /// What the row says about how attempts relate to it.
    pub relation: StoredRelation,
    /// The key whose slot it has.
    pub limit_key: Option<String>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// Since when only the queue made it wait.
    pub eligible_at: DateTime<Utc>,
    /// When it was claimed, by the database's clock; all jobs of a claim at once.
    pub claimed_at: DateTime<Utc>,
    /// Times its process died while it ran.
    pub crashes: i16,
    /// The span of the attempt before, once the worker has looked it up.
    pub previous: Option<TraceContext>,
}

impl Claimed {
    /// What stands for a job whose row could not be read.
    pub fn unreadable(id: JobId) -> Self {
        Self {
            id,
            queue: Arc::default(),
            kind: Arc::default(),
            args: String::new(),
            priority: 0,
            place: 0,
            pos: 0,
            attempt: 0,
            failures: 0,
            max_attempts: 1,
            timeout_ms: None,
            root: None,
            trace: TraceCarrier::default(),
            relation: StoredRelation::default(),
            limit_key: None,
            created_at: DateTime::UNIX_EPOCH,
            eligible_at: DateTime::UNIX_EPOCH,
            claimed_at: DateTime::UNIX_EPOCH,
            crashes: 0,
            previous: None,
        }
    }
}

/// The kinds that a worker handles, and of each the last revision that it knows. Jobs of a later one are to it as jobs of a kind that
/// it does not know.
#[derive(Debug, Clone, Default)]
pub struct Kinds {
    /// Their names, aliases included.
    pub names: Vec<String>,
    /// Parallel to `names`.
    pub revisions: Vec<i16>,
}

impl FromIterator<(String, i16)> for Kinds {
    fn from_iter<T: IntoIterator<Item = (String, i16)>>(kinds: T) -> Self {
        let (names, revisions) = kinds.into_iter().unzip();
        Self { names, revisions }
    }
}

/// What a worker asks for.
#[derive(Debug)]
pub struct Request<'a> {
    /// The lease to claim under, random.
    pub token: i64,
    /// The worker.
    pub worker: i64,
    /// Kinds it handles.
    pub kinds: &'a Kinds,
    /// Queues to claim from.
    pub queues: &'a [&'a str],
    /// At most so many jobs, parallel to `queues`.
    pub wants: &'a [i32],
    /// The bounds of the four lines of each of these queues, one queue after the other.
    pub bounds: &'a [i64],
    /// Running transactions before this one don't count as the oldest.
    pub exempt: i64,
    /// Whether it takes turns with the others that do, parallel to `queues`: for large claims, which else walk over each other's rows.
    pub in_turn: &'a [bool],
}

/// Claims jobs.
pub async fn claim_jobs(connection: &mut PgConnection, request: &Request<'_>) -> Result<Claim, sqlx::Error> {
    let rows = sqlx::query(include_str!("../sql/claim_jobs.sql"))
        .bind(request.token)
        .bind(request.worker)
        .bind(&request.kinds.names)
        .bind(request.queues)
        .bind(request.wants)
        .bind(request.bounds)
        .bind(request.exempt)
        .bind(&request.kinds.revisions)
        .bind(request.in_turn)
        .fetch_all(connection)
        .await?;
    let mut claim = Claim::default();
    let mut clock = DateTime::UNIX_EPOCH;
    let mut chosen = 0;
    if let Some(row) = rows.first() {
        claim.oldest = row.try_get(0)?;
        claim.xmin = row.try_get(1)?;
        claim.next_xid = row.try_get(2)?;
        claim.last_pos = row.try_get(3)?;
        claim.alive = row.try_get(4)?;
        claim.paused = row.try_get::<Option<_>, _>(5)?.unwrap_or_default();
        claim.limited = row.try_get::<Option<_>, _>(6)?.unwrap_or_default();
        clock = row.try_get(7)?;
        chosen = row.try_get::<i32, _>(8)?;
        claim.waited = Duration::from_secs_f64(row.try_get::<f64, _>(9)?.max(0.0) / 1e3);
        claim.given_up = row.try_get(10)?;
    }
    for row in &rows {
        let Some(id) = row.try_get::<Option<i64>, _>(11)? else { continue };
        match read(row, 11, clock, claim.jobs.last()) {
            Ok(job) => claim.jobs.push(job),
            Err(error) => claim.unreadable.push((JobId(id), error.to_string())),
        }
    }
    claim.left = usize::try_from(chosen).is_ok_and(|chosen| chosen > claim.jobs.len() + claim.unreadable.len());
    Ok(claim)
}

/// The oldest running transaction that is not older than `exempt`; if none, the first not yet started.
pub async fn oldest_running(connection: &mut PgConnection, exempt: i64) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(include_str!("../sql/oldest_running.sql")).bind(exempt).fetch_one(connection).await
}

/// Claims at most one suspect under the lease `token`.
pub async fn claim_suspect(
    connection: &mut PgConnection,
    token: i64,
    worker: i64,
    kinds: &Kinds,
    queues: &[&str],
) -> Result<Option<Claimed>, sqlx::Error> {
    let row = sqlx::query(include_str!("../sql/claim_suspect.sql"))
        .bind(token)
        .bind(worker)
        .bind(&kinds.names)
        .bind(queues)
        .bind(&kinds.revisions)
        .fetch_optional(connection)
        .await?;
    row.map(|row| read(&row, 1, row.try_get(0)?, None)).transpose()
}

/// By position: a look-up by name costs more than the decoding. Most jobs of a claim are of one kind and queue, so these are shared with
/// the job before.
pub(super) fn read(row: &PgRow, first: usize, claimed_at: DateTime<Utc>, before: Option<&Claimed>) -> Result<Claimed, sqlx::Error> {
    let context = TraceContext::from_stored(row.try_get(first + 12)?, row.try_get(first + 13)?, row.try_get(first + 14)?);
    // Most jobs have no trace; then nothing of it is read.
    let (trace, relation) = match context {
        None => Default::default(),
        Some(context) => {
            let scheduled: bool = row.try_get(first + 22)?;
            let mut relation = StoredRelation::from_code(row.try_get(first + 21)?);
            relation.apart |= scheduled;
            (from_stored(context, row.try_get(first + 19)?, row.try_get(first + 20)?), relation)
        }
    };
    Ok(Claimed {
        id: JobId(row.try_get(first)?),
        queue: same_or_new(row.try_get(first + 1)?, before.map(|before| &before.queue)),
        kind: same_or_new(row.try_get(first + 2)?, before.map(|before| &before.kind)),
        args: row.try_get(first + 3)?,
        priority: row.try_get(first + 4)?,
        place: row.try_get(first + 5)?,
        pos: row.try_get(first + 6)?,
        attempt: row.try_get(first + 7)?,
        failures: row.try_get(first + 8)?,
        max_attempts: row.try_get(first + 9)?,
        timeout_ms: row.try_get(first + 10)?,
        root: row.try_get::<Option<i64>, _>(first + 11)?.map(JobId),
        trace,
        relation,
        limit_key: row.try_get(first + 15)?,
        created_at: row.try_get(first + 16)?,
        eligible_at: row.try_get(first + 17)?,
        claimed_at,
        crashes: row.try_get(first + 18)?,
        previous: None,
    })
}

fn same_or_new(text: &str, before: Option<&Arc<str>>) -> Arc<str> {
    before.filter(|before| ***before == *text).map_or_else(|| Arc::from(text), Arc::clone)
}
