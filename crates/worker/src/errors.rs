//! Attempts that failed since it was last written, by the fingerprint of their error. Written by the duties, so that no result waits for it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use haulage_queue::{
    JobId, WORKER_LOST, fingerprint,
    store::{NotedError, Rescued},
};
use tokio::sync::Notify;

use crate::execute::{Resolution, Resolved};

/// Errors between two writes; more are so many different ones that they are not worth a list.
const MOST: usize = 200;
/// Queues of one error.
const MOST_QUEUES: usize = 20;
/// Of a message, in bytes.
const MOST_TEXT: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct Errors {
    noted: Mutex<BTreeMap<String, NotedError>>,
    told: Notify,
}

impl Errors {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, NotedError>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The result of an attempt is written.
    pub(crate) fn settled(&self, resolved: &Resolved) {
        let Resolved { attempt, resolution } = resolved;
        let (Resolution::Later { end, .. } | Resolution::Bury { end, .. }) = resolution else { return };
        if let Some(fingerprint) = &end.fingerprint {
            let (class, message) = (end.class.unwrap_or(end.outcome), end.message.as_deref().unwrap_or_default());
            self.note(fingerprint, &attempt.kind, class, message, &attempt.queue, attempt.settled.id);
        }
    }

    /// A job was taken from a worker that died.
    pub(crate) fn rescued(&self, job: &Rescued) {
        let fingerprint = fingerprint(&job.kind, WORKER_LOST, "");
        self.note(&fingerprint, &job.kind, WORKER_LOST, "the worker died while it held the job", &job.queue, job.id);
    }

    fn note(&self, fingerprint: &str, kind: &str, class: &str, message: &str, queue: &str, job: JobId) {
        let mut noted = self.lock();
        if let Some(known) = noted.get_mut(fingerprint) {
            known.attempts += 1;
            known.job = job;
            if known.queues.len() < MOST_QUEUES && !known.queues.iter().any(|known| known == queue) {
                known.queues.push(queue.to_owned());
            }
        } else if noted.len() < MOST {
            let end = (0..=MOST_TEXT.min(message.len())).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
            noted.insert(
                fingerprint.to_owned(),
                NotedError {
                    fingerprint: fingerprint.to_owned(),
                    kind: kind.to_owned(),
                    class: class.to_owned(),
                    message: message[..end].to_owned(),
                    queues: vec![queue.to_owned()],
                    attempts: 1,
                    job,
                },
            );
        }
        drop(noted);
        self.told.notify_one();
    }

    /// Something is to be written.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }

    pub(crate) fn take(&self) -> Vec<NotedError> {
        std::mem::take(&mut *self.lock()).into_values().collect()
    }

    /// They could not be written: they are counted on.
    pub(crate) fn put_back(&self, errors: Vec<NotedError>) {
        let mut noted = self.lock();
        for error in errors {
            if let Some(known) = noted.get_mut(&error.fingerprint) {
                known.attempts += error.attempts;
            } else if noted.len() < MOST {
                noted.insert(error.fingerprint.clone(), error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_of_many_attempts_is_one_entry_however_often_its_write_fails() {
        let errors = Errors::default();
        let fail = |queue: &str, job: i64| errors.note("f", "k", "E", &"ä".repeat(1_000), queue, JobId(job));
        fail("a", 1);
        fail("b", 2);
        fail("b", 3);
        let taken = errors.take();
        fail("c", 4);
        errors.put_back(taken);
        let taken = errors.take();
        assert_eq!((taken.len(), taken[0].attempts, taken[0].job), (1, 4, JobId(4)));
        assert_eq!(taken[0].message.len(), MOST_TEXT);
        for number in 0..MOST + 10 {
            errors.note(&number.to_string(), "k", "E", "", "q", JobId(1));
        }
        assert_eq!(errors.take().len(), MOST);
    }
}
