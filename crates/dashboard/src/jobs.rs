//! The list of jobs, as a page and as JSON.

use askama::Template;
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{Html, IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use haulage_queue::{JobFilter, JobId, JobState, JobSummary, check_name, list_jobs};
use serde::Deserialize;
use sqlx::PgPool;

use crate::{base::Base, error::Problem};

/// What a person scans without losing the place.
const PAGE: u16 = 50;

/// The query as typed. Texts, so that a bad one gets our sentence; a form sends the empty ones too.
#[derive(Debug, Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    state: String,
    #[serde(default)]
    queue: String,
    #[serde(default)]
    before: String,
}

#[derive(Debug)]
struct Wanted {
    state: Option<JobState>,
    queue: Option<String>,
    before: Option<JobId>,
}

type Asked = Result<Query<Search>, QueryRejection>;

/// `GET /`.
pub(crate) async fn page(State(pool): State<PgPool>, base: Base, asked: Asked) -> Response {
    match read(&pool, asked, PAGE + 1).await {
        Ok((wanted, jobs)) => JobsPage::new(&base, &wanted, jobs).into_response(),
        Err(problem) => problem.page(&base),
    }
}

/// `GET /jobs.json`.
pub(crate) async fn json(State(pool): State<PgPool>, asked: Asked) -> Response {
    match read(&pool, asked, PAGE).await {
        Ok((_, jobs)) => Json(jobs).into_response(),
        Err(problem) => problem.json(),
    }
}

async fn read(pool: &PgPool, asked: Asked, limit: u16) -> Result<(Wanted, Vec<JobSummary>), Problem> {
    let wanted = Wanted::new(asked)?;
    let mut filter = JobFilter::new().limit(limit);
    if let Some(state) = wanted.state {
        filter = filter.state(state);
    }
    if let Some(queue) = &wanted.queue {
        filter = filter.queue(queue);
    }
    if let Some(before) = wanted.before {
        filter = filter.before(before);
    }
    let jobs = list_jobs(pool, &filter).await?;
    Ok((wanted, jobs))
}

impl Wanted {
    fn new(asked: Asked) -> Result<Self, Problem> {
        let Query(search) = asked.map_err(|rejection| Problem::bad(rejection.body_text()))?;
        let given = |text: String| (!text.is_empty()).then_some(text);
        let queue = given(search.queue);
        if let Some(queue) = &queue {
            check_name("queue", queue).map_err(|error| Problem::bad(error.to_string()))?;
        }
        Ok(Self {
            state: given(search.state)
                .map(|text| text.parse())
                .transpose()
                .map_err(|error: haulage_queue::UnknownWord| Problem::bad(error.to_string()))?,
            queue,
            before: given(search.before)
                .map(|text| text.parse())
                .transpose()
                .map_err(|error: haulage_queue::ParseJobIdError| Problem::bad(error.to_string()))?,
        })
    }
}

#[derive(Debug, Template)]
#[template(path = "jobs.html")]
struct JobsPage<'a> {
    base: &'a str,
    state: Option<JobState>,
    queue: &'a str,
    jobs: Vec<JobSummary>,
    /// Below which id the next page begins.
    older: Option<JobId>,
    filtered: bool,
}

impl<'a> JobsPage<'a> {
    /// `jobs` holds one more than is shown if there are older ones.
    fn new(base: &'a Base, wanted: &'a Wanted, mut jobs: Vec<JobSummary>) -> Self {
        let more = jobs.len() > usize::from(PAGE);
        jobs.truncate(PAGE.into());
        Self {
            base: &base.0,
            state: wanted.state,
            queue: wanted.queue.as_deref().unwrap_or_default(),
            older: jobs.last().filter(|_| more).map(|job| job.id),
            jobs,
            filtered: wanted.state.is_some() || wanted.queue.is_some() || wanted.before.is_some(),
        }
    }

    fn into_response(self) -> Response {
        match self.render() {
            Ok(html) => Html(html).into_response(),
            Err(error) => Problem::from(error).json(),
        }
    }
}

fn shown(time: &DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
