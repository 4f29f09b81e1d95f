//! A worker has it.

use chrono::{DateTime, TimeDelta, Utc};

use super::Case;
use crate::{
    JobState,
    why::{facts::Holder, finding::Finding},
};

/// The timeout tells an async handler; whoever still runs this long after does not listen.
const LISTENS: TimeDelta = TimeDelta::seconds(2);
/// Nothing that runs for less is long.
const SHORT: TimeDelta = TimeDelta::seconds(60);
/// And this is, where nothing is known of the kind: a job that is not told otherwise is ended then.
const UNKNOWN: TimeDelta = TimeDelta::minutes(15);

fn holder<'a>(case: &Case<'a>) -> Option<&'a Holder> {
    if case.job.state == JobState::Running { case.job.holder.as_ref() } else { None }
}

fn alive<'a>(case: &Case<'a>) -> Option<&'a Holder> {
    holder(case).filter(|holder| !holder.silent(case.fleet.now))
}

pub(super) fn orphaned(case: &Case<'_>) -> Option<Finding> {
    let holder = holder(case).filter(|holder| holder.silent(case.fleet.now))?;
    Some(Finding::Orphaned {
        worker: holder.worker.clone(),
        silent_since: holder.heartbeat_at,
        rescue_at: holder.rescue_at(),
        live_workers: case.fleet.others(holder),
    })
}

pub(super) fn cancelling(case: &Case<'_>) -> Option<Finding> {
    let holder = alive(case)?;
    let asked = case.job.cancel.as_ref()?;
    Some(Finding::Cancelling { job: case.job.id, worker: holder.worker.clone(), asked_at: asked.at, reason: asked.why.clone() })
}

pub(super) fn over_timeout(case: &Case<'_>) -> Option<Finding> {
    let holder = alive(case)?;
    let timeout_ms = case.job.timeout_ms?;
    let deadline = case.job.claimed_at? + TimeDelta::milliseconds(timeout_ms.into());
    (deadline + LISTENS < case.fleet.now).then(|| Finding::OverTimeout {
        job: case.job.id,
        kind: case.job.kind.clone(),
        worker: holder.worker.clone(),
        timeout_ms,
        deadline,
    })
}

pub(super) fn long(case: &Case<'_>) -> Option<Finding> {
    let holder = alive(case)?;
    let started_at = case.job.claimed_at?;
    let (p50_s, p95_s) = case.fleet.usual(&case.job.queue, &case.job.kind)?;
    (case.fleet.now - started_at > long_for(p95_s)).then(|| Finding::LongRunning {
        job: case.job.id,
        kind: case.job.kind.clone(),
        worker: holder.worker.clone(),
        started_at,
        p50_s,
        p95_s,
    })
}

/// Longer than this is long for a kind of which 95 % are done in this time.
fn long_for(p95_s: f64) -> TimeDelta {
    SHORT.max(TimeDelta::milliseconds((p95_s * 3_000.0) as i64))
}

/// Whether a job of this kind that has run since then is no innocent one that just has its turn.
pub(super) fn is_overdue(case: &Case<'_>, kind: &str, since: DateTime<Utc>) -> bool {
    let usual = case.fleet.usual(&case.job.queue, kind);
    case.fleet.now - since > usual.map_or(UNKNOWN, |(_, p95_s)| long_for(p95_s))
}

pub(super) fn runs(case: &Case<'_>) -> Option<Finding> {
    let holder = alive(case)?;
    Some(Finding::Running {
        worker: holder.worker.clone(),
        started_at: case.job.claimed_at.unwrap_or(case.job.eligible_at),
        percent: case.job.percent,
    })
}
