//! The list of jobs.

use askama::Template;
use axum::{
    extract::{Query, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use haulage_queue::{JobFilter, JobId, JobPage, JobState, JobSummary, ParkedFor, Priority, Verb, job_page, store};
use serde::Deserialize;

use super::{PAGE, act};
use crate::{
    actions::Action,
    app::App,
    error::Problem,
    form::Form,
    frame::Frame,
    search::{self, Search, Unreadable},
    show::{Tag, ago, capped, encode, first_line, mask, number, span_between},
};

/// The query as typed. Texts, so that a bad one gets our sentence; a form sends the empty ones too.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    state: String,
    #[serde(default)]
    q: String,
    #[serde(default)]
    before: String,
}

type AskedQuery = Result<Query<Asked>, QueryRejection>;

/// `GET /jobs`.
pub(crate) async fn page(app: App, frame: Frame, asked: AskedQuery) -> Response {
    let page = match read(&app, &frame, asked).await {
        Ok(Found::Job(id)) => return (StatusCode::SEE_OTHER, [(header::LOCATION, format!("{}jobs/{id}", frame.base))]).into_response(),
        Ok(Found::Page(page)) => Ok(*page),
        Err(problem) => Err(problem),
    };
    let refused = page.as_ref().is_ok_and(|page| page.refused.is_some());
    let mut response = frame.answer(page);
    if refused {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    response
}

fn state(text: &str) -> Result<Option<JobState>, Problem> {
    let state = (!text.is_empty()).then(|| text.parse()).transpose();
    state.map_err(|error: haulage_queue::UnknownWord| Problem::bad(error.to_string()))
}

fn before(text: &str) -> Result<Option<JobId>, Problem> {
    let id = (!text.is_empty()).then(|| text.parse()).transpose();
    id.map_err(|error: haulage_queue::ParseJobIdError| Problem::bad(error.to_string()))
}

enum Found<'a> {
    Job(JobId),
    Page(Box<JobsPage<'a>>),
}

async fn read<'a>(app: &App, frame: &'a Frame, asked: AskedQuery) -> Result<Found<'a>, Problem> {
    let Query(asked) = asked.map_err(|rejection| Problem::bad(rejection.body_text()))?;
    let (state, before) = (state(&asked.state)?, before(&asked.before)?);
    let mut reading = app.list().await?;
    let mut refused = None;
    let filter = match search::parse(&asked.q, &reading.clock) {
        Ok(Search::Job(id)) => return Ok(Found::Job(id)),
        Ok(Search::Filter(filter)) => Some(*filter),
        Err(unreadable) => {
            refused = Some(unreadable);
            None
        }
    };
    let counts = store::count_states(reading.db()).await?;
    let found = match filter {
        Some(filter) => {
            let filter = state.into_iter().fold(filter, JobFilter::state);
            job_page(reading.db(), &before.into_iter().fold(filter, JobFilter::before).limit(PAGE)).await?
        }
        None => {
            let nothing = JobFilter::new().limit(0);
            job_page(reading.db(), &nothing).await?
        }
    };
    let query = asked.q.trim().to_owned();
    let total: i64 = counts.counts.iter().map(|(_, count)| count).sum();
    let mut tabs = vec![Tab::new(None, "All".to_owned(), capped(total), state, &query)];
    for (each, count) in &counts.counts {
        let shown = match each {
            JobState::Completed if *count > 10_000 && counts.completed_about > 10_000 => about(counts.completed_about),
            _ => capped(*count),
        };
        tabs.push(Tab::new(Some(*each), capital(each.as_str()), shown, state, &query));
    }
    let JobPage { jobs, next, .. } = found;
    let filtered = state.is_some() || !query.is_empty();
    let may_all = filtered && refused.is_none() && frame.operates() && (!jobs.is_empty() || next.is_some());
    Ok(Found::Page(Box::new(JobsPage {
        frame,
        all: if may_all { all(frame, state, &query) } else { Vec::new() },
        clock: reading.clock,
        tabs,
        older: next.map(|id| link(state, &query, Some(id))),
        newest: before.is_some().then(|| link(state, &query, None)),
        filtered,
        jobs: jobs.into_iter().map(|job| Row::new(job, &reading.clock)).collect(),
        reached: next,
        empty: total == 0,
        state,
        query,
        refused,
    })))
}

/// What fits jobs in this state, or in any.
fn all(frame: &Frame, state: Option<JobState>, query: &str) -> Vec<(String, String)> {
    let verbs = [
        Verb::Retry,
        Verb::RunNow,
        Verb::Release,
        Verb::Hold,
        Verb::Cancel,
        Verb::Discard,
        Verb::Move { queue: String::new() },
        Verb::Reprioritise { priority: Priority::Normal },
        Verb::Delete,
    ];
    let fits = |verb: &Verb| state.is_none_or(|state| verb.states().contains(&state)) && frame.actor.may(Action::verb_needs(verb));
    let link = |verb: Verb| {
        let form = Form {
            of: "jobs".to_owned(),
            act: verb.as_str().to_owned(),
            state: state.map(|state| state.to_string()).unwrap_or_default(),
            q: query.to_owned(),
            here: frame.here.clone(),
            ..Form::default()
        };
        (form.link(), act::verb_words(verb.as_str()))
    };
    verbs.into_iter().filter(fits).map(link).collect()
}

/// An estimate to two digits: more would be a lie.
pub(crate) fn about(count: i64) -> String {
    let mut unit = 1;
    while count / unit >= 100 {
        unit *= 10;
    }
    format!("~{}", number(count / unit * unit))
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// From our root.
fn link(state: Option<JobState>, query: &str, before: Option<JobId>) -> String {
    let mut parts = Vec::new();
    if let Some(state) = state {
        parts.push(format!("state={state}"));
    }
    if !query.is_empty() {
        parts.push(format!("q={}", encode(query)));
    }
    if let Some(before) = before {
        parts.push(format!("before={before}"));
    }
    if parts.is_empty() { "jobs".to_owned() } else { format!("jobs?{}", parts.join("&")) }
}

#[derive(Debug)]
struct Tab {
    name: String,
    count: String,
    link: String,
    current: bool,
    tag: Option<Tag>,
}

impl Tab {
    fn new(state: Option<JobState>, name: String, count: String, chosen: Option<JobState>, query: &str) -> Self {
        Self { name, count, link: link(state, query, None), current: state == chosen, tag: state.map(Tag::state) }
    }
}

/// A job in a list, and what there is to say of it now.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) job: JobSummary,
    pub(crate) note: String,
}

impl Row {
    pub(crate) fn new(job: JobSummary, clock: &DateTime<Utc>) -> Self {
        let error = job.error.as_deref().map(|error| first_line(&mask(error)).into_owned()).filter(|line| !line.is_empty());
        let since = |time: Option<DateTime<Utc>>| time.map(|time| span_between(&time, clock)).unwrap_or_default();
        let note = match (job.state, error) {
            (JobState::Running, _) => format!("for {}", since(job.claimed_at)),
            (JobState::Completed, _) => {
                let took = job.claimed_at.zip(job.finished_at).map(|(from, to)| span_between(&from, &to));
                took.map_or_else(String::new, |took| format!("took {took}"))
            }
            (JobState::Scheduled, Some(error)) => format!("next try {} · {error}", due(&job.run_at, clock)),
            (_, Some(error)) => error,
            (JobState::Scheduled, None) => due(&job.run_at, clock),
            (JobState::Available, None) => format!("has waited for {}", since(Some(job.run_at))),
            (JobState::Parked, None) => match job.parked_for {
                Some(ParkedFor::Held) => "held until somebody releases it",
                Some(ParkedFor::Key) => "waits for other jobs of its limit key",
                Some(ParkedFor::Suspect) => "runs alone: its process died twice",
                _ => "set aside",
            }
            .to_owned(),
            _ => String::new(),
        };
        Self { job, note }
    }
}

fn due(at: &DateTime<Utc>, clock: &DateTime<Utc>) -> String {
    if at <= clock { "due now".to_owned() } else { format!("in {}", span_between(clock, at)) }
}

#[derive(Debug, Template)]
#[template(path = "jobs.html")]
struct JobsPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    tabs: Vec<Tab>,
    state: Option<JobState>,
    query: String,
    refused: Option<Unreadable>,
    jobs: Vec<Row>,
    older: Option<String>,
    newest: Option<String>,
    filtered: bool,
    /// What can be done to all that match: a link from our root and its name.
    all: Vec<(String, String)>,
    /// The search went down to here, whether it found something or not.
    reached: Option<JobId>,
    /// There is no job at all.
    empty: bool,
}
