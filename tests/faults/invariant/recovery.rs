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

/// Work goes on within this time, in seconds, after the server, or a promoted replica, takes writes again.
pub(crate) const GOES_ON: f64 = 10.0;

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

/// A time without a server, and how long after it the first job was claimed; `None`: none was. If the next such time began before that, both
/// are one, and only the end of the last counts.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outage {
    pub(crate) what: &'static str,
    pub(crate) seconds: Option<f64>,
}

pub(crate) fn outages(evidence: &Evidence) -> Vec<Outage> {
    let claims = || evidence.jobs.values().flatten().filter(|change| !change.finished && change.is.state == RUNNING).map(|claim| claim.at);
    let first_after = |back: f64| claims().map(|at| at - back).filter(|seconds| *seconds > 0.0).reduce(f64::min);
    let outages = &evidence.broken.outages;
    let next = outages.iter().skip(1).map(|(_, began, _)| *began).chain([f64::INFINITY]);
    let all = outages.iter().zip(next).map(|((what, _, back), next)| {
        let seconds = first_after(back + evidence.offset);
        (Outage { what, seconds }, back + seconds.unwrap_or(f64::INFINITY) <= next)
    });
    all.filter(|(_, alone)| *alone).map(|(outage, _)| outage).collect()
}

pub(crate) fn judge(evidence: &Evidence, findings: &mut Vec<Finding>) {
    for Outage { what, seconds } in outages(evidence) {
        if seconds.is_none_or(|seconds| seconds > GOES_ON) {
            let text = format!("{what}: the first job after it was claimed after {seconds:?} s, promised are {GOES_ON} s");
            findings.push(Finding::new(Invariant::Recovery, text));
        }
    }
    for recovery in recoveries(evidence).into_iter().filter(|recovery| recovery.calm && recovery.seconds > PROMISED) {
        let Recovery { process, jobs, seconds, .. } = recovery;
        let text = format!("the last of the {jobs} jobs of {process} was taken from it after {seconds:.1} s, promised are {PROMISED} s");
        findings.push(Finding::new(Invariant::Recovery, text));
    }
}
