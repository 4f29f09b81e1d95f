//! From rows to the tree of spans. Pure: no clock, no database.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::{
    Found, MOST_ATTEMPTS, Span, SpanKind, SpanTrace, Story, StoryAct, StoryAttempt, StoryJob, WaitReason,
    find::Jobs,
    rows::Rows,
    wait::{Part, Wait, Window, cut},
};
use crate::{JobId, JobState, LogLine, ParkedFor, TraceContext};

/// Shorter is the way to the database: when a handler started is reckoned back from when its end was written.
const AT_ONCE_MS: f64 = 20.0;

pub(super) fn build((found, jobs): (Found, Jobs), rows: &Rows) -> Option<Story> {
    let first = rows.jobs.first()?;
    let started_at = rows.jobs.iter().map(|job| job.created_at).min()?;
    let ended: Option<Vec<DateTime<Utc>>> = rows.jobs.iter().map(|job| job.finished_at).collect();
    let asked = if let Found::Job(id) = found { Some(id) } else { None };
    let tree = Tree { rows, asked, started_at, now: first.now, children: children(&rows.jobs), by_id: by_id(&rows.jobs) };
    let mut notes = Vec::new();
    if jobs.more {
        notes.push(format!("More jobs belong to it: only {} are told.", rows.jobs.len()));
    }
    if !jobs.complete {
        notes.push("More may belong to it: not all unfinished jobs and those of today were looked at.".to_owned());
    }
    if rows.earlier_acts {
        notes.push("Of what operators did only the last acts are told.".to_owned());
    }
    Some(Story {
        found,
        read_at: first.now,
        started_at,
        ended_at: ended.and_then(|ends| ends.into_iter().max()),
        spans: tree.requests(),
        notes,
    })
}

fn by_id(jobs: &[StoryJob]) -> HashMap<JobId, &StoryJob> {
    jobs.iter().map(|job| (job.id, job)).collect()
}

/// The children of each job that is there. A parent has the lower id: whatever somebody wrote into the column, there is no circle.
fn children(jobs: &[StoryJob]) -> HashMap<JobId, Vec<&StoryJob>> {
    let there = by_id(jobs);
    let mut children: HashMap<JobId, Vec<&StoryJob>> = HashMap::new();
    for job in jobs {
        if let Some(parent) = job.parent.filter(|parent| *parent < job.id && there.contains_key(parent)) {
            children.entry(parent).or_default().push(job);
        }
    }
    children
}

struct Tree<'a> {
    rows: &'a Rows,
    asked: Option<JobId>,
    started_at: DateTime<Utc>,
    now: DateTime<Utc>,
    children: HashMap<JobId, Vec<&'a StoryJob>>,
    by_id: HashMap<JobId, &'a StoryJob>,
}

impl<'a> Tree<'a> {
    /// The jobs without a parent here, under the requests that they come from.
    fn requests(&self) -> Vec<Span> {
        let mut requests: BTreeMap<String, usize> = BTreeMap::new();
        let mut spans: Vec<Span> = Vec::new();
        let is_child = |job: &StoryJob| job.parent.is_some_and(|parent| parent < job.id && self.by_id.contains_key(&parent));
        for job in self.rows.jobs.iter().filter(|job| !is_child(job)) {
            let of_job = self.job(job);
            let Some(request) = request(job) else {
                spans.push(of_job);
                continue;
            };
            let at = of_job.start_ms;
            let place = *requests.entry(format!("{request:?}")).or_insert_with(|| {
                spans.push(Span { what: request, start_ms: at, end_ms: Some(at), trace: None, notes: Vec::new(), children: Vec::new() });
                spans.len() - 1
            });
            spans[place].start_ms = spans[place].start_ms.min(at);
            spans[place].end_ms = spans[place].end_ms.map(|end| end.max(at));
            spans[place].children.push(of_job);
        }
        spans.sort_by(|a, b| a.start_ms.total_cmp(&b.start_ms));
        spans
    }

    fn ms(&self, at: DateTime<Utc>) -> f64 {
        (at - self.started_at).num_microseconds().unwrap_or(i64::MAX) as f64 / 1000.0
    }

    fn span(&self, what: SpanKind, from: DateTime<Utc>, to: Option<DateTime<Utc>>) -> Span {
        let (start_ms, end_ms) = (self.ms(from), to.map(|to| self.ms(to)));
        Span { what, start_ms, end_ms, trace: None, notes: Vec::new(), children: Vec::new() }
    }

    fn job(&self, job: &'a StoryJob) -> Span {
        let mut line = Line::new(self, job);
        line.enqueue();
        line.attempts();
        line.end();
        line.acts();
        let Line { mut spans, .. } = line;
        for child in self.children.get(&job.id).into_iter().flatten() {
            let of_child = self.job(child);
            let of_attempt = spans.iter_mut().find(|span| {
                let within = span.start_ms <= of_child.start_ms && span.end_ms.is_none_or(|end| of_child.start_ms <= end);
                within && matches!(span.what, SpanKind::Attempt { .. })
            });
            // What enqueued it; an attempt that left no row may have.
            match of_attempt {
                Some(attempt) => attempt.children.push(of_child),
                None => spans.push(of_child),
            }
        }
        // An act stands before the wait that it begins.
        let is_stretch = |span: &Span| !matches!(span.what, SpanKind::Enqueue { .. } | SpanKind::Act { .. });
        spans.sort_by(|a, b| a.start_ms.total_cmp(&b.start_ms).then_with(|| is_stretch(a).cmp(&is_stretch(b))));

        let until = self.ms(job.finished_at.unwrap_or(self.now));
        let total = |wanted: fn(&SpanKind) -> bool| -> f64 {
            let sum: f64 = spans.iter().filter(|span| wanted(&span.what)).map(|span| span.length_ms(until)).sum();
            (sum * 1000.0).round() / 1000.0
        };
        let what = SpanKind::Job {
            job: job.id,
            kind: job.kind.clone(),
            queue: job.queue.clone(),
            state: job.state,
            parked_for: job.parked_for,
            attempts: job.attempt,
            failures: job.failures,
            max_attempts: job.max_attempts,
            error: job.error.clone(),
            waited_ms: total(|what| matches!(what, SpanKind::Wait { reason, .. } if *reason != WaitReason::Earlier)),
            worked_ms: total(|what| matches!(what, SpanKind::Attempt { .. })),
            asked: self.asked == Some(job.id),
        };
        let trace = job.trace.map(|trace| span_trace(trace, Some(trace.flags & 1 == 1)));
        Span { trace, children: spans, ..self.span(what, job.created_at, job.finished_at) }
    }
}

/// The request that a job says it comes from.
fn request(job: &StoryJob) -> Option<SpanKind> {
    let origin = job.origin.as_ref()?;
    let part = |name: &str| origin.get(name).and_then(|value| value.as_str()).map(ToOwned::to_owned);
    let (request_id, route) = (part("request_id"), part("route"));
    if request_id.is_none() && route.is_none() {
        return None;
    }
    Some(SpanKind::Request { request_id, route, service: part("service"), version: part("version") })
}

fn span_trace(trace: TraceContext, sampled: Option<bool>) -> SpanTrace {
    SpanTrace { trace_id: format!("{:032x}", trace.trace_id), span_id: format!("{:016x}", trace.span_id), sampled, url: None }
}

/// The life of one job, put together from its beginning: each span begins where the one before has ended.
struct Line<'a> {
    tree: &'a Tree<'a>,
    job: &'a StoryJob,
    attempts: Vec<&'a StoryAttempt>,
    acts: Vec<&'a StoryAct>,
    windows: Vec<Window>,
    /// Up to where it is told.
    told: DateTime<Utc>,
    /// The attempt before.
    before: Option<&'a StoryAttempt>,
    spans: Vec<Span>,
}

impl<'a> Line<'a> {
    fn new(tree: &'a Tree<'a>, job: &'a StoryJob) -> Self {
        let attempts = tree.rows.attempts.iter().filter(|attempt| attempt.job == job.id && attempt.number <= job.attempt).collect();
        let acts: Vec<_> = tree.rows.acts.iter().filter(|act| act.jobs.contains(&job.id)).collect();
        let windows = windows(tree, job, &acts);
        Self { tree, job, attempts, acts, windows, told: job.created_at, before: None, spans: Vec::new() }
    }

    fn enqueue(&mut self) {
        let origin = |name: &str| self.job.origin.as_ref().and_then(|origin| origin.get(name));
        let what = SpanKind::Enqueue {
            schedule: self.job.schedule.clone(),
            instant: self.job.instant.clone(),
            again_of: origin("again_of").and_then(serde_json::Value::as_i64).map(JobId),
            by: origin("by").and_then(|by| by.as_str()).map(ToOwned::to_owned),
        };
        self.spans.push(self.tree.span(what, self.told, Some(self.told)));
    }

    /// Those that did not simply succeed, each with the wait before it.
    fn attempts(&mut self) {
        let attempts = std::mem::take(&mut self.attempts);
        let cut_off = attempts.len() as i64 >= MOST_ATTEMPTS && attempts.first().is_some_and(|attempt| attempt.number > 1);
        for (n, attempt) in attempts.into_iter().enumerate() {
            let ended = attempt.ended_at.max(self.told);
            let claimed = attempt.claimed_at.or(attempt.started_at).unwrap_or(ended).clamp(self.told, ended);
            if n == 0 && cut_off {
                let detail = Some(format!("{} of them", attempt.number - 1));
                self.push_wait(Part { reason: WaitReason::Earlier, detail, from: self.told, to: claimed }, false);
            } else {
                let wait = self.wait_before(attempt, claimed);
                self.wait(&wait, false);
                self.say_missing(attempt.number);
            }
            let started = attempt.started_at.unwrap_or(claimed).clamp(claimed, ended);
            let started = if self.tree.ms(started) - self.tree.ms(claimed) < AT_ONCE_MS { claimed } else { started };
            self.push_wait(Part { reason: WaitReason::Taken, detail: None, from: claimed, to: started }, false);
            let (log, notes) = self.log(attempt.number);
            let what = SpanKind::Attempt {
                attempt: attempt.number,
                outcome: attempt.outcome.clone(),
                error: attempt.message.clone(),
                error_class: attempt.error_class.clone(),
                worker: attempt.worker.clone(),
                log,
            };
            // One that has none of its own is stored with that of the enqueue.
            let own = attempt.trace.filter(|trace| self.job.trace.is_none_or(|job| job.span_id != trace.span_id));
            let trace = own.map(|trace| span_trace(trace, Some(true))).or_else(|| self.own_trace(attempt.number));
            self.spans.push(Span { trace, notes, ..self.tree.span(what, started, Some(ended)) });
            (self.told, self.before) = (ended, Some(attempt));
        }
    }

    /// The last attempt if it completed or runs; what it waits for if it waits; and its end.
    fn end(&mut self) {
        let job = self.job;
        let end = job.finished_at.unwrap_or(self.tree.now).max(self.told);
        let outcome = match job.state {
            JobState::Completed => "completed",
            JobState::Running => "running",
            // Its last attempt has ended it.
            JobState::Dead | JobState::Cancelled if self.before.is_some_and(|attempt| Some(attempt.ended_at) >= job.finished_at) => return,
            _ => {
                let wait = self.last_wait(end);
                self.wait(&wait, !job.state.is_final());
                self.say_missing(job.attempt + 1);
                return;
            }
        };
        let claimed = job.claimed_at.unwrap_or(end).clamp(self.told, end);
        let wait = self.last_wait(claimed);
        self.wait(&wait, false);
        self.say_missing(job.attempt);
        if let (Some(started), Some(span)) = (job.worker_started_at, self.spans.last_mut())
            && matches!(span.what, SpanKind::Wait { reason: WaitReason::Line | WaitReason::Limit, .. })
        {
            let late = self.tree.ms(started) - span.start_ms;
            if late > AT_ONCE_MS && self.tree.ms(started) < self.tree.ms(claimed) {
                span.notes.push(format!("The worker that took it started {:.1} s into this wait.", late / 1000.0));
            }
        }
        let (log, notes) = self.log(job.attempt);
        let what = SpanKind::Attempt {
            attempt: job.attempt,
            outcome: outcome.to_owned(),
            error: None,
            error_class: None,
            worker: job.worker.clone(),
            log,
        };
        let trace = self.own_trace(job.attempt);
        self.spans.push(Span { trace, notes, ..self.tree.span(what, claimed, job.finished_at.map(|_| end)) });
    }

    /// What operators did to it.
    fn acts(&mut self) {
        for act in &self.acts {
            let what = SpanKind::Act { verb: act.verb.clone(), who: act.who.clone(), reason: act.reason.clone() };
            let at = act.at.max(self.job.created_at);
            self.spans.push(self.tree.span(what, at, Some(at)));
        }
    }

    fn wait_before(&self, attempt: &StoryAttempt, claimed: DateTime<Utc>) -> Wait {
        let due = match self.before {
            Some(before) => before.next_run_at.or(attempt.eligible_at),
            None => self.first_due(attempt, claimed),
        };
        // Whoever let it run earlier made that its time; who retried it before it had run, only its second.
        let made_due: &[&str] = if self.before.is_some() { &["run-now", "retry"] } else { &["run-now"] };
        let sooner = self.acts_between(made_due, claimed).map(|act| act.at).min();
        let due = due.into_iter().chain(sooner).min();
        let mut wait = self.wait_until(claimed, due, attempt.eligible_at, self.lost_before() >= 2);
        wait.maybe_scheduled = self.before.is_none() && due.is_none();
        wait
    }

    /// When the time had come of the first attempt that is told; `None`: that is not known any more.
    fn first_due(&self, attempt: &StoryAttempt, claimed: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.acts_between(&["retry"], claimed).next().is_some() {
            return None;
        }
        // Older programs have not stored it.
        if attempt.due_at.is_some() {
            return attempt.due_at;
        }
        let mut attempts = self.tree.rows.attempts.iter().filter(|attempt| attempt.job == self.job.id);
        let rewritten = attempts.any(|attempt| attempt.next_run_at.is_some()) || self.acts.iter().any(|act| act.verb == "retry");
        if !rewritten {
            return Some(self.job.run_at);
        }
        // The row's own time is that of a later attempt.
        let eligible_at = attempt.eligible_at.filter(|_| self.job.limit_key.is_none());
        // Whoever did this to it has made that the time from which on it could run, if its own had not come later.
        let touched = self.acts_between(&["release", "run-now"], claimed).map(|act| act.at).max();
        eligible_at.filter(|eligible| touched.is_none_or(|touched| *eligible > touched))
    }

    /// What operators did in the wait that is told now.
    fn acts_between(&self, verbs: &[&str], to: DateTime<Utc>) -> impl Iterator<Item = &'a StoryAct> {
        self.acts.iter().copied().filter(move |act| verbs.contains(&act.verb.as_str()) && act.at > self.told && act.at <= to)
    }

    /// Before its last attempt, or until it ended without one, or until now.
    fn last_wait(&self, to: DateTime<Utc>) -> Wait {
        let for_key = self.job.parked_for == Some(ParkedFor::Key);
        let eligible_at = if for_key { to.max(self.job.run_at) } else { self.job.eligible_at };
        self.wait_until(to, Some(self.job.run_at), Some(eligible_at), self.job.crashes >= 2)
    }

    fn wait_until(&self, to: DateTime<Utc>, due: Option<DateTime<Utc>>, eligible_at: Option<DateTime<Utc>>, suspect: bool) -> Wait {
        let reason = match self.before.map(|attempt| (attempt.outcome.as_str(), attempt.next_run_at)) {
            None => Some(WaitReason::Scheduled),
            Some(("worker lost", _)) => None,
            Some(("snoozed", _)) => Some(WaitReason::Snoozed),
            Some((_, None)) => Some(WaitReason::Ended),
            Some(_) => Some(WaitReason::Backoff),
        };
        let put_off = reason == Some(WaitReason::Scheduled) && self.job.has_unique_key;
        let detail = put_off.then(|| "or put off by a later enqueue with its unique key".to_owned());
        Wait {
            from: self.told,
            to,
            timed: reason.zip(due).map(|(reason, due)| (reason, due, detail)),
            eligible_at,
            maybe_scheduled: false,
            released_at: self.acts_between(&["release"], to).map(|act| act.at).max(),
            key: self.job.limit_key.clone(),
            last: if suspect { WaitReason::Suspect } else { WaitReason::Line },
        }
    }

    /// How often its process had died up to where it is told.
    fn lost_before(&self) -> usize {
        let lost = |span: &&Span| matches!(&span.what, SpanKind::Attempt { outcome, .. } if outcome == "worker lost");
        self.spans.iter().filter(lost).count()
    }

    fn wait(&mut self, wait: &Wait, goes_on: bool) {
        let mut parts = cut(wait, &self.windows);
        let count = parts.len();
        if goes_on && let Some(last) = parts.last_mut() {
            self.without_worker(last);
        }
        for (n, part) in parts.into_iter().enumerate() {
            self.push_wait(part, goes_on && n + 1 == count);
        }
        self.told = wait.to;
    }

    /// A part that goes on, if no live worker would take the job.
    fn without_worker(&self, part: &mut Part) {
        let job = self.job;
        let mut queues = self.tree.rows.queues.iter();
        let Some(queue) = queues.find(|queue| (&queue.queue, &queue.kind, queue.revision) == (&job.queue, &job.kind, job.revision)) else {
            return;
        };
        let by_workers = matches!(part.reason, WaitReason::Line | WaitReason::Limit | WaitReason::Key | WaitReason::Suspect);
        if by_workers && queue.workers == 0 {
            part.reason = WaitReason::NoWorker;
            part.detail = Some("none is alive; since when is not stored".to_owned());
        }
    }

    fn push_wait(&mut self, part: Part, goes_on: bool) {
        if part.from < part.to || goes_on {
            let what = SpanKind::Wait { reason: part.reason, detail: part.detail };
            self.spans.push(self.tree.span(what, part.from, (!goes_on).then_some(part.to)));
        }
        self.told = part.to;
    }

    /// Says of the last wait which attempts before this one left no row.
    fn say_missing(&mut self, next: i32) {
        let first = self.before.map_or(1, |attempt| attempt.number + 1);
        if first >= next {
            return;
        }
        let which = if first == next - 1 { format!("attempt {first}") } else { format!("attempts {first} to {}", next - 1) };
        let note = format!("Nothing is stored of {which}: given back unharmed, or past its retention.");
        if let Some(span) = self.spans.iter_mut().rev().find(|span| matches!(span.what, SpanKind::Wait { .. })) {
            span.notes.push(note);
        }
    }

    /// What an attempt logged, and what is to be said of lines that are not there.
    fn log(&self, attempt: i32) -> (Vec<LogLine>, Vec<String>) {
        let Some(log) = self.tree.rows.logs.iter().find(|log| log.job == self.job.id && log.attempt == attempt) else {
            return (Vec::new(), Vec::new());
        };
        let note = (log.earlier > 0).then(|| format!("{} lines that it logged before were not kept.", log.earlier));
        (log.lines.clone(), note.into_iter().collect())
    }

    fn own_trace(&self, attempt: i32) -> Option<SpanTrace> {
        let mut traces = self.tree.rows.own_traces.iter();
        traces.find(|own| own.job == self.job.id && own.attempt == attempt).map(|own| span_trace(own.trace, None))
    }
}

/// When something else than its own row made the job wait: holds, times in which it was dead or cancelled, and the pauses and limits of
/// the queues that it was in while it was there.
fn windows(tree: &Tree<'_>, job: &StoryJob, acts: &[&StoryAct]) -> Vec<Window> {
    let now = job.finished_at.unwrap_or(tree.now);
    let mut windows = limits_and_pauses(tree, job, acts, now);
    let until = |from: usize, verbs: &[&str]| {
        let later = acts[from..].iter().find(|act| verbs.contains(&act.verb.as_str()));
        later.map_or(now, |act| act.at)
    };
    for (n, act) in acts.iter().enumerate() {
        let detail = Some(by(&act.who, act.reason.as_deref()));
        match act.verb.as_str() {
            "hold" => {
                let to = until(n + 1, &["release", "cancel", "discard"]);
                windows.push(Window { from: act.at, to, reason: WaitReason::Held, detail });
            }
            "cancel" | "discard" if acts[n + 1..].iter().any(|act| act.verb == "retry") => {
                windows.push(Window { from: act.at, to: until(n + 1, &["retry"]), reason: WaitReason::Ended, detail });
            }
            _ => {}
        }
    }
    if job.parked_for == Some(ParkedFor::Held) && !acts.iter().any(|act| act.verb == "hold") {
        let detail = Some("since when is not stored".to_owned());
        windows.push(Window { from: job.created_at, to: now, reason: WaitReason::Held, detail });
    }
    windows
}

fn limits_and_pauses(tree: &Tree<'_>, job: &StoryJob, acts: &[&StoryAct], now: DateTime<Utc>) -> Vec<Window> {
    let mut windows = Vec::new();
    let mut from = job.created_at;
    let moves = acts.iter().filter_map(|act| Some((act.queue_before.as_deref()?, act.at)));
    let mut stays: Vec<(&str, DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for (queue, at) in moves {
        stays.push((queue, from, at));
        from = at;
    }
    stays.push((&job.queue, from, now));
    for (queue, from, to) in stays {
        for window in of_queue(tree, queue, tree.now) {
            let (from, to) = (window.from.max(from), window.to.min(to));
            if from < to {
                windows.push(Window { from, to, ..window });
            }
        }
    }
    windows
}

/// The pauses and limits of a queue, as far as the audit or its row tells.
fn of_queue(tree: &Tree<'_>, queue: &str, now: DateTime<Utc>) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    let row = tree.rows.queues.iter().find(|row| row.queue == queue);
    let mut pause: Option<(DateTime<Utc>, Option<DateTime<Utc>>, String)> = None;
    let mut limited: Option<DateTime<Utc>> = None;
    let window = |from, to, reason, detail| Window { from, to, reason, detail };
    for act in tree.rows.queue_acts.iter().filter(|act| act.queue == queue) {
        if matches!(act.verb.as_str(), "pause" | "resume")
            && let Some((from, until, by)) = pause.take()
        {
            windows.push(window(from, until.map_or(act.at, |until| until.min(act.at)), WaitReason::Paused, Some(by)));
        }
        match act.verb.as_str() {
            "pause" => pause = Some((act.at, act.paused_until, by(&act.who, act.reason.as_deref()))),
            "limit" => limited = limited.or(Some(act.at)),
            "unlimit" => windows.extend(limited.take().map(|from| window(from, act.at, WaitReason::Limit, None))),
            _ => {}
        }
    }
    // The audit is pruned; the row is there while the pause is.
    let of_row = row.and_then(|row| {
        let by = by(row.paused_by.as_deref().unwrap_or("somebody"), row.paused_why.as_deref());
        Some((row.paused_at?, row.paused_until, by))
    });
    if let Some((from, until, by)) = pause.or(of_row) {
        windows.push(window(from, until.map_or(now, |until| until.min(now)), WaitReason::Paused, Some(by)));
    }
    if let Some(from) = limited.or(row.and_then(|row| row.limited_at)) {
        windows.push(window(from, now, WaitReason::Limit, row.and_then(|row| row.limit.clone())));
    }
    windows
}

fn by(who: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| format!("by {who}"), |reason| format!("by {who}: {reason}"))
}
