//! A replica of the database, which answers what need not be exact: lists, counts, searches and charts.
//!
//! ```text
//!  GET ──> route ──> replica: transaction, "how far are you?" ──> page, with how far behind it is
//!            ^            │ far enough for what this browser did?  no ─┐
//!            │            │ broken off by its replay? once more, then ─┤
//!            └────────────┴ can't be reached, can't answer ────────────┴──> the same on the primary, with a sentence
//! ```
//!
//! What has to be exact never asks it: the page of a job, actions and their forms, causes (locks can't be seen on a replica), heartbeats
//! (they are judged by the clock), the health check. A page that fails on the replica is made anew as a whole, so a page never shows two
//! moments because of a failure in its middle.
//!
//! Whoever has done something gets the position of their commit in a cookie ([`Position`]). A transaction on the replica begins by asking
//! how far that has replayed, on the connection that reads, so it also holds behind an address with several replicas.

mod note;
mod place;
mod position;
mod route;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use haulage_queue::store::{self, Failure, Standing, failure};
use sqlx::PgPool;

pub(crate) use note::{Note, lag, warning};
pub(crate) use place::{OnPrimary, Place};
pub(crate) use position::Position;
pub(crate) use route::route;

use crate::{
    app::{PATIENCE, Reading},
    error::Problem,
};

/// A connection and the first answer come within this time, or the primary is asked: a page waits no longer for a replica that is gone.
const WITHIN: Duration = Duration::from_secs(1);

/// One that could not be reached is tried again this often, by the way of no page.
const AGAIN: Duration = Duration::from_secs(5);

/// The replica of this process. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Replica(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    /// Since when it can't be reached, or when it was last tried.
    lost: Mutex<Option<Instant>>,
}

/// Why the replica did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// It has not replayed what this browser did.
    Behind,
    /// There is no connection to it, or it broke.
    Unreachable,
    /// Its replay needed what was being read.
    BrokenOff,
    /// It has no such thing; the primary may.
    Missing,
    /// Anything else that the database says: a schema that is older, a function that it does not have.
    Refused,
}

impl Replica {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self(Arc::new(Inner { pool, lost: Mutex::default() }))
    }

    /// A look at it, if it has replayed as far as `wrote`.
    async fn read(&self, wrote: Option<Position>) -> Result<Reading, Problem> {
        let started = tokio::time::timeout(WITHIN, store::start_reading_replica(&self.0.pool, PATIENCE)).await;
        let (tx, clock, standing) = match started {
            Ok(Ok(started)) => started,
            Ok(Err(error)) if failure(&error) != Failure::Unavailable => return Err(error.into()),
            Ok(Err(error)) => return Err(self.lose(&error.to_string())),
            Err(_) => return Err(self.lose(&format!("no answer within {} s", WITHIN.as_secs()))),
        };
        if wrote.is_some_and(|wrote| !wrote.is_in(&standing)) {
            return Err(Problem::hindered(Hindrance::Behind));
        }
        Ok(Reading::new(tx, clock, Some(standing)))
    }

    /// How far it has followed; `None`: it can't be reached, or does not say.
    pub(crate) async fn standing(&self) -> Option<Standing> {
        if !self.is_there() {
            return None;
        }
        let reading = self.read(None).await;
        reading.inspect_err(|problem| tracing::warn!("the replica does not say how far it is: {}", problem.sentence())).ok()?.standing
    }

    fn lose(&self, why: &str) -> Problem {
        if self.0.lost.lock().unwrap_or_else(PoisonError::into_inner).replace(Instant::now()).is_none() {
            tracing::warn!("the replica can't be reached, so the primary is read: {why}");
        }
        Problem::hindered(Hindrance::Unreachable)
    }

    /// Whether it could be reached when it was last tried. If that is some time ago, it is tried again meanwhile.
    fn is_there(&self) -> bool {
        let mut lost = self.0.lost.lock().unwrap_or_else(PoisonError::into_inner);
        match *lost {
            None => true,
            Some(at) => {
                if at.elapsed() >= AGAIN {
                    *lost = Some(Instant::now());
                    self.try_again();
                }
                false
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it ends by itself within a second; a server that stops need not wait for it")]
    fn try_again(&self) {
        let replica = self.clone();
        tokio::spawn(async move {
            let tried = tokio::time::timeout(WITHIN, store::start_reading_replica(&replica.0.pool, PATIENCE)).await;
            if matches!(tried, Ok(Ok(_))) {
                *replica.0.lost.lock().unwrap_or_else(PoisonError::into_inner) = None;
                tracing::info!("the replica can be reached again");
            }
        });
    }
}
