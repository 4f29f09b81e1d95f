//! Driving an operation: batch by batch, each in a transaction of its own that also moves the cursor.
//!
//! ```text
//!  lock its row ──> pick the next by id ──> lock those that match still ──> do it ──> why not the others? ──> counts, cursor, audit ─┐
//!       ^                                                                                                                       │
//!       └───────────────────────────────────────── commit; until nothing is left ───────────────────────────────────────────────┘
//! ```
//!
//! A driver that is killed leaves nothing half done: the next one, in whatever process, finds the cursor of the last commit. Two
//! drivers take turns, because a batch holds the lock of the operation's row. The order is that of the ids, which never change, so no
//! job has two turns, whatever becomes of it meanwhile.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use chrono::DateTime;
use sqlx::{Connection, PgConnection, PgPool};

use super::{
    Operator, Standing,
    act::apply,
    operation::{note, scope},
};
use crate::{
    JobFilter, ManageError, Operation, OperationId, OperationState, Verb,
    store::{self, AuditRow, Failure, Finished},
};

/// Rows that others have locked are tried so often, because most are locked for milliseconds by a claim or a settle.
const TRIES: usize = 3;
/// Between the tries; the rows of the batch stay locked meanwhile.
const PAUSE: Duration = Duration::from_millis(20);
/// A batch that ran into a concurrent transaction is repeated so often.
const REPEATS: usize = 5;

/// Drives an operation until it is done or somebody cancels it, and returns how it ended.
///
/// # Errors
/// [`ManageError`]. What was done until then stays, and calling it again goes on from there.
pub async fn run_operation(pool: &PgPool, id: OperationId) -> Result<Operation, ManageError> {
    loop {
        let operation = step_operation(pool, id).await?;
        if operation.state != OperationState::Open {
            return Ok(operation);
        }
    }
}

/// Does the next batch of an operation, up to 1,000 jobs in one transaction, and returns how far it is. One that has ended is
/// returned as it is.
///
/// # Errors
/// [`ManageError`]; nothing of the batch is done then.
pub async fn step_operation(pool: &PgPool, id: OperationId) -> Result<Operation, ManageError> {
    let mut connection = pool.acquire().await?;
    for _ in 1..REPEATS {
        match batch(&mut connection, id).await {
            Err(ManageError::Conflict(_)) => {}
            result => return result,
        }
    }
    batch(&mut connection, id).await
}

async fn batch(connection: &mut PgConnection, id: OperationId) -> Result<Operation, ManageError> {
    let mut tx = connection.begin().await?;
    let operation = store::lock_operation(&mut tx, id).await?.ok_or(ManageError::NoOperation { id })?;
    if operation.state != OperationState::Open {
        return Ok(operation);
    }
    store::plan_by_index(&mut tx).await?;
    let (filter, parts) = scope(&operation.verb, operation.filter.clone())?;
    let picked = store::pick_jobs(&mut tx, &filter, parts, (operation.cursor.0, operation.up_to.0), operation.started_at).await?;
    // Without finished ones no day of the history is looked at.
    let (from, to) = picked.finished;
    let finished = Finished { from: from.or(Some(DateTime::UNIX_EPOCH)), to: to.or(Some(DateTime::UNIX_EPOCH)) };
    let operator = Operator { who: operation.who, reason: operation.reason };
    let batch = Batch { operator: &operator, verb: &operation.verb, filter: &filter, finished };
    let turns = batch.take_turns(&mut tx, picked.live, picked.ended).await?;
    let skipped = sum(operation.skipped, turns.skipped);
    let failed = sum(operation.failed, turns.failed);
    let advanced = store::advance_operation(&mut tx, id, picked.reached, turns.done.len(), &skipped, &failed).await?;
    if !turns.done.is_empty() {
        let row = AuditRow {
            who: &operator.who,
            verb: operation.verb.as_str(),
            target: &format!("operation {id}"),
            jobs: Some(&turns.done),
            operation: Some(id),
            reason: operator.reason.as_deref(),
            before: None,
            after: None,
        };
        store::write_audit(&mut tx, &row).await?;
    }
    if advanced.state == OperationState::Done {
        let counts = serde_json::json!({ "done": advanced.done, "skipped": advanced.skipped, "failed": advanced.failed });
        note(&mut tx, &operator, "done", &advanced, Some(counts)).await?;
    }
    tx.commit().await?;
    Ok(advanced)
}

/// What became of the jobs of a batch; of those that were not done, why.
#[derive(Debug, Default)]
struct Turns {
    done: Vec<i64>,
    skipped: Vec<&'static str>,
    failed: Vec<String>,
    /// Those that were done or have failed.
    settled: HashSet<i64>,
}

impl Turns {
    fn did(&mut self, ids: Vec<i64>) {
        self.settled.extend(&ids);
        self.done.extend(ids);
    }
}

/// What all jobs of a batch share.
struct Batch<'a> {
    operator: &'a Operator,
    verb: &'a Verb,
    filter: &'a JobFilter,
    finished: Finished,
}

impl Batch<'_> {
    /// Does it to unfinished and finished jobs that matched a moment ago.
    async fn take_turns(&self, tx: &mut PgConnection, mut live: Vec<i64>, mut ended: Vec<i64>) -> Result<Turns, sqlx::Error> {
        let mut turns = Turns::default();
        for attempt in 0..TRIES {
            if attempt > 0 {
                store::wait_a_moment(tx, PAUSE).await?;
            }
            // An unfinished job may have changed since; a locked one that still matches stays so.
            let mut ready = if live.is_empty() { Vec::new() } else { store::lock_jobs(tx, self.filter, &live).await? };
            ready.extend(&ended);
            self.do_it(tx, ready, &mut turns).await?;
            live.retain(|id| !turns.settled.contains(id));
            ended.retain(|id| !turns.settled.contains(id));
            self.explain(tx, &mut live, &mut ended, &mut turns).await?;
            if live.is_empty() && ended.is_empty() {
                break;
            }
        }
        turns.skipped.extend(live.iter().chain(&ended).map(|_| "locked or changed"));
        Ok(turns)
    }

    async fn do_it(&self, tx: &mut PgConnection, ids: Vec<i64>, turns: &mut Turns) -> Result<(), sqlx::Error> {
        let refused = |error: &sqlx::Error| store::failure(error) == Failure::Data;
        match self.guarded(tx, &ids).await {
            Ok(done) => turns.did(done),
            // One bad row must not keep the others from their turn.
            Err(error) if refused(&error) => {
                for id in ids {
                    match self.guarded(tx, &[id]).await {
                        Ok(done) => turns.did(done),
                        Err(error) if refused(&error) => {
                            turns.settled.insert(id);
                            turns.failed.push(store::clean_text(&error.to_string()));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Does it in a savepoint, so that an error leaves the batch's transaction whole.
    async fn guarded(&self, tx: &mut PgConnection, ids: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut savepoint = tx.begin().await?;
        match apply(&mut savepoint, self.operator, self.verb, ids, self.finished, false).await {
            Ok(done) => savepoint.commit().await.map(|()| done),
            Err(error) => savepoint.rollback().await.and(Err(error)),
        }
    }

    /// Sorts out those that it does not fit. Those that are left it does fit: somebody else has locked them.
    async fn explain(
        &self,
        tx: &mut PgConnection,
        live: &mut Vec<i64>,
        ended: &mut Vec<i64>,
        turns: &mut Turns,
    ) -> Result<(), sqlx::Error> {
        let ids: Vec<i64> = live.iter().chain(ended.iter()).copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let standing: HashMap<i64, Standing> =
            store::look_at_jobs(tx, &ids).await?.into_iter().map(|standing| (standing.id.0, standing)).collect();
        let mut locked = |id: &i64| match standing.get(id).map(|standing| standing.fits(self.verb)) {
            Some(Ok(())) => true,
            Some(Err(misfit)) => {
                turns.skipped.push(misfit.reason);
                false
            }
            None => {
                turns.skipped.push("gone");
                false
            }
        };
        live.retain(&mut locked);
        ended.retain(&mut locked);
        Ok(())
    }
}

fn sum(mut sums: BTreeMap<String, u64>, reasons: impl IntoIterator<Item = impl Into<String>>) -> BTreeMap<String, u64> {
    for reason in reasons {
        *sums.entry(reason.into()).or_default() += 1;
    }
    sums
}
