//! The schedule fires each second, once.

use std::collections::HashSet;

use haulage::Job;

use crate::{
    evidence::Evidence,
    invariant::{Finding, Invariant},
    job::Tick,
};

pub(crate) fn judge(evidence: &Evidence, findings: &mut Vec<Finding>) {
    let mut found = |text: String| findings.push(Finding::new(Invariant::Schedule, text));
    for pair in evidence.fires.windows(2) {
        let gap = pair[1].0 - pair[0].0;
        if (gap - 1.0).abs() > 0.001 {
            found(format!("between two instants are {gap} s, and the schedule has one each second"));
        }
    }
    // Whether it is late is looked at when it is paused, before the drain.
    if evidence.fires.is_empty() {
        found("it never fired".into());
    }
    let fired: HashSet<i64> = evidence.fires.iter().filter_map(|(_, job)| *job).collect();
    if fired.len() != evidence.fires.len() {
        found(format!("{} instants made {} jobs", evidence.fires.len(), fired.len()));
    }
    for (job, changes) in &evidence.jobs {
        if changes[0].kind == Tick::KIND && !fired.contains(job) {
            found(format!("job {job} belongs to no instant"));
        }
    }
    for job in fired {
        if !evidence.jobs.contains_key(&job) {
            found(format!("the job {job} of an instant is not there"));
        }
    }
}
