//! Unique keys and limits of keys, at every instant.

use std::collections::HashMap;

use sqlx::types::Uuid;

use crate::{
    evidence::{Evidence, Op},
    invariant::{Finding, Invariant},
    job::TENANT_LIMIT,
};

const RUNNING: i16 = 2;

pub(crate) fn judge(evidence: &Evidence, findings: &mut Vec<Finding>) {
    let mut lives: HashMap<Uuid, Vec<(f64, f64, i64)>> = HashMap::new();
    let mut runs: HashMap<&str, Vec<(f64, i32, i64)>> = HashMap::new();
    for (job, changes) in &evidence.jobs {
        for change in changes.iter().filter(|change| !change.finished) {
            if let Some(key) = change.unique_key {
                match change.op {
                    Op::Insert => lives.entry(key).or_default().push((change.at, f64::INFINITY, *job)),
                    Op::Delete => {
                        if let Some(life) = lives.entry(key).or_default().iter_mut().rfind(|life| life.2 == *job) {
                            life.1 = change.at;
                        }
                    }
                    Op::Update => {}
                }
            }
            if let Some(key) = &change.limit_key {
                match (change.was.state == RUNNING, change.is.state == RUNNING) {
                    (false, true) => runs.entry(key).or_default().push((change.at, 1, *job)),
                    (true, false) => runs.entry(key).or_default().push((change.at, -1, *job)),
                    _ => {}
                }
            }
        }
    }
    for (key, mut lives) in lives {
        lives.sort_by(|a, b| a.0.total_cmp(&b.0));
        for pair in lives.windows(2) {
            // The key is let go in the transaction that ends a job, and taken after it by whoever comes next.
            if pair[1].0 < pair[0].1 {
                let (first, second) = (pair[0].2, pair[1].2);
                findings.push(Finding::new(Invariant::Unique, format!("the jobs {first} and {second} held the key {key} at once")));
            }
        }
    }
    for (key, mut runs) in runs {
        // Of two at one time the end comes first.
        runs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut running = 0;
        for (_, step, job) in runs {
            running += step;
            if running > i32::try_from(TENANT_LIMIT).unwrap_or(i32::MAX) {
                findings.push(Finding::new(Invariant::Limit, format!("with job {job} there ran {running} of {key:?} at once")));
            }
        }
    }
}
