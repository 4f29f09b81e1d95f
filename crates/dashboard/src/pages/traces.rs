//! What jobs came from and what came of it: the newest traces.

use askama::Template;
use axum::{
    extract::Query,
    response::{IntoResponse, Redirect, Response},
};
use chrono::{DateTime, Utc};
use haulage_queue::{
    JobId,
    store::{self, TraceLine, WhichTraces},
};
use serde::Deserialize;

use super::PAGE;
use crate::{
    app::App,
    error::Problem,
    frame::Frame,
    show::{Look, Tag, ago, encode, mask, number, span},
};

/// Jobs that are looked at in each table.
const REACH: i32 = 5_000;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    /// The id of a trace, a request or a job.
    #[serde(default)]
    q: String,
    #[serde(default)]
    show: String,
    #[serde(default)]
    before: String,
}

/// Which traces there are to choose from, and their names.
const TABS: [(WhichTraces, &str); 4] = [
    (WhichTraces::All, "Newest"),
    (WhichTraces::Failed, "Failed"),
    (WhichTraces::Unfinished, "Unfinished"),
    (WhichTraces::Slow, "Longest"),
];

/// `GET /traces`.
pub(crate) async fn page(app: App, frame: Frame, Query(asked): Query<Asked>) -> Response {
    let key = asked.q.trim();
    if !key.is_empty() {
        return Redirect::to(&format!("{}traces/{}", frame.base, encode(key))).into_response();
    }
    frame.answer(read(&app, &frame, &asked).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, asked: &Asked) -> Result<TracesPage<'a>, Problem> {
    let which = TABS.iter().map(|(which, _)| *which).find(|which| which.as_str() == asked.show).unwrap_or(WhichTraces::All);
    let before: Option<JobId> = match asked.before.as_str() {
        "" => None,
        text => {
            Some(text.parse().map_err(|error: haulage_queue::ParseJobIdError| Problem::bad(error.to_string()).go("traces", "All traces"))?)
        }
    };
    let mut reading = app.list().await?;
    let (mut traces, reached) = store::list_traces(reading.db(), before, REACH, which, i32::from(PAGE) + 1).await?;
    // Of the longest those among the jobs that were looked at; of the others as many as fit.
    let full = traces.len() > usize::from(PAGE);
    traces.truncate(PAGE.into());
    let next = match (which, traces.last()) {
        (WhichTraces::Slow, _) | (_, None) => reached,
        (_, Some(last)) if full => Some(last.last),
        _ => reached,
    };
    let link = |before: Option<JobId>| {
        let mut parts = Vec::new();
        if which != WhichTraces::All {
            parts.push(format!("show={}", which.as_str()));
        }
        parts.extend(before.map(|id| format!("before={id}")));
        if parts.is_empty() { "traces".to_owned() } else { format!("traces?{}", parts.join("&")) }
    };
    Ok(TracesPage {
        frame,
        clock: reading.clock,
        chosen: which,
        older: next.map(|next| link(Some(next))),
        newest: before.is_some().then(|| link(None)),
        lines: traces.into_iter().map(Line::new).collect(),
    })
}

/// A trace in a list.
#[derive(Debug)]
struct Line {
    trace: TraceLine,
    tag: Tag,
    /// The route it came by, or the kind of its first job.
    name: String,
    took: String,
}

impl Line {
    fn new(trace: TraceLine) -> Self {
        let tag = if trace.dead > 0 {
            Tag::words(Look::Dead, "A job died")
        } else if trace.retried > 0 {
            Tag::words(Look::Retrying, "Retrying")
        } else if trace.unfinished > 0 {
            Tag::words(Look::Running, "Goes on")
        } else if trace.cancelled > 0 {
            Tag::words(Look::Cancelled, "Cancelled")
        } else {
            Tag::words(Look::Completed, "Completed")
        };
        let name = mask(trace.route.as_deref().unwrap_or(&trace.kind)).into_owned();
        Self { tag, name, took: span(trace.took_s.max(0.0)), trace }
    }
}

#[derive(Debug, Template)]
#[template(path = "traces.html")]
struct TracesPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    chosen: WhichTraces,
    lines: Vec<Line>,
    older: Option<String>,
    newest: Option<String>,
}
