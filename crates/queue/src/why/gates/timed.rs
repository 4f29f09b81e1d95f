//! It is not its time: somebody holds it, or it is scheduled.

use chrono::TimeDelta;

use super::Case;
use crate::{
    JobState, ParkedFor,
    why::{
        facts::Past,
        finding::{Finding, GRACE},
    },
};

/// So many failures with the same error are no accident.
pub(in crate::why) const LOOP: i16 = 5;
/// Beyond this one asks whether it is meant.
const FAR: TimeDelta = TimeDelta::days(7);

pub(super) fn held(case: &Case<'_>) -> Option<Finding> {
    (case.job.parked_for == Some(ParkedFor::Held)).then(|| Finding::Held { queue: case.job.queue.clone(), by: case.job.held.clone() })
}

/// It is due, and nobody has put it in line. A second is usual.
pub(super) fn due(case: &Case<'_>) -> Option<Finding> {
    let late = case.job.state == JobState::Scheduled && case.job.run_at + GRACE < case.fleet.now;
    late.then(|| match case.fleet.live_workers() {
        0 => Finding::DueNoWorker { due_at: case.job.run_at, last_beat: case.fleet.shapes.iter().map(|shape| shape.last_beat).max() },
        live_workers => Finding::PromoteLate { due_at: case.job.run_at, live_workers },
    })
}

pub(super) fn retries(case: &Case<'_>) -> Option<Finding> {
    let job = case.job;
    let last = job.attempts.first();
    if job.state != JobState::Scheduled || job.failures == 0 || last.is_some_and(|last| last.outcome == "snoozed") {
        return None;
    }
    let (queue, kind, next_at) = (job.queue.clone(), job.kind.clone(), job.run_at);
    let (failures, max_attempts) = (job.failures, job.max_attempts);
    let failed: Vec<&Past> = job.attempts.iter().filter(|past| past.outcome != "snoozed").take(3).collect();
    if let [newest, ..] = &failed[..]
        && failures >= LOOP
        && failed.len() == 3
        && failed.iter().all(|past| same(past) == same(newest))
    {
        let first_at =
            job.attempts.iter().take_while(|past| same(past) == same(newest)).last().map_or(newest.ended_at, |past| past.ended_at);
        return Some(Finding::RetryLoop {
            queue,
            kind,
            failures,
            max_attempts,
            error: said(newest),
            error_class: newest.error_class.clone(),
            first_at,
            next_at,
        });
    }
    Some(Finding::Backoff {
        queue,
        kind,
        failures,
        max_attempts,
        error: last.map(said),
        error_class: last.and_then(|last| last.error_class.clone()),
        since: last.map(|last| last.ended_at),
        next_at,
    })
}

pub(super) fn snoozed(case: &Case<'_>) -> Option<Finding> {
    let snoozed = case.job.state == JobState::Scheduled && case.job.attempts.first().is_some_and(|last| last.outcome == "snoozed");
    snoozed.then_some(Finding::Snoozed { next_at: case.job.run_at })
}

pub(super) fn scheduled(case: &Case<'_>) -> Option<Finding> {
    let job = case.job;
    if job.state != JobState::Scheduled || !job.attempts.is_empty() || job.failures > 0 {
        return None;
    }
    let wait = job.run_at - case.fleet.now;
    Some(match wait > FAR {
        true => Finding::FarFuture { at: job.run_at, in_days: wait.num_days() },
        false => Finding::Scheduled { at: job.run_at },
    })
}

/// What makes two failures the same: class and text, numbers aside.
fn same(past: &Past) -> (Option<&str>, String) {
    let text = past.message.as_deref().unwrap_or_default();
    (past.error_class.as_deref(), text.chars().take(200).filter(|c| !c.is_ascii_digit()).collect())
}

/// The error of a failed attempt: its text, or what became of it.
fn said(past: &Past) -> String {
    match past.message.as_deref() {
        Some(text) if !text.trim().is_empty() => text.to_owned(),
        _ => past.error_class.clone().unwrap_or_else(|| past.outcome.clone()),
    }
}
