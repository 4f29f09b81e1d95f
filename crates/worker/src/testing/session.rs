//! A worker that is registered for the time of one drain, and its one connection.

use std::{sync::Arc, time::Duration};

use chrono::DateTime;
use haulage_queue::{
    check_schema,
    store::{self, Claimed, Registration, Request},
};
use sqlx::PgConnection;
use tokio::time::timeout;

use crate::{
    Duty,
    context::Attempt,
    execute::{Resolved, execute},
    panics, prune,
    settle::Settle,
    shared::Shared,
    telemetry::find_previous,
    testing::{DrainError, Ran},
};

/// Nothing beats here, and a test may stand in a debugger for hours: other workers on the database should not take it for dead.
const LEASE: Duration = Duration::from_secs(86_400);
/// Due jobs a statement.
const PROMOTED: i32 = 1_000;

pub(super) struct Session<'a> {
    pub(super) shared: &'a Arc<Shared>,
    settle: Settle,
}

/// A claimed job.
pub(super) struct Taken {
    pub(super) job: Claimed,
    pub(super) lease: i64,
}

impl<'a> Session<'a> {
    pub(super) async fn begin(shared: &'a Arc<Shared>) -> Result<Self, DrainError> {
        panics::remember_places();
        let mut settle = Settle::new(Arc::clone(shared));
        let connection = settle.connection().await?;
        check_schema(connection).await?;
        if !shared.settings.without.contains(&Duty::Prune) {
            store::make_partitions(connection, prune::DAYS_AHEAD).await?;
        }
        // What an earlier session has left is not ours: its worker is gone.
        shared.leases.clear();
        shared.set_worker_id(rand::random_range(1..=i64::MAX));
        let lease_ms = i32::try_from(LEASE.as_millis()).unwrap_or(i32::MAX);
        let registration = Registration { lease_ms, ..shared.registration() };
        store::register_worker(connection, shared.worker_id(), &registration, None).await?;
        Ok(Self { shared, settle })
    }

    /// Takes the worker off the list; an error of what it did comes first.
    pub(super) async fn end<T>(mut self, result: Result<T, DrainError>) -> Result<T, DrainError> {
        let gone = match self.settle.connection().await {
            Ok(connection) => store::remove_worker(connection, self.shared.worker_id()).await,
            Err(error) => Err(error),
        };
        self.settle.close().await;
        let value = result?;
        gone?;
        Ok(value)
    }

    pub(super) async fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.settle.connection().await
    }

    pub(super) fn worker_id(&self) -> i64 {
        self.shared.worker_id()
    }

    /// A token for a claim of one job.
    pub(super) fn draw(&self) -> i64 {
        let token = self.shared.leases.draw();
        self.shared.leases.claimed(token, 1);
        token
    }

    /// Puts jobs in line whose time has come.
    pub(super) async fn promote(&mut self) -> Result<(), DrainError> {
        let connection = self.settle.connection().await?;
        while store::promote_jobs(connection, DateTime::UNIX_EPOCH, PROMOTED).await?.moved >= i64::from(PROMOTED) {}
        Ok(())
    }

    /// Lets jobs in whose key has room; returns whether there were any.
    pub(super) async fn admit(&mut self) -> Result<bool, DrainError> {
        let connection = self.settle.connection().await?;
        let keys = store::waiting_keys(connection, "", PROMOTED).await?;
        if keys.is_empty() {
            return Ok(false);
        }
        Ok(store::admit_keys(connection, &keys, &self.shared.queues(), &self.shared.kinds).await?.admitted > 0)
    }

    /// Puts the job that is due next in line; returns whether there was one.
    pub(super) async fn bring_forward(&mut self) -> Result<bool, DrainError> {
        let queues = self.shared.queues();
        let kinds = &self.shared.kinds;
        Ok(store::bring_forward_job(self.settle.connection().await?, &queues, kinds).await?.is_some())
    }

    /// What to look at where nothing ran: which queues it served, and what waits that it does not take.
    pub(super) async fn idle(&mut self) -> Result<String, DrainError> {
        let queues: Vec<String> = self.shared.queues().iter().map(|queue| format!("\"{queue}\"")).collect();
        let unhandled = store::list_unhandled(self.settle.connection().await?, None).await?;
        let left: Vec<String> = unhandled.iter().map(|left| format!("{} of \"{}\" in \"{}\"", left.jobs, left.kind, left.queue)).collect();
        let left = if left.is_empty() { "none wait elsewhere either".to_owned() } else { format!("it does not take {}", left.join(", ")) };
        Ok(format!("this worker has handlers for queues {} and found no job there that may run now; {left}", queues.join(", ")))
    }

    /// Claims the next job, one, so that no other waits in this process while it runs.
    pub(super) async fn next(&mut self) -> Result<Option<Taken>, DrainError> {
        let shared = self.shared;
        for queue in self.shared.queues() {
            // Of a limited queue nothing is claimed that was not let in.
            store::admit_queue(self.settle.connection().await?, queue, &shared.kinds).await?;
            let token = self.draw();
            let request = Request {
                token,
                worker: shared.worker_id(),
                kinds: &shared.kinds,
                queues: &[queue],
                wants: &[1],
                bounds: &[0; 4],
                exempt: 0,
                in_turn: &[false],
            };
            let mut claim = store::claim_jobs(self.settle.connection().await?, &request).await?;
            if let Some((job, why)) = claim.unreadable.pop() {
                return Err(DrainError::Unreadable { job, why });
            }
            if let Some(job) = claim.jobs.pop() {
                return Ok(Some(Taken { job, lease: token }));
            }
            shared.leases.claimed(token, 0);
        }
        let (token, queues) = (self.draw(), self.shared.queues());
        let connection = self.settle.connection().await?;
        let suspect = store::claim_suspect(connection, token, shared.worker_id(), &shared.kinds, &queues).await?;
        if suspect.is_none() {
            shared.leases.claimed(token, 0);
        }
        Ok(suspect.map(|job| Taken { job, lease: token }))
    }

    /// Runs a claimed job, writes what came of it, and waits for the hook that this called.
    pub(super) async fn run(&mut self, Taken { mut job, lease }: Taken) -> Result<Ran, DrainError> {
        let shared = self.shared;
        find_previous(self.settle.connection().await?, std::slice::from_mut(&mut job)).await;
        let (attempt, args) = Attempt::new(job, lease, shared.epoch(), false, shared);
        let attempt = Arc::new(attempt);
        shared.started(&attempt);
        let resolution = execute(shared, &attempt, args).await;
        let ran = Ran::new(&attempt, &resolution);
        // Progress is shown while a job runs, and this one has ended.
        drop(shared.progress.take());
        if !self.settle.settle_one(Resolved { attempt, resolution }).await? {
            return Err(DrainError::Locked { job: ran.id });
        }
        // At once, so that a test finds them; without them it fails no less than without.
        shared.tails.write(self.settle.connection().await?).await.ok();
        shared.tasks.close();
        let hooks = timeout(shared.settings.grace, shared.tasks.wait()).await;
        shared.tasks.reopen();
        if hooks.is_err() {
            return Err(DrainError::Hook { job: ran.id });
        }
        Ok(ran)
    }
}
