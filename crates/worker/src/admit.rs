//! Lets jobs in that wait for their key. Any worker may; an advisory lock keeps two admissions apart, and a slot is an admitted job,
//! so nothing is given back and nothing leaks.
//!
//! A key is looked at when a job of it has ended here, and all keys for which a job waits are passed over now and then: that
//! finds what was enqueued, what ended elsewhere, and limits that were changed.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use haulage_queue::store::{self, Admission};
use sqlx::PgConnection;
use tokio::sync::Notify;

use crate::shared::Shared;

/// Keys a statement.
const BATCH: usize = 500;
/// Between two admissions because of jobs that have ended: many that end one after the other are let in together.
const GATHER: Duration = Duration::from_millis(1);
/// After a pass over all keys the next one waits at least so many times as long as the pass took: with thousands of full keys
/// passes would take the whole time.
const REST: u32 = 5;

/// Keys of which a job has ended in this process.
#[derive(Debug, Default)]
pub(crate) struct Freed {
    keys: Mutex<Keys>,
    told: Notify,
}

/// Each once, in the order in which their jobs have ended: none waits for the others' sake, and what was enqueued together, and lies in
/// the same pages of the table, is let in together.
#[derive(Debug, Default)]
struct Keys {
    order: VecDeque<String>,
    known: HashSet<String>,
}

impl Freed {
    pub(crate) fn add(&self, key: &str) {
        let mut keys = self.lock();
        if !keys.known.contains(key) {
            keys.known.insert(key.to_owned());
            keys.order.push_back(key.to_owned());
        }
        drop(keys);
        self.told.notify_one();
    }

    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_any(&self) -> bool {
        !self.lock().order.is_empty()
    }

    /// Up to a batch of them.
    fn take(&self) -> Vec<String> {
        let mut keys = self.lock();
        let Keys { order, known } = &mut *keys;
        let batch: Vec<String> = order.drain(..order.len().min(BATCH)).collect();
        for key in &batch {
            known.remove(key);
        }
        batch
    }
}

#[derive(Debug)]
pub(crate) struct Admit {
    /// The pass over all keys has come to this one; `None`: none is under way.
    cursor: Option<String>,
    started: Instant,
    /// No pass begins before.
    rested: Instant,
    /// When jobs were last let in because others had ended.
    last: Instant,
    freed_went_last: bool,
}

impl Admit {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { cursor: None, started: now, rested: now, last: now, freed_went_last: false }
    }

    /// A job of a key has ended; returns when to look.
    pub(crate) fn freed(&self) -> Instant {
        (self.last + GATHER).max(Instant::now())
    }

    /// Some job waits for its key; returns when to look.
    pub(crate) fn waits(&mut self) -> Instant {
        self.begin(Instant::now())
    }

    /// Admits for a batch of keys; returns when the next batch is due, `None`: when somebody says so.
    ///
    /// Freed keys and the pass take turns: freed keys alone only let in as many as have ended, so that without the pass the line
    /// would never be longer than it was when the first of them came.
    pub(crate) async fn run(&mut self, connection: &mut PgConnection, shared: &Shared) -> Result<Option<Instant>, sqlx::Error> {
        let pass_is_due = self.cursor.is_some() && self.started <= Instant::now();
        if !(pass_is_due && self.freed_went_last) {
            let freed = shared.freed.take();
            if !freed.is_empty() {
                self.freed_went_last = true;
                return self.admit_freed(connection, shared, &freed).await;
            }
        }
        self.freed_went_last = false;
        let next = self.admit_waiting(connection, shared).await?;
        let more = shared.freed.is_any().then(|| self.freed());
        Ok([next, more].into_iter().flatten().min())
    }

    async fn admit_freed(
        &mut self,
        connection: &mut PgConnection,
        shared: &Shared,
        freed: &[String],
    ) -> Result<Option<Instant>, sqlx::Error> {
        self.last = Instant::now();
        let admission = store::admit_keys(connection, freed, &shared.queues(), &shared.kinds).await?;
        claim_soon(shared, &admission);
        let next = admission.next.map(|next| self.begin(Instant::now() + next));
        let pass = self.cursor.is_some().then_some(self.started);
        let more = (freed.len() >= BATCH).then(Instant::now);
        Ok([next, pass, more].into_iter().flatten().min())
    }

    /// One step of the pass over all keys for which a job waits.
    async fn admit_waiting(&mut self, connection: &mut PgConnection, shared: &Shared) -> Result<Option<Instant>, sqlx::Error> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        if self.started > Instant::now() {
            return Ok(Some(self.started));
        }
        let keys = store::waiting_keys(connection, cursor, i32::try_from(BATCH).unwrap_or(i32::MAX)).await?;
        let mut next = None;
        if !keys.is_empty() {
            let admission = store::admit_keys(connection, &keys, &shared.queues(), &shared.kinds).await?;
            claim_soon(shared, &admission);
            next = admission.next;
        }
        if keys.len() >= BATCH {
            self.cursor = keys.into_iter().last();
            return Ok(Some(Instant::now()));
        }
        self.cursor = None;
        self.rested = Instant::now() + self.started.elapsed() * REST;
        // A rate lets the next in after this time.
        Ok(next.map(|next| self.begin(Instant::now() + next)))
    }

    /// A pass over all keys begins then, or sooner if one is about to begin, unless one is under way; returns when.
    fn begin(&mut self, at: Instant) -> Instant {
        let at = self.rested.max(at);
        match &self.cursor {
            // Under way: whom it has passed already it is told of again.
            Some(key) if !key.is_empty() => {}
            // A rate that lets the next in tomorrow holds up no other key.
            Some(_) => self.started = self.started.min(at),
            None => {
                self.cursor = Some(String::new());
                self.started = at;
            }
        }
        self.started
    }
}

/// What was let in is claimed at once by this process, which is awake: others are notified only if they sleep.
fn claim_soon(shared: &Shared, admission: &Admission) {
    if admission.admitted > 0 {
        shared.lanes.iter().for_each(|lane| lane.room.notify_one());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_keys_are_taken_in_their_order_and_each_once() {
        let freed = Freed::default();
        let keys: Vec<String> = (0..=BATCH).rev().map(|n| format!("key:{n}")).collect();
        keys.iter().chain(&keys).for_each(|key| freed.add(key));
        assert_eq!(freed.take(), keys[..BATCH]);
        freed.add(&keys[0]);
        assert_eq!(freed.take(), [keys[BATCH].clone(), keys[0].clone()]);
        assert!(!freed.is_any() && freed.take().is_empty());
    }
}
