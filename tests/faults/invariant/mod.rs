//! What must hold, and what was found to break it.

mod enqueue;
mod life;
mod limit;
mod recovery;
mod schedule;
mod start;

use std::fmt;

use serde::Serialize;

use crate::evidence::Evidence;

use life::Life;
pub(crate) use recovery::{GOES_ON, Outage, PROMISED, Recovery, outages, recoveries};

/// A promise that a check holds the run to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Invariant {
    /// A committed job exists, and reaches a final state.
    Lost,
    /// A job that was rolled back never was.
    Ghost,
    /// A handler runs only what somebody has enqueued.
    Unexpected,
    /// Effects in the database appear exactly once with a completion, and never without.
    Effect,
    /// Only legal transitions; one end a life.
    Transition,
    /// Each claim counts, and nothing else does.
    Attempt,
    /// Only the holder of the lease settles an attempt; no token is taken twice.
    Fence,
    /// Only a dead worker's jobs are taken from it.
    Rescue,
    /// Failures and crashes are bounded.
    Failure,
    /// Nothing starts before its time.
    Early,
    /// One job a unique key.
    Unique,
    /// No more jobs of a key at once than its limit.
    Limit,
    /// One job an instant of a schedule, and no instant without.
    Schedule,
    /// A dead worker's jobs are taken from it in time.
    Recovery,
    /// Nothing is left behind.
    Hygiene,
}

impl Invariant {
    pub(crate) const ALL: [Self; 15] = [
        Self::Lost,
        Self::Ghost,
        Self::Unexpected,
        Self::Effect,
        Self::Transition,
        Self::Attempt,
        Self::Fence,
        Self::Rescue,
        Self::Failure,
        Self::Early,
        Self::Unique,
        Self::Limit,
        Self::Schedule,
        Self::Recovery,
        Self::Hygiene,
    ];

    /// As a report counts what breaks it.
    pub(crate) fn broken(self) -> &'static str {
        match self {
            Self::Lost => "lost jobs",
            Self::Ghost => "ghosts",
            Self::Unexpected => "unexpected starts",
            Self::Effect => "doubled or missing effects",
            Self::Transition => "illegal transitions",
            Self::Attempt => "miscounted attempts",
            Self::Fence => "writes without the lease",
            Self::Rescue => "jobs taken from the living",
            Self::Failure => "failures out of bounds",
            Self::Early => "early starts",
            Self::Unique => "unique keys held twice",
            Self::Limit => "limits exceeded",
            Self::Schedule => "instants missed or doubled",
            Self::Recovery => "late recoveries",
            Self::Hygiene => "things left behind",
        }
    }
}

/// Something that breaks one of them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    pub(crate) invariant: Invariant,
    pub(crate) text: String,
}

impl Finding {
    pub(crate) fn new(invariant: Invariant, text: impl Into<String>) -> Self {
        Self { invariant, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.text)
    }
}

/// Whether the run goes on; then what has not ended may yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Running,
    Drained,
}

/// Judges what there is.
pub(crate) fn judge(evidence: &Evidence, stage: Stage) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lives: Vec<Life<'_>> = evidence.jobs.iter().map(|(job, changes)| Life::follow(*job, changes, evidence, &mut findings)).collect();
    for life in &lives {
        life.judge(evidence, stage, &mut findings);
    }
    enqueue::judge(evidence, stage, &mut findings);
    limit::judge(evidence, &mut findings);
    start::judge(evidence, &mut findings);
    if stage == Stage::Drained {
        schedule::judge(evidence, &mut findings);
        recovery::judge(evidence, &mut findings);
    }
    findings
}
