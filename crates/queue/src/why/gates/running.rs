//! A worker has it.

use chrono::TimeDelta;

use super::Case;
use crate::{
    JobState,
    why::{facts::Holder, finding::Finding},
};

/// The timeout tells an async handler; whoever still runs this long after does not listen.
const LISTENS: TimeDelta = TimeDelta::seconds(2);
/// Nothing that runs for less is long.
const SHORT: TimeDelta = TimeDelta::seconds(60);

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
    let most = SHORT.max(TimeDelta::milliseconds((p95_s * 3_000.0) as i64));
    (case.fleet.now - started_at > most).then(|| Finding::LongRunning {
        job: case.job.id,
        kind: case.job.kind.clone(),
        worker: holder.worker.clone(),
        started_at,
        p50_s,
        p95_s,
    })
}

pub(super) fn runs(case: &Case<'_>) -> Option<Finding> {
    let holder = alive(case)?;
    Some(Finding::Running {
        worker: holder.worker.clone(),
        started_at: case.job.claimed_at.unwrap_or(case.job.eligible_at),
        percent: case.job.percent,
    })
}
