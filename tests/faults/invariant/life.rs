//! A job's life, change by change: each must follow from the one before by an edge of the state machine.

use crate::{
    evidence::{Change, Evidence, Op, Stand},
    invariant::{Finding, Invariant, Stage},
    job::{Forget, WITH_EFFECT},
};
use haulage::Job;

const SCHEDULED: i16 = 0;
const AVAILABLE: i16 = 1;
const RUNNING: i16 = 2;
const PARKED: i16 = 3;
const COMPLETED: i16 = 5;
const DEAD: i16 = 6;
const CANCELLED: i16 = 7;

const HELD: Option<i16> = Some(1);
const WAITS_FOR_KEY: Option<i16> = Some(2);
const SUSPECT: Option<i16> = Some(3);
/// The third crash ends a job.
const CRASHES: i16 = 3;

/// Where a job has come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ending {
    Nowhere,
    Live(Stand),
    /// Its live row was removed in this transaction; the history's must follow in it.
    Removed(Stand, i64),
    Finished(Stand),
    /// Its row in the history was removed in this transaction, to come back or for good.
    TakenOut(Stand, i64),
}

pub(crate) struct Life<'a> {
    job: i64,
    kind: &'a str,
    changes: &'a [Change],
    pub(crate) ending: Ending,
}

impl<'a> Life<'a> {
    pub(crate) fn follow(job: i64, changes: &'a [Change], evidence: &Evidence, findings: &mut Vec<Finding>) -> Self {
        let mut life = Self { job, kind: changes.first().map_or("", |change| change.kind.as_str()), changes, ending: Ending::Nowhere };
        for change in changes {
            life.step(change, evidence, findings);
        }
        life
    }

    fn step(&mut self, change: &Change, evidence: &Evidence, findings: &mut Vec<Finding>) {
        let mut found = |invariant, text: String| {
            let (from, to) = (&change.was, &change.is);
            findings.push(Finding::new(invariant, format!("job {} ({}): {text}; from {from:?} to {to:?}", self.job, self.kind)));
        };
        self.ending = match (change.finished, change.op, self.ending) {
            (false, Op::Insert, Ending::Nowhere) => {
                if change.is.attempt != 0 || change.is.failures != 0 || change.is.crashes != 0 {
                    found(Invariant::Attempt, "a new job has a past".into());
                }
                enters(change, &mut found);
                Ending::Live(change.is)
            }
            (false, Op::Insert, Ending::TakenOut(old, xid)) if xid == change.xid => {
                if change.is.attempt != old.attempt || change.is.failures != 0 {
                    found(Invariant::Attempt, format!("it was retried with other attempts than the {} that it had", old.attempt));
                }
                if old.state == COMPLETED {
                    found(Invariant::Transition, "a completed job was brought back".into());
                }
                enters(change, &mut found);
                Ending::Live(change.is)
            }
            (false, Op::Update, Ending::Live(old)) => {
                if old != change.was {
                    found(Invariant::Transition, format!("a change is missing before this one: it was {old:?}"));
                }
                moves(change, &mut found);
                Ending::Live(change.is)
            }
            (false, Op::Delete, Ending::Live(old)) => {
                if old != change.was {
                    found(Invariant::Transition, format!("a change is missing before this one: it was {old:?}"));
                }
                Ending::Removed(old, change.xid)
            }
            (true, Op::Insert, Ending::Removed(old, xid)) if xid == change.xid => {
                ends(change, &old, self.changes, evidence, &mut found);
                Ending::Finished(change.is)
            }
            (true, Op::Delete, Ending::Finished(old)) => Ending::TakenOut(old, change.xid),
            (_, _, ending) => {
                let (op, where_) = (change.op, if change.finished { "the history" } else { "the live jobs" });
                found(Invariant::Transition, format!("{op:?} in {where_} of a job that is {ending:?}"));
                if change.op == Op::Delete {
                    Ending::Nowhere
                } else if change.finished {
                    Ending::Finished(change.is)
                } else {
                    Ending::Live(change.is)
                }
            }
        };
    }

    /// What its end must go with.
    pub(crate) fn judge(&self, evidence: &Evidence, stage: Stage, findings: &mut Vec<Finding>) {
        let mut found =
            |invariant, text: String| findings.push(Finding::new(invariant, format!("job {} ({}) {text}", self.job, self.kind)));
        let deleted = evidence.deleted.contains(&self.job);
        let completed = match self.ending {
            Ending::Finished(stand) => (stand.state == COMPLETED).then_some(stand.attempt),
            // It leaves nothing when it completes.
            Ending::Removed(stand, _) if self.kind == Forget::KIND && stand.state == RUNNING => Some(stand.attempt),
            Ending::Removed(..) | Ending::TakenOut(..) if deleted => None,
            Ending::Removed(..) | Ending::TakenOut(..) => {
                found(Invariant::Lost, "was removed, and nobody has deleted it".into());
                None
            }
            Ending::Live(stand) => {
                if stage == Stage::Drained {
                    found(Invariant::Lost, format!("has not reached a final state: {stand:?}"));
                }
                None
            }
            Ending::Nowhere => None,
        };
        let effects = evidence.effects.get(&self.job).map_or(&[][..], Vec::as_slice);
        if !WITH_EFFECT.contains(&self.kind) {
            return;
        }
        match (completed, effects) {
            // An operator may have deleted a completed job.
            (None, [_]) if deleted => {}
            (None, []) => {}
            (None, some) => found(Invariant::Effect, format!("is not completed, and has {} effects: {:?}", some.len(), self.ending)),
            (Some(attempt), [effect]) if effect.attempt == attempt => {}
            (Some(attempt), [effect]) => {
                found(Invariant::Effect, format!("was completed by attempt {attempt}, and its effect is of attempt {}", effect.attempt));
            }
            (Some(attempt), some) => {
                found(Invariant::Effect, format!("was completed by attempt {attempt}, and has {} effects", some.len()))
            }
        }
    }
}

/// A job comes into the live table.
fn enters(change: &Change, found: &mut impl FnMut(Invariant, String)) {
    let legal = match change.is.state {
        SCHEDULED | AVAILABLE => true,
        PARKED => change.is.parked_for == WAITS_FOR_KEY || change.is.parked_for == SUSPECT && change.is.crashes >= 2,
        _ => false,
    };
    if !legal {
        found(Invariant::Transition, "no job begins so".into());
    }
}

/// A live job's row changes.
fn moves(change: &Change, found: &mut impl FnMut(Invariant, String)) {
    let (was, is) = (&change.was, &change.is);
    let legal = match (was.state, is.state) {
        // Nothing changes the row of a running job.
        (RUNNING, RUNNING) => was == is,
        (AVAILABLE, RUNNING) => true,
        (PARKED, RUNNING) => was.parked_for == SUSPECT,
        (RUNNING, SCHEDULED | AVAILABLE) => true,
        (RUNNING, PARKED) => is.parked_for == SUSPECT,
        (SCHEDULED, SCHEDULED | AVAILABLE | PARKED) => true,
        (AVAILABLE, SCHEDULED | AVAILABLE) => true,
        (AVAILABLE, PARKED) => is.parked_for == HELD,
        (PARKED, SCHEDULED) => was.parked_for == HELD,
        (PARKED, AVAILABLE) => was.parked_for == HELD || was.parked_for == WAITS_FOR_KEY,
        (PARKED, PARKED) => true,
        _ => false,
    };
    if !legal {
        found(Invariant::Transition, "there is no such edge".into());
    }
    let claimed = is.state == RUNNING && was.state != RUNNING;
    if is.attempt != was.attempt + i32::from(claimed) {
        found(Invariant::Attempt, "each claim counts once, and nothing else does".into());
    }
    if claimed && change.at < change.run_at {
        found(Invariant::Early, format!("claimed {:.3} s before its time", change.run_at - change.at));
    }
    let rescued = is.crashes == was.crashes + 1 && was.state == RUNNING && matches!(is.state, AVAILABLE | PARKED);
    if is.crashes != was.crashes && !rescued {
        found(Invariant::Failure, "a crash is counted where there was none".into());
    }
    if rescued && change.holder_lives != Some(false) {
        found(Invariant::Rescue, "taken from a worker that is not dead".into());
    }
    let failed = is.failures == was.failures + 1 && was.state == RUNNING && is.state == SCHEDULED;
    if is.failures != was.failures && !failed {
        found(Invariant::Failure, "a failure is counted where there was none".into());
    }
    if is.failures > change.max_attempts || is.crashes >= CRASHES {
        found(Invariant::Failure, format!("more than its {} failures or {CRASHES} crashes", change.max_attempts));
    }
}

/// A job comes into the history.
fn ends(change: &Change, old: &Stand, changes: &[Change], evidence: &Evidence, found: &mut impl FnMut(Invariant, String)) {
    let is = &change.is;
    let ran = old.state == RUNNING;
    let legal = match is.state {
        COMPLETED => ran,
        DEAD | CANCELLED => true,
        _ => false,
    };
    if !legal {
        found(Invariant::Transition, format!("no job ends so: it was {old:?}"));
    }
    if is.attempt != old.attempt {
        found(Invariant::Attempt, format!("it had {} attempts", old.attempt));
    }
    if is.failures != old.failures && !(ran && is.failures == old.failures + 1 && is.state == DEAD) || is.failures > change.max_attempts {
        found(Invariant::Failure, format!("it had {} failures of {}", old.failures, change.max_attempts));
    }
    let quarantined = ran && is.state == DEAD && is.crashes == old.crashes + 1;
    if is.crashes != old.crashes && !quarantined {
        found(Invariant::Failure, format!("it had {} crashes", old.crashes));
    }
    if quarantined {
        let holder =
            changes.iter().rev().find(|removed| removed.op == Op::Delete && removed.xid == change.xid).and_then(|c| c.holder_lives);
        if is.crashes != CRASHES || holder != Some(false) {
            found(Invariant::Rescue, format!("buried after {} crashes, taken from a worker that is {holder:?} alive", is.crashes));
        }
        return;
    }
    if let (true, Some(worker)) = (ran, change.worker) {
        let (holder, settler) = (evidence.process_of(old.lease), evidence.workers.get(&worker).map(String::as_str));
        if holder.is_none() || holder != settler || is.lease != old.lease {
            found(Invariant::Fence, format!("settled by {settler:?} under the lease {:?}, which {holder:?} holds", is.lease));
        }
    }
}
