//! What holds up jobs in the whole fleet: the same gates, asked about the oldest of each group of jobs that are alike; what they say of
//! the same thing is one cause.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    facts::{Fleet, JobFacts, LineFacts, LockWait, ServerFacts, Wide},
    finding::{Finding, LOCK},
    gates::{Case, findings},
    gather::DEPTH,
    verdict::{Cause, Severity},
};
use crate::{JobId, WhyCode};

/// Counts are exact up to here.
const COUNTED: i64 = 10_000;
/// So many dead rows are a vacuum that did not come through: they are the table's own threshold.
const DEAD_ROWS: i64 = 20_000;
/// A snapshot that is younger is an ordinary report, whatever it holds up; one that is older than an hour is said by itself.
const SNAPSHOT: (TimeDelta, TimeDelta) = (TimeDelta::seconds(10), TimeDelta::hours(1));
/// A few jobs that failed once are everyday.
const FEW: i64 = 5;
const SELDOM: i16 = 3;
/// Whoever has waited for less may be about to start.
const YOUNG: TimeDelta = TimeDelta::seconds(5);

/// A cause on the way.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) finding: Finding,
    pub(super) also: Vec<Finding>,
    pub(super) job: Option<JobId>,
    pub(super) jobs: i64,
    pub(super) at_least: bool,
    /// Since when the oldest has waited.
    pub(super) oldest: Option<DateTime<Utc>>,
    /// Of whom it is the cause: counted anew when all causes are known.
    queues: Vec<String>,
    kind: Option<String>,
}

/// What the look found, and the oldest job that could run: since when, and its queue.
pub(super) struct Look {
    pub(super) found: Vec<Found>,
    pub(super) oldest_ready: Option<(DateTime<Utc>, String)>,
}

pub(super) fn look(fleet: &Fleet, wide: &Wide) -> Look {
    let mut merged = BTreeMap::<String, Found>::new();
    let mut oldest_ready: Option<(DateTime<Utc>, String)> = None;
    for line in wide.lines.iter().chain(&wide.waiting) {
        let mut all = findings(&Case { job: &line.job, fleet }).into_iter();
        let Some(finding) = all.next() else { continue };
        if finding.code().is_ready() && oldest_ready.as_ref().is_none_or(|(oldest, _)| line.job.eligible_at < *oldest) {
            oldest_ready = Some((line.job.eligible_at, line.job.queue.clone()));
        }
        let young = fleet.now - line.job.eligible_at < YOUNG && line.job.parked_for != Some(crate::ParkedFor::Held);
        if finding.severity(fleet.now) != Severity::Ok && !(young && is_about_workers(finding.code())) {
            merge(&mut merged, of_line(line, finding, all.collect()));
        }
    }
    let mut found: Vec<Found> = merged.into_values().collect();
    // Of what is parked in a queue only so many are looked at.
    for held in found.iter_mut().filter(|one| one.finding.code() == WhyCode::Held) {
        held.at_least |= held.jobs >= i64::from(DEPTH / 5);
    }
    found.extend(of_running(fleet));
    found.extend(of_orphans(fleet, wide));
    found.extend(of_timed(fleet, wide));
    found.extend(of_dead(wide));
    let server = ServerFacts {
        now: fleet.now,
        live_workers: fleet.live_workers(),
        lock_waits: fleet.lock_waits.iter().filter(|wait| wait.workers > 0).cloned().collect(),
        database: wide.database.clone(),
        missed: wide.missed.clone(),
        odd: wide.odd.clone(),
    };
    found.extend(of_server(&server));
    Look { found, oldest_ready }
}

/// In a rolling deploy the worker that is missing is about to start.
fn is_about_workers(code: WhyCode) -> bool {
    matches!(code, WhyCode::NoLiveWorkers | WhyCode::NoWorker | WhyCode::NoHandler | WhyCode::OldRevision)
}

fn of_line(line: &LineFacts, finding: Finding, also: Vec<Finding>) -> Found {
    let job = &line.job;
    Found {
        finding,
        also,
        job: Some(job.id),
        jobs: line.jobs,
        at_least: line.at_least || line.jobs >= DEPTH.into(),
        oldest: Some(job.eligible_at),
        queues: vec![job.queue.clone()],
        kind: Some(job.kind.clone()),
    }
}

/// What is said of the same thing is one cause; the oldest job speaks for it.
fn merge(merged: &mut BTreeMap<String, Found>, new: Found) {
    let key = match &new.finding {
        Finding::KeyFull { limited_by, .. } | Finding::KeyRate { limited_by, .. } => format!("{} {limited_by}", new.finding.code()),
        finding => format!("{} {:?}", finding.code(), finding.subject()),
    };
    let Some(known) = merged.get_mut(&key) else {
        merged.insert(key, new);
        return;
    };
    known.jobs += new.jobs;
    known.at_least |= new.at_least;
    for queue in new.queues {
        if !known.queues.contains(&queue) {
            known.queues.push(queue);
        }
    }
    if new.oldest < known.oldest {
        (known.oldest, known.job, known.finding) = (new.oldest, new.job, of_class(new.finding, &known.finding));
        known.also = new.also;
    } else {
        known.finding = of_class(known.finding.clone(), &new.finding);
    }
}

/// Of several keys of a class the class is spoken of.
fn of_class(mut finding: Finding, other: &Finding) -> Finding {
    match (&mut finding, other) {
        (Finding::KeyFull { key, limited_by, holder, holder_since, .. }, Finding::KeyFull { key: other, .. }) if key != other => {
            key.clone_from(limited_by);
            (*holder, *holder_since) = (None, None);
        }
        (Finding::KeyRate { key, limited_by, .. }, Finding::KeyRate { key: other, .. }) if key != other => key.clone_from(limited_by),
        _ => {}
    }
    finding
}

/// Queues whose depth the causes are about.
pub(super) fn queues_of(found: &[Found]) -> Vec<String> {
    let mut queues: Vec<String> =
        found.iter().filter(|found| is_about_queue(&found.finding)).flat_map(|found| found.queues.clone()).collect();
    queues.sort_unstable();
    queues.dedup();
    queues
}

/// Whether all jobs of its queues are behind it, or those of a kind of which only the first were counted.
fn is_about_queue(finding: &Finding) -> bool {
    matches!(
        finding.code(),
        WhyCode::NoLiveWorkers
            | WhyCode::NoWorker
            | WhyCode::Paused
            | WhyCode::QueueFull
            | WhyCode::QueueRate
            | WhyCode::SlotsFull
            | WhyCode::HeadOfLine
            | WhyCode::Starved
            | WhyCode::InLine
            | WhyCode::Unexplained
            | WhyCode::NoHandler
            | WhyCode::OldRevision
            | WhyCode::WorkersQuiet
    )
}

/// Counts once more, now that it is known what is to be counted: the look itself saw only the first of each line.
pub(super) fn count(found: &mut [Found], fleet: &Fleet, mut depths: BTreeMap<String, i64>) {
    for (queue, depth) in &mut depths {
        // What runs was counted with the rest.
        let running: i64 = fleet.running_in(queue).map(|(_, running)| running.jobs).sum();
        *depth = if *depth > COUNTED { *depth } else { (*depth - running).max(0) };
    }
    for one in found.iter_mut().filter(|one| is_about_queue(&one.finding)) {
        let depth: i64 = one.queues.iter().filter_map(|queue| depths.get(queue)).sum();
        let of_kind = matches!(one.finding.code(), WhyCode::NoHandler | WhyCode::OldRevision);
        one.at_least = if of_kind { one.at_least || (depth > one.jobs && depth > i64::from(DEPTH)) } else { depth > COUNTED };
        if !of_kind {
            one.jobs = one.jobs.max(depth);
        }
    }
}

fn of_running(fleet: &Fleet) -> Vec<Found> {
    let mut found = Vec::new();
    for ((queue, kind), running) in &fleet.running {
        let new = |finding, job, jobs, oldest| Found {
            finding,
            also: Vec::new(),
            job: Some(job),
            jobs,
            at_least: false,
            oldest,
            queues: vec![queue.clone()],
            kind: Some(kind.clone()),
        };
        if let (Some(job), Some(deadline)) = (running.late_job, running.deadline)
            && fleet.now - deadline > LOCK
        {
            let finding = Finding::OverTimeout {
                job,
                kind: kind.clone(),
                worker: running.late_worker.clone(),
                timeout_ms: running.late_timeout_ms.unwrap_or_default(),
                deadline,
            };
            found.push(new(finding, job, running.late, Some(deadline)));
        }
        if let (Some(job), Some(asked_at)) = (running.cancel_job, running.cancel_at) {
            let finding = Finding::Cancelling { job, worker: running.cancel_worker.clone(), asked_at, reason: None };
            if finding.due(fleet.now).is_some_and(|due| due < fleet.now) {
                found.push(new(finding, job, running.cancelling, Some(asked_at)));
            }
        }
        if let (Some(started_at), Some((p50_s, p95_s))) = (running.oldest, fleet.usual(queue, kind)) {
            let most = TimeDelta::seconds(60).max(TimeDelta::milliseconds((p95_s * 3_000.0) as i64));
            if fleet.now - started_at > most && running.late == 0 {
                let (job, worker) = (running.oldest_job, running.oldest_worker.clone());
                let finding = Finding::LongRunning { job, kind: kind.clone(), worker, started_at, p50_s, p95_s };
                found.push(new(finding, job, 1, Some(started_at)));
            }
        }
    }
    found
}

fn of_orphans(fleet: &Fleet, wide: &Wide) -> Vec<Found> {
    let mut merged = BTreeMap::new();
    for orphan in &wide.orphans {
        let holder = &orphan.holder;
        let finding = Finding::Orphaned {
            worker: holder.worker.clone(),
            silent_since: holder.heartbeat_at,
            rescue_at: holder.rescue_at(),
            live_workers: fleet.others(holder),
        };
        let new = Found {
            finding,
            also: Vec::new(),
            job: Some(orphan.job),
            jobs: orphan.jobs,
            at_least: false,
            oldest: orphan.oldest,
            queues: Vec::new(),
            kind: None,
        };
        merge(&mut merged, new);
    }
    merged.into_values().collect()
}

fn of_timed(fleet: &Fleet, wide: &Wide) -> Vec<Found> {
    let new = |finding, job, jobs, at_least, oldest| Found {
        finding,
        also: Vec::new(),
        job: Some(job),
        jobs,
        at_least,
        oldest,
        queues: Vec::new(),
        kind: None,
    };
    let due = wide.due.iter().map(|due| {
        let finding = match fleet.live_workers() {
            0 => Finding::DueNoWorker { due_at: due.run_at, last_beat: fleet.shapes.iter().map(|shape| shape.last_beat).max() },
            live_workers => Finding::PromoteLate { due_at: due.run_at, live_workers },
        };
        new(finding, due.job, due.jobs, due.jobs > COUNTED, Some(due.run_at))
    });
    let backoffs = wide.backoffs.iter().filter_map(|backoff| {
        let job: &JobFacts = &backoff.job;
        let finding =
            findings(&Case { job, fleet }).into_iter().find(|finding| matches!(finding.code(), WhyCode::RetryLoop | WhyCode::Backoff))?;
        let (finding, jobs, worth) = match finding {
            // One attempt says nothing of the others.
            Finding::Backoff { queue, kind, failures, error, error_class, since, next_at, .. } => (
                Finding::Failing { queue, kind, failures, error, error_class, since, next_at },
                backoff.jobs,
                backoff.jobs >= FEW || job.failures >= SELDOM,
            ),
            finding => (finding, backoff.often, true),
        };
        worth.then(|| new(finding, job.id, jobs, false, Some(job.created_at)))
    });
    due.chain(backoffs).collect()
}

fn of_dead(wide: &Wide) -> Vec<Found> {
    let seen: i64 = wide.dead.iter().map(|dead| dead.jobs).sum();
    let of = |dead: &super::facts::DeadFacts| {
        let (queue, kind, since) = (dead.queue.clone(), dead.kind.clone(), dead.first_at);
        let finding = match dead.error_class.as_deref() {
            Some("args") => Finding::BadArgs { queue, kind, job: None, error: dead.error.clone(), since },
            Some("worker lost") if dead.quarantined => Finding::Quarantined { job: None, queue, kind, since },
            _ => Finding::Died {
                queue,
                kind,
                error_class: dead.error_class.clone(),
                error: dead.error.clone(),
                since,
                last_at: dead.last_at,
            },
        };
        Found {
            finding,
            also: Vec::new(),
            job: Some(dead.job),
            jobs: dead.jobs,
            at_least: seen >= 300,
            oldest: Some(dead.first_at),
            queues: vec![dead.queue.clone()],
            kind: Some(dead.kind.clone()),
        }
    };
    wide.dead.iter().map(of).collect()
}

/// Who holds up workers, how the server is, schedules that were missed, odd workers: whoever locked a table first.
pub(super) fn of_server(server: &ServerFacts) -> Vec<Found> {
    let locks = server.lock_waits.iter().map(LockWait::finding);
    let database = &server.database;
    let old = database.oldest.iter().filter(|session| {
        let open = session.since.map_or(TimeDelta::zero(), |since| server.now - since);
        open > SNAPSHOT.1 || (open > SNAPSHOT.0 && database.dead_rows >= DEAD_ROWS)
    });
    let old = old.map(|session| Finding::OldSnapshot { session: session.clone(), dead_rows: database.dead_rows });
    let connections = (database.connections * 10 >= database.most_connections * 9)
        .then_some(Finding::Connections { used: database.connections, most: database.most_connections });
    let missed = server.missed.iter().map(|missed| Finding::ScheduleMissed {
        schedule: missed.schedule.clone(),
        owner: missed.owner.clone(),
        due_at: missed.due_at,
        live_workers: server.live_workers,
    });
    let odd = server.odd.iter().map(|odd| match odd.clock_offset_ms {
        Some(offset_ms) => Finding::Clock { worker: odd.worker.clone(), offset_ms },
        None => Finding::Listener { worker: odd.worker.clone(), heard_at: odd.heard_at },
    });
    locks.chain(old).chain(connections).chain(missed).chain(odd).map(of_no_job).collect()
}

fn of_no_job(finding: Finding) -> Found {
    Found { finding, also: Vec::new(), job: None, jobs: 0, at_least: false, oldest: None, queues: Vec::new(), kind: None }
}

/// The causes as they are shown: the worst group first, in it what holds up most.
pub(super) fn causes(found: Vec<Found>, fleet: &Fleet) -> Vec<Cause> {
    let mut causes: Vec<Cause> = found
        .into_iter()
        .map(|one| {
            let evidence = match (one.queues.first(), &one.kind) {
                (Some(queue), kind) => fleet.about(queue, kind.as_deref().unwrap_or_default()),
                (None, _) => serde_json::Value::Null,
            };
            Cause {
                verdict: super::verdict(one.finding, one.also, None, one.job, fleet.now, evidence),
                jobs: one.jobs,
                at_least: one.at_least,
                oldest_s: one.oldest.map(|oldest| ((fleet.now - oldest).num_milliseconds() as f64 / 1e3).max(0.0)),
            }
        })
        .filter(|cause| cause.verdict.group.is_some())
        .collect();
    causes.sort_by_key(|cause| (cause.verdict.group, std::cmp::Reverse(cause.verdict.severity), std::cmp::Reverse(cause.jobs)));
    causes
}
