//! Who serves the queue, and whether it may.

use super::Case;
use crate::{
    JobState,
    why::{facts::Shape, finding::Finding},
};

fn waits(case: &Case<'_>) -> bool {
    case.job.state != JobState::Running
}

pub(super) fn no_live_workers(case: &Case<'_>) -> Option<Finding> {
    let none = waits(case) && case.fleet.live_workers() == 0;
    none.then(|| {
        let last = case.fleet.shapes.iter().max_by_key(|shape| shape.last_beat);
        Finding::NoLiveWorkers { last_worker: last.map(|last| last.name.clone()), last_beat: last.map(|last| last.last_beat) }
    })
}

pub(super) fn no_worker(case: &Case<'_>) -> Option<Finding> {
    let (fleet, queue) = (case.fleet, &case.job.queue);
    if !waits(case) || fleet.live_workers() == 0 || fleet.present(queue).next().is_some() {
        return None;
    }
    let last = fleet.shapes.iter().filter(|shape| shape.serves(queue)).max_by_key(|shape| shape.last_beat);
    let known = fleet.queues.contains_key(queue) || fleet.usual.keys().any(|(of, _)| of == queue);
    let served = fleet.live().flat_map(|shape| &shape.queues);
    Some(Finding::NoWorker {
        queue: queue.clone(),
        last_worker: last.map(|last| last.name.clone()),
        last_beat: last.map(|last| last.last_beat),
        // Of a queue that was ever served or spoken of the name is meant.
        nearest: if last.is_none() && !known { nearest(queue, served) } else { None },
    })
}

pub(super) fn paused(case: &Case<'_>) -> Option<Finding> {
    let facts = case.fleet.queues.get(&case.job.queue).filter(|facts| facts.paused && waits(case))?;
    Some(Finding::Paused {
        queue: case.job.queue.clone(),
        by: facts.paused_by.clone(),
        reason: facts.paused_why.clone(),
        paused_at: facts.paused_at,
        until: facts.paused_until,
    })
}

pub(super) fn no_handler(case: &Case<'_>) -> Option<Finding> {
    let (fleet, queue, kind) = (case.fleet, &case.job.queue, &case.job.kind);
    let workers = present(case);
    if !waits(case) || workers == 0 || fleet.present(queue).any(|shape| shape.knows(kind).is_some()) {
        return None;
    }
    let had = |shape: &&Shape| shape.serves(queue) && shape.knows(kind).is_some();
    let last = fleet.shapes.iter().filter(had).max_by_key(|shape| shape.last_beat);
    Some(Finding::NoHandler {
        queue: queue.clone(),
        kind: kind.clone(),
        workers,
        last_worker: last.map(|last| last.name.clone()),
        last_beat: last.map(|last| last.last_beat),
    })
}

pub(super) fn old_revision(case: &Case<'_>) -> Option<Finding> {
    let (fleet, job) = (case.fleet, case.job);
    let known = fleet.present(&job.queue).filter_map(|shape| shape.knows(&job.kind)).max().filter(|_| waits(case))?;
    (known < job.revision).then(|| Finding::OldRevision {
        queue: job.queue.clone(),
        kind: job.kind.clone(),
        revision: job.revision,
        known,
        workers: present(case),
    })
}

pub(super) fn quiet(case: &Case<'_>) -> Option<Finding> {
    let (fleet, job) = (case.fleet, case.job);
    if !waits(case) || fleet.takers(&job.queue, &job.kind, job.revision).next().is_some() {
        return None;
    }
    let quiet = || fleet.present(&job.queue).filter(|shape| shape.would_take(&job.kind, job.revision));
    let last = quiet().max_by_key(|shape| shape.quiet_at)?;
    Some(Finding::WorkersQuiet {
        queue: job.queue.clone(),
        kind: job.kind.clone(),
        workers: quiet().map(|shape| shape.workers).sum(),
        worker: last.id,
        name: last.name.clone(),
        by: last.quiet_by.clone(),
        reason: last.quiet_why.clone(),
        quiet_at: last.quiet_at,
    })
}

fn present(case: &Case<'_>) -> i64 {
    case.fleet.present(&case.job.queue).map(|shape| shape.workers).sum()
}

/// A served queue whose name is nearly this one: somebody may have mistyped it.
fn nearest<'a>(name: &str, served: impl Iterator<Item = &'a String>) -> Option<String> {
    let (distance, nearest) = served.map(|other| (distance(name, other), other)).min()?;
    (distance <= name.len().min(nearest.len()) / 3 && !are_siblings(name, nearest)).then(|| nearest.clone())
}

/// Whether two names differ only in a number or in their last word, as those of parts of one thing do.
fn are_siblings(a: &str, b: &str) -> bool {
    let letters = |name: &str| name.chars().filter(|c| !c.is_numeric()).collect::<String>();
    let all_but_last = |name: &str| name.rsplit_once(|c: char| !c.is_alphanumeric()).map(|(start, _)| start.to_owned());
    letters(a) == letters(b) || (all_but_last(a).is_some() && all_but_last(a) == all_but_last(b))
}

/// Letters to change, add or leave out.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, of_a) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, of_b) in b.iter().enumerate() {
            let changed = before + usize::from(of_a != *of_b);
            before = row[j + 1];
            row[j + 1] = changed.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_leads_to_the_one_that_is_meant() {
        let served = ["mail".to_owned(), "media".to_owned(), "reports".to_owned()];
        assert_eq!(nearest("emdia", served.iter()), None, "two letters of five are another word");
        assert_eq!(nearest("report", served.iter()).as_deref(), Some("reports"));
        assert_eq!(nearest("mails", served.iter()).as_deref(), Some("mail"));
        assert_eq!(nearest("billing", served.iter()), None);
        let parts = ["shard-1".to_owned(), "mail-eu".to_owned(), "mail2".to_owned()];
        for sibling in ["shard-2", "shard-10", "mail-us", "mail1", "mail"] {
            assert_eq!(nearest(sibling, parts.iter()), None, "{sibling} is a name of its own");
        }
    }
}
