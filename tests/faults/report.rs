//! What a run has shown, for people and as JSON.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    invariant::{Finding, GOES_ON, Invariant, Outage, PROMISED, Recovery},
    sometimes::Sometimes,
};

/// Findings of one invariant that are told in full.
const TOLD: usize = 5;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) seconds: u64,
    pub(crate) mutant: Option<&'static str>,
    pub(crate) postgres: String,
    /// Whether workers with a wrong clock were among the others.
    pub(crate) clock: Option<&'static str>,
    pub(crate) jobs: usize,
    pub(crate) completed: usize,
    pub(crate) attempts: usize,
    pub(crate) processes: usize,
    pub(crate) faults: BTreeMap<&'static str, usize>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) recoveries: Vec<Recovery>,
    pub(crate) outages: Vec<Outage>,
    pub(crate) sometimes: Vec<Sometimes>,
    /// Statements that were broken on their way.
    pub(crate) rewritten: u64,
    /// From the last fault until nothing was left to do.
    pub(crate) drained_after: Option<f64>,
    pub(crate) took: f64,
}

impl Report {
    /// Whether everything held, and everything was tried.
    pub(crate) fn is_valid(&self) -> bool {
        self.findings.is_empty() && self.never().next().is_none()
    }

    /// What should have happened and never did.
    pub(crate) fn never(&self) -> impl Iterator<Item = &'static str> {
        self.sometimes.iter().filter(|sometimes| sometimes.needed && sometimes.times == 0).map(|sometimes| sometimes.what)
    }

    fn count(&self, invariant: Invariant) -> usize {
        self.findings.iter().filter(|finding| finding.invariant == invariant).count()
    }

    /// The first thing that it was caught by.
    pub(crate) fn caught(&self) -> Option<&Finding> {
        self.findings.first()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {} s of faults on PostgreSQL {}, {:.0} s in all", self.seed, self.seconds, self.postgres, self.took)?;
        writeln!(f, "  {} jobs, {} completed, {} attempts, {} processes", self.jobs, self.completed, self.attempts, self.processes)?;
        match self.clock {
            Some(clock) => writeln!(f, "  one worker's clock was {clock}")?,
            None => writeln!(f, "  no worker's clock was wrong: libfaketime is not here")?,
        }
        writeln!(f, "  faults")?;
        for (fault, times) in &self.faults {
            writeln!(f, "  {times:7}  {fault}")?;
        }
        writeln!(f, "  happened")?;
        for Sometimes { what, times, needed } in &self.sometimes {
            writeln!(f, "  {times:7}  {what}{}", if *needed && *times == 0 { "   <- never: the run shows nothing about it" } else { "" })?;
        }
        let mut times: Vec<f64> = self.recoveries.iter().map(|recovery| recovery.seconds).collect();
        times.sort_by(f64::total_cmp);
        if let Some(worst) = times.last() {
            let calm = self.recoveries.iter().filter(|recovery| recovery.calm);
            let calm = calm.map(|recovery| format!("{:.1} s", recovery.seconds)).collect::<Vec<_>>().join(", ");
            writeln!(
                f,
                "  dead workers' jobs were taken from them after {:.1} s (median), {worst:.1} s (worst, among other faults)",
                times[times.len() / 2]
            )?;
            writeln!(f, "  with nothing else broken: {calm} (promised: {PROMISED} s)")?;
        }
        let after = self.outages.iter().filter_map(|outage| Some(format!("{} {:.1} s", outage.what, outage.seconds?)));
        writeln!(f, "  the first claim after the server was back: {} (promised: {GOES_ON} s)", after.collect::<Vec<_>>().join(", "))?;
        if let Some(seconds) = self.drained_after {
            writeln!(f, "  everything was done {seconds:.1} s after the last enqueue")?;
        }
        writeln!(f, "  broken")?;
        for invariant in Invariant::ALL {
            writeln!(f, "  {:7}  {}", self.count(invariant), invariant.broken())?;
            for finding in self.findings.iter().filter(|finding| finding.invariant == invariant).take(TOLD) {
                writeln!(f, "             {}", finding.text)?;
            }
        }
        writeln!(f, "{}", if self.is_valid() { "VALID" } else { "INVALID" })
    }
}
