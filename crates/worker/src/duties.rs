//! The fleet's duties, on one connection: promote due jobs, let in what waits for its key, fire schedules, rescue the jobs of dead
//! workers, count queues for metrics and charts, keep partitions, have the history's indexes built, say what waits for a worker that is not
//! there, and write down progress, logs, the traces of attempts, what ended in each minute and with which errors.
//! Leaderless: every worker does them, the database arbitrates, and each can be switched off per process.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use haulage_queue::{
    Firing, ReadError, fire_schedules,
    store::{self, AttemptTrace, Failure},
    telemetry::sample_fleet,
};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::{
    Duty, admit::Admit, link::Link, logs::Written, minutes, promote::Promote, prune, rescue, shared::Shared, unhandled::Unhandled,
};

/// Progress is written this often at most.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// What attempts have logged is gathered for so long before it is written.
const LOGS_EVERY: Duration = Duration::from_millis(200);
/// At the end of the worker what is left has so long.
const LAST_LOGS: Duration = Duration::from_secs(1);
/// Traces that attempts have of their own are written this often.
const TRACES_EVERY: Duration = Duration::from_secs(1);
/// And the last ones when the worker stops, if the database answers within this time.
const TRACES_AT_STOP: Duration = Duration::from_secs(1);
/// The last minute and the last errors, too.
const COUNTS_AT_STOP: Duration = Duration::from_secs(1);
/// Errors are gathered for so long before they are written.
const ERRORS_EVERY: Duration = Duration::from_secs(1);
/// A statement of a duty that has no answer for half a lease is given up, with its connection: nothing may arrive on it any more, and a
/// dead worker's jobs are to be taken within a lease and a little. No duty takes so long as a rule.
const SOONEST: Duration = Duration::from_secs(1);
/// One that does take longer must not be begun anew for ever: each time it has twice the time, up to this.
const LATEST: Duration = Duration::from_secs(120);
/// A duty that failed is tried again after this long.
const AGAIN: Duration = Duration::from_secs(2);
/// Schedules are looked at this often at least; whoever changes one notifies.
const SCHEDULES_LATEST: Duration = Duration::from_secs(10);
/// And this often at most because of a notification, which may be about a job.
const SCHEDULES_SOONEST: Duration = Duration::from_millis(500);
/// The queues are counted this often, by one process of the fleet, and the longer a count takes the less often.
const SAMPLE_EVERY: Duration = Duration::from_secs(15);
const SAMPLE_REST: u32 = 20;
/// Whether somebody reads the metrics is looked at this often; it costs nothing.
const READ_EVERY: Duration = Duration::from_secs(1);
/// Rows beside jobs that are gone.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// What waits for a worker that is not there.
const UNHANDLED_EVERY: Duration = Duration::from_secs(60);
/// Partitions are looked after at the start and then hourly.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// Closed days are looked at for indexes that they lack, by another task.
const INDEX_EVERY: Duration = Duration::from_secs(3_600);
/// While more is left to remove.
const PRUNE_AGAIN: Duration = Duration::from_secs(1);

pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut duties = Duties::new(&shared);
    while !stop.is_cancelled() {
        let worked = tokio::select! {
            () = stop.cancelled() => break,
            worked = duties.work() => worked,
        };
        if let Err(error) = worked {
            let pause = duties.link.failed(&error);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            continue;
        }
        duties.link.succeeded();
        duties.patience = patience(&shared);
        let next = duties.next();
        tokio::select! {
            () = stop.cancelled() => break,
            () = shared.due.notified() => duties.look_now(),
            () = shared.freed.told() => sooner(&mut duties.admit_at, duties.admit.freed()),
            () = shared.progress.reported() => duties.progress_at = duties.progress_at.or(Some(Instant::now() + PROGRESS_EVERY / 10)),
            () = shared.errors.told() => duties.errors_at = duties.errors_at.or(Some(Instant::now() + ERRORS_EVERY)),
            () = shared.tails.told() => duties.logs_at = duties.logs_at.or(Some(Instant::now() + LOGS_EVERY)),
            () = tokio::time::sleep_until(next.into()) => {}
        }
    }
    tokio::time::timeout(LAST_LOGS, duties.last_logs()).await.ok();
    shared.tails.close();
    tokio::time::timeout(TRACES_AT_STOP, duties.perform(Due::Traces)).await.ok();
    for last in [Due::Minutes, Due::Errors] {
        tokio::time::timeout(COUNTS_AT_STOP, duties.perform(last)).await.ok();
    }
    duties.link.close().await;
}

/// When each duty is next due; `None`: switched off, or nothing to do.
struct Duties<'a> {
    shared: &'a Shared,
    link: Link,
    /// What has no answer for so long is given up.
    patience: Duration,
    promote: Promote,
    promote_at: Option<Instant>,
    admit: Admit,
    admit_at: Option<Instant>,
    firing: Firing,
    schedule_at: Option<Instant>,
    schedules_seen: Instant,
    rescue_at: Option<Instant>,
    sample_at: Option<Instant>,
    depths_at: Option<Instant>,
    /// Whether this process is the one that samples.
    samples: bool,
    prune_at: Option<Instant>,
    tidy_at: Option<Instant>,
    index_at: Option<Instant>,
    unhandled: Unhandled,
    unhandled_at: Option<Instant>,
    progress_at: Option<Instant>,
    progress_written: Instant,
    logs_at: Option<Instant>,
    traces_at: Option<Instant>,
    minutes_at: Option<Instant>,
    errors_at: Option<Instant>,
}

impl<'a> Duties<'a> {
    fn new(shared: &'a Shared) -> Self {
        let now = Instant::now();
        let on = |duty| (!shared.settings.without.contains(&duty)).then_some(now);
        Self {
            shared,
            link: Link::new(shared, "duties"),
            patience: patience(shared),
            promote: Promote::new(),
            promote_at: on(Duty::Promote),
            admit: Admit::new(),
            admit_at: None,
            firing: Firing::default(),
            schedule_at: on(Duty::Schedule),
            schedules_seen: now,
            // The others have had the time of a beat by then: perhaps the clock was set a moment ago.
            rescue_at: on(Duty::Rescue).map(|now| now + shared.settings.heartbeat),
            sample_at: on(Duty::Sample),
            depths_at: on(Duty::Sample).map(|now| now + shared.settings.heartbeat),
            samples: false,
            prune_at: on(Duty::Prune),
            tidy_at: on(Duty::Prune),
            // A fleet that starts together does not connect together once more.
            index_at: on(Duty::Index).map(|now| now + shared.settings.heartbeat.mul_f64(rand::random_range(0.0..=1.0))),
            unhandled: Unhandled::default(),
            // By then the others of a fleet that starts together are there.
            unhandled_at: Some(now + shared.settings.heartbeat * 2),
            progress_at: None,
            progress_written: now - PROGRESS_EVERY,
            logs_at: None,
            traces_at: cfg!(feature = "otel").then_some(now + TRACES_EVERY),
            minutes_at: Some(now + shared.settings.heartbeat),
            errors_at: None,
        }
    }

    /// Something is due sooner than was known.
    fn look_now(&mut self) {
        let now = Instant::now();
        self.promote_at = self.promote_at.map(|_| now);
        self.schedule_at = self.schedule_at.map(|at| at.min(self.schedules_seen + SCHEDULES_SOONEST));
    }

    fn next(&self) -> Instant {
        let due = [
            self.promote_at,
            self.admit_at,
            self.schedule_at,
            self.rescue_at,
            self.sample_at,
            self.depths_at,
            self.prune_at,
            self.tidy_at,
            self.index_at,
            self.unhandled_at,
            self.progress_at,
            self.logs_at,
            self.traces_at,
            self.minutes_at,
            self.errors_at,
        ];
        due.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + PRUNE_EVERY)
    }

    /// Does what is due. A duty that fails is tried again after a while and holds up no other; returns the last error.
    async fn work(&mut self) -> Result<(), sqlx::Error> {
        let mut result = Ok(());
        const ORDER: [Due; 15] = [
            Due::Schedule,
            Due::Promote,
            Due::Admit,
            Due::Progress,
            Due::Rescue,
            Due::Traces,
            Due::Minutes,
            Due::Errors,
            Due::Sample,
            Due::Depths,
            Due::Logs,
            Due::Tidy,
            Due::Prune,
            Due::Index,
            Due::Unhandled,
        ];
        for duty in ORDER {
            if self.at(duty).is_none_or(|at| at > Instant::now()) {
                continue;
            }
            match self.perform(duty).await {
                Ok(next) => *self.at(duty) = next,
                Err(error) => {
                    *self.at(duty) = Some(Instant::now() + AGAIN);
                    if matches!(error, sqlx::Error::PoolTimedOut) && self.link.is_connected() {
                        self.patience = (self.patience * 2).min(LATEST.max(self.patience));
                    }
                    let lost = store::failure(&error) == Failure::Unavailable;
                    result = Err(error);
                    if lost {
                        break;
                    }
                }
            }
        }
        result
    }

    /// What the last attempts have logged.
    async fn last_logs(&mut self) -> Result<(), sqlx::Error> {
        let connection = self.link.get().await?;
        while self.shared.tails.write(connection).await? == Written::Some {}
        Ok(())
    }

    fn at(&mut self, duty: Due) -> &mut Option<Instant> {
        match duty {
            Due::Schedule => &mut self.schedule_at,
            Due::Promote => &mut self.promote_at,
            Due::Admit => &mut self.admit_at,
            Due::Progress => &mut self.progress_at,
            Due::Logs => &mut self.logs_at,
            Due::Traces => &mut self.traces_at,
            Due::Minutes => &mut self.minutes_at,
            Due::Errors => &mut self.errors_at,
            Due::Rescue => &mut self.rescue_at,
            Due::Sample => &mut self.sample_at,
            Due::Depths => &mut self.depths_at,
            Due::Tidy => &mut self.tidy_at,
            Due::Prune => &mut self.prune_at,
            Due::Index => &mut self.index_at,
            Due::Unhandled => &mut self.unhandled_at,
        }
    }

    /// Performs one duty; returns when it is next due.
    async fn perform(&mut self, duty: Due) -> Result<Option<Instant>, sqlx::Error> {
        let (shared, connection, patience) = (self.shared, self.link.get().await?, self.patience);
        Ok(match duty {
            Due::Schedule => {
                let next = in_time(patience, fire_schedules(connection, &mut self.firing)).await?;
                self.schedules_seen = Instant::now();
                Some(Instant::now() + next.map_or(SCHEDULES_LATEST, |s| Duration::from_secs_f64(s.max(0.0)).min(SCHEDULES_LATEST)))
            }
            Due::Promote => {
                let (next, waiting) = in_time(patience, self.promote.run(connection)).await?;
                if waiting {
                    sooner(&mut self.admit_at, self.admit.waits());
                }
                Some(Instant::now() + next)
            }
            // A quiet one lets nothing in that it would not run.
            Due::Admit if shared.settings.without.contains(&Duty::Admit) || shared.is_quiet() => None,
            Due::Admit => in_time(patience, self.admit.run(connection, shared)).await?,
            Due::Progress if self.progress_written.elapsed() < PROGRESS_EVERY => Some(self.progress_written + PROGRESS_EVERY),
            Due::Progress => {
                self.progress_written = Instant::now();
                let reports = shared.progress.take();
                if !reports.is_empty() {
                    in_time(patience, store::save_progress(connection, &reports)).await?;
                }
                None
            }
            Due::Logs => match in_time(patience, shared.tails.write(connection)).await? {
                Written::All => None,
                Written::Some => Some(Instant::now()),
                Written::Locked => Some(Instant::now() + AGAIN),
            },
            Due::Traces => {
                let traces = shared.own_traces.take();
                let written = if traces.is_empty() { Ok(true) } else { in_time(patience, write_traces(connection, &traces)).await };
                match written {
                    Ok(true) => Some(Instant::now() + TRACES_EVERY),
                    Ok(false) => {
                        shared.own_traces.put_back(traces);
                        Some(Instant::now() + AGAIN)
                    }
                    Err(error) if store::passes(&error) => {
                        shared.own_traces.put_back(traces);
                        return Err(error);
                    }
                    Err(error) => {
                        tracing::warn!(%error, attempts = traces.len(), "the traces of these attempts could not be stored: they lead to no job");
                        Some(Instant::now() + TRACES_EVERY)
                    }
                }
            }
            Due::Minutes => match shared.minutes.take() {
                // To look costs nothing.
                None => Some(Instant::now() + shared.settings.heartbeat),
                Some(taken) => match in_time(patience, store::save_minutes(connection, taken.ago_s(), &taken.counted)).await {
                    Ok(true) => Some(Instant::now() + minutes::next(shared)),
                    Ok(false) => {
                        shared.minutes.put_back(taken);
                        Some(Instant::now() + AGAIN)
                    }
                    Err(error) if store::passes(&error) => {
                        shared.minutes.put_back(taken);
                        return Err(error);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "what ended in the last minute could not be stored: charts have a gap there");
                        Some(Instant::now() + minutes::next(shared))
                    }
                },
            },
            Due::Errors => {
                let noted = shared.errors.take();
                let saved = if noted.is_empty() { Ok(true) } else { in_time(patience, store::save_errors(connection, &noted)).await };
                match saved {
                    Ok(true) => None,
                    Ok(false) => {
                        shared.errors.put_back(noted);
                        Some(Instant::now() + AGAIN)
                    }
                    Err(error) if store::passes(&error) => {
                        shared.errors.put_back(noted);
                        return Err(error);
                    }
                    Err(error) => {
                        tracing::warn!(%error, errors = noted.len(), "these errors could not be stored: the list of errors lacks them");
                        None
                    }
                }
            }
            Due::Rescue => {
                if shared.cancels.load(Ordering::Relaxed) {
                    in_time(patience, store::cancel_requested(connection)).await?;
                }
                in_time(patience, rescue::run(connection, shared)).await?;
                // Jitter, or a fleet that started together would look together for ever.
                Some(Instant::now() + shared.settings.heartbeat.mul_f64(rand::random_range(0.8..=1.0)))
            }
            Due::Sample => {
                let read = shared.meters.are_read();
                if read || self.samples {
                    self.samples = in_time(patience, store::arbitrate_sample(connection, read)).await?;
                }
                let started = Instant::now();
                if self.samples {
                    match in_time(patience, sample_fleet(connection)).await {
                        Ok(sample) => shared.meters.sampled(sample),
                        // Beside a wall of dead rows, or a locked table, a count can take too long; then there is none.
                        Err(ReadError::Database(error))
                            if store::failure(&error) == Failure::Cancelled || store::lock_timed_out(&error) =>
                        {
                            tracing::debug!(%error, "the queues were not counted in time");
                        }
                        Err(ReadError::Schema(error) | ReadError::Unavailable(error) | ReadError::Database(error)) => return Err(error),
                        Err(_) => {}
                    }
                }
                Some(Instant::now() + if read { SAMPLE_EVERY.max(started.elapsed() * SAMPLE_REST) } else { READ_EVERY })
            }
            Due::Depths => {
                match in_time(patience, store::sample_depths(connection)).await {
                    Ok(_) => {}
                    Err(error) if store::failure(&error) == Failure::Cancelled || store::lock_timed_out(&error) => {
                        tracing::debug!(%error, "how many jobs wait was not counted in time: charts have a gap there");
                    }
                    Err(error) if store::passes(&error) => return Err(error),
                    Err(error) => tracing::warn!(%error, "how many jobs wait could not be noted: charts have a gap there"),
                }
                Some(Instant::now() + minutes::next(shared))
            }
            Due::Tidy => {
                in_time(patience, store::prune_side_rows(connection)).await?;
                Some(Instant::now() + TIDY_EVERY.mul_f64(rand::random_range(0.8..=1.2)))
            }
            Due::Prune => {
                let left = in_time(patience, prune::run(connection, &shared.settings)).await?;
                Some(Instant::now() + if left { PRUNE_AGAIN } else { PRUNE_EVERY.mul_f64(rand::random_range(0.5..=1.0)) })
            }
            Due::Index => {
                let (completed, failed) = (shared.settings.keep_completed, shared.settings.keep_failed);
                if in_time(patience, store::may_lack_index(connection, completed, failed)).await? {
                    shared.index.notify_one();
                }
                Some(Instant::now() + INDEX_EVERY.mul_f64(rand::random_range(0.5..=1.0)))
            }
            Due::Unhandled => {
                // Not while the others may look dead who are not.
                if shared.may_rescue() {
                    in_time(patience, self.unhandled.look(connection, shared.worker_id())).await?;
                }
                Some(Instant::now() + UNHANDLED_EVERY.mul_f64(rand::random_range(0.8..=1.2)))
            }
        })
    }
}

/// How long a duty waits for its answer at first.
fn patience(shared: &Shared) -> Duration {
    (shared.settings.lease / 2).max(SOONEST)
}

/// A statement that is given up when it has no answer. Around each by itself: what a duty has taken to write is put back then.
async fn in_time<T, E: From<sqlx::Error>>(patience: Duration, statement: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    tokio::time::timeout(patience, statement).await.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut.into()))
}

/// Makes today's partition if it is missing.
async fn write_traces(connection: &mut PgConnection, traces: &[AttemptTrace]) -> Result<bool, sqlx::Error> {
    match store::write_attempt_traces(connection, traces).await {
        Err(error) if store::failure(&error) == Failure::NoPartition => {
            store::make_partitions(connection, prune::DAYS_AHEAD).await?;
            store::write_attempt_traces(connection, traces).await
        }
        written => written,
    }
}

/// Makes a duty due at this time, if it is not before.
fn sooner(duty: &mut Option<Instant>, at: Instant) {
    *duty = Some(duty.map_or(at, |due| due.min(at)));
}

#[derive(Debug, Clone, Copy)]
enum Due {
    Schedule,
    Promote,
    Admit,
    Progress,
    Logs,
    Traces,
    Minutes,
    Errors,
    Rescue,
    Sample,
    Depths,
    Tidy,
    Prune,
    Index,
    Unhandled,
}
