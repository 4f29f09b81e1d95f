//! What is known: of one job, of its queue and key, of the fleet. Gathered by `gather.rs`, judged by the gates, handed over as evidence.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{
    finding::Finding,
    verdict::{text_of, text_of_some},
};
use crate::{JobId, JobState, Limit, ParkedFor, Priority};

/// A job, or the oldest of several that are alike.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JobFacts {
    #[serde(serialize_with = "text_of")]
    pub(crate) id: JobId,
    pub(crate) state: JobState,
    /// 0 timed, 1 in line, 2 returned, 3 parked.
    pub(crate) place: i16,
    pub(crate) parked_for: Option<ParkedFor>,
    pub(crate) queue: String,
    pub(crate) kind: String,
    pub(crate) revision: i16,
    pub(crate) priority: Priority,
    #[serde(skip)]
    pub(crate) pos: i64,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) eligible_at: DateTime<Utc>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) claimed_at: Option<DateTime<Utc>>,
    pub(crate) attempt: i32,
    pub(crate) failures: i16,
    pub(crate) max_attempts: i16,
    pub(crate) crashes: i16,
    pub(crate) timeout_ms: Option<i32>,
    pub(crate) percent: Option<i16>,
    /// Who has it, while it runs.
    pub(crate) holder: Option<Holder>,
    pub(crate) cancel: Option<Act>,
    pub(crate) held: Option<Act>,
    /// The newest attempts that did not simply succeed, newest first.
    pub(crate) attempts: Vec<Past>,
    /// Who has locked its row.
    pub(crate) locker: Option<Session>,
    pub(crate) key: Option<KeyFacts>,
    /// Jobs of its key that an admission would take before it: the fewest that any worker sees.
    pub(crate) before_in_key: i64,
    /// Jobs of its queue that a claim would take before it, likewise; counted to 10,001.
    pub(crate) before_in_line: i64,
    /// A job of a higher priority waits that came after it.
    pub(crate) overtaken: bool,
}

/// Who has a running job.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Holder {
    /// `None`: it is not known any more.
    pub(crate) worker: Option<String>,
    pub(crate) heartbeat_at: Option<DateTime<Utc>>,
    pub(crate) dead_at: Option<DateTime<Utc>>,
    pub(crate) lease_ms: i32,
}

/// Others look for dead workers this often, at the latest: a heartbeat, by default five seconds.
const BEAT: TimeDelta = TimeDelta::seconds(5);

impl Holder {
    /// When others will have taken its jobs.
    pub(crate) fn rescue_at(&self) -> Option<DateTime<Utc>> {
        self.heartbeat_at.map(|beat| beat + TimeDelta::milliseconds(self.lease_ms.into()) + BEAT)
    }

    /// Whether it lives no more, or looks so.
    pub(crate) fn lost(&self, now: DateTime<Utc>) -> bool {
        match (self.dead_at, self.heartbeat_at) {
            (None, Some(beat)) => beat + TimeDelta::milliseconds(self.lease_ms.into()) <= now,
            _ => true,
        }
    }
}

/// What a person did.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Act {
    pub(crate) who: Option<String>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) why: Option<String>,
}

/// An attempt that did not simply succeed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Past {
    pub(crate) attempt: i32,
    pub(crate) outcome: String,
    pub(crate) error_class: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) eligible_at: Option<DateTime<Utc>>,
    pub(crate) claimed_at: Option<DateTime<Utc>>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) ended_at: DateTime<Utc>,
    pub(crate) next_run_at: Option<DateTime<Utc>>,
}

/// A session of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Session {
    pub(crate) pid: i32,
    pub(crate) backend_start: Option<DateTime<Utc>>,
    pub(crate) application: String,
    pub(crate) user: Option<String>,
    pub(crate) state: Option<String>,
    /// When its transaction began.
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) query: Option<String>,
}

/// A limit, and what is left of it.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Room {
    pub(crate) limit: Limit,
    /// Jobs that have a slot.
    pub(crate) held: i64,
    /// Of these, jobs that wait for a worker.
    pub(crate) idle: i64,
    /// Those, by queue and kind.
    pub(crate) idle_by: Vec<Idle>,
    /// Starts that the rate allows now.
    pub(crate) starts: Option<i32>,
    /// When it allows the next.
    pub(crate) next_ms: Option<f64>,
}

/// Jobs that have a slot and wait for a worker, of a kind and revision; the first of them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Idle {
    #[serde(serialize_with = "text_of")]
    pub(crate) id: JobId,
    pub(crate) queue: String,
    pub(crate) kind: String,
    pub(crate) revision: i16,
    pub(crate) jobs: i64,
}

/// An admission lets in no more at once.
const MOST: i64 = 1_000;

impl Room {
    /// Free slots; of a thing without that limit as many as an admission takes at once.
    pub(crate) fn slots(&self) -> i64 {
        self.limit.max_running().map_or(MOST, |most| i64::from(most) - self.held)
    }

    /// Jobs that an admission would let in now. As `haulage.admit_queue` and `haulage.admit_keys` have it; a property test holds them
    /// equal.
    pub(crate) fn free(&self) -> i64 {
        let mut free = self.slots().min(MOST);
        if let Some((.., burst)) = self.limit.max_starts() {
            free = free.min(self.starts.unwrap_or(0).into()).min(i64::from(burst) - self.idle);
        }
        free.max(0)
    }
}

/// What is said about a queue.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct QueueFacts {
    pub(crate) paused: bool,
    pub(crate) paused_at: Option<DateTime<Utc>>,
    pub(crate) paused_until: Option<DateTime<Utc>>,
    pub(crate) paused_by: Option<String>,
    pub(crate) paused_why: Option<String>,
    /// When somebody said something about it last.
    pub(crate) updated_at: DateTime<Utc>,
    /// `None`: it has no limit.
    pub(crate) room: Option<Room>,
}

/// How a limit key stands.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct KeyFacts {
    pub(crate) key: String,
    /// The key or the class whose limit it is; `None`: it has none.
    pub(crate) limited_by: Option<String>,
    pub(crate) limit_updated_at: Option<DateTime<Utc>>,
    pub(crate) room: Room,
    /// Who has run longest of what it has let in.
    #[serde(serialize_with = "text_of_some")]
    pub(crate) holder: Option<JobId>,
    pub(crate) holder_kind: Option<String>,
    pub(crate) holder_since: Option<DateTime<Utc>>,
    /// Counted to 10,001.
    pub(crate) waiting: i64,
}

/// Workers that are alike.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Shape {
    pub(crate) alive: bool,
    pub(crate) workers: i64,
    pub(crate) queues: Vec<String>,
    pub(crate) slots: Vec<i32>,
    pub(crate) kinds: Vec<String>,
    /// `None`: of a version that takes every revision.
    pub(crate) revisions: Option<Vec<i16>>,
    /// Of the one that has lived longest.
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) last_beat: DateTime<Utc>,
    /// Of the one that was heard of last.
    pub(crate) name: String,
    pub(crate) version: String,
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

/// A session that others wait for.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LockWait {
    pub(crate) session: Session,
    pub(crate) waiters: i64,
    /// Of these, connections of workers.
    pub(crate) workers: i64,
    pub(crate) since: DateTime<Utc>,
    /// A table of ours is or is to be locked against everybody.
    pub(crate) exclusive: bool,
    pub(crate) relation: Option<String>,
}

impl LockWait {
    /// What it is.
    pub(crate) fn finding(&self) -> Finding {
        let (session, waiters, workers, waiting_since) = (self.session.clone(), self.waiters, self.workers, self.since);
        match self.exclusive {
            true => Finding::TableLock { session, waiters, workers, waiting_since, relation: self.relation.clone() },
            false => Finding::DbLock { session, waiters, workers, waiting_since },
        }
    }
}

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

    /// Live workers that serve the queue.
    pub(crate) fn serving(&self, queue: &str) -> impl Iterator<Item = &Shape> {
        self.live().filter(move |shape| shape.serves(queue))
    }

    /// Live workers that would take a job of this kind and revision.
    pub(crate) fn takers<'a>(&'a self, queue: &'a str, kind: &'a str, revision: i16) -> impl Iterator<Item = &'a Shape> {
        self.serving(queue).filter(move |shape| shape.knows(kind).is_some_and(|known| revision <= known))
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

/// Jobs at the beginning of a line that are alike; the job is the oldest of them.
#[derive(Debug, Clone)]
pub(crate) struct LineFacts {
    pub(crate) job: JobFacts,
    pub(crate) jobs: i64,
    /// There may be more.
    pub(crate) at_least: bool,
    /// Somebody has locked their rows.
    pub(crate) locked: bool,
    /// Since when the newest of them could run.
    pub(crate) newest: DateTime<Utc>,
}

/// Jobs on a worker that is gone, of one queue.
#[derive(Debug, Clone)]
pub(crate) struct OrphanFacts {
    pub(crate) holder: Holder,
    pub(crate) jobs: i64,
    pub(crate) job: JobId,
    pub(crate) oldest: Option<DateTime<Utc>>,
}

/// Scheduled jobs whose time has passed.
#[derive(Debug, Clone)]
pub(crate) struct DueFacts {
    pub(crate) jobs: i64,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) job: JobId,
}

/// Jobs of a kind that back off; the job is the one that failed most often.
#[derive(Debug, Clone)]
pub(crate) struct BackoffFacts {
    pub(crate) job: JobFacts,
    pub(crate) jobs: i64,
    /// Those that failed five times or more.
    pub(crate) often: i64,
}

/// Jobs of a kind that died lately.
#[derive(Debug, Clone)]
pub(crate) struct DeadFacts {
    pub(crate) queue: String,
    pub(crate) kind: String,
    pub(crate) error_class: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) jobs: i64,
    pub(crate) first_at: DateTime<Utc>,
    pub(crate) last_at: DateTime<Utc>,
    pub(crate) job: JobId,
    pub(crate) quarantined: bool,
}

/// How the server is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct DatabaseFacts {
    /// Who holds the oldest snapshot.
    pub(crate) oldest: Option<Session>,
    /// Dead rows of the job table.
    pub(crate) dead_rows: i64,
    pub(crate) connections: i64,
    pub(crate) most_connections: i64,
}

/// A schedule that should have fired.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MissedFacts {
    pub(crate) schedule: String,
    pub(crate) owner: String,
    pub(crate) due_at: DateTime<Utc>,
}

/// What the server, the workers and the schedules show by themselves, without a look at jobs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ServerFacts {
    pub(crate) now: DateTime<Utc>,
    pub(crate) live_workers: i64,
    pub(crate) lock_waits: Vec<LockWait>,
    pub(crate) database: DatabaseFacts,
    pub(crate) missed: Vec<MissedFacts>,
    pub(crate) odd: Vec<OddFacts>,
}

/// What only a look at the whole fleet shows.
#[derive(Debug, Clone)]
pub(crate) struct Wide {
    pub(crate) lines: Vec<LineFacts>,
    /// What waits for keys.
    pub(crate) waiting: Vec<LineFacts>,
    pub(crate) orphans: Vec<OrphanFacts>,
    pub(crate) due: Option<DueFacts>,
    pub(crate) backoffs: Vec<BackoffFacts>,
    pub(crate) dead: Vec<DeadFacts>,
    pub(crate) database: DatabaseFacts,
    pub(crate) missed: Vec<MissedFacts>,
    pub(crate) odd: Vec<OddFacts>,
    /// Keys that a job waits for were more than are looked at.
    pub(crate) more_keys: bool,
}

/// A live worker whose clock is off, or that hears nothing.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct OddFacts {
    pub(crate) worker: String,
    /// `None`: it is right.
    pub(crate) clock_offset_ms: Option<i64>,
    pub(crate) heard_at: Option<DateTime<Utc>>,
}
