//! How long it takes until a dead worker's jobs are taken from it.

use serde::Serialize;

use crate::{
    evidence::Evidence,
    handler::LEASE,
    invariant::{Finding, Invariant},
    role::Kind,
};

const RUNNING: i16 = 2;

/// A dead worker's jobs are taken from it within this time, in seconds, when nothing else is broken.
pub(crate) const PROMISED: f64 = LEASE.as_secs() as f64 + 5.0;

/// Work goes on within this time, in seconds, after a promoted replica takes writes.
const GOES_ON: f64 = 10.0;

/// A worker that died while it held jobs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Recovery {
    pub(crate) process: String,
    pub(crate) jobs: usize,
    /// From its death until the last of its jobs was taken from it.
    pub(crate) seconds: f64,
    /// Nothing else was broken meanwhile.
    pub(crate) calm: bool,
}

pub(crate) fn recoveries(evidence: &Evidence) -> Vec<Recovery> {
    let mut recoveries = Vec::new();
    for death in evidence.broken.deaths.iter().filter(|death| death.kind == Kind::Worker && death.killed) {
        let died = death.at + evidence.offset;
        let mut taken = Vec::new();
        for changes in evidence.jobs.values() {
            let held = changes.iter().filter(|change| {
                change.was.state == RUNNING && change.at > died && evidence.process_of(change.was.lease) == Some(&death.process)
            });
            taken.extend(held.map(|change| change.at - died));
        }
        if let Some(seconds) = taken.iter().copied().reduce(f64::max) {
            recoveries.push(Recovery { process: death.process.clone(), jobs: taken.len(), seconds, calm: death.calm });
        }
    }
    recoveries
}

/// From the moment at which the promoted replica took writes until the first claim; `None`: none was promoted, or nothing was claimed.
pub(crate) fn promotion(evidence: &Evidence) -> Option<f64> {
    let promoted = evidence.broken.promoted? + evidence.offset;
    let claims = evidence.jobs.values().flatten().filter(|change| !change.finished && change.is.state == RUNNING);
    claims.map(|change| change.at - promoted).filter(|seconds| *seconds > 0.0).reduce(f64::min)
}

pub(crate) fn judge(evidence: &Evidence, findings: &mut Vec<Finding>) {
    if evidence.broken.promoted.is_some() {
        let goes_on = promotion(evidence);
        if goes_on.is_none_or(|seconds| seconds > GOES_ON) {
            let text = format!("after the promotion the first claim came after {goes_on:?} s, promised are {GOES_ON} s");
            findings.push(Finding::new(Invariant::Recovery, text));
        }
    }
    for recovery in recoveries(evidence).into_iter().filter(|recovery| recovery.calm && recovery.seconds > PROMISED) {
        let Recovery { process, jobs, seconds, .. } = recovery;
        let text = format!("the last of the {jobs} jobs of {process} was taken from it after {seconds:.1} s, promised are {PROMISED} s");
        findings.push(Finding::new(Invariant::Recovery, text));
    }
}
