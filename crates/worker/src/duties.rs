//! The fleet's duties, on one connection: promote due jobs, rescue those of dead workers, keep partitions, and write down progress.
//! Leaderless: every worker does them, the database arbitrates, and each can be switched off per process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use haulage_queue::store;
use tokio_util::sync::CancellationToken;

use crate::{Duty, link::Link, promote::Promote, prune, rescue, run::Shared};

/// Progress is written this often at most.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// No round of duties takes so long on a connection that answers.
const SILENT: Duration = Duration::from_secs(120);
/// Rows beside jobs that are gone.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// Partitions are looked after at the start and then hourly.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut duties = Duties::new(&shared);
    while !stop.is_cancelled() {
        let worked = tokio::select! {
            () = stop.cancelled() => break,
            // A connection that has gone silent is made anew.
            worked = tokio::time::timeout(SILENT, duties.work()) => worked.unwrap_or(Err(sqlx::Error::PoolTimedOut)),
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
        let next = duties.next();
        tokio::select! {
            () = stop.cancelled() => break,
            () = shared.due.notified() => duties.promote_at = duties.promote_at.map(|_| Instant::now()),
            () = shared.progress.reported() => duties.progress_at = duties.progress_at.or(Some(Instant::now() + PROGRESS_EVERY / 10)),
            () = tokio::time::sleep_until(next.into()) => {}
        }
    }
    duties.link.close().await;
}

/// When each duty is next due; `None`: switched off, or nothing to do.
struct Duties<'a> {
    shared: &'a Shared,
    link: Link,
    promote: Promote,
    promote_at: Option<Instant>,
    rescue_at: Option<Instant>,
    prune_at: Option<Instant>,
    tidy_at: Option<Instant>,
    progress_at: Option<Instant>,
    progress_written: Instant,
}

impl<'a> Duties<'a> {
    fn new(shared: &'a Shared) -> Self {
        let now = Instant::now();
        let on = |duty| (!shared.settings.without.contains(&duty)).then_some(now);
        Self {
            shared,
            link: Link::new(&shared.options, "duties"),
            promote: Promote::new(),
            promote_at: on(Duty::Promote),
            rescue_at: on(Duty::Rescue),
            prune_at: on(Duty::Prune),
            tidy_at: on(Duty::Prune),
            progress_at: None,
            progress_written: now - PROGRESS_EVERY,
        }
    }

    fn next(&self) -> Instant {
        [self.promote_at, self.rescue_at, self.prune_at, self.tidy_at, self.progress_at]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + PRUNE_EVERY)
    }

    async fn work(&mut self) -> Result<(), sqlx::Error> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= Instant::now());
        if is_due(self.promote_at) {
            let pause = self.promote.run(self.link.get().await?).await?;
            self.promote_at = Some(Instant::now() + pause);
        }
        if is_due(self.progress_at) && self.progress_written.elapsed() >= PROGRESS_EVERY {
            self.progress_at = None;
            self.progress_written = Instant::now();
            let reports = self.shared.progress.take();
            if !reports.is_empty() {
                store::save_progress(self.link.get().await?, &reports).await?;
            }
        } else if is_due(self.progress_at) {
            self.progress_at = Some(self.progress_written + PROGRESS_EVERY);
        }
        if is_due(self.rescue_at) {
            for job in rescue::run(self.link.get().await?).await? {
                self.shared.quarantined(job);
            }
            // Jitter, or a fleet that started together would look together for ever.
            self.rescue_at = Some(Instant::now() + self.shared.settings.heartbeat.mul_f64(rand::random_range(0.8..=1.0)));
        }
        if is_due(self.prune_at) {
            prune::run(self.link.get().await?, &self.shared.settings).await?;
            self.prune_at = Some(Instant::now() + PRUNE_EVERY.mul_f64(rand::random_range(0.5..=1.0)));
        }
        if is_due(self.tidy_at) {
            store::prune_side_rows(self.link.get().await?).await?;
            self.tidy_at = Some(Instant::now() + TIDY_EVERY.mul_f64(rand::random_range(0.8..=1.2)));
        }
        Ok(())
    }
}
