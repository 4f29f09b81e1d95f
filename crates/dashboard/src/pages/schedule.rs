//! One schedule: when it fires, and what it made.

use askama::Template;
use axum::{extract::Path, response::Response};
use chrono::{DateTime, Utc};
use haulage_queue::{AuditFilter, JobId, ScheduleError, list_audit, schedule, store};

use super::{
    act::newest_deed,
    audit::Deed,
    schedules::{self, Line},
};
use crate::{
    app::App,
    button::Button,
    error::Problem,
    frame::Frame,
    show::{Look, Tag, ago, at, encode, mask, span_between},
};

/// Instants that are shown.
const FIRES: i32 = 30;
const UPCOMING: usize = 5;

/// `GET /schedules/{name}`.
pub(crate) async fn page(app: App, frame: Frame, Path(name): Path<String>) -> Response {
    frame.answer(read(&app, &frame, &name).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, name: &str) -> Result<SchedulePage<'a>, Problem> {
    let missing = || {
        let sentence = format!("There is no schedule {name}. One that is not declared any more leaves the list.");
        Problem::not_found(sentence).go("schedules", "All schedules")
    };
    if name.contains('\0') {
        return Err(missing());
    }
    let mut reading = app.list().await?;
    let clock = reading.clock;
    let found = match schedule(reading.db(), name).await {
        Err(ScheduleError::NotFound { .. }) => return Err(missing()),
        found => found?,
    };
    let fires = store::list_fires(reading.db(), name, FIRES).await?;
    let mut ids: Vec<JobId> = fires.iter().filter_map(|fire| fire.job).collect();
    ids.extend(found.last_job);
    let states = store::list_states(reading.db(), &ids).await?;
    let state = |id: Option<JobId>| states.iter().find(|(known, _)| Some(*known) == id).map(|(_, state)| *state);
    let deeds = list_audit(reading.db(), &AuditFilter::new().schedule(name).limit(20)).await?;
    let seen = newest_deed(frame, reading.db()).await?;
    let fired = fires.into_iter().map(|fire| Fired {
        tag: match (fire.job, state(fire.job)) {
            (None, _) => Tag::words(Look::Cancelled, "Skipped"),
            (Some(_), Some(state)) => Tag::state(state),
            (Some(_), None) => Tag::words(Look::Cancelled, "History gone"),
        },
        job: fire.job,
        at: fire.at,
        late: span_between(&fire.at, &fire.fired_at),
    });
    Ok(SchedulePage {
        frame,
        fires: fired.collect(),
        buttons: schedules::buttons(frame, &found, &clock, seen),
        upcoming: found.upcoming(UPCOMING),
        deeds: deeds.into_iter().map(Deed::new).collect(),
        line: Line::new(found.clone(), state(found.last_job), &clock),
        clock,
    })
}

#[derive(Debug)]
struct Fired {
    at: DateTime<Utc>,
    job: Option<JobId>,
    tag: Tag,
    late: String,
}

#[derive(Debug, Template)]
#[template(path = "schedule.html")]
struct SchedulePage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    line: Line,
    buttons: Vec<Button>,
    fires: Vec<Fired>,
    upcoming: Vec<DateTime<Utc>>,
    deeds: Vec<Deed>,
}
