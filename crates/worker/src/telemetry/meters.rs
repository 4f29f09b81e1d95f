//! The worker's metrics, on the meter "haulage" of the global provider: whoever wants them installs one before the worker is built.
//!
//! What is said about queues holds for the fleet, so only one process says it: the duty that samples them holds a lock. It samples
//! only while somebody reads.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::{Duration, Instant},
};

use haulage_queue::{
    CauseGroup,
    store::{FleetSample, Rescued},
    telemetry::{
        metric::{self, RUN_BUCKETS, WAIT_BUCKETS},
        otel::{Record, bound, counter, histogram},
    },
};
use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Histogram},
};

use super::otel::outcome;
use crate::{
    context::Attempt,
    execute::{Registry, Resolution, Resolved},
    shared::Shared,
};

/// Kinds and queues beyond these are "other": each is a series of its own in whatever stores them.
const MOST_NAMES: usize = 100;
/// A sample older than this says nothing.
const STALE: Duration = Duration::from_secs(90);
/// Nobody has read for this long: nobody reads. OTLP sends once a minute.
const UNREAD: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(crate) struct Meters {
    process: Histogram<f64>,
    wait: Histogram<f64>,
    total: Histogram<f64>,
    finished: Counter<u64>,
    rescued: Counter<u64>,
    renewals: Counter<u64>,
    losses: Counter<u64>,
    fenced: Counter<u64>,
    stall: Histogram<f64>,
    kinds: HashSet<String>,
    queues: HashSet<String>,
    /// By kind, queue and outcome: finding attributes costs more than what is measured.
    series: Mutex<HashMap<String, OfKind>>,
    batch: Mutex<Batch>,
    sample: Mutex<Option<(Instant, FleetSample)>>,
    read: Mutex<Option<Instant>>,
}

/// Tells an observer what a sample says.
type Tell = fn(&FleetSample, &mut dyn FnMut(f64, &[KeyValue]));

/// What is settled together.
#[derive(Debug, Default)]
struct Batch {
    /// The one asked for last, and the kind and the queue as they were asked for: most jobs of a batch share it.
    last: Option<(Arc<str>, Arc<str>, Arc<Series>)>,
    /// Finished jobs that are not said yet, by series.
    finished: Vec<(Arc<Series>, u64)>,
}

/// By queue, one for each outcome.
type OfKind = HashMap<String, Vec<Arc<Series>>>;

/// What is measured of a kind in a queue with an outcome.
struct Series {
    outcome: &'static str,
    attributes: Vec<KeyValue>,
    process: Record,
    wait: Record,
    /// Only of outcomes that are final.
    total: OnceLock<Record>,
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Series").field("attributes", &self.attributes).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Meters {
    pub(crate) fn new(registry: &Registry, queues: &[String]) -> Self {
        let mut kinds: Vec<&str> = registry.kinds.keys().copied().collect();
        kinds.sort_unstable();
        Self {
            process: histogram(metric::PROCESS, &RUN_BUCKETS),
            wait: histogram(metric::WAIT, &WAIT_BUCKETS),
            total: histogram(metric::TOTAL, &WAIT_BUCKETS),
            finished: counter(metric::FINISHED),
            rescued: counter(metric::RESCUED),
            renewals: counter(metric::RENEWALS),
            losses: counter(metric::LOSSES),
            fenced: counter(metric::FENCED),
            stall: histogram(metric::STALL, &RUN_BUCKETS),
            kinds: kinds.into_iter().take(MOST_NAMES).map(ToOwned::to_owned).collect(),
            queues: queues.iter().take(MOST_NAMES).cloned().collect(),
            series: Mutex::default(),
            batch: Mutex::default(),
            sample: Mutex::default(),
            read: Mutex::default(),
        }
    }

    /// Starts to show what is asked for and not told: slots, and the fleet's queues. The callbacks outlive the worker, and say
    /// nothing after it.
    pub(crate) fn observe(shared: &Arc<Shared>) {
        let meter = global::meter("haulage");
        let gauge = |metric: metric::Metric| meter.f64_observable_gauge(metric.name).with_unit(metric.unit).with_description(metric.help);
        let slots = Arc::downgrade(shared);
        gauge(metric::SLOTS)
            .with_callback(move |observer| {
                let Some(shared) = slots.upgrade() else { return };
                for lane in &shared.lanes {
                    let busy = lane.runners().min(lane.slots);
                    for (state, slots) in [("busy", busy), ("free", lane.slots - busy)] {
                        let attributes = [queue(shared.meters.queue(&lane.queue)), KeyValue::new("haulage.slot.state", state)];
                        observer.observe(count(slots), &attributes);
                    }
                }
            })
            .build();
        let stalled = Arc::downgrade(shared);
        gauge(metric::STALLED)
            .with_callback(move |observer| {
                let Some(shared) = stalled.upgrade() else { return };
                let blocking = shared.attempts(|attempt| attempt.pulse.is_stalled());
                for lane in &shared.lanes {
                    let jobs = blocking.iter().filter(|attempt| *attempt.queue == *lane.queue).count();
                    observer.observe(count(jobs), &[queue(shared.meters.queue(&lane.queue))]);
                }
            })
            .build();
        let of_fleet = |metric: metric::Metric, tell: Tell| {
            let shared: Weak<Shared> = Arc::downgrade(shared);
            gauge(metric)
                .with_callback(move |observer| {
                    let Some(shared) = shared.upgrade() else { return };
                    shared.meters.with_sample(|sample| tell(sample, &mut |value, attributes| observer.observe(value, attributes)));
                })
                .build();
        };
        of_fleet(metric::QUEUE_JOBS, |sample, observe| {
            for one in &sample.queues {
                for (state, jobs) in [("available", one.available), ("parked", one.parked), ("running", one.running)] {
                    observe(count(jobs), &[queue(&one.name), KeyValue::new("haulage.job.state", state)]);
                }
            }
        });
        of_fleet(metric::OLDEST, |sample, observe| {
            for one in &sample.queues {
                observe(one.oldest_s.unwrap_or(0.0), &[queue(&one.name)]);
            }
        });
        of_fleet(metric::OLDEST_TRANSACTION, |sample, observe| {
            if let Some(age) = sample.oldest_transaction_s {
                observe(age, &[]);
            }
        });
        of_fleet(metric::CAUSES, |sample, observe| {
            for group in CauseGroup::ALL {
                let causes = sample.cause_groups.get(&group).copied().unwrap_or(0);
                observe(count(causes), &[KeyValue::new("haulage.cause.group", group.as_str())]);
            }
        });
        of_fleet(metric::CAUSE_JOBS, |sample, observe| {
            for cause in &sample.causes {
                observe(count(cause.jobs), &[KeyValue::new("haulage.cause.code", cause.code), queue(&cause.queue)]);
            }
        });
        of_fleet(metric::DEAD_TUPLES, |sample, observe| {
            for (table, rows) in &sample.dead {
                observe(count(*rows), &[KeyValue::new("db.collection.name", table.clone())]);
            }
        });
    }

    /// The result of an attempt is written.
    pub(crate) fn settled(&self, resolved: &Resolved) {
        let Resolved { attempt, resolution } = resolved;
        let outcome = outcome(attempt, resolution);
        let Some(ran) = attempt.times.run_time() else { return };
        let mut batch = lock(&self.batch);
        let Batch { last, finished } = &mut *batch;
        let series = self.series(last, &attempt.kind, &attempt.queue, outcome);
        (series.process)(ran.as_secs_f64());
        (series.wait)(attempt.times.wait().as_secs_f64());
        let is_last = matches!(resolution, Resolution::Complete { .. } | Resolution::Bury { .. });
        if is_last || outcome == "completed" {
            series.total.get_or_init(|| bound(&self.total, &series.attributes))(attempt.times.age().as_secs_f64());
            match finished.iter_mut().find(|(known, _)| Arc::ptr_eq(known, series)) {
                Some((_, jobs)) => *jobs += 1,
                None => finished.push((Arc::clone(series), 1)),
            }
        }
    }

    /// A batch is written: says what was only counted meanwhile.
    pub(crate) fn flush(&self) {
        for (series, jobs) in lock(&self.batch).finished.drain(..) {
            self.finished.add(jobs, &series.attributes);
        }
    }

    /// A job was taken from a dead worker.
    pub(crate) fn rescued(&self, job: &Rescued) {
        let outcome = match (job.died, job.crashes) {
            (true, _) => "dead",
            (false, 0 | 1) => "returned",
            (false, _) => "suspect",
        };
        let attributes = self.attributes(&job.kind, &job.queue, outcome);
        self.rescued.add(1, &attributes);
        if job.died {
            self.finished.add(1, &attributes);
        }
    }

    pub(crate) fn renewed(&self) {
        self.renewals.add(1, &[]);
    }

    pub(crate) fn lost(&self, attempts: usize) {
        self.losses.add(attempts as u64, &[]);
    }

    pub(crate) fn fenced(&self) {
        self.fenced.add(1, &[]);
    }

    /// A handler has blocked its thread for so long.
    pub(crate) fn stalled(&self, attempt: &Attempt, time: Duration) {
        let kind = KeyValue::new("haulage.job.kind", self.kind(&attempt.kind).to_owned());
        let attributes = [queue(self.queue(&attempt.queue)), kind];
        self.stall.record(time.as_secs_f64(), &attributes);
    }

    /// Whether somebody collects these metrics.
    pub(crate) fn are_read(&self) -> bool {
        lock(&self.read).is_some_and(|at| at.elapsed() < UNREAD)
    }

    pub(crate) fn sampled(&self, sample: FleetSample) {
        *lock(&self.sample) = Some((Instant::now(), sample));
    }

    fn with_sample(&self, tell: impl FnOnce(&FleetSample)) {
        *lock(&self.read) = Some(Instant::now());
        if let Some((_, sample)) = lock(&self.sample).as_ref().filter(|(at, _)| at.elapsed() < STALE) {
            tell(sample);
        }
    }

    fn queue<'a>(&self, name: &'a str) -> &'a str {
        if self.queues.contains(name) { name } else { "other" }
    }

    fn series<'a>(
        &self,
        last: &'a mut Option<(Arc<str>, Arc<str>, Arc<Series>)>,
        kind: &Arc<str>,
        in_queue: &Arc<str>,
        outcome: &'static str,
    ) -> &'a Arc<Series> {
        last.take_if(|(of_kind, of_queue, series)| series.outcome != outcome || of_kind != kind || of_queue != in_queue);
        let find = || (Arc::clone(kind), Arc::clone(in_queue), self.find_series(kind, in_queue, outcome));
        &last.get_or_insert_with(find).2
    }

    fn find_series(&self, kind: &str, in_queue: &str, outcome: &'static str) -> Arc<Series> {
        let mut all = lock(&self.series);
        let (kind, in_queue) = (self.kind(kind), self.queue(in_queue));
        let known = all.get(kind).and_then(|of_kind| of_kind.get(in_queue));
        if let Some(series) = known.and_then(|all| all.iter().find(|series| series.outcome == outcome)) {
            return Arc::clone(series);
        }
        let attributes = self.attributes(kind, in_queue, outcome);
        let series = Arc::new(Series {
            outcome,
            process: bound(&self.process, &attributes),
            wait: bound(&self.wait, &[queue(in_queue)]),
            total: OnceLock::new(),
            attributes,
        });
        all.entry(kind.to_owned()).or_default().entry(in_queue.to_owned()).or_default().push(Arc::clone(&series));
        series
    }

    fn attributes(&self, kind: &str, in_queue: &str, outcome: &'static str) -> Vec<KeyValue> {
        vec![
            queue(self.queue(in_queue)),
            KeyValue::new("haulage.job.kind", self.kind(kind).to_owned()),
            KeyValue::new("haulage.job.outcome", outcome),
        ]
    }

    fn kind<'a>(&self, name: &'a str) -> &'a str {
        if self.kinds.contains(name) { name } else { "other" }
    }
}

fn queue(name: &str) -> KeyValue {
    KeyValue::new("messaging.destination.name", name.to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "a gauge needs no more than 52 bits")]
fn count(jobs: impl TryInto<i64>) -> f64 {
    jobs.try_into().unwrap_or(i64::MAX) as f64
}
