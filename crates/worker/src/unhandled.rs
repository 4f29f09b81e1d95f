//! Says which jobs wait for a worker that is not there: their queue is served by none, or their kind is known to none of its workers,
//! or not in their revision. Of the live workers the one with the lowest id looks, so that a fleet says it once.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use haulage_queue::{
    MissingWorker, UnhandledKind,
    store::{self, Failure},
};
use sqlx::{Connection, PgConnection};

/// Jobs that wait for less are not spoken of: in a rolling deploy the worker that knows them is about to start.
const PATIENCE_S: f64 = 60.0;
/// What goes on is said again after this long.
const AGAIN: Duration = Duration::from_secs(3_600);
/// Behind a long snapshot the look walks over dead entries; other duties of this process wait meanwhile.
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// Queue, kind, revision.
type Key = (String, String, i16);

/// What was said of which, and when.
#[derive(Debug, Default)]
pub(crate) struct Unhandled {
    said: HashMap<Key, Instant>,
}

impl Unhandled {
    pub(crate) async fn look(&mut self, connection: &mut PgConnection, worker: i64) -> Result<(), sqlx::Error> {
        let mut tx = connection.begin().await?;
        store::limit_statement(&mut *tx, LONGEST_LOOK).await?;
        let mut waiting = match store::list_unhandled(&mut *tx, Some(worker)).await {
            Err(error) if store::failure(&error) == Failure::Cancelled => {
                tracing::debug!("looking for jobs that no live worker takes was given up after {LONGEST_LOOK:?}");
                return tx.rollback().await;
            }
            waiting => waiting?,
        };
        tx.commit().await?;
        waiting.retain(|jobs| jobs.oldest_s >= PATIENCE_S);
        let keys = waiting.iter().map(|jobs| (jobs.queue.clone(), jobs.kind.clone(), jobs.revision));
        let news = self.news(keys.collect(), Instant::now());
        waiting.iter().zip(news).filter(|(_, new)| *new).for_each(|(jobs, _)| warn(jobs));
        Ok(())
    }

    /// Which of what waits is to be spoken of.
    fn news(&mut self, waiting: Vec<Key>, now: Instant) -> Vec<bool> {
        let last: Vec<_> =
            waiting.iter().map(|key| self.said.get(key).copied().filter(|last| now.saturating_duration_since(*last) < AGAIN)).collect();
        // What waits no more is forgotten: it is news when it waits again.
        self.said = waiting.into_iter().zip(last.iter().map(|last| last.unwrap_or(now))).collect();
        last.iter().map(Option::is_none).collect()
    }
}

fn warn(jobs: &UnhandledKind) {
    let UnhandledKind { queue, kind, revision, jobs: count, at_least, oldest_s, missing, .. } = jobs;
    let what = match missing {
        MissingWorker::Queue => "no live worker serves their queue",
        MissingWorker::Revision { .. } => "no live worker of their queue knows this revision of their kind; deploy the newer code",
        _ => "no live worker of their queue handles their kind",
    };
    tracing::warn!(queue, kind, revision, jobs = count, at_least, waiting_for_s = oldest_s.round(), "jobs wait, and {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_said_once_in_a_while_and_what_comes_back_at_once() {
        let mut unhandled = Unhandled::default();
        let start = Instant::now();
        let (one, two) = (("mail".to_owned(), "report".to_owned(), 0), ("mail".to_owned(), "report".to_owned(), 1));
        assert_eq!(unhandled.news(vec![one.clone()], start), [true]);
        assert_eq!(unhandled.news(vec![one.clone(), two], start + AGAIN / 2), [false, true]);
        assert_eq!(unhandled.news(vec![one.clone()], start + AGAIN), [true]);
        assert!(unhandled.news(Vec::new(), start + AGAIN).is_empty());
        assert_eq!(unhandled.news(vec![one], start + AGAIN), [true]);
    }
}
