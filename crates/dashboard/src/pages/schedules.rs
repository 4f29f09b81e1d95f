//! Schedules, by name.

use askama::Template;
use axum::{extract::Query, response::Response};
use chrono::{DateTime, Utc};
use haulage_queue::{JobState, ScheduleStatus, store};
use serde::Deserialize;

use super::{PAGE, act::newest_deed};
use crate::{
    actions::Action,
    app::App,
    button::Button,
    error::Problem,
    frame::Frame,
    show::{Look, Tag, ago, encode},
};

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    /// Names after this one.
    #[serde(default)]
    after: String,
}

/// `GET /schedules`.
pub(crate) async fn page(app: App, frame: Frame, Query(asked): Query<Asked>) -> Response {
    frame.answer(read(&app, &frame, &asked.after).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, after: &str) -> Result<SchedulesPage<'a>, Problem> {
    if after.contains('\0') {
        return Err(Problem::bad("the name of a schedule holds no NUL"));
    }
    let mut reading = app.list().await?;
    let clock = reading.clock;
    let mut schedules = store::list_schedules(reading.db(), None, after, Some(i32::from(PAGE) + 1)).await?;
    let more = schedules.len() > usize::from(PAGE);
    schedules.truncate(PAGE.into());
    let last: Vec<_> = schedules.iter().filter_map(|schedule| schedule.last_job).collect();
    let states = store::list_states(reading.db(), &last).await?;
    let next = schedules.last().filter(|_| more).map(|last| format!("schedules?after={}", encode(&last.name)));
    let seen = newest_deed(frame, reading.db()).await?;
    let buttons = schedules.iter().map(|schedule| buttons(frame, schedule, &clock, seen)).collect();
    let line = |schedule: ScheduleStatus| {
        let state = states.iter().find(|(id, _)| Some(*id) == schedule.last_job).map(|(_, state)| *state);
        Line::new(schedule, state, &clock)
    };
    Ok(SchedulesPage { frame, clock, schedules: schedules.into_iter().map(line).collect(), buttons, next, first: after.is_empty() })
}

/// Run it now; pause it, or let it go on.
pub(crate) fn buttons(frame: &Frame, schedule: &ScheduleStatus, clock: &DateTime<Utc>, seen: i64) -> Vec<Button> {
    let name = || schedule.name.clone();
    let toggle = if is_paused(schedule, clock) {
        Button::new(frame, &Action::ResumeSchedule { schedule: name() }, "Resume").map(Button::first)
    } else {
        Button::new(frame, &Action::PauseSchedule { schedule: name(), length: None }, "Pause")
    };
    let run = Button::new(frame, &Action::RunSchedule { schedule: name(), seen: Some(seen) }, "Run now");
    toggle.into_iter().chain(run).collect()
}

fn is_paused(schedule: &ScheduleStatus, clock: &DateTime<Utc>) -> bool {
    schedule.paused_at.is_some() && schedule.paused_until.is_none_or(|until| until > *clock)
}

/// A schedule in a list.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) schedule: ScheduleStatus,
    pub(crate) tag: Tag,
    pub(crate) paused: bool,
    /// How its last job fares; `None`: there was none, or its history is gone.
    pub(crate) last: Option<Tag>,
}

impl Line {
    pub(crate) fn new(schedule: ScheduleStatus, last: Option<JobState>, clock: &DateTime<Utc>) -> Self {
        let paused = is_paused(&schedule, clock);
        let late = schedule.next_at.is_some_and(|next| *clock - next > chrono::TimeDelta::minutes(1));
        let tag = if paused {
            Tag::words(Look::Retrying, "Paused")
        } else if schedule.next_at.is_none() {
            Tag::words(Look::Cancelled, "Ended")
        } else if late {
            Tag::words(Look::Dead, "Late")
        } else {
            Tag::words(Look::Completed, "On")
        };
        Self { schedule, tag, paused, last: last.map(Tag::state) }
    }
}

#[derive(Debug, Template)]
#[template(path = "schedules.html")]
struct SchedulesPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    schedules: Vec<Line>,
    /// Of each.
    buttons: Vec<Vec<Button>>,
    next: Option<String>,
    first: bool,
}
