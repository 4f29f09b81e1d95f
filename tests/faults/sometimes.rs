//! How often the rare things happened: a run in which one of them never did has shown nothing about it, and fails.

use std::{collections::HashSet, fs, path::Path};

use haulage::Job;
use serde::Serialize;

use crate::{
    evidence::{Evidence, Op},
    fault::Relayed,
    history::{End, Enqueued, Event},
    job::Tick,
    previous::MARK,
    role::Kind,
    server::{FULL, Postgres},
};

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sometimes {
    pub(crate) what: &'static str,
    pub(crate) times: u64,
    /// Zero fails the run.
    pub(crate) needed: bool,
}

pub(crate) fn count(evidence: &Evidence, folder: &Path, relayed: Relayed, postgres: &Postgres) -> Vec<Sometimes> {
    let logs = logs(folder);
    let said = |text: &str| logs.matches(text).count() as u64;
    let changes = || evidence.jobs.values().flatten();
    let count = |is: &dyn Fn(&crate::evidence::Change) -> bool| changes().filter(|change| is(change)).count() as u64;
    let lines = || evidence.histories.iter().flat_map(|(_, lines)| lines);
    let names: HashSet<&str> = changes().filter_map(|change| change.k.as_deref()).collect();
    let claims: HashSet<(i64, i32, &str)> = changes()
        .filter(|change| !change.finished && change.is.state == 2)
        .filter_map(|change| Some((change.job, change.is.attempt, evidence.process_of(change.is.lease)?)))
        .collect();
    let mut forgotten = 0;
    for (process, lines) in &evidence.histories {
        for line in lines {
            if let Event::Start { job, attempt, .. } = line.event
                && !claims.contains(&(job, attempt, process))
            {
                forgotten += 1;
            }
        }
    }
    let needed = [
        ("workers killed while handlers ran", killed_in_handlers(evidence)),
        ("jobs taken from dead workers", count(&|c| !c.finished && c.was.state == 2 && c.is.crashes == c.was.crashes + 1)),
        ("jobs quarantined", count(&|c| c.finished && c.op == Op::Insert && c.is.state == 6 && c.is.crashes == 3)),
        (
            "writes of lost leases refused",
            lines().filter(|line| matches!(line.event, Event::End { how: End::Fenced, .. })).count() as u64
                + said("the attempt had lost its lease"),
        ),
        ("workers that lived on after they were declared dead", said("this worker was declared dead")),
        ("leases given up at the local deadline", said("no heartbeat was answered for as long as the lease")),
        (
            "enqueues without an answer that had committed",
            evidence.enqueues.iter().filter(|(k, how)| matches!(how, None | Some(Enqueued::Unknown)) && names.contains(k.as_str())).count()
                as u64,
        ),
        ("answers to COMMIT swallowed", relayed.commits),
        ("other answers swallowed", relayed.answers),
        ("connections fallen silent", relayed.silenced),
        ("sessions ended whose connections were given up", said("ended the session of a connection that was given up")),
        ("claims without an answer given back", said("gave back jobs whose claim had lost its answer")),
        ("listening connections lost", said("the listening connection failed")),
        ("attempts failed", said("the attempt failed")),
        ("attempts panicked", said("the attempt panicked")),
        ("jobs died", count(&|c| c.finished && c.op == Op::Insert && c.is.state == 6)),
        ("jobs cancelled", count(&|c| c.finished && c.op == Op::Insert && c.is.state == 7)),
        ("jobs brought back by operators", count(&|c| c.finished && c.op == Op::Delete)),
        ("jobs held by operators", count(&|c| !c.finished && c.is.parked_for == Some(1) && c.was.parked_for != Some(1))),
        ("children", names.iter().filter(|k| k.contains('/')).count() as u64),
        ("unique keys found held", evidence.enqueues.values().filter(|how| **how == Some(Enqueued::Duplicate)).count() as u64),
        ("jobs that waited for their key", count(&|c| !c.finished && c.was.parked_for == Some(2) && c.is.state == 1)),
        ("jobs put in line at their time", count(&|c| !c.finished && c.was.state == 0 && c.is.state == 1)),
        ("instants of the schedule", count(&|c| !c.finished && c.op == Op::Insert && c.kind == Tick::KIND)),
    ];
    let full = ("writes refused by a full disk", postgres.said(FULL));
    let read_only = ("refusals of a replica noticed", said("during recovery") + said("in a read-only transaction"));
    let other = [
        ("claims forgotten by a crash of the server", forgotten),
        ("attempts timed out", said("the attempt timed out")),
        ("handlers found to block their thread", said("the handler has blocked")),
    ];
    let make = |needed| move |(what, times): (&'static str, u64)| Sometimes { what, times, needed };
    let migrated = evidence.broken.migrated.map(|at| at + evidence.offset);
    let of_before = |change: &crate::evidence::Change| {
        change.worker.and_then(|worker| evidence.workers.get(&worker)).is_some_and(|process| process.ends_with(MARK))
    };
    let before = count(&|c| c.finished && c.op == Op::Insert && migrated.is_some_and(|at| c.at > at) && of_before(c));
    let before = ("jobs ended by the version before, on this one's schema", before);
    let here = [make(postgres.has_disk())(full), make(postgres.followed)(read_only)];
    let here = here.into_iter().chain(migrated.map(|_| make(true)(before)));
    needed.into_iter().map(make(true)).chain(here).chain(other.into_iter().map(make(false))).collect()
}

/// Whoever was killed and has started more than it has ended.
fn killed_in_handlers(evidence: &Evidence) -> u64 {
    let killed = evidence.broken.deaths.iter().filter(|death| death.killed && death.kind == Kind::Worker);
    let histories = killed.filter_map(|death| evidence.histories.iter().find(|(process, _)| *process == death.process));
    let busy = histories.filter(|(_, lines)| {
        let starts = lines.iter().filter(|line| matches!(line.event, Event::Start { .. })).count();
        let ends = lines.iter().filter(|line| matches!(line.event, Event::End { .. })).count();
        starts > ends
    });
    busy.count() as u64
}

fn logs(folder: &Path) -> String {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect()
}
