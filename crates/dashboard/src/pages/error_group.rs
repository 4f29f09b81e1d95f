//! One error: what it says, since when, how often, and the jobs whose last attempt failed with it.

use askama::Template;
use axum::{extract::Path, response::Response};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use haulage_queue::{ErrorGroup, JobFilter, JobState, error_group, job_page, store};

use super::jobs::Row;
use crate::{
    app::App,
    chart::{Chart, Series, Steps},
    error::Problem,
    frame::Frame,
    show::{Look, Tag, ago, encode, mask, number},
};

/// Jobs that are shown.
const SOME: u16 = 20;
/// Hours of its chart.
const HOURS: u8 = 72;

/// `GET /errors/{fingerprint}`.
pub(crate) async fn page(app: App, frame: Frame, Path(fingerprint): Path<String>) -> Response {
    frame.answer(read(&app, &frame, &fingerprint).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, fingerprint: &str) -> Result<ErrorPage<'a>, Problem> {
    let unknown = || {
        let sentence = "No such error is known. It was not seen for longer than its jobs are kept, or it never was.";
        Problem::not_found(sentence).go("errors", "All errors")
    };
    if fingerprint.contains('\0') {
        return Err(unknown());
    }
    let mut reading = app.list().await?;
    let clock = reading.clock;
    let group = error_group(reading.db(), fingerprint).await?.ok_or_else(unknown)?;
    let hours = store::list_error_hours(reading.db(), &[fingerprint], HOURS.into()).await?;
    let mut values = vec![Some(0.0); HOURS.into()];
    for (_, ago, attempts) in hours {
        if let Some(value) = usize::try_from(i32::from(HOURS) - 1 - ago).ok().and_then(|step| values.get_mut(step)) {
            *value = Some(attempts as f64);
        }
    }
    let seen: f64 = values.iter().flatten().sum();
    let now = clock.duration_trunc(TimeDelta::hours(1)).unwrap_or(clock);
    let steps = Steps { start: now - TimeDelta::hours(i64::from(HOURS) - 1), length: TimeDelta::hours(1), count: HOURS.into() };
    let series = [Series { name: "attempts", class: "b-bad", values }];
    let says = format!("{} in three days", number(seen as i64));
    let filter = JobFilter::new().error_group(fingerprint);
    let dead = job_page(reading.db(), &filter.clone().state(JobState::Dead).limit(SOME)).await?;
    let retried = job_page(reading.db(), &filter.state(JobState::Scheduled).limit(SOME)).await?;
    let rows = |jobs: Vec<haulage_queue::JobSummary>| jobs.into_iter().map(|job| Row::new(job, &clock)).collect::<Vec<_>>();
    Ok(ErrorPage {
        frame,
        chart: Chart::bars("c-attempts", "Attempts by hour", says, steps, &series),
        message: mask(&group.message).into_owned(),
        class: mask(&group.error_class).into_owned(),
        more_dead: dead.next.is_some(),
        dead: rows(dead.jobs),
        more_retried: retried.next.is_some(),
        retried: rows(retried.jobs),
        group,
        clock,
    })
}

#[derive(Debug, Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    group: ErrorGroup,
    class: String,
    message: String,
    chart: Chart,
    dead: Vec<Row>,
    more_dead: bool,
    retried: Vec<Row>,
    more_retried: bool,
}
