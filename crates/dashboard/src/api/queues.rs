//! Queues, and the limits of keys.

use chrono::{DateTime, Utc};
use haulage_queue::{KeyLimit, QueueStatus, store};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    cursor::behind,
    endpoint::{Answer, Name, Nothing},
    field::{Page, Rank, Text},
    job::Part,
    workers::Running,
};
use crate::{app::App, error::Problem};

/// Kinds and running jobs that stand with a queue.
const SOME: i32 = 20;
/// Counts stop here.
const COUNTED: i64 = 10_000;

/// A queue as it stands. Counts of jobs stop at 10,001 each.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Queue {
    /// Its name.
    name: String,
    /// Jobs that could start.
    available: i64,
    /// Jobs that run, or were claimed and are about to.
    running: i64,
    /// Jobs that are held, wait for a key, or are suspects.
    parked: i64,
    /// How long the oldest available job has waited, in seconds.
    oldest_s: Option<f64>,
    /// Live workers that serve it.
    workers: i64,
    /// Their concurrency in all.
    slots: i64,
    /// What it may do at most.
    limit: Limit,
    /// Since when it is paused. A pause that has ended by itself is still shown; see `paused_until`.
    paused_at: Option<DateTime<Utc>>,
    /// When the pause ends by itself.
    paused_until: Option<DateTime<Utc>>,
    /// Who paused it.
    paused_by: Option<String>,
    /// Why.
    paused_why: Option<Text>,
}

/// What a queue or a key may do at most.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Limit {
    /// Jobs at once in the whole fleet; `null`: no limit.
    max_running: Option<u32>,
    /// Starts in a time; `null`: no limit.
    rate: Option<Rate>,
}

/// So many starts in a time.
#[derive(Debug, Serialize, JsonSchema)]
struct Rate {
    /// How many.
    count: u32,
    /// In so many seconds.
    per_s: f64,
    /// So many of them together after a rest.
    burst: u32,
}

impl Limit {
    pub(crate) fn new(limit: &haulage_queue::Limit) -> Self {
        let rate = |(count, per, burst): (u32, std::time::Duration, u32)| Rate { count, per_s: per.as_secs_f64(), burst };
        Self { max_running: limit.max_running(), rate: limit.max_starts().map(rate) }
    }
}

impl Queue {
    pub(crate) fn new(queue: QueueStatus) -> Self {
        Self {
            name: queue.name,
            available: queue.available,
            running: queue.running,
            parked: queue.parked,
            oldest_s: queue.oldest_s,
            workers: queue.workers,
            slots: queue.slots,
            limit: Limit::new(&queue.limit),
            paused_at: queue.paused_at,
            paused_until: queue.paused_until,
            paused_by: queue.paused_by,
            paused_why: Text::some(queue.paused_why.as_deref()),
        }
    }
}

/// `GET /queues`.
pub(crate) async fn list(app: App, (): (), part: Part) -> Answer<Page<Queue>> {
    let after = part.after.map(|after| after.place("queues", |name| Some(name.to_owned()))).transpose()?;
    let mut reading = app.list().await?;
    let mut queues = store::list_queues(reading.db(), None, None).await?;
    queues.sort_by(|a, b| a.name.cmp(&b.name));
    let rest = queues.into_iter().filter(|queue| after.as_ref().is_none_or(|after| queue.name > *after));
    Ok(Page::cut(rest.map(Queue::new).collect(), part.limit.unwrap_or_default(), |last| behind("queues", &last.name)))
}

/// A queue, with what waits and runs in it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct QueueDetail {
    #[serde(flatten)]
    queue: Queue,
    /// What waits, by priority.
    lines: Vec<Line>,
    /// Which kinds wait, among the first 2,500 of each line, most first.
    kinds: Vec<Kind>,
    /// What runs, those that have run longest first; at most 20.
    jobs: Vec<Running>,
}

/// What waits in a queue with a priority.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "QueueLine")]
struct Line {
    /// The priority.
    priority: Rank,
    /// How many jobs, counted to 10,001.
    jobs: i64,
    /// Whether there may be more.
    at_least: bool,
    /// Since when the oldest of them waits.
    oldest_at: Option<DateTime<Utc>>,
}

/// Jobs of a kind that wait in a queue.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "QueueKind")]
struct Kind {
    /// The kind.
    kind: String,
    /// How many jobs were seen.
    jobs: i64,
    /// Since when the oldest of them waits.
    oldest_at: Option<DateTime<Utc>>,
}

/// `GET /queues/{name}`.
pub(crate) async fn show(app: App, Name(name): Name, _: Nothing) -> Answer<QueueDetail> {
    let mut reading = app.list().await?;
    let Some(queue) = store::list_queues(reading.db(), Some(&[&name]), None).await?.pop() else {
        let sentence = "it has no job in line, no worker, no pause and no limit; its jobs may all be scheduled or finished";
        return Err(Problem::not_found(format!("no queue \"{name}\" is known: {sentence}")));
    };
    let lines = store::count_lines(reading.db(), &name).await?;
    let kinds = store::sample_kinds(reading.db(), &name, SOME).await?;
    let running = store::list_running(reading.db(), Some(&name), None, SOME).await?;
    Ok(QueueDetail {
        queue: Queue::new(queue),
        lines: lines
            .into_iter()
            .map(|line| Line { priority: Rank(line.what), jobs: line.jobs, at_least: line.jobs > COUNTED, oldest_at: line.oldest })
            .collect(),
        kinds: kinds.into_iter().map(|kind| Kind { kind: kind.what, jobs: kind.jobs, oldest_at: kind.oldest }).collect(),
        jobs: running.into_iter().map(Running::new).collect(),
    })
}

/// The limits of a key, or of a class of keys.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Key {
    /// The key, or a word and ":*" for all keys that begin with this word and a colon.
    key: String,
    /// What it may do at most.
    limit: Limit,
    /// Who set it.
    set_by: Option<String>,
    /// When.
    updated_at: DateTime<Utc>,
    /// Jobs in line or running, counted to 10,001; `null` for a class.
    admitted: Option<i64>,
    /// Jobs that wait for it, counted to 10,001; `null` for a class.
    waiting: Option<i64>,
}

/// `GET /keys`.
pub(crate) async fn keys(app: App, (): (), part: Part) -> Answer<Page<Key>> {
    let after = part.after.map(|after| after.place("keys", |key| Some(key.to_owned()))).transpose()?;
    let mut reading = app.list().await?;
    let mut keys = store::list_key_limits(reading.db(), None).await?;
    keys.sort_by(|a, b| a.key.cmp(&b.key));
    let rest = keys.into_iter().filter(|key| after.as_ref().is_none_or(|after| key.key > *after));
    let key = |key: KeyLimit| Key {
        key: key.key,
        limit: Limit::new(&key.limit),
        set_by: key.set_by,
        updated_at: key.updated_at,
        admitted: key.admitted,
        waiting: key.waiting,
    };
    Ok(Page::cut(rest.map(key).collect(), part.limit.unwrap_or_default(), |last| behind("keys", &last.key)))
}
