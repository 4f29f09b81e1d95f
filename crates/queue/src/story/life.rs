//! The life of one job: the spans that stand end to end, and what operators did meanwhile.

use chrono::{DateTime, Utc};

use super::{
    MOST_ATTEMPTS, Span, SpanKind, SpanTrace, StoryAct, StoryAttempt, StoryJob, WaitReason,
    build::{Tree, span_trace},
    wait::{Part, Wait, cut},
    window::{Window, windows},
};
use crate::{JobId, JobState, LogLine, ParkedFor};

/// Shorter is the way to the database: when a handler started is reckoned back from when its end was written.
const AT_ONCE_MS: f64 = 20.0;

/// Put together from the beginning: each span begins where the one before has ended.
pub(super) struct Life<'a> {
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

impl<'a> Life<'a> {
    /// The spans of a job, without its children.
    pub(super) fn spans(tree: &'a Tree<'a>, job: &'a StoryJob) -> Vec<Span> {
        let mut life = Self::new(tree, job);
        life.enqueue();
        life.attempts();
        life.end();
        life.acts();
        life.spans
    }

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
            // Nobody knows when the process died: after this it was not heard any more.
            let heard = attempt.beat_at.map_or(ended, |heard| heard.clamp(started, ended));
            self.spans.push(Span { trace, notes, ..self.tree.span(what, started, Some(heard)) });
            self.push_wait(Part { reason: WaitReason::Rescue, detail: None, from: heard, to: ended }, false);
            self.before = Some(attempt);
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
