//! All that is not of one job: who works, what runs, how quick it is.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Holder, LockWait, QueueFacts};
use crate::{
    JobId, Priority,
    why::verdict::{text_of, text_of_some},
};

/// All that is not of one job.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Fleet {
    pub(crate) now: DateTime<Utc>,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) queues: BTreeMap<String, QueueFacts>,
    #[serde(serialize_with = "by_names")]
    pub(crate) running: BTreeMap<(String, String), RunningFacts>,
    #[serde(serialize_with = "by_names")]
    pub(crate) usual: BTreeMap<(String, String), UsualFacts>,
    pub(crate) paces: BTreeMap<String, Pace>,
    pub(crate) lock_waits: Vec<LockWait>,
}

/// JSON has no pairs as keys.
fn by_names<T: Serialize, S: serde::Serializer>(map: &BTreeMap<(String, String), T>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(map.iter().map(|((queue, kind), value)| (format!("{queue} {kind}"), value)))
}

impl Fleet {
    /// When nothing could be asked.
    pub(crate) fn nothing(now: DateTime<Utc>) -> Self {
        Self {
            now,
            shapes: Vec::new(),
            queues: BTreeMap::new(),
            running: BTreeMap::new(),
            usual: BTreeMap::new(),
            paces: BTreeMap::new(),
            lock_waits: Vec::new(),
        }
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Shape> {
        self.shapes.iter().filter(|shape| shape.alive)
    }

    pub(crate) fn live_workers(&self) -> i64 {
        self.live().map(|shape| shape.workers).sum()
    }

    /// Live workers that can take over from this one.
    pub(crate) fn others(&self, holder: &Holder) -> i64 {
        self.live_workers() - i64::from(holder.counts(self.now))
    }

    /// Live workers of the queue, also those that somebody has told to claim nothing.
    pub(crate) fn present(&self, queue: &str) -> impl Iterator<Item = &Shape> {
        self.live().filter(move |shape| shape.serves(queue))
    }

    /// Live workers that serve the queue.
    pub(crate) fn serving(&self, queue: &str) -> impl Iterator<Item = &Shape> {
        self.present(queue).filter(|shape| !shape.quiet)
    }

    /// Live workers that would take a job of this kind and revision.
    pub(crate) fn takers<'a>(&'a self, queue: &'a str, kind: &'a str, revision: i16) -> impl Iterator<Item = &'a Shape> {
        self.serving(queue).filter(move |shape| shape.would_take(kind, revision))
    }

    /// What runs in the queue, by kind.
    pub(crate) fn running_in<'a>(&'a self, queue: &'a str) -> impl Iterator<Item = (&'a str, &'a RunningFacts)> {
        self.running.iter().filter(move |((of, _), _)| of == queue).map(|((_, kind), facts)| (kind.as_str(), facts))
    }

    pub(crate) fn is_paused(&self, queue: &str) -> bool {
        self.queues.get(queue).is_some_and(|facts| facts.paused)
    }

    /// When a job of the queue was claimed last, as far as is known.
    pub(crate) fn last_claim(&self, queue: &str) -> Option<DateTime<Utc>> {
        let finished = self.usual.iter().filter(|((of, _), _)| of == queue).filter_map(|(_, usual)| usual.last_claim);
        self.running_in(queue).filter_map(|(_, running)| running.newest).chain(finished).max()
    }

    /// When a job of this priority was claimed from the queue last, as far as is known.
    pub(crate) fn last_claim_of(&self, queue: &str, priority: Priority) -> Option<DateTime<Utc>> {
        let at = |of: &Vec<Option<DateTime<Utc>>>| usize::try_from(priority.code()).ok().and_then(|at| of.get(at).copied().flatten());
        let finished = self.usual.iter().filter(|((of, _), _)| of == queue).filter_map(|(_, usual)| at(&usual.last_claim_of));
        self.running_in(queue).filter_map(|(_, running)| at(&running.newest_of)).chain(finished).max()
    }

    /// When a job of the kind was claimed from the queue or ended last, as far as is known.
    pub(crate) fn last_move(&self, queue: &str, kind: &str) -> Option<DateTime<Utc>> {
        let pair = (queue.to_owned(), kind.to_owned());
        let usual = self.usual.get(&pair);
        let of =
            [self.running.get(&pair).and_then(|running| running.newest), usual.and_then(|u| u.last_claim), usual.and_then(|u| u.last_end)];
        of.into_iter().flatten().max()
    }

    pub(crate) fn pace(&self, queue: &str) -> Pace {
        self.paces.get(queue).copied().unwrap_or_default()
    }

    /// How long a kind usually runs, half of it and 95 %, if enough of it is known.
    pub(crate) fn usual(&self, queue: &str, kind: &str) -> Option<(f64, f64)> {
        let usual = self.usual.get(&(queue.to_owned(), kind.to_owned()))?;
        (usual.jobs >= 10).then_some(usual.p50_s.zip(usual.p95_s)).flatten()
    }

    /// What of it concerns one job, for its evidence.
    pub(crate) fn about(&self, queue: &str, kind: &str) -> serde_json::Value {
        let pair = (queue.to_owned(), kind.to_owned());
        serde_json::json!({
            "now": self.now,
            "live_workers": self.live_workers(),
            "workers_of_queue": self.shapes.iter().filter(|shape| shape.serves(queue)).take(20).collect::<Vec<_>>(),
            "queue": self.queues.get(queue),
            "running_in_queue": self.running_in(queue).collect::<BTreeMap<_, _>>(),
            "usual": self.usual.get(&pair),
            "pace": self.paces.get(queue),
            "last_claim_in_queue": self.last_claim(queue),
            "lock_waits": self.lock_waits,
        })
    }
}

/// Workers that are alike.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Shape {
    pub(crate) alive: bool,
    /// Somebody has told them to claim nothing.
    pub(crate) quiet: bool,
    pub(crate) workers: i64,
    pub(crate) queues: Vec<String>,
    pub(crate) slots: Vec<i32>,
    pub(crate) kinds: Vec<String>,
    /// `None`: of a version that takes every revision.
    pub(crate) revisions: Option<Vec<i16>>,
    /// Of the one that has lived longest; or since when it may claim again.
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) last_beat: DateTime<Utc>,
    /// Of the one that was heard of last.
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(serialize_with = "text_of")]
    pub(crate) id: i64,
    pub(crate) quiet_at: Option<DateTime<Utc>>,
    pub(crate) quiet_by: Option<String>,
    pub(crate) quiet_why: Option<String>,
}

impl Shape {
    pub(crate) fn serves(&self, queue: &str) -> bool {
        self.queues.iter().any(|served| served == queue)
    }

    /// The last revision of the kind that it takes.
    pub(crate) fn knows(&self, kind: &str) -> Option<i16> {
        let at = self.kinds.iter().position(|known| known == kind)?;
        Some(self.revisions.as_ref().map_or(i16::MAX, |revisions| revisions.get(at).copied().unwrap_or(0)))
    }

    /// Whether it takes a job of this kind and revision, but for being quiet.
    pub(crate) fn would_take(&self, kind: &str, revision: i16) -> bool {
        self.knows(kind).is_some_and(|known| revision <= known)
    }

    /// Slots of all of them for the queue.
    pub(crate) fn slots_for(&self, queue: &str) -> i64 {
        let slots = self.queues.iter().zip(&self.slots).find(|(served, _)| *served == queue);
        slots.map_or(0, |(_, slots)| i64::from(*slots) * self.workers)
    }

    /// Its kinds with the revisions that a claim of it is given.
    pub(crate) fn claims(&self) -> crate::store::Kinds {
        let revisions = self.revisions.clone().unwrap_or_else(|| vec![i16::MAX; self.kinds.len()]);
        crate::store::Kinds { names: self.kinds.clone(), revisions }
    }
}

/// What runs of a kind in a queue.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RunningFacts {
    pub(crate) jobs: i64,
    pub(crate) oldest: Option<DateTime<Utc>>,
    pub(crate) newest: Option<DateTime<Utc>>,
    /// By priority.
    pub(crate) newest_of: Vec<Option<DateTime<Utc>>>,
    #[serde(serialize_with = "text_of")]
    pub(crate) oldest_job: JobId,
    pub(crate) oldest_worker: Option<String>,
    pub(crate) late: i64,
    pub(crate) deadline: Option<DateTime<Utc>>,
    #[serde(serialize_with = "text_of_some")]
    pub(crate) late_job: Option<JobId>,
    pub(crate) late_worker: Option<String>,
    pub(crate) late_timeout_ms: Option<i32>,
    pub(crate) cancelling: i64,
    pub(crate) cancel_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "text_of_some")]
    pub(crate) cancel_job: Option<JobId>,
    pub(crate) cancel_worker: Option<String>,
}

/// How a kind fared lately in a queue.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct UsualFacts {
    pub(crate) jobs: i64,
    pub(crate) p50_s: Option<f64>,
    pub(crate) p95_s: Option<f64>,
    pub(crate) last_claim: Option<DateTime<Utc>>,
    /// By priority.
    pub(crate) last_claim_of: Vec<Option<DateTime<Utc>>>,
    pub(crate) last_end: Option<DateTime<Utc>>,
}

/// Jobs a second of a queue, lately.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Pace {
    pub(crate) arriving: f64,
    pub(crate) done: f64,
}
