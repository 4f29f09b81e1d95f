//! Settling as group commit: while one flush is under way finished attempts gather; when idle, a flush goes at once.
//!
//! Runners send what is to be written; nothing here decides anything. A row that does not come back from its statement was
//! locked by somebody (tried again alone, so that one forgotten session never stalls the others), or finished under our lease
//! with the answer lost, or is no longer ours.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use haulage_queue::{
    JobId,
    store::{self, Burial, Failure, Reschedule, Settled, Unsettled},
};
use sqlx::PgConnection;
use tokio::sync::mpsc;

use crate::{
    DeadJob,
    context::Attempt,
    execute::{End, Resolution, Resolved},
    link::Link,
    run::Shared,
};

/// Attempts a flush: one statement a kind of result, whose cost a row is flat from about a hundred.
const BATCH: usize = 1_000;
/// A locked row is tried again after this long, doubled each time up to the last.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Runs until every sender is gone and everything is written, or the database stays away for longer than `patience` after that.
pub(crate) async fn run(shared: Arc<Shared>, mut results: mpsc::Receiver<Resolved>, patience: Duration) {
    let mut link = Link::new(&shared.options, "settle");
    let mut batch = Vec::with_capacity(BATCH);
    let mut locked: Vec<Locked> = Vec::new();
    let mut closed_at = None;
    loop {
        let next_retry = locked.iter().map(|row| row.due).min();
        tokio::select! {
            biased;
            received = results.recv_many(&mut batch, BATCH), if closed_at.is_none() => {
                if received == 0 {
                    closed_at = Some(Instant::now());
                }
            }
            () = sleep_until(next_retry), if next_retry.is_some() => {}
            else => break,
        }
        let mut pauses = HashMap::new();
        let now = Instant::now();
        for row in locked.extract_if(.., |row| row.due <= now) {
            pauses.insert(row.resolved.attempt.settled, row.pause);
            batch.push(row.resolved);
        }
        while !batch.is_empty() {
            match flush(&shared, &mut link, &mut batch).await {
                Ok(still_locked) => {
                    link.succeeded();
                    for resolved in still_locked {
                        let pause = pauses.get(&resolved.attempt.settled).map_or(FIRST_RETRY, |pause| (*pause * 2).min(LAST_RETRY));
                        locked.push(Locked { resolved, due: Instant::now() + pause, pause });
                    }
                }
                Err(error) => {
                    let pause = link.failed(&error);
                    tokio::time::sleep(pause).await;
                }
            }
            if closed_at.is_some_and(|at| at.elapsed() > patience) {
                break;
            }
        }
        if closed_at.is_some_and(|at| at.elapsed() > patience) {
            let left = batch.len() + locked.len();
            if left > 0 {
                tracing::warn!(attempts = left, "stopped before these attempts were settled; rescue gives their jobs back");
            }
            break;
        }
    }
    link.close().await;
}

struct Locked {
    resolved: Resolved,
    due: Instant,
    pause: Duration,
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}

/// Writes the batch; what is written leaves it. Returns the attempts whose rows were locked.
async fn flush(shared: &Shared, link: &mut Link, batch: &mut Vec<Resolved>) -> Result<Vec<Resolved>, sqlx::Error> {
    let worker = shared.worker_id();
    let connection = link.get().await?;
    let mut went = HashMap::with_capacity(batch.len());
    let mut leftover = Vec::new();

    let mut rows = Rows::default();
    for resolved in batch.iter() {
        rows.add(resolved);
    }
    note(shared, &mut went, &mut leftover, rows.nothing.iter().map(|row| row.id).collect(), rows.nothing.iter().copied());
    if !rows.later.is_empty() {
        let ids = write_verdicts(shared, connection, &mut rows.later).await?;
        note(shared, &mut went, &mut leftover, ids, rows.later.iter().map(|row| row.settled));
    }
    if !rows.buried.is_empty() {
        let ids = write_verdicts(shared, connection, &mut rows.buried).await?;
        note(shared, &mut went, &mut leftover, ids, rows.buried.iter().map(|row| row.settled));
    }
    if !rows.returned.is_empty() {
        let ids = store::return_jobs(connection, &rows.returned).await?;
        note(shared, &mut went, &mut leftover, ids, rows.returned.iter().copied());
    }
    if !rows.completed.is_empty() {
        let mut by_lease: HashMap<i64, usize> = HashMap::new();
        for settled in &rows.completed {
            *by_lease.entry(settled.lease).or_default() += 1;
        }
        let emptied = shared.leases.emptied_by(&by_lease);
        let outputs: Vec<_> = rows.outputs.iter().map(|(id, output)| (*id, *output)).collect();
        let ids = match store::complete_jobs(&mut *connection, worker, &rows.completed, &emptied, &outputs).await {
            Err(error) if store::failure(&error) == Failure::NoPartition => {
                store::make_partitions(connection, crate::prune::DAYS_AHEAD).await?;
                store::complete_jobs(&mut *connection, worker, &rows.completed, &emptied, &outputs).await?
            }
            result => result?,
        };
        let all = ids.len() == rows.completed.len();
        let mut removed_late = Vec::new();
        note(shared, &mut went, &mut removed_late, ids, rows.completed.iter().copied());
        // When every row went, the statement itself has removed the leases it emptied.
        leftover.extend(removed_late.into_iter().filter(|lease| !(all && emptied.contains(lease))));
    }

    // What did not come back: locked, finished with the answer lost, or no longer ours.
    let missing: Vec<Settled> =
        batch.iter().map(|resolved| resolved.attempt.settled).filter(|settled| went.get(&settled.id) != Some(&settled.lease)).collect();
    let mut locked = HashMap::new();
    if !missing.is_empty() {
        for ((id, what), settled) in store::find_settled(&mut *connection, &missing).await?.into_iter().zip(&missing) {
            match what {
                Unsettled::Ours => {
                    locked.insert(id, settled.lease);
                    continue;
                }
                Unsettled::Finished => {}
                Unsettled::Lost => tracing::warn!(job = %id, "the attempt had lost its lease; its result was not written"),
            }
            if shared.leases.settled(settled.lease, 1) {
                leftover.push(settled.lease);
            }
        }
    }
    if !leftover.is_empty() {
        store::delete_leases(connection, worker, &leftover).await?;
    }
    let mut again = Vec::new();
    for resolved in batch.drain(..) {
        let settled = resolved.attempt.settled;
        if locked.get(&settled.id) == Some(&settled.lease) {
            again.push(resolved);
            continue;
        }
        if went.get(&settled.id) == Some(&settled.lease) {
            shared.died(&resolved);
        }
        shared.ended(&resolved.attempt);
    }
    Ok(again)
}

/// Notes the rows that went, and the leases they empty.
fn note(shared: &Shared, went: &mut HashMap<JobId, i64>, leftover: &mut Vec<i64>, ids: Vec<JobId>, rows: impl Iterator<Item = Settled>) {
    let ids: std::collections::HashSet<JobId> = ids.into_iter().collect();
    for row in rows.filter(|row| ids.contains(&row.id)) {
        went.insert(row.id, row.lease);
        if shared.leases.settled(row.lease, 1) {
            leftover.push(row.lease);
        }
    }
}

/// A row of a statement that records how an attempt ended.
trait Verdict: Sized + Sync {
    fn write<'a>(shared: &'a Shared, connection: &'a mut PgConnection, rows: &'a [Self]) -> BoxFuture<'a, Result<Vec<JobId>, sqlx::Error>>;
    fn message(&mut self) -> &mut Option<String>;
}

impl Verdict for Reschedule {
    fn write<'a>(shared: &'a Shared, connection: &'a mut PgConnection, rows: &'a [Self]) -> BoxFuture<'a, Result<Vec<JobId>, sqlx::Error>> {
        Box::pin(store::reschedule_jobs(connection, shared.worker_id(), &shared.name, rows))
    }

    fn message(&mut self) -> &mut Option<String> {
        &mut self.message
    }
}

impl Verdict for Burial {
    fn write<'a>(shared: &'a Shared, connection: &'a mut PgConnection, rows: &'a [Self]) -> BoxFuture<'a, Result<Vec<JobId>, sqlx::Error>> {
        Box::pin(store::bury_jobs(connection, shared.worker_id(), &shared.name, rows))
    }

    fn message(&mut self) -> &mut Option<String> {
        &mut self.message
    }
}

/// Writes all rows in one statement; if a value of one of them is refused, each alone, the refused one with its text replaced, so
/// that a bad row fails no neighbour.
async fn write_verdicts<R: Verdict>(shared: &Shared, connection: &mut PgConnection, rows: &mut [R]) -> Result<Vec<JobId>, sqlx::Error> {
    let refused = |error: &sqlx::Error| store::failure(error) == Failure::Data;
    match R::write(shared, connection, rows).await {
        Err(error) if store::failure(&error) == Failure::NoPartition => {
            store::make_partitions(connection, crate::prune::DAYS_AHEAD).await?;
            R::write(shared, connection, rows).await
        }
        Err(error) if refused(&error) => {
            let mut ids = Vec::new();
            for row in rows {
                match R::write(shared, connection, std::slice::from_ref(row)).await {
                    Err(error) if refused(&error) => {
                        *row.message() = Some(format!("the error's text could not be stored: {error}"));
                        ids.extend(R::write(shared, connection, std::slice::from_ref(row)).await?);
                    }
                    result => ids.extend(result?),
                }
            }
            Ok(ids)
        }
        result => result,
    }
}

/// A batch by statement.
#[derive(Default)]
struct Rows<'a> {
    completed: Vec<Settled>,
    outputs: Vec<(JobId, &'a str)>,
    later: Vec<Reschedule>,
    buried: Vec<Burial>,
    returned: Vec<Settled>,
    nothing: Vec<Settled>,
}

impl<'a> Rows<'a> {
    fn add(&mut self, resolved: &'a Resolved) {
        let settled = resolved.attempt.settled;
        match &resolved.resolution {
            Resolution::Complete(output) => {
                self.completed.push(settled);
                if let Some(output) = output {
                    self.outputs.push((settled.id, output));
                }
            }
            Resolution::Later { delay, end } => self.later.push(Reschedule {
                settled,
                delay_s: delay.as_secs_f64(),
                outcome: end.outcome,
                error_class: end.class.map(ToOwned::to_owned),
                message: end.message.clone(),
                ran_ms: ran_ms(end),
                failed: end.failed,
            }),
            Resolution::Bury { cancelled, end } => self.buried.push(Burial {
                settled,
                cancelled: *cancelled,
                outcome: end.outcome,
                error_class: end.class.map(ToOwned::to_owned),
                message: end.message.clone(),
                ran_ms: ran_ms(end),
                failed: end.failed,
            }),
            Resolution::Return => self.returned.push(settled),
            Resolution::Nothing => self.nothing.push(settled),
        }
    }
}

fn ran_ms(end: &End) -> Option<i32> {
    end.ran.map(|ran| i32::try_from(ran.as_millis()).unwrap_or(i32::MAX))
}

/// What the `on_dead` hook is told of an attempt that buried its job.
pub(crate) fn dead_job(attempt: &Attempt, end: &End) -> DeadJob {
    DeadJob {
        id: attempt.settled.id,
        kind: attempt.kind.clone(),
        queue: attempt.queue.clone(),
        attempt: attempt.number,
        failures: attempt.failures + i16::from(end.failed),
        error: end.message.clone().unwrap_or_default(),
    }
}
