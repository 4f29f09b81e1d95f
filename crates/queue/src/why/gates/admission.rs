//! Who is let in: limits of keys and queues, rows and tables that somebody has locked.

use chrono::TimeDelta;

use super::{Case, running::is_overdue};
use crate::{
    JobState, ParkedFor,
    why::{
        facts::{Idle, LockWait, Room, Session},
        finding::Finding,
    },
};

/// Whether it waits to be let in or claimed.
fn waits(case: &Case<'_>) -> bool {
    case.job.state == JobState::Available || waits_for_key(case) || case.job.parked_for == Some(ParkedFor::Suspect)
}

fn waits_for_key(case: &Case<'_>) -> bool {
    case.job.parked_for == Some(ParkedFor::Key)
}

/// The limit of its queue that it still has to pass: in place 2 it has.
fn room_of_queue<'a>(case: &Case<'a>) -> Option<&'a Room> {
    let waits = (case.job.state == JobState::Available && case.job.place == 1) || waits_for_key(case);
    case.fleet.queues.get(&case.job.queue).filter(|_| waits)?.room.as_ref()
}

pub(super) fn table_lock(case: &Case<'_>) -> Option<Finding> {
    case.fleet.lock_waits.iter().find(|wait| wait.exclusive && wait.workers > 0 && waits(case)).map(LockWait::finding)
}

/// Who has all the slots, and nobody runs them: they wait for a worker that is not there, or in a paused queue.
pub(super) fn slot_blocked(case: &Case<'_>) -> Option<Finding> {
    let of = |room: &Room, what: String| {
        let limit = room.limit.max_running().map(i64::from)?;
        let nobody = |by: &&Idle| case.fleet.is_paused(&by.queue) || case.fleet.takers(&by.queue, &by.kind, by.revision).next().is_none();
        let ownerless: i64 = room.idle_by.iter().filter(nobody).map(|by| by.jobs).sum();
        let by = room.idle_by.iter().filter(nobody).max_by_key(|by| by.jobs)?.clone();
        // One that somebody will run makes room when it ends.
        (room.slots() <= 0 && ownerless >= room.held).then_some(Finding::SlotBlocked { what, limit, ownerless, by })
    };
    let of_key = waits_for_key(case).then_some(case.job.key.as_ref()).flatten();
    of_key
        .and_then(|key| of(&key.room, format!("key `{}`", key.key)))
        .or_else(|| room_of_queue(case).and_then(|room| of(room, format!("queue `{}`", case.job.queue))))
}

pub(super) fn key(case: &Case<'_>) -> Option<Finding> {
    let (job, now) = (case.job, case.fleet.now);
    let facts = job.key.as_ref().filter(|_| waits_for_key(case))?;
    let before = job.before_in_key;
    if before < facts.room.free() {
        return None;
    }
    let limited_by = facts.limited_by.clone().unwrap_or_else(|| facts.key.clone());
    Some(match facts.room.limit.max_running() {
        Some(limit) if facts.room.slots() <= before => Finding::KeyFull {
            key: facts.key.clone(),
            limited_by,
            limit: limit.into(),
            limits: facts.room.limit,
            held: facts.room.held,
            before,
            holder: facts.holder,
            holder_kind: facts.holder_kind.clone(),
            holder_since: facts.holder_since,
            holder_overdue: facts.holder_kind.as_deref().zip(facts.holder_since).is_some_and(|(kind, since)| is_overdue(case, kind, since)),
            waits_since: job.eligible_at,
        },
        _ => Finding::KeyRate {
            key: facts.key.clone(),
            limited_by,
            rate: facts.room.limit,
            before,
            next_at: now + next(&facts.room, before),
            waits_since: job.eligible_at,
        },
    })
}

pub(super) fn queue(case: &Case<'_>) -> Option<Finding> {
    let (job, fleet) = (case.job, case.fleet);
    let room = room_of_queue(case)?;
    let before = job.before_in_line;
    if before < room.free() {
        return None;
    }
    let pace = fleet.pace(&job.queue);
    Some(match room.limit.max_running() {
        Some(limit) if room.slots() <= before => Finding::QueueFull {
            queue: job.queue.clone(),
            limit: limit.into(),
            limits: room.limit,
            held: room.held,
            before,
            eta_s: super::order::eta(before, pace.done),
            arriving: pace.arriving,
            done: pace.done,
            waits_since: job.eligible_at,
        },
        _ => Finding::QueueRate {
            queue: job.queue.clone(),
            rate: room.limit,
            before,
            next_at: fleet.now + next(room, before),
            waits_since: job.eligible_at,
        },
    })
}

/// When the rate comes to a job with so many before it: the next place, and a step for each that does not start at once.
fn next(room: &Room, before: i64) -> TimeDelta {
    let step = room.limit.max_starts().map_or(0.0, |(count, per, _)| per.as_secs_f64() * 1e3 / f64::from(count.max(1)));
    let later = (before - i64::from(room.starts.unwrap_or(0))).max(0) as f64 * step;
    TimeDelta::milliseconds((room.next_ms.unwrap_or(0.0) + later).min(1e15) as i64)
}

pub(super) fn row_locked(case: &Case<'_>) -> Option<Finding> {
    let session: &Session = case.job.locker.as_ref().filter(|_| waits(case))?;
    Some(Finding::RowLocked { session: session.clone(), locked_since: session.since })
}

/// A connection of a worker waits for somebody's lock: claims, admissions or results may be behind it. Whether this job is can't be
/// seen, so it is said only of one that has waited for a while.
pub(super) fn blocked_workers(case: &Case<'_>) -> Option<Finding> {
    let waited = waits(case) && case.fleet.now - case.job.eligible_at > crate::why::finding::SLO;
    case.fleet.lock_waits.iter().find(|wait| !wait.exclusive && wait.workers > 0 && waited).map(LockWait::finding)
}
