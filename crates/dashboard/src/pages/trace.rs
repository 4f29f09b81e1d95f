//! One trace: all that a request, or whatever began it, led to, as a waterfall over its jobs.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use haulage_queue::{
    JobId, JobState,
    story::{self, Found, Span, SpanKind, Story, StoryKey},
};

use crate::{
    app::App,
    error::Problem,
    frame::Frame,
    show::{Look, Tag, ago, encode, mask, span},
    waterfall::Waterfall,
};

/// `GET /traces/{key}`.
pub(crate) async fn page(State(app): State<App>, frame: Frame, Path(key): Path<String>) -> Response {
    frame.answer(read(&app, &frame, &key).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, key: &str) -> Result<TracePage<'a>, Problem> {
    let unknown = |sentence: String| Problem::not_found(sentence).go("traces", "All traces");
    if key.contains('\0') {
        return Err(unknown("An id holds no NUL.".to_owned()));
    }
    let asked: StoryKey = key.parse().map_err(|error: story::StoryKeyError| unknown(error.to_string()))?;
    let Some(story) = story::tell(&app.pool, &asked).await? else {
        let sentence = "No job is known by this id: it is none of a trace, a request or a job, or its history is gone.";
        return Err(unknown(sentence.to_owned()));
    };
    let (what, id) = match &story.found {
        Found::Job(id) => ("The family of job", id.to_string()),
        Found::Trace(id) => ("Trace", id.clone()),
        Found::Request(id) => ("Request", mask(id).into_owned()),
        _ => ("Trace", key.to_owned()),
    };
    let mut jobs = Vec::new();
    collect(&story.spans, &mut jobs);
    let count = |state| jobs.iter().filter(|job| job.state == state).count();
    let unfinished = jobs.iter().filter(|job| !job.state.is_final()).count();
    Ok(TracePage {
        frame,
        what,
        id,
        route: route(&story).map(|route| mask(&route).into_owned()),
        took: span(story.length_ms().max(0.0) / 1e3),
        tag: if count(JobState::Dead) > 0 {
            Tag::words(Look::Dead, "A job died")
        } else if unfinished > 0 {
            Tag::words(Look::Running, "Goes on")
        } else if count(JobState::Cancelled) > 0 {
            Tag::words(Look::Cancelled, "Cancelled")
        } else {
            Tag::words(Look::Completed, "Completed")
        },
        dead: count(JobState::Dead),
        unfinished,
        started_at: story.started_at,
        clock: story.read_at,
        waterfall: Waterfall::new(frame, &story),
        jobs,
    })
}

/// By which way in it came.
fn route(story: &Story) -> Option<String> {
    story.spans.iter().find_map(|span| match &span.what {
        SpanKind::Request { route, service, .. } => {
            let parts: Vec<&str> = [route.as_deref(), service.as_deref()].into_iter().flatten().collect();
            (!parts.is_empty()).then(|| parts.join(" · "))
        }
        _ => None,
    })
}

/// A job of it.
#[derive(Debug)]
struct Job {
    id: JobId,
    kind: String,
    queue: String,
    state: JobState,
    tag: Tag,
    error: Option<String>,
    waited: String,
    worked: String,
}

fn collect(spans: &[Span], jobs: &mut Vec<Job>) {
    for one in spans {
        if let SpanKind::Job { job, kind, queue, state, failures, error, waited_ms, worked_ms, .. } = &one.what {
            jobs.push(Job {
                id: *job,
                kind: kind.clone(),
                queue: queue.clone(),
                state: *state,
                tag: Tag::of(state, failures, &None),
                error: error.as_deref().map(|error| crate::show::first_line(&mask(error)).into_owned()),
                waited: span(waited_ms.max(0.0) / 1e3),
                worked: span(worked_ms.max(0.0) / 1e3),
            });
        }
        collect(&one.children, jobs);
    }
}

#[derive(Debug, Template)]
#[template(path = "trace.html")]
struct TracePage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    what: &'static str,
    id: String,
    route: Option<String>,
    tag: Tag,
    took: String,
    dead: usize,
    unfinished: usize,
    started_at: DateTime<Utc>,
    waterfall: Waterfall<'a>,
    jobs: Vec<Job>,
}
