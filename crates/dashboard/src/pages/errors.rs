//! What attempts failed with, error by error.

use askama::Template;
use axum::{extract::Query, response::Response};
use chrono::{DateTime, Utc};
use haulage_queue::{ErrorGroup, check_name, error_groups, store};
use serde::Deserialize;
use sqlx::PgConnection;

use super::PAGE;
use crate::{
    app::App,
    error::Problem,
    frame::Frame,
    search::is_fingerprint,
    show::{Spark, ago, encode, first_line, mask, number},
};

/// Hours of an error's trend.
const HOURS: usize = 24;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    kind: String,
    /// Where the page before ended: microseconds, and a fingerprint.
    #[serde(default)]
    before: String,
}

/// `GET /errors`.
pub(crate) async fn page(app: App, frame: Frame, Query(asked): Query<Asked>) -> Response {
    frame.answer(read(&app, &frame, &asked).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, asked: &Asked) -> Result<ErrorsPage<'a>, Problem> {
    let kind = asked.kind.trim();
    if !kind.is_empty() {
        check_name("kind", kind).map_err(|error| Problem::bad(error.to_string()).go("errors", "All errors"))?;
    }
    let before = match asked.before.as_str() {
        "" => None,
        text => Some(cursor(text).ok_or_else(|| Problem::bad("this is no place in the list").go("errors", "All errors"))?),
    };
    let mut reading = app.list().await?;
    let mut groups = error_groups(reading.db(), (!kind.is_empty()).then_some(kind), before, PAGE + 1).await?;
    let more = groups.len() > usize::from(PAGE);
    groups.truncate(PAGE.into());
    let link = |before: Option<&ErrorGroup>| {
        let kind = (!kind.is_empty()).then(|| format!("kind={}", encode(kind)));
        let before = before.map(|last| format!("before={}.{}", last.last_at.timestamp_micros(), last.fingerprint));
        let parts: Vec<String> = kind.into_iter().chain(before).collect();
        if parts.is_empty() { "errors".to_owned() } else { format!("errors?{}", parts.join("&")) }
    };
    Ok(ErrorsPage {
        frame,
        clock: reading.clock,
        older: groups.last().filter(|_| more).map(|last| link(Some(last))),
        newest: before.is_some().then(|| link(None)),
        lines: lines(reading.db(), groups).await?,
        kind: kind.to_owned(),
    })
}

fn cursor(text: &str) -> Option<(DateTime<Utc>, &str)> {
    let (at, fingerprint) = text.split_once('.')?;
    let at = DateTime::from_timestamp_micros(at.parse().ok()?)?;
    is_fingerprint(fingerprint).then_some((at, fingerprint))
}

/// An error in a list.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) group: ErrorGroup,
    pub(crate) message: String,
    pub(crate) trend: Spark,
}

/// With their trends.
async fn lines(db: &mut PgConnection, groups: Vec<ErrorGroup>) -> Result<Vec<Line>, Problem> {
    let prints: Vec<&str> = groups.iter().map(|group| group.fingerprint.as_str()).collect();
    let hours = store::list_error_hours(db, &prints, HOURS as i32).await?;
    let line = |group: ErrorGroup| {
        let mut trend = Spark::new(HOURS);
        for (_, ago, attempts) in hours.iter().filter(|(fingerprint, ..)| *fingerprint == group.fingerprint) {
            if let Some(step) = usize::try_from(*ago).ok().and_then(|ago| (HOURS - 1).checked_sub(ago)) {
                trend.add(step, *attempts);
            }
        }
        Line { message: first_line(&mask(&group.message)).into_owned(), trend, group }
    };
    Ok(groups.into_iter().map(line).collect())
}

#[derive(Debug, Template)]
#[template(path = "errors.html")]
struct ErrorsPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    kind: String,
    lines: Vec<Line>,
    older: Option<String>,
    newest: Option<String>,
}
