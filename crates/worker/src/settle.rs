//! Settling as group commit: while one flush is under way finished attempts gather; when idle, a flush goes at once.
//!
//! Runners send what is to be written; nothing here decides anything. A row that does not come back from its statement was
//! locked by somebody (tried again alone, so that one forgotten session never stalls the others), or finished under our lease
//! with the answer lost, or is no longer ours.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use haulage_queue::{
    JobId,
    store::{self, Burial, Failure, Reschedule, Settled, Unsettled},
};
use sqlx::PgConnection;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    DeadJob,
    context::Attempt,
    execute::{End, Resolution, Resolved},
    link::Link,
    shared::Shared,
};

/// Attempts a flush: one statement a kind of result, whose cost a row is flat from about a hundred.
const BATCH: usize = 1_000;
/// A locked row is tried again after this long, doubled each time up to the last.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Runs until every sender is gone and everything is written, or the database stays away for longer than `patience` after that.
pub(crate) async fn run(shared: Arc<Shared>, mut results: mpsc::Receiver<Resolved>, patience: Duration) {
    let mut settle = Settle::new(shared);
    let mut inbox = Vec::with_capacity(BATCH);
    let mut closed_at: Option<Instant> = None;
    loop {
        let next_retry = settle.locked.iter().map(|row| row.due).min();
        tokio::select! {
            biased;
            received = results.recv_many(&mut inbox, BATCH), if closed_at.is_none() => {
                if received == 0 {
                    closed_at = Some(Instant::now());
                }
            }
            () = sleep_until(next_retry), if next_retry.is_some() => {}
            else => break,
        }
        settle.batch.extend(inbox.drain(..).map(|resolved| Pending { resolved, pause: Duration::ZERO }));
        settle.unlock_due();
        while settle.has_work() && closed_at.is_none_or(|at| at.elapsed() <= patience) {
            let flushed = timeout(settle.shared.settings.lease, settle.flush()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
            match flushed {
                Ok(()) => settle.link.succeeded(),
                Err(error) => {
                    let pause = settle.link.failed(&error);
                    tokio::time::sleep(pause).await;
                }
            }
        }
        if closed_at.is_some_and(|at| at.elapsed() > patience) {
            let left = settle.batch.len() + settle.locked.len();
            if left > 0 {
                tracing::warn!(attempts = left, "stopped before these attempts were settled; rescue gives their jobs back");
            }
            break;
        }
    }
    settle.link.close().await;
}

pub(crate) struct Settle {
    shared: Arc<Shared>,
    link: Link,
    /// To be written. An attempt leaves it as soon as its statement has succeeded, so that a later error repeats nothing.
    batch: Vec<Pending>,
    /// Whose rows somebody has locked.
    locked: Vec<Locked>,
    /// Leases without a job, whose rows are still there.
    emptied: Vec<i64>,
}

struct Pending {
    resolved: Resolved,
    /// Between the last two tries, once its row was found locked.
    pause: Duration,
}

struct Locked {
    pending: Pending,
    due: Instant,
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}

impl Settle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { link: Link::new(&shared, "settle"), batch: Vec::with_capacity(BATCH), locked: Vec::new(), emptied: Vec::new(), shared }
    }

    fn has_work(&self) -> bool {
        !self.batch.is_empty() || !self.emptied.is_empty()
    }

    /// Puts locked rows whose time has come back into the batch.
    fn unlock_due(&mut self) {
        let now = Instant::now();
        self.batch.extend(self.locked.extract_if(.., |row| row.due <= now).map(|row| row.pending));
    }

    /// Writes one attempt, for a caller that waits for it. A row that somebody has locked is tried again for as long as the lease;
    /// false: it still is, and nothing is written.
    #[cfg(feature = "testing")]
    pub(crate) async fn settle_one(&mut self, resolved: Resolved) -> Result<bool, sqlx::Error> {
        let patience = Instant::now() + self.shared.settings.lease;
        self.batch.push(Pending { resolved, pause: Duration::ZERO });
        loop {
            self.flush().await?;
            let Some(due) = self.locked.first().map(|row| row.due) else { return Ok(true) };
            if Instant::now() > patience {
                self.locked.clear();
                return Ok(false);
            }
            sleep_until(Some(due)).await;
            self.unlock_due();
        }
    }

    /// The connection that attempts are written on.
    #[cfg(feature = "testing")]
    pub(crate) async fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.link.get().await
    }

    #[cfg(feature = "testing")]
    pub(crate) async fn close(self) {
        self.link.close().await;
    }

    /// Writes the batch, statement by statement.
    async fn flush(&mut self) -> Result<(), sqlx::Error> {
        self.hold_rates().await?;
        let worker = self.shared.worker_id();
        let mut rows = Rows::default();
        for pending in &self.batch {
            rows.add(&pending.resolved);
        }
        let Rows { completed, forgotten, outputs, mut later, mut buried, returned, nothing } = rows;
        self.went(&nothing, &[]);
        if !later.is_empty() {
            let ids = write_verdicts(&self.shared, self.link.get().await?, &mut later).await?;
            self.went(&of(&ids, later.iter().map(|row| row.settled)), &[]);
        }
        if !buried.is_empty() {
            let ids = write_verdicts(&self.shared, self.link.get().await?, &mut buried).await?;
            self.went(&of(&ids, buried.iter().map(|row| row.settled)), &[]);
        }
        if !returned.is_empty() {
            let ids = store::return_jobs(self.link.get().await?, &returned).await?;
            self.went(&of(&ids, returned.iter().copied()), &[]);
        }
        if !completed.is_empty() {
            let emptied = self.emptied_by(&completed);
            let (ids, as_one) = complete(self.link.get().await?, worker, &completed, &emptied, &outputs).await?;
            // When every row went, the statement itself has removed the leases it emptied.
            let removed = if as_one && ids.len() == completed.len() { emptied.as_slice() } else { &[] };
            self.went(&of(&ids, completed.iter().copied()), removed);
        }
        if !forgotten.is_empty() {
            let emptied = self.emptied_by(&forgotten);
            let ids = store::forget_jobs(self.link.get().await?, &forgotten, &emptied).await?;
            let removed = if ids.len() == forgotten.len() { emptied.as_slice() } else { &[] };
            self.went(&of(&ids, forgotten.iter().copied()), removed);
        }
        self.explain_missing().await?;
        self.shared.meters.flush();
        if !self.emptied.is_empty() {
            store::delete_leases(self.link.get().await?, worker, &self.emptied).await?;
            self.emptied.clear();
        }
        Ok(())
    }

    /// The leases that the end of these attempts empties.
    fn emptied_by(&self, attempts: &[Settled]) -> Vec<i64> {
        let mut by_lease: HashMap<i64, usize> = HashMap::new();
        for settled in attempts {
            *by_lease.entry(settled.lease).or_default() += 1;
        }
        self.shared.leases.emptied_by(&by_lease)
    }

    /// What the batch was told "not before" for. First of all: once an attempt is written its slot is free, and the next job would be let
    /// in. Costs nothing when nobody was told. Whoever lost its lease was told all the same.
    async fn hold_rates(&mut self) -> Result<(), sqlx::Error> {
        let holds: Vec<_> = self
            .batch
            .iter()
            .filter_map(|Pending { resolved: Resolved { attempt, resolution }, .. }| {
                Some((&*attempt.queue, attempt.limit_key.as_deref(), resolution.end()?.hold?))
            })
            .collect();
        if holds.is_empty() {
            return Ok(());
        }
        match store::hold_rates(self.link.get().await?, &holds).await {
            Err(error) if matches!(store::failure(&error), Failure::Unavailable | Failure::ReadOnly) => return Err(error),
            // The attempts must be written whatever becomes of it; the other side will say it again.
            Err(error) => tracing::warn!(%error, "a rate was not held up as a handler asked for with retry_after"),
            Ok(locked) if locked.is_empty() => {}
            Ok(locked) => {
                tracing::warn!(?locked, "somebody holds locks: not all rates were held up as a handler asked for with retry_after");
            }
        }
        // Once: a row that somebody has locked comes again later, and the time counts from now.
        self.batch.iter_mut().filter_map(|pending| pending.resolved.resolution.end_mut()).for_each(|end| end.hold = None);
        Ok(())
    }

    /// These attempts are written. `removed` are leases whose rows are gone already.
    fn went(&mut self, attempts: &[Settled], removed: &[i64]) {
        if attempts.is_empty() {
            return;
        }
        let gone: HashSet<Settled> = attempts.iter().copied().collect();
        for pending in self.batch.extract_if(.., |pending| gone.contains(&pending.resolved.attempt.settled)) {
            let attempt = &pending.resolved.attempt;
            if self.shared.leases.settled(attempt.settled.lease, 1) && !removed.contains(&attempt.settled.lease) {
                self.emptied.push(attempt.settled.lease);
            }
            self.shared.tell(&pending.resolved);
            self.shared.minutes.settled(attempt, &pending.resolved.resolution);
            self.shared.errors.settled(&pending.resolved);
            self.shared.tails.settled(&pending.resolved, self.shared.settings.keep_logs);
            self.shared.ended(attempt);
        }
    }

    /// What is left in the batch did not come back from its statement: its row is locked, or it finished under our lease and the
    /// answer was lost, or it is no longer ours.
    async fn explain_missing(&mut self) -> Result<(), sqlx::Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let missing: Vec<Settled> = self.batch.iter().map(|pending| pending.resolved.attempt.settled).collect();
        let what: HashMap<Settled, Unsettled> = store::find_settled(self.link.get().await?, &missing).await?.into_iter().collect();
        for mut pending in self.batch.drain(..) {
            let attempt = &pending.resolved.attempt;
            match what.get(&attempt.settled) {
                Some(Unsettled::Ours) => {
                    pending.pause = (pending.pause * 2).clamp(FIRST_RETRY, LAST_RETRY);
                    self.locked.push(Locked { due: Instant::now() + pending.pause, pending });
                    continue;
                }
                Some(Unsettled::Finished) => {}
                // It leaves no history: gone is what completed looks like. Deleted by an operator, too, who wants no word of it.
                Some(Unsettled::Gone) if matches!(pending.resolved.resolution, Resolution::Complete { keep: false, .. }) => {}
                _ => {
                    self.shared.meters.fenced();
                    tracing::warn!(job = %attempt.settled.id, "the attempt had lost its lease, or an answer was lost; nothing more is written for it");
                }
            }
            if self.shared.leases.settled(attempt.settled.lease, 1) {
                self.emptied.push(attempt.settled.lease);
            }
            self.shared.ended(attempt);
        }
        Ok(())
    }
}

/// Those of the attempts whose ids came back.
fn of(ids: &[JobId], attempts: impl Iterator<Item = Settled>) -> Vec<Settled> {
    let ids: HashSet<JobId> = ids.iter().copied().collect();
    attempts.filter(|attempt| ids.contains(&attempt.id)).collect()
}

/// Completes attempts, and returns the ids that went and whether one statement did it. Makes today's partition if it is missing; if
/// an output is refused, completes each alone, the refused one without it.
async fn complete(
    connection: &mut PgConnection,
    worker: i64,
    attempts: &[Settled],
    emptied: &[i64],
    outputs: &[(JobId, String)],
) -> Result<(Vec<JobId>, bool), sqlx::Error> {
    let texts: Vec<_> = outputs.iter().map(|(id, output)| (*id, output.as_str())).collect();
    match store::complete_jobs(&mut *connection, worker, attempts, emptied, &texts).await {
        Err(error) if store::failure(&error) == Failure::NoPartition => {
            store::make_partitions(connection, crate::prune::DAYS_AHEAD).await?;
            Ok((store::complete_jobs(&mut *connection, worker, attempts, emptied, &texts).await?, true))
        }
        Err(error) if store::failure(&error) == Failure::Data => {
            let mut ids = Vec::new();
            for attempt in attempts {
                let output: Vec<_> = texts.iter().copied().filter(|(id, _)| *id == attempt.id).collect();
                match store::complete_jobs(&mut *connection, worker, &[*attempt], &[], &output).await {
                    Err(error) if store::failure(&error) == Failure::Data => {
                        tracing::error!(job = %attempt.id, %error, "the job's output could not be stored; it is completed without");
                        ids.extend(store::complete_jobs(&mut *connection, worker, &[*attempt], &[], &[]).await?);
                    }
                    result => ids.extend(result?),
                }
            }
            Ok((ids, false))
        }
        result => Ok((result?, true)),
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
struct Rows {
    completed: Vec<Settled>,
    /// Completed, and of a kind that leaves no history.
    forgotten: Vec<Settled>,
    outputs: Vec<(JobId, String)>,
    later: Vec<Reschedule>,
    buried: Vec<Burial>,
    returned: Vec<Settled>,
    nothing: Vec<Settled>,
}

impl Rows {
    fn add(&mut self, resolved: &Resolved) {
        let settled = resolved.attempt.settled;
        match &resolved.resolution {
            Resolution::Complete { keep: false, .. } => self.forgotten.push(settled),
            Resolution::Complete { output, .. } => {
                self.completed.push(settled);
                if let Some(output) = output {
                    self.outputs.push((settled.id, output.clone()));
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
                span: resolved.attempt.facts.sampled_span(),
                fingerprint: end.fingerprint.clone(),
            }),
            Resolution::Bury { cancelled, end } => self.buried.push(Burial {
                settled,
                cancelled: *cancelled,
                outcome: end.outcome,
                error_class: end.class.map(ToOwned::to_owned),
                message: end.message.clone(),
                ran_ms: ran_ms(end),
                failed: end.failed,
                span: resolved.attempt.facts.sampled_span(),
                fingerprint: end.fingerprint.clone(),
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
        kind: attempt.kind.to_string(),
        queue: attempt.queue.to_string(),
        attempt: attempt.number,
        failures: attempt.failures + i16::from(end.failed),
        error: end.message.clone().unwrap_or_default(),
    }
}
