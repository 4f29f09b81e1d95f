//! Schedules, and what they made.

use chrono::{DateTime, Utc};
use haulage_queue::{JobId, ScheduleError, ScheduleStatus, schedule, store};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    cursor::behind,
    endpoint::{Answer, Name, Nothing},
    field::{Id, Page, State, Text},
    job::Part,
};
use crate::{
    app::{App, Reading},
    error::Problem,
};

/// Instants that stand with a schedule.
const UPCOMING: usize = 5;
/// Instants of the past that are kept in sight.
const RUNS: i32 = 200;

/// A schedule as it stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Schedule {
    /// Its name.
    name: String,
    /// The service that declares it.
    owner: String,
    /// Its cron expression.
    cron: String,
    /// The zone of the expression.
    zone: String,
    /// The kind of its jobs.
    kind: String,
    /// Their queue.
    queue: String,
    /// What becomes of missed instants: "skip", "one" or "all within" a time.
    missed: String,
    /// What happens when the job before has not finished: "allow", "skip" or "queue one".
    overlap: String,
    /// When it fires next, unless it is paused; `null`: its expression names no time any more.
    next_at: Option<DateTime<Utc>>,
    /// The last instant that made a job.
    last_at: Option<DateTime<Utc>>,
    /// The job that was made last.
    last_job: Option<Id>,
    /// Since when it is paused.
    paused_at: Option<DateTime<Utc>>,
    /// When the pause ends by itself.
    paused_until: Option<DateTime<Utc>>,
    /// Who paused it.
    paused_by: Option<String>,
    /// Why.
    paused_why: Option<Text>,
}

impl Schedule {
    pub(crate) fn new(schedule: ScheduleStatus) -> Self {
        Self {
            name: schedule.name,
            owner: schedule.owner,
            cron: schedule.cron,
            zone: schedule.zone,
            kind: schedule.kind,
            queue: schedule.queue,
            missed: schedule.missed,
            overlap: schedule.overlap,
            next_at: schedule.next_at,
            last_at: schedule.last_at,
            last_job: schedule.last_job.map(Id::from),
            paused_at: schedule.paused_at,
            paused_until: schedule.paused_until,
            paused_by: schedule.paused_by,
            paused_why: Text::some(schedule.paused_why.as_deref()),
        }
    }
}

/// `GET /schedules`.
pub(crate) async fn list(app: App, (): (), part: Part) -> Answer<Page<Schedule>> {
    let after = part.after.map(|after| after.place("schedules", |name| (!name.contains('\0')).then(|| name.to_owned()))).transpose()?;
    let limit = part.limit.unwrap_or_default();
    let mut reading = app.list().await?;
    let schedules = store::list_schedules(reading.db(), None, after.as_deref().unwrap_or_default(), Some(i32::from(limit.0) + 1)).await?;
    Ok(Page::cut(schedules.into_iter().map(Schedule::new).collect(), limit, |last| behind("schedules", &last.name)))
}

/// A schedule, with when it fires.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ScheduleDetail {
    #[serde(flatten)]
    schedule: Schedule,
    /// The next instants, whether it is paused or not.
    upcoming: Vec<DateTime<Utc>>,
}

/// `GET /schedules/{name}`.
pub(crate) async fn show(app: App, Name(name): Name, _: Nothing) -> Answer<ScheduleDetail> {
    let found = find(&mut app.list().await?, &name).await?;
    Ok(ScheduleDetail { upcoming: found.upcoming(UPCOMING), schedule: Schedule::new(found) })
}

async fn find(reading: &mut Reading, name: &str) -> Answer<ScheduleStatus> {
    match schedule(reading.db(), name).await {
        Err(ScheduleError::NotFound { .. }) => {
            Err(Problem::not_found(format!("there is no schedule \"{name}\": one that is not declared any more leaves the list")))
        }
        found => Ok(found?),
    }
}

/// An instant of a schedule.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ScheduleRun")]
pub(crate) struct Run {
    /// The instant.
    at: DateTime<Utc>,
    /// When that was seen.
    fired_at: DateTime<Utc>,
    /// The job that was made; `null`: it was left out.
    job: Option<Id>,
    /// Where that job stands; `null`: its history is gone.
    state: Option<State>,
}

/// `GET /schedules/{name}/runs`.
pub(crate) async fn runs(app: App, Name(name): Name, _: Nothing) -> Answer<Page<Run>> {
    let mut reading = app.list().await?;
    find(&mut reading, &name).await?;
    let fires = store::list_fires(reading.db(), &name, RUNS).await?;
    let ids: Vec<JobId> = fires.iter().filter_map(|fire| fire.job).collect();
    let states = store::list_states(reading.db(), &ids).await?;
    let state = |id: Option<JobId>| states.iter().find(|(known, _)| Some(*known) == id).map(|(_, state)| State(*state));
    let run = |fire: &store::Instant| Run { at: fire.at, fired_at: fire.fired_at, job: fire.job.map(Id::from), state: state(fire.job) };
    Ok(Page::whole(fires.iter().map(run).collect()))
}
