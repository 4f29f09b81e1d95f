//! From rows to the tree of spans. Pure: no clock, no database.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::{Found, Span, SpanKind, SpanTrace, Story, StoryJob, WaitReason, find::Jobs, life::Life, ms, rows::Rows};
use crate::{JobId, TraceContext};

pub(super) fn build((found, jobs): (Found, Jobs), rows: &Rows) -> Option<Story> {
    let first = rows.jobs.first()?;
    let started_at = rows.jobs.iter().map(|job| job.created_at).min()?;
    let ended: Option<Vec<DateTime<Utc>>> = rows.jobs.iter().map(|job| job.finished_at).collect();
    let asked = if let Found::Job(id) = found { Some(id) } else { None };
    let tree = Tree { rows, asked, started_at, now: first.now, children: children(&rows.jobs) };
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

/// The children of each job that is there, and those of nobody here. A parent has the lower id: whatever somebody wrote into the column,
/// there is no circle.
fn children(jobs: &[StoryJob]) -> HashMap<Option<JobId>, Vec<&StoryJob>> {
    let there: HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
    let mut children: HashMap<Option<JobId>, Vec<&StoryJob>> = HashMap::new();
    for job in jobs {
        let parent = job.parent.filter(|parent| *parent < job.id && there.contains(parent));
        children.entry(parent).or_default().push(job);
    }
    children
}

/// What all spans are made of.
pub(super) struct Tree<'a> {
    pub(super) rows: &'a Rows,
    asked: Option<JobId>,
    started_at: DateTime<Utc>,
    pub(super) now: DateTime<Utc>,
    children: HashMap<Option<JobId>, Vec<&'a StoryJob>>,
}

impl<'a> Tree<'a> {
    /// The jobs without a parent here, under the requests that they come from.
    fn requests(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for job in self.children_of(None) {
            let of_job = self.job(job);
            let Some(request) = request(job) else {
                spans.push(of_job);
                continue;
            };
            let at = of_job.start_ms;
            let place = spans.iter().position(|span| span.what == request).unwrap_or_else(|| {
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

    fn children_of(&self, parent: Option<JobId>) -> impl Iterator<Item = &'a StoryJob> {
        self.children.get(&parent).into_iter().flatten().copied()
    }

    pub(super) fn ms(&self, at: DateTime<Utc>) -> f64 {
        ms(self.started_at, at)
    }

    pub(super) fn span(&self, what: SpanKind, from: DateTime<Utc>, to: Option<DateTime<Utc>>) -> Span {
        let (start_ms, end_ms) = (self.ms(from), to.map(|to| self.ms(to)));
        Span { what, start_ms, end_ms, trace: None, notes: Vec::new(), children: Vec::new() }
    }

    fn job(&self, job: &'a StoryJob) -> Span {
        let mut spans = Life::spans(self, job);
        for child in self.children_of(Some(job.id)) {
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
            // The sum of none is -0.
            (sum * 1000.0).round() / 1000.0 + 0.0
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
            waited_ms: total(|what| matches!(what, SpanKind::Wait { .. }) && !is_lost(what) && !is_earlier(what)),
            worked_ms: total(|what| matches!(what, SpanKind::Attempt { .. }) && !is_lost(what)),
            lost_ms: total(is_lost),
            asked: self.asked == Some(job.id),
        };
        let trace = job.trace.map(|trace| span_trace(trace, Some(trace.is_sampled())));
        Span { trace, children: spans, ..self.span(what, job.created_at, job.finished_at) }
    }
}

/// Whether it went by with a process that died; what that had done is done again.
fn is_lost(what: &SpanKind) -> bool {
    match what {
        SpanKind::Attempt { outcome, .. } => outcome == "worker lost",
        SpanKind::Wait { reason, .. } => *reason == WaitReason::Rescue,
        _ => false,
    }
}

/// Whether it stands for attempts that are not told.
fn is_earlier(what: &SpanKind) -> bool {
    matches!(what, SpanKind::Wait { reason: WaitReason::Earlier, .. })
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

pub(super) fn span_trace(trace: TraceContext, sampled: Option<bool>) -> SpanTrace {
    SpanTrace { trace_id: format!("{:032x}", trace.trace_id), span_id: format!("{:016x}", trace.span_id), sampled, url: None }
}
