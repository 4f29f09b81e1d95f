//! Every gate is open: it is a matter of turns and of room.

use chrono::{DateTime, TimeDelta, Utc};

use super::Case;
use crate::{
    ParkedFor,
    why::{
        facts::{RunningFacts, Shape},
        finding::{Finding, SLO},
    },
};

/// Whoever is passed by for longer by jobs of a higher priority starves.
const STARVES: TimeDelta = TimeDelta::seconds(300);
/// A job that runs for less holds up nobody.
const LONG: TimeDelta = TimeDelta::seconds(60);
/// Beyond this many a job's turn can't be reckoned.
const COUNTED: i64 = 10_000;

fn waited(case: &Case<'_>) -> TimeDelta {
    case.fleet.now - case.job.eligible_at
}

/// Since when every gate has been open, as far as is known: somebody may have raised a limit or ended a pause just now, or the worker that
/// it waited for has just started.
fn open_since(case: &Case<'_>) -> DateTime<Utc> {
    let (job, fleet) = (case.job, case.fleet);
    let queue = fleet.queues.get(&job.queue);
    let told = queue.map(|facts| facts.updated_at);
    let resumed = queue.and_then(|facts| facts.paused_until);
    let limited = job.key.as_ref().and_then(|key| key.limit_updated_at);
    let started = takers(case).map(|shape| shape.started_at).min();
    [told, resumed, limited, started].into_iter().flatten().fold(job.eligible_at, DateTime::max)
}

/// Workers that would take it: the others' slots are none for it.
fn takers<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a Shape> {
    case.fleet.takers(&case.job.queue, &case.job.kind, case.job.revision)
}

fn slots(case: &Case<'_>) -> i64 {
    takers(case).map(|shape| shape.slots_for(&case.job.queue)).sum()
}

/// What may run in those slots: whose of the workers that know a kind run it is not known, so rather too many.
fn running_in<'a>(case: &Case<'a>) -> impl Iterator<Item = (&'a str, &'a RunningFacts)> {
    let known = |kind: &str| takers(case).any(|shape| shape.knows(kind).is_some());
    case.fleet.running_in(&case.job.queue).filter(|(kind, _)| known(kind)).collect::<Vec<_>>().into_iter()
}

fn running(case: &Case<'_>) -> i64 {
    running_in(case).map(|(_, running)| running.jobs).sum()
}

fn is_full(case: &Case<'_>) -> bool {
    running(case) >= slots(case)
}

pub(super) fn suspect(case: &Case<'_>) -> Option<Finding> {
    (case.job.parked_for == Some(ParkedFor::Suspect))
        .then_some(Finding::Suspect { crashes: case.job.crashes, waits_since: case.job.eligible_at })
}

pub(super) fn starved(case: &Case<'_>) -> Option<Finding> {
    let job = case.job;
    // One that came later and is urgent starves nobody.
    let none_lately = case.fleet.last_claim_of(&job.queue, job.priority).is_none_or(|last| case.fleet.now - last > STARVES);
    (job.overtaken && waited(case) > STARVES && none_lately).then(|| Finding::Starved {
        queue: job.queue.clone(),
        priority: job.priority,
        waits_since: job.eligible_at,
    })
}

/// Jobs of one other kind hold most of the slots, and for long.
pub(super) fn head_of_line(case: &Case<'_>) -> Option<Finding> {
    let (job, fleet) = (case.job, case.fleet);
    let slots = slots(case);
    let (kind, long) = running_in(case).filter(|(kind, _)| *kind != job.kind).max_by_key(|(_, running)| running.jobs)?;
    let longest_since = long.oldest?;
    (is_full(case) && long.jobs * 2 >= slots && fleet.now - longest_since > LONG).then(|| Finding::HeadOfLine {
        queue: job.queue.clone(),
        kind: kind.to_owned(),
        holding: long.jobs,
        slots,
        longest_since,
        waits_since: job.eligible_at,
    })
}

pub(super) fn slots_full(case: &Case<'_>) -> Option<Finding> {
    let (job, fleet) = (case.job, case.fleet);
    let pace = fleet.pace(&job.queue);
    is_full(case).then(|| Finding::SlotsFull {
        queue: job.queue.clone(),
        running: running(case),
        slots: slots(case),
        workers: takers(case).map(|shape| shape.workers).sum(),
        before: job.before_in_line,
        eta_s: eta(job.before_in_line, pace.done),
        arriving: pace.arriving,
        done: pace.done,
        waits_since: job.eligible_at,
    })
}

pub(super) fn in_line(case: &Case<'_>) -> Option<Finding> {
    let (job, fleet) = (case.job, case.fleet);
    let moves = fleet.last_claim(&job.queue).is_some_and(|last| fleet.now - last <= SLO);
    (job.before_in_line > 0 && (moves || fleet.now - open_since(case) <= SLO)).then(|| Finding::InLine {
        queue: job.queue.clone(),
        before: job.before_in_line,
        eta_s: eta(job.before_in_line, fleet.pace(&job.queue).done),
        waits_since: job.eligible_at,
    })
}

pub(super) fn ready_or_unexplained(case: &Case<'_>) -> Option<Finding> {
    let (job, fleet) = (case.job, case.fleet);
    let since = open_since(case);
    // A kind that is claimed, or of which one has just made room, moves: between an end and the next admission nobody stands before it.
    let since = fleet.last_move(&job.queue, &job.kind).map_or(since, |moved| since.max(moved));
    if fleet.now - since <= SLO {
        return Some(Finding::Ready { waits_since: since });
    }
    Some(Finding::Unexplained {
        queue: job.queue.clone(),
        waits_since: since,
        last_claim: fleet.last_claim(&job.queue),
        workers: takers(case).map(|shape| shape.workers).sum(),
        running: running(case),
        slots: slots(case),
        busy: fleet
            .running
            .iter()
            .filter(|((queue, kind), _)| takers(case).any(|shape| shape.serves(queue) && shape.knows(kind).is_some()))
            .map(|(_, running)| running.jobs)
            .sum(),
    })
}

/// In how many seconds it is its turn, at the present pace.
pub(super) fn eta(before: i64, done: f64) -> Option<f64> {
    (done > 0.0 && before < COUNTED).then(|| (before + 1) as f64 / done)
}
