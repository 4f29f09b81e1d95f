//! The gates between a job and its start, in the one order in which they are looked at: the first that is closed is the verdict, the
//! other closed ones are said beside it.
//!
//! They are the conditions of the claim and of the admission (`sql/claim_jobs.sql`, `sql/claim_suspect.sql`, `haulage.admit_queue`,
//! `haulage.admit_keys`), read from facts. A property test makes random databases and holds "every gate is open" equal to "a claim takes
//! it": who changes a condition there changes its gate here.

mod admission;
mod order;
mod queue;
mod running;
mod timed;

pub(super) use timed::LOOP;

use super::{
    facts::{Fleet, JobFacts},
    finding::Finding,
};

/// What a gate looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) job: &'a JobFacts,
    pub(crate) fleet: &'a Fleet,
}

/// `None`: it is open, or is none for this job.
type Gate = fn(&Case<'_>) -> Option<Finding>;

/// Closed gates: no claim takes the job, whatever room a worker has.
const CLOSED: [Gate; 22] = [
    running::orphaned,
    running::cancelling,
    running::over_timeout,
    running::long,
    running::runs,
    timed::held,
    timed::due,
    timed::retries,
    timed::snoozed,
    timed::scheduled,
    queue::no_live_workers,
    queue::no_worker,
    queue::paused,
    queue::no_handler,
    queue::old_revision,
    queue::quiet,
    admission::table_lock,
    admission::slot_blocked,
    admission::key,
    admission::queue,
    admission::row_locked,
    admission::blocked_workers,
];

/// Open gates, and what decides when it is its turn.
const ORDER: [Gate; 6] =
    [order::suspect, order::head_of_line, order::slots_full, order::starved, order::in_line, order::ready_or_unexplained];

/// What holds the job up, the first gate first. Never empty.
pub(crate) fn findings(case: &Case<'_>) -> Vec<Finding> {
    let closed: Vec<Finding> = CLOSED.iter().filter_map(|gate| gate(case)).collect();
    if closed.is_empty() { ORDER.iter().find_map(|gate| gate(case)).into_iter().collect() } else { closed }
}
