//! Every metric there is: its name, unit and meaning, in one place for whatever makes, shows or documents them.

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// As OpenTelemetry has it.
    pub name: &'static str,
    /// In UCUM.
    pub unit: &'static str,
    /// One line.
    pub help: &'static str,
    /// Its type.
    pub kind: Type,
}

impl Metric {
    const fn new(kind: Type, name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, unit, help, kind }
    }

    /// As Prometheus has it: underscores, the unit's name, `_total` for what only grows.
    pub fn prometheus(&self) -> String {
        let unit = if self.unit == "s" { "_seconds" } else { "" };
        let total = if self.kind == Type::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", self.name.replace('.', "_"))
    }
}

/// Jobs sent, by queue.
pub const SENT: Metric = Metric::new(Type::Counter, "messaging.client.sent.messages", "{message}", "Jobs enqueued by this process");
/// How long attempts ran.
pub const PROCESS: Metric = Metric::new(Type::Histogram, "messaging.process.duration", "s", "How long an attempt ran");
/// How long jobs waited.
pub const WAIT: Metric =
    Metric::new(Type::Histogram, "haulage.job.wait.duration", "s", "How long a job that could run waited until its attempt started");
/// From enqueue to end.
pub const TOTAL: Metric = Metric::new(Type::Histogram, "haulage.job.total.duration", "s", "From the enqueue of a job to its final state");
/// Final states.
pub const FINISHED: Metric = Metric::new(Type::Counter, "haulage.jobs.finished", "{job}", "Jobs that reached a final state");
/// Taken from dead workers.
pub const RESCUED: Metric = Metric::new(Type::Counter, "haulage.jobs.rescued", "{job}", "Jobs taken from a worker that died");
/// How many jobs a queue holds.
pub const QUEUE_JOBS: Metric = Metric::new(
    Type::Gauge,
    "haulage.queue.jobs",
    "{job}",
    "Unfinished jobs of a queue, counted up to 10001; from one process of the fleet",
);
/// The alert metric.
pub const OLDEST: Metric = Metric::new(
    Type::Gauge,
    "haulage.queue.oldest.age",
    "s",
    "How long the oldest job that could run has waited; from one process of the fleet",
);
/// Slots of this worker.
pub const SLOTS: Metric = Metric::new(Type::Gauge, "haulage.worker.slots", "{slot}", "Slots of this worker");
/// Heartbeats answered.
pub const RENEWALS: Metric =
    Metric::new(Type::Counter, "haulage.lease.renewals", "{heartbeat}", "Heartbeats that renewed the leases of this worker");
/// Attempts told that they lost their lease.
pub const LOSSES: Metric = Metric::new(Type::Counter, "haulage.lease.losses", "{attempt}", "Attempts that lost their lease");
/// Zombies.
pub const FENCED: Metric =
    Metric::new(Type::Counter, "haulage.lease.fenced_writes", "{write}", "Results refused because their attempt had lost its lease");
/// Schedules that fired.
pub const TICKS: Metric = Metric::new(Type::Counter, "haulage.schedule.ticks", "{job}", "Jobs made by schedules");
/// How late.
pub const LAG: Metric = Metric::new(Type::Histogram, "haulage.schedule.lag", "s", "How long after its instant a schedule fired");
/// Old snapshots.
pub const OLDEST_TRANSACTION: Metric = Metric::new(
    Type::Gauge,
    "haulage.db.oldest_transaction.age",
    "s",
    "Age of the oldest open transaction that this role can see; from one process of the fleet",
);
/// Dead rows.
pub const DEAD_TUPLES: Metric = Metric::new(
    Type::Gauge,
    "haulage.db.dead_tuples",
    "{row}",
    "Dead rows of a table as the server estimates them; from one process of the fleet",
);

/// How many causes.
pub const CAUSES: Metric = Metric::new(
    Type::Gauge,
    "haulage.causes",
    "{cause}",
    "Causes that hold up jobs, as haulage doctor tells them; from one process of the fleet",
);
/// And what they hold up.
pub const CAUSE_JOBS: Metric = Metric::new(
    Type::Gauge,
    "haulage.cause.jobs",
    "{job}",
    "Jobs that a cause holds up, counted up to 10001 a queue; from one process of the fleet",
);

/// All of them.
pub const ALL: [Metric; 18] = [
    SENT,
    PROCESS,
    WAIT,
    TOTAL,
    FINISHED,
    RESCUED,
    QUEUE_JOBS,
    OLDEST,
    SLOTS,
    RENEWALS,
    LOSSES,
    FENCED,
    TICKS,
    LAG,
    OLDEST_TRANSACTION,
    DEAD_TUPLES,
    CAUSES,
    CAUSE_JOBS,
];

/// Bounds of the buckets of how long attempts run: those of the conventions, and on for jobs that run long.
pub const RUN_BUCKETS: [f64; 20] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0];
/// And of how long jobs wait.
pub const WAIT_BUCKETS: [f64; 17] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_those_of_prometheus() {
        assert_eq!(PROCESS.prometheus(), "messaging_process_duration_seconds");
        assert_eq!(FINISHED.prometheus(), "haulage_jobs_finished_total");
        assert_eq!(QUEUE_JOBS.prometheus(), "haulage_queue_jobs");
    }
}
