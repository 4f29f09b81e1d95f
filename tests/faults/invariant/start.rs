//! Handlers are called for attempts that the database knows of.

use std::collections::{HashMap, HashSet};

use crate::{
    evidence::Evidence,
    history::Event,
    invariant::{Finding, Invariant},
};

const RUNNING: i16 = 2;
/// A crash of the server forgets claims of the last moment; a job can wait in its process before it starts, and a stopped process for longer.
const FORGETS: f64 = 20.0;

pub(crate) fn judge(evidence: &Evidence, findings: &mut Vec<Finding>) {
    let mut claims: HashSet<(i64, i32, &str)> = HashSet::new();
    for (job, changes) in &evidence.jobs {
        for change in changes.iter().filter(|change| !change.finished && change.is.state == RUNNING) {
            if let Some(process) = evidence.process_of(change.is.lease) {
                claims.insert((*job, change.is.attempt, process));
            }
        }
    }
    let mut starts: HashMap<(i64, i32), Vec<&str>> = HashMap::new();
    for (process, lines) in &evidence.histories {
        for line in lines {
            let Event::Start { job, attempt, .. } = line.event else { continue };
            let forgotten = evidence.broken.crashes.iter().any(|crash| (crash - line.at).abs() < FORGETS);
            if !forgotten && !claims.contains(&(job, attempt, process)) && line.at < evidence.now - evidence.offset {
                let text = format!("{process} was given attempt {attempt} of job {job}, and no claim of it was committed");
                findings.push(Finding::new(Invariant::Attempt, text));
            }
            let others = starts.entry((job, attempt)).or_default();
            if !forgotten && !others.is_empty() {
                let text = format!("{process} and {others:?} were given attempt {attempt} of job {job}");
                findings.push(Finding::new(Invariant::Attempt, text));
            }
            others.push(process);
        }
    }
}
