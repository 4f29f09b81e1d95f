//! The story of a job as a picture: a row a span, with a bar where it lies in time. Drawn on the server, as SVG whose places are
//! percents: it fits any width without a script, and the policy of the page allows no style in an attribute.

use askama::Template;
use haulage_queue::{
    JobId, JobState,
    story::{Axis, Span, SpanKind, Story, WaitReason},
};

use crate::{
    frame::Frame,
    show::{Look, mask, span},
};

/// Rows that are drawn; a story has up to 200 jobs.
const MOST: usize = 200;
/// Bars are at least this wide, in percents, or nobody would see them.
const LEAST: f64 = 0.4;
/// Of what a row has to say.
const MOST_CHARS: usize = 400;
/// Places of a row where time is marked as shortened.
const MOST_BREAKS: usize = 20;
/// Marks of time above the bars.
const TICKS: [f64; 5] = [0.0, 20.0, 40.0, 60.0, 80.0];

/// A story, drawn.
#[derive(Debug, Template)]
#[template(path = "waterfall.html")]
pub(crate) struct Waterfall<'a> {
    frame: &'a Frame,
    ticks: Vec<(f64, String)>,
    rows: Vec<Row>,
    /// Rows that are left out.
    left_out: usize,
    /// What went wrong, also for who has no mouse to rest on a row.
    failed: Vec<(String, String)>,
    shortened: bool,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Row {
    depth: usize,
    label: String,
    detail: Option<String>,
    job: Option<JobId>,
    asked: bool,
    look: Look,
    bar: &'static str,
    /// A line instead of a bar.
    thin: bool,
    begin: f64,
    width: f64,
    took: String,
    breaks: Vec<f64>,
}

impl<'a> Waterfall<'a> {
    pub(crate) fn new(frame: &'a Frame, story: &Story) -> Self {
        let until = story.length_ms();
        let mut spans = Vec::new();
        for span in &story.spans {
            collect(span, 0, &mut spans);
        }
        let left_out = spans.len().saturating_sub(MOST);
        spans.truncate(MOST);
        let axis = Axis::of(spans.iter().map(|(_, span)| *span), until, 100.0);
        let ticks = TICKS.into_iter().map(|place| {
            let at = axis.time(place) / 1e3;
            (place, if place == 0.0 { "0".to_owned() } else { format!("+{}", span(at)) })
        });
        let rows: Vec<Row> = spans.iter().map(|(depth, span)| Row::new(*depth, span, until, &axis)).collect();
        let failed = rows.iter().filter(|row| row.look == Look::Dead);
        Self {
            frame,
            ticks: ticks.collect(),
            failed: failed.filter_map(|row| Some((row.label.clone(), row.detail.clone()?))).collect(),
            rows,
            left_out,
            shortened: axis.breaks().next().is_some(),
            notes: story.notes.iter().map(|note| mask(note).into_owned()).collect(),
        }
    }
}

fn collect<'s>(span: &'s Span, depth: usize, spans: &mut Vec<(usize, &'s Span)>) {
    // A wait of no length says nothing.
    if matches!(span.what, SpanKind::Wait { .. }) && span.end_ms.is_some_and(|end| end - span.start_ms < 0.5) {
        return;
    }
    spans.push((depth, span));
    for child in &span.children {
        collect(child, depth + 1, spans);
    }
}

impl Row {
    fn new(depth: usize, span: &Span, until: f64, axis: &Axis) -> Self {
        let (begin, end) = (axis.place(span.start_ms), axis.place(span.end_ms.unwrap_or(until)));
        let width = (end - begin).max(LEAST);
        let begin = begin.min(100.0 - width);
        let (look, bar) = style(span);
        let moment = matches!(span.what, SpanKind::Enqueue { .. } | SpanKind::Act { .. } | SpanKind::Request { .. });
        let took = self::span((span.length_ms(until) / 1e3).max(0.0));
        let goes_on = span.end_ms.is_none() && !matches!(span.what, SpanKind::Job { .. });
        Self {
            depth: depth.min(6),
            label: mask(&label(span)).into_owned(),
            detail: detail(span),
            job: if let SpanKind::Job { job, .. } = span.what { Some(job) } else { None },
            asked: matches!(span.what, SpanKind::Job { asked: true, .. }),
            thin: matches!(span.what, SpanKind::Job { .. }),
            took: if moment {
                String::new()
            } else if goes_on {
                format!("{took} …")
            } else {
                took
            },
            breaks: axis.breaks().filter(|at| begin + 1.0 < *at && *at < begin + width - 1.0).take(MOST_BREAKS).collect(),
            look,
            bar,
            begin,
            width,
        }
    }
}

/// The icon's look, and the class of the bar.
fn style(span: &Span) -> (Look, &'static str) {
    match &span.what {
        SpanKind::Job { state, failures, .. } => (Look::of(*state, *failures), "b-job"),
        SpanKind::Attempt { outcome, .. } => match outcome.as_str() {
            "completed" => (Look::Completed, "b-ok"),
            "running" => (Look::Running, "b-run"),
            "snoozed" => (Look::Scheduled, "b-job"),
            "cancelled" => (Look::Cancelled, "b-job"),
            _ => (Look::Dead, "b-bad"),
        },
        SpanKind::Wait { reason, .. } => match reason {
            WaitReason::Backoff => (Look::Retrying, "b-back"),
            WaitReason::Scheduled | WaitReason::Snoozed => (Look::Scheduled, "b-later"),
            WaitReason::Held | WaitReason::Paused | WaitReason::Key | WaitReason::Suspect => (Look::Parked, "b-held"),
            WaitReason::NoWorker | WaitReason::Rescue => (Look::Dead, "b-none"),
            WaitReason::Ended | WaitReason::Earlier | WaitReason::Unknown => (Look::Cancelled, "b-later"),
            _ => (Look::Available, "b-wait"),
        },
        _ => (Look::Scheduled, "b-web"),
    }
}

fn label(span: &Span) -> String {
    match &span.what {
        SpanKind::Request { request_id, route, service, .. } => {
            let name = route.as_deref().or(request_id.as_deref()).unwrap_or("request");
            service.as_deref().map_or_else(|| name.to_owned(), |service| format!("{name} · {service}"))
        }
        SpanKind::Job { kind, job, .. } => format!("{kind} {job}"),
        SpanKind::Enqueue { schedule: Some(schedule), .. } => format!("enqueued by {schedule}"),
        SpanKind::Enqueue { again_of: Some(job), .. } => format!("enqueued to repeat {job}"),
        SpanKind::Enqueue { .. } => "enqueued".to_owned(),
        SpanKind::Wait { reason, .. } => match reason {
            WaitReason::Line | WaitReason::Limit | WaitReason::Key => format!("waiting {}", reason.as_str()),
            _ => reason.as_str().to_owned(),
        },
        SpanKind::Attempt { attempt, outcome, worker, error_class, .. } => {
            let mut label = format!("attempt {attempt}");
            for part in
                [worker.as_deref(), error_class.as_deref().or((outcome != "completed").then_some(outcome.as_str()))].into_iter().flatten()
            {
                label.push_str(" · ");
                label.push_str(part);
            }
            label
        }
        SpanKind::Act { verb, who, .. } => format!("{verb} by {who}"),
        _ => String::new(),
    }
}

/// What else there is to say, for the title of the row.
fn detail(span: &Span) -> Option<String> {
    let own = match &span.what {
        SpanKind::Job { queue, state: JobState::Dead, error: Some(error), .. } => Some(format!("in {queue}: {error}")),
        SpanKind::Job { queue, .. } => Some(format!("in {queue}")),
        SpanKind::Wait { detail, .. } => detail.clone(),
        SpanKind::Attempt { error, outcome, .. } => error.clone().or_else(|| Some(outcome.clone())),
        SpanKind::Act { reason, .. } => reason.clone(),
        SpanKind::Enqueue { instant, by, .. } => instant.clone().or_else(|| by.as_ref().map(|by| format!("by {by}"))),
        SpanKind::Request { request_id, version, .. } => {
            Some(request_id.iter().chain(version).cloned().collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
        }
        _ => None,
    };
    let said: Vec<String> = own.into_iter().chain(span.notes.iter().cloned()).collect();
    let said = said.join("; ");
    // Hidden before it is cut, or half a secret would pass for a word.
    (!said.is_empty()).then(|| mask(&said).chars().take(MOST_CHARS).collect())
}
