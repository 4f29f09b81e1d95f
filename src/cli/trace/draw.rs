//! A story as a waterfall of characters: a tree on the left, lengths, and bars along the time.

use haulage::{
    JobState,
    story::{Axis, Found, Span, SpanKind, Story, WaitReason},
};

use super::{
    bar::bar,
    paint::{Paint, Tone},
    tell::{length, sentence},
};
use crate::cli::output::{safe, said, time};

/// Lines of an error, and of what an attempt logged.
const ERROR_LINES: usize = 3;
const LOG_LINES: usize = 10;
/// The column of the lengths, with a blank on each side.
const LENGTHS: usize = 12;
/// Of that of the tree so much is left for a name, however deep it hangs.
const NAME: usize = 14;
/// Traces whose pages are listed.
const LINKS: usize = 10;

/// A line of the tree.
struct Row<'a> {
    span: &'a Span,
    /// The branches before its own label, and before the lines below it.
    branch: String,
    below: String,
}

/// `fit`: what was said is cut to the width too. Without it only the tree is, and whoever reads a file or a pipe can read on.
pub(super) fn draw(story: &Story, (width, fit): (usize, bool), paint: Paint) -> String {
    let until = story.length_ms();
    let mut rows = Vec::new();
    for span in &story.spans {
        collect(span, String::new(), String::new(), &mut rows);
    }
    let labels: Vec<String> = rows.iter().map(|row| label(row.span)).collect();
    let longest = rows.iter().zip(&labels).map(|(row, label)| row.branch.chars().count() + label.chars().count()).max().unwrap_or(0);
    let left = longest.clamp(20, (width - LENGTHS) * 3 / 5);
    let columns = width - left - LENGTHS;
    let axis = Axis::of(rows.iter().map(|row| row.span), until, columns as f64);

    let mut text = head(story, paint);
    let scale = length(until);
    let room = columns.saturating_sub(scale.chars().count() + 1);
    text.push_str(&paint.text(Tone::Quiet, &format!("{:gap$}0{:room$}{scale}", "", "", gap = left + LENGTHS)));
    text.push('\n');
    for (row, label) in rows.iter().zip(&labels) {
        line(&mut text, row, label, left, &axis, until, paint);
        for (tone, below) in remarks(row.span) {
            let branch = cut_branch(&row.below, left);
            let room = width.saturating_sub(branch.chars().count() + 2);
            text.push_str(&paint.text(Tone::Quiet, &branch));
            text.push_str("  ");
            let below = if fit { cut_middle(&below, room) } else { below };
            text.push_str(&paint.text(tone, &below));
            text.push('\n');
        }
    }
    text.push('\n');
    let mut legend = "█ runs   ░ in line   ▒ held up   · its time has not come".to_owned();
    if axis.breaks().next().is_some() {
        legend.push_str("   / drawn shorter");
    }
    text.push_str(&paint.text(Tone::Quiet, &wrap(&legend, width)));
    text.push_str(&end(story, &rows, until, width, paint));
    text
}

fn collect<'a>(span: &'a Span, branch: String, below: String, rows: &mut Vec<Row<'a>>) {
    // What is below a row hangs on the stem of its children.
    let stem = if span.children.is_empty() { "  " } else { "│ " };
    rows.push(Row { span, branch, below: format!("{below}{stem}") });
    let count = span.children.len();
    for (n, child) in span.children.iter().enumerate() {
        let (own, further) = if n + 1 == count { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        collect(child, format!("{below}{own}"), format!("{below}{further}"), rows);
    }
}

/// What was asked for, and when it was.
fn head(story: &Story, paint: Paint) -> String {
    let what = match &story.found {
        Found::Job(id) => format!("job {id}"),
        Found::Trace(id) => format!("trace {id}"),
        Found::Request(id) => format!("request {}", one_line(id)),
        _ => String::new(),
    };
    let state = if story.ended_at.is_some() { "all of it has ended" } else { "it goes on" };
    format!("{}  {}, {state}\n\n", paint.text(Tone::Title, &what), time(story.started_at))
}

fn line(text: &mut String, row: &Row<'_>, label: &str, left: usize, axis: &Axis, until: f64, paint: Paint) {
    let span = row.span;
    let branch = cut_branch(&row.branch, left);
    let drawn = branch.chars().count();
    let name = cut(label, left - drawn);
    text.push_str(&paint.text(Tone::Quiet, &branch));
    text.push_str(&paint.text(tone(span), &name));
    let is_moment = matches!(span.what, SpanKind::Enqueue { .. } | SpanKind::Act { .. } | SpanKind::Request { .. });
    let took = if is_moment { String::new() } else { length(span.length_ms(until)) };
    text.push_str(&" ".repeat(left - drawn - name.chars().count()));
    text.push_str(&format!("{took:>width$}  ", width = LENGTHS - 2));
    let mut bar = bar(axis, span.start_ms, span.end_ms.unwrap_or(until), fill(span));
    if span.end_ms.is_none() && !matches!(span.what, SpanKind::Job { .. }) {
        bar.pop();
        bar.push('>');
    }
    text.push_str(paint.text(bar_tone(span), &bar).trim_end());
    text.push('\n');
}

fn fill(span: &Span) -> char {
    match &span.what {
        SpanKind::Job { .. } => '─',
        SpanKind::Attempt { .. } => '█',
        SpanKind::Wait { reason, .. } => match reason {
            WaitReason::Line | WaitReason::Taken => '░',
            WaitReason::Scheduled | WaitReason::Backoff | WaitReason::Snoozed => '·',
            WaitReason::Earlier | WaitReason::Unknown | WaitReason::Ended => '?',
            _ => '▒',
        },
        _ => '◆',
    }
}

fn tone(span: &Span) -> Tone {
    match &span.what {
        SpanKind::Request { .. } => Tone::Title,
        SpanKind::Job { state: JobState::Dead, .. } => Tone::Bad,
        SpanKind::Job { asked: true, .. } => Tone::Title,
        SpanKind::Attempt { outcome, .. } if is_bad(outcome) => Tone::Bad,
        _ => Tone::Plain,
    }
}

fn bar_tone(span: &Span) -> Tone {
    match &span.what {
        SpanKind::Attempt { outcome, .. } if is_bad(outcome) => Tone::Bad,
        SpanKind::Attempt { .. } => Tone::Good,
        SpanKind::Wait { reason: WaitReason::NoWorker, .. } => Tone::Bad,
        SpanKind::Wait { reason: WaitReason::Held | WaitReason::Paused | WaitReason::Key | WaitReason::Limit, .. } => Tone::Late,
        _ => Tone::Quiet,
    }
}

fn is_bad(outcome: &str) -> bool {
    !matches!(outcome, "completed" | "running" | "snoozed" | "cancelled")
}

/// A line in words.
fn label(span: &Span) -> String {
    let text = match &span.what {
        SpanKind::Request { request_id, route, service, version } => {
            let name = route.as_deref().or(request_id.as_deref()).unwrap_or("request");
            let of: Vec<&str> = service.as_deref().into_iter().chain(version.as_deref()).collect();
            if of.is_empty() { name.to_owned() } else { format!("{name}, {}", of.join(" ")) }
        }
        SpanKind::Job { job, kind, state, .. } if state.is_final() => format!("job {job} {kind}, {state}"),
        SpanKind::Job { job, kind, queue, .. } => format!("job {job} {kind}, in {queue}"),
        SpanKind::Enqueue { schedule: Some(schedule), .. } => format!("enqueued by {schedule}"),
        SpanKind::Enqueue { again_of: Some(job), .. } => format!("enqueued to repeat {job}"),
        SpanKind::Enqueue { .. } => "enqueued".to_owned(),
        SpanKind::Wait { reason: WaitReason::Key, detail: Some(key) } => format!("for its key {key}"),
        SpanKind::Wait { reason, .. } => reason.as_str().to_owned(),
        SpanKind::Attempt { attempt, outcome, .. } => format!("attempt {attempt} {outcome}"),
        SpanKind::Act { verb, who, .. } => format!("{verb} by {who}"),
        _ => String::new(),
    };
    one_line(&text)
}

/// The lines below it: why, what it said, what it logged.
fn remarks(span: &Span) -> Vec<(Tone, String)> {
    let mut lines = Vec::new();
    let mut tell = |tone, text: &str, most: usize| {
        let said: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines.extend(said.iter().take(most).map(|line| (tone, one_line(line))));
        if said.len() > most {
            lines.push((Tone::Quiet, format!("(and {} more lines)", said.len() - most)));
        }
    };
    match &span.what {
        SpanKind::Request { request_id: Some(id), route: Some(_), .. } => tell(Tone::Quiet, id, 1),
        SpanKind::Job { error: Some(error), .. } if !said_by_an_attempt(span, error) => tell(Tone::Bad, error, ERROR_LINES),
        SpanKind::Enqueue { instant: Some(instant), .. } => tell(Tone::Quiet, &format!("for {instant}"), 1),
        SpanKind::Enqueue { by: Some(by), .. } => tell(Tone::Quiet, &format!("by {by}"), 1),
        SpanKind::Wait { reason, detail: Some(detail) } if *reason != WaitReason::Key => tell(Tone::Quiet, detail, ERROR_LINES),
        SpanKind::Act { reason: Some(reason), .. } => tell(Tone::Quiet, reason, ERROR_LINES),
        SpanKind::Attempt { error, log, worker, outcome, .. } => {
            if let Some(error) = error {
                tell(if is_bad(outcome) { Tone::Bad } else { Tone::Quiet }, error, ERROR_LINES);
            }
            if outcome == "running"
                && let Some(worker) = worker
            {
                tell(Tone::Quiet, &format!("on {worker}"), 1);
            }
            let earlier = log.len().saturating_sub(LOG_LINES);
            log.iter().skip(earlier).for_each(|line| tell(Tone::Quiet, &format!("{:5} {}", line.level, said(line)).replace('\n', " "), 1));
        }
        _ => {}
    }
    lines.extend(span.notes.iter().map(|note| (Tone::Quiet, one_line(note))));
    lines
}

/// Whether the attempt that ended a job has its error already.
fn said_by_an_attempt(job: &Span, error: &str) -> bool {
    job.children.iter().any(|child| matches!(&child.what, SpanKind::Attempt { error: Some(said), .. } if said == error))
}

/// The story in a sentence, what is not told, and where its traces are shown.
fn end(story: &Story, rows: &[Row<'_>], until: f64, width: usize, paint: Paint) -> String {
    let jobs: Vec<&Span> = rows.iter().map(|row| row.span).filter(|span| matches!(span.what, SpanKind::Job { .. })).collect();
    let mut text = String::new();
    for told in sentence(&jobs, until).iter().chain(&story.notes) {
        text.push('\n');
        text.push_str(&wrap(&safe(told), width));
    }
    if matches!(story.found, Found::Job(_))
        && let Some(request) = rows.iter().find_map(|row| match &row.span.what {
            SpanKind::Request { request_id, .. } => request_id.as_deref(),
            _ => None,
        })
    {
        text.push_str(&format!("\n{}", wrap(&format!("All jobs of its request: haulage trace {}", one_line(request)), width)));
    }
    let mut traces: Vec<(&str, Option<bool>, Option<&str>)> = Vec::new();
    for trace in rows.iter().filter_map(|row| row.span.trace.as_ref()) {
        if !traces.iter().any(|(id, ..)| *id == trace.trace_id) {
            traces.push((&trace.trace_id, trace.sampled, trace.url.as_deref()));
        }
    }
    if !traces.is_empty() {
        text.push_str(&format!("\n{}\n", if traces.len() == 1 { "Trace:" } else { "Traces:" }));
    }
    for (id, sampled, url) in traces.iter().take(LINKS) {
        let not_there = if *sampled == Some(false) { "  (not sampled: only logs name it)" } else { "" };
        text.push_str(&format!("  {}{}\n", one_line(url.unwrap_or(id)), paint.text(Tone::Quiet, not_there)));
    }
    if traces.len() > LINKS {
        text.push_str(&paint.text(Tone::Quiet, &format!("  (and {} more)\n", traces.len() - LINKS)));
    }
    text
}

fn one_line(text: &str) -> String {
    safe(&text.replace('\n', " "))
}

/// At most so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// At most so many characters. An error says at its end what was behind it.
fn cut_middle(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(1);
    text.chars().take(kept - kept / 2).chain(['…']).chain(text.chars().skip(length - kept / 2)).collect()
}

/// The end of a branch that is too deep for its column, which leaves room for a name.
fn cut_branch(branch: &str, column: usize) -> String {
    let (length, most) = (branch.chars().count(), column.saturating_sub(NAME));
    if length <= most {
        return branch.to_owned();
    }
    ['…'].into_iter().chain(branch.chars().skip(length - most.saturating_sub(1))).collect()
}

/// Broken at blanks.
fn wrap(text: &str, width: usize) -> String {
    let (mut wrapped, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            wrapped.push('\n');
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped.push('\n');
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_of_any_depth_leaves_room_for_a_name() {
        for column in 20..=100 {
            for depth in 0..80 {
                let branch = format!("{}└─ ", "│  ".repeat(depth));
                let cut_off = cut_branch(&branch, column);
                let name = cut("job 1 print, completed", column - cut_off.chars().count());
                assert!(name.chars().count() >= NAME, "{column} {depth}");
                assert!(cut_off.chars().count() + name.chars().count() <= column, "{column} {depth}");
                assert!(cut_off.ends_with("└─ "), "{cut_off}");
            }
        }
        assert_eq!(cut_branch("│  └─ ", 20), "│  └─ ");
        let error = "no answer from http://127.0.0.1:9: client error (Connect): tcp connect error: Connection refused (os error 111)";
        let cut = cut_middle(error, 61);
        assert!(cut.starts_with("no answer from ") && cut.ends_with("refused (os error 111)") && cut.chars().count() == 61, "{cut}");
        assert_eq!(cut_branch("│  │  └─ ", 20), "…  └─ ");
    }
}
