//! What was enqueued is there, and nothing else is.

use std::collections::{HashMap, HashSet};

use haulage::Job;

use crate::{
    evidence::{Evidence, Op},
    history::{Enqueued, Event},
    invariant::{Finding, Invariant, Stage},
    job::Once,
};

pub(crate) fn judge(evidence: &Evidence, stage: Stage, findings: &mut Vec<Finding>) {
    let mut found = |invariant, text: String| findings.push(Finding::new(invariant, text));
    let mut jobs: HashMap<&str, Vec<i64>> = HashMap::new();
    for (job, changes) in &evidence.jobs {
        if let Some(first) = changes.first().filter(|first| first.op == Op::Insert)
            && let Some(k) = &first.k
        {
            jobs.entry(k).or_default().push(*job);
            // Nobody enqueues without having written down that he is about to.
            if !evidence.enqueues.contains_key(k) {
                found(Invariant::Unexpected, format!("job {job} ({}) has the name {k:?}, which nobody has enqueued", first.kind));
            }
            if first.kind == Once::KIND && jobs[k.as_str()].len() > 1 {
                found(Invariant::Unique, format!("{k:?} was repeated under one unique key, and is the jobs {:?}", jobs[k.as_str()]));
            }
        }
    }
    for (k, how) in &evidence.enqueues {
        let there = jobs.contains_key(k.as_str());
        match how {
            Some(Enqueued::Committed) if !there && stage == Stage::Drained => {
                found(Invariant::Lost, format!("{k:?} was committed, and is not there"));
            }
            Some(Enqueued::RolledBack) if there => {
                found(Invariant::Ghost, format!("{k:?} was rolled back, and is job {:?}", jobs[k.as_str()]))
            }
            _ => {}
        }
    }
    let effects: HashSet<&str> = evidence.effects.values().flatten().map(|effect| effect.k.as_str()).collect();
    for k in effects {
        if !jobs.contains_key(k) {
            found(Invariant::Ghost, format!("an effect of {k:?}, which is no job"));
        }
    }
    for line in evidence.histories.iter().flat_map(|(_, lines)| lines) {
        if let Event::Start { k, job, .. } = &line.event {
            match evidence.enqueues.get(k) {
                _ if k.is_empty() => {} // enqueued by the schedule
                None => found(Invariant::Unexpected, format!("a handler was called with {k:?}, which nobody has enqueued")),
                Some(Some(Enqueued::RolledBack)) => {
                    found(Invariant::Ghost, format!("a handler was called with {k:?}, job {job}, which was rolled back"))
                }
                _ => {}
            }
        }
    }
}
