//! Tails of attempts on their way to the database, off the way of what settles them.
//!
//! Settling hands over what an attempt has said, which costs it a lock and a pointer; the duties write it when they have time. More than
//! may wait is dropped: lines must cost nothing but lines.

use std::{
    collections::VecDeque,
    mem, slice,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use haulage_queue::{
    JobId,
    store::{self, Failure, LogTail},
};
use sqlx::PgConnection;
use tokio::sync::Notify;

use super::{KeepLogs, record::Said};
use crate::{
    execute::{Resolution, Resolved},
    prune,
};

/// Most that waits to be written: what a few seconds can write.
const MOST_WAITING: usize = 1_000;
const MOST_BYTES: usize = 4 << 20;
/// Attempts a statement: tens of milliseconds when each has a full tail.
const BATCH: usize = 50;

#[derive(Debug, Default)]
pub(crate) struct Tails {
    waiting: Mutex<Waiting>,
    told: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    tails: VecDeque<Tail>,
    /// What could not be written the last time.
    again: Option<Batch>,
    /// Of both.
    bytes: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Tail {
    job: JobId,
    attempt: i32,
    said: Said,
}

/// Tails as they are stored at a moment.
#[derive(Debug)]
struct Batch {
    tails: Vec<LogTail>,
    bytes: usize,
    at: Instant,
}

/// How far writing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    All,
    /// More waits.
    Some,
    /// Somebody has locked the table.
    Locked,
}

impl Tails {
    /// The attempt is settled: its tail waits to be written, if it is one that is kept.
    pub(crate) fn settled(&self, Resolved { attempt, resolution }: &Resolved, keep: KeepLogs) {
        let Some(record) = attempt.record() else { return };
        let kept = match resolution {
            Resolution::Later { end, .. } if end.failed => KeepLogs::Failed,
            Resolution::Bury { .. } => KeepLogs::Failed,
            Resolution::Complete { keep: true, .. } | Resolution::Later { .. } => KeepLogs::Always,
            Resolution::Nothing if attempt.completed() => KeepLogs::Always,
            _ => return,
        };
        if keep == KeepLogs::Never || kept == KeepLogs::Always && keep != KeepLogs::Always {
            return;
        }
        let Some(said) = record.take() else { return };
        let mut waiting = self.lock();
        if waiting.tails.len() >= MOST_WAITING || waiting.bytes + said.bytes > MOST_BYTES {
            waiting.dropped += 1;
            return;
        }
        waiting.bytes += said.bytes;
        waiting.tails.push_back(Tail { job: attempt.settled.id, attempt: attempt.number, said });
        self.told.notify_one();
    }

    /// Completes when something waits.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }

    /// Writes some of what waits. What could not be written for a while waits for the next time; what can't be written at all is lost, and
    /// no other with it.
    pub(crate) async fn write(&self, connection: &mut PgConnection) -> Result<Written, sqlx::Error> {
        let Some(batch) = self.next() else { return Ok(Written::All) };
        let mut under_way = UnderWay { tails: self, batch };
        let tails = &mut under_way.batch.tails;
        match save(connection, tails).await {
            Ok(true) => tails.clear(),
            Ok(false) => return Ok(Written::Locked),
            Err(error) if store::failure(&error) == Failure::Data => {
                while let Some(tail) = tails.last() {
                    match save(connection, slice::from_ref(tail)).await {
                        Ok(true) => {}
                        Ok(false) => return Ok(Written::Locked),
                        Err(error) if store::passes(&error) => return Err(error),
                        Err(error) => {
                            tracing::warn!(%error, job = %tail.job, attempt = tail.attempt, "the log of the attempt was refused and is lost");
                        }
                    }
                    tails.pop();
                }
            }
            Err(error) if store::passes(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, attempts = tails.len(), "the logs of these attempts could not be stored and are lost");
                tails.clear();
            }
        }
        drop(under_way);
        Ok(if self.lock().tails.is_empty() { Written::All } else { Written::Some })
    }

    /// The worker stops: what waits now is lost.
    pub(crate) fn close(&self) {
        let Waiting { tails, again, dropped, .. } = mem::take(&mut *self.lock());
        let left = tails.len() + again.map_or(0, |batch| batch.tails.len());
        if left > 0 || dropped > 0 {
            tracing::warn!(
                attempts = left as u64 + dropped,
                "the worker stopped before the logs of these attempts were stored; they are lost"
            );
        }
    }

    /// What to write next, its lines counted back from now.
    fn next(&self) -> Option<Batch> {
        let mut waiting = self.lock();
        let dropped = mem::take(&mut waiting.dropped);
        let again = waiting.again.take();
        let some = if again.is_some() { 0 } else { waiting.tails.len().min(BATCH) };
        let next: Vec<Tail> = waiting.tails.drain(..some).collect();
        let bytes = next.iter().map(|tail| tail.said.bytes).sum();
        waiting.bytes -= again.as_ref().map_or(bytes, |batch| batch.bytes);
        drop(waiting);
        if dropped > 0 {
            tracing::warn!(attempts = dropped, "more attempts failed than logs could be stored; the logs of these are lost");
        }
        let at = Instant::now();
        if let Some(mut batch) = again {
            batch.age(at);
            return Some(batch);
        }
        let stored = |Tail { job, attempt, said }| LogTail { job, attempt, earlier: said.earlier, lines: said.stored(at) };
        let tails: Vec<LogTail> = next.into_iter().map(stored).collect();
        (!tails.is_empty()).then_some(Batch { tails, bytes, at })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch on its way. What is left of it waits for the next time, also if the writing was broken off.
struct UnderWay<'a> {
    tails: &'a Tails,
    batch: Batch,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let tails = mem::take(&mut self.batch.tails);
        if !tails.is_empty() {
            let mut waiting = self.tails.lock();
            waiting.bytes += self.batch.bytes;
            waiting.again = Some(Batch { tails, ..self.batch });
        }
    }
}

/// Makes today's partition if it is missing.
async fn save(connection: &mut PgConnection, tails: &[LogTail]) -> Result<bool, sqlx::Error> {
    match store::save_logs(connection, tails).await {
        Err(error) if store::failure(&error) == Failure::NoPartition => {
            store::make_partitions(connection, prune::DAYS_AHEAD).await?;
            store::save_logs(connection, tails).await
        }
        saved => saved,
    }
}

impl Batch {
    fn age(&mut self, now: Instant) {
        let passed = u64::try_from(now.saturating_duration_since(self.at).as_micros()).unwrap_or(u64::MAX);
        self.tails.iter_mut().flat_map(|tail| &mut tail.lines).for_each(|line| line.before_us = line.before_us.saturating_add(passed));
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_whose_writing_was_broken_off_waits_again_and_what_is_left_at_the_end_goes() {
        let tails = Tails::default();
        let tail = |n| LogTail { job: JobId(n), attempt: 1, earlier: 0, lines: Vec::new() };
        *tails.lock() =
            Waiting { again: Some(Batch { tails: vec![tail(1), tail(2)], bytes: 7, at: Instant::now() }), bytes: 7, ..Waiting::default() };
        let mut under_way = UnderWay { tails: &tails, batch: tails.next().unwrap() };
        assert_eq!(tails.lock().bytes, 0);
        under_way.batch.tails.pop();
        drop(under_way);
        assert_eq!(tails.lock().bytes, 7);
        let mut under_way = UnderWay { tails: &tails, batch: tails.next().unwrap() };
        assert_eq!(under_way.batch.tails.iter().map(|tail| tail.job).collect::<Vec<_>>(), [JobId(1)], "without what was written");
        under_way.batch.tails.clear();
        drop(under_way);
        assert!(tails.next().is_none());

        drop(UnderWay { tails: &tails, batch: Batch { tails: vec![tail(3)], bytes: 7, at: Instant::now() } });
        tails.close();
        assert!(tails.next().is_none() && tails.lock().bytes == 0);
    }
}
