//! When an attempt's job could run, when it was claimed, how long its handler ran: for spans, metrics and minutes.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use haulage_queue::store::Claimed;

/// By the database's clock up to the claim, by ours from then on.
#[derive(Debug)]
pub(crate) struct Times {
    created_at: DateTime<Utc>,
    eligible_at: DateTime<Utc>,
    claimed_at: DateTime<Utc>,
    /// When the claim's answer was here.
    received: Instant,
    /// When the handler started and how long it ran.
    ran: OnceLock<(Instant, Duration)>,
}

impl Times {
    pub(crate) fn new(job: &Claimed) -> Self {
        Self {
            created_at: job.created_at,
            eligible_at: job.eligible_at,
            claimed_at: job.claimed_at,
            received: Instant::now(),
            ran: OnceLock::new(),
        }
    }

    pub(crate) fn ran(&self, started: Instant, time: Duration) {
        self.ran.set((started, time)).ok();
    }

    /// `None`: the handler has not ended, or never started.
    pub(crate) fn run_time(&self) -> Option<Duration> {
        self.ran.get().map(|(_, time)| *time)
    }

    /// From when it could run until the handler started.
    pub(crate) fn wait(&self) -> Duration {
        // One that was enqueued for a time in the past has not waited since then.
        self.until(self.eligible_at.max(self.created_at), self.ran.get().map_or_else(Instant::now, |(started, _)| *started))
    }

    /// From the enqueue until now.
    #[cfg(feature = "otel")]
    pub(crate) fn age(&self) -> Duration {
        self.until(self.created_at, Instant::now())
    }

    fn until(&self, from: DateTime<Utc>, to: Instant) -> Duration {
        (self.claimed_at - from).to_std().unwrap_or_default() + to.saturating_duration_since(self.received)
    }
}
