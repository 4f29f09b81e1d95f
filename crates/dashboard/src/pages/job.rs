//! One job: where it stands, what happened to it, what it was given and what came of it.

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use haulage_queue::{
    Attempt, AuditFilter, JobFilter, JobId, JobState, ParkedFor, Progress, job, job_page, list_audit,
    store::{self, JobSheet},
};
use serde::Deserialize;

use super::{audit::Deed, jobs::Row};
use crate::{
    app::App,
    error::Problem,
    frame::Frame,
    show::{Gauge, Json, Look, Tag, ago, at, encode, gauge, json, mask, span, span_between},
};

/// Characters of args, meta and output that are shown.
const MOST: i32 = 65_536;
/// Attempts, children and deeds that are shown at a time.
const SOME: u16 = 20;

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    /// Attempts before this one.
    #[serde(default)]
    attempts: Option<String>,
}

/// `GET /jobs/{id}`.
pub(crate) async fn page(State(app): State<App>, frame: Frame, Path(id): Path<String>, Query(asked): Query<Asked>) -> Response {
    frame.answer(read(&app, &frame, &id, &asked).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, id: &str, asked: &Asked) -> Result<JobPage<'a>, Problem> {
    let id: JobId = id.parse().map_err(|error: haulage_queue::ParseJobIdError| Problem::not_found(error.to_string()))?;
    let before = asked.attempts.as_deref().and_then(|text| text.parse().ok()).unwrap_or(i32::MAX);
    let mut reading = app.read().await?;
    let sheet = store::get_job_sheet(reading.db(), id, MOST).await?.ok_or_else(|| {
        Problem::not_found(format!(
            "There is no job {id}. It never was, its transaction was rolled back, or it finished so long ago that its history is gone."
        ))
    })?;
    let mut attempts = store::page_attempts(reading.db(), id, before, i32::from(SOME) + 1).await?;
    let more = attempts.len() > usize::from(SOME);
    attempts.truncate(SOME.into());
    let children = job_page(reading.db(), &JobFilter::new().parent(id).limit(SOME)).await?;
    let mut family = Vec::new();
    let root = sheet.root.filter(|root| Some(*root) != sheet.parent);
    for (relation, id) in [("Parent", sheet.parent), ("Root", root)] {
        if let Some(id) = id {
            family.push(Relative { relation, id, job: job(reading.db(), id).await? });
        }
    }
    let deeds = list_audit(reading.db(), &AuditFilter::new().job(id).limit(SOME)).await?;
    let clock = reading.clock;
    Ok(JobPage {
        frame,
        tag: Tag::of(&sheet.state, &sheet.failures, &sheet.parked_for),
        older_attempts: attempts.last().filter(|_| more).map(|last| last.attempt),
        attempts: attempts.into_iter().map(Tried::new).collect(),
        newest_attempts: before == i32::MAX,
        children: children.jobs.into_iter().map(|job| Row::new(job, &clock)).collect(),
        more_children: children.next.is_some(),
        family,
        deeds: deeds.into_iter().map(Deed::new).collect(),
        origin: origin(sheet.origin.as_deref()),
        args: json(&sheet.args),
        meta: sheet.meta.as_ref().map(json),
        output: sheet.output.as_ref().map(json),
        error: sheet.error.as_deref().map(|error| mask(error).into_owned()),
        sentence: sentence(&sheet, &clock),
        job: sheet,
        clock,
    })
}

/// Where the job stands, in a sentence.
fn sentence(job: &JobSheet, clock: &DateTime<Utc>) -> Option<(Look, String)> {
    let look = Look::of(job.state, job.failures);
    let waited = job.claimed_at.map(|claimed| span_between(&job.eligible_at, &claimed));
    let text = match (job.state, job.parked_for) {
        (JobState::Completed, _) => {
            let (claimed, finished) = job.claimed_at.zip(job.finished_at)?;
            let waited = waited.unwrap_or_default();
            let tries = if job.attempt > 1 { format!(" on attempt {}", job.attempt) } else { String::new() };
            format!("It completed{tries} after {}, having waited {waited} for a worker.", span_between(&claimed, &finished))
        }
        (JobState::Dead, _) => {
            format!("It is dead after {} of {} failures: nothing runs it again unless somebody retries it.", job.failures, job.max_attempts)
        }
        (JobState::Cancelled, _) => "It was cancelled and will not run.".to_owned(),
        (JobState::Running, _) => {
            format!("It has been running for {}.", job.claimed_at.map(|claimed| span_between(&claimed, clock)).unwrap_or_default())
        }
        (JobState::Scheduled, _) if job.run_at <= *clock => "It is due; a worker puts it in line within a second or two.".to_owned(),
        (JobState::Scheduled, _) if job.failures > 0 => {
            format!("Failure {} of {}; the next try is in {}.", job.failures, job.max_attempts, span_between(clock, &job.run_at))
        }
        (JobState::Scheduled, _) => format!("It is scheduled, and due in {}.", span_between(clock, &job.run_at)),
        (JobState::Available, _) => format!("It can run, and has waited for a worker for {}.", span_between(&job.eligible_at, clock)),
        (JobState::Parked, Some(ParkedFor::Held)) => "It is held until somebody releases it.".to_owned(),
        (JobState::Parked, Some(ParkedFor::Key)) => {
            format!("It waits for other jobs of the limit key {}.", job.limit_key.as_deref().unwrap_or("that it has"))
        }
        (JobState::Parked, Some(ParkedFor::Suspect)) => "Its process died twice while it ran; a worker takes it alone.".to_owned(),
        _ => return None,
    };
    Some((look, text))
}

/// What is known of where it came from, name by name.
fn origin(text: Option<&str>) -> Vec<(String, String)> {
    let Some(Ok(serde_json::Value::Object(parts))) = text.map(serde_json::from_str) else { return Vec::new() };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    parts.into_iter().take(12).map(|(name, value)| (name, mask(&text(value)).into_owned())).collect()
}

/// Of a percentage.
fn percent(progress: &Progress) -> Gauge {
    gauge(i64::from(progress.percent), 100)
}

/// A time in ms.
fn millis(ms: &i32) -> String {
    span(f64::from(*ms) / 1e3)
}

#[derive(Debug)]
struct Relative {
    relation: &'static str,
    id: JobId,
    job: Option<haulage_queue::JobStatus>,
}

/// An attempt that did not simply succeed.
#[derive(Debug)]
struct Tried {
    attempt: Attempt,
    tag: Tag,
    message: Option<String>,
    took: Option<String>,
}

impl Tried {
    fn new(attempt: Attempt) -> Self {
        let tag = match attempt.outcome.as_str() {
            "failed" => Tag::words(Look::Dead, "Failed"),
            "timed out" => Tag::words(Look::Dead, "Timed out"),
            "panicked" => Tag::words(Look::Dead, "Panicked"),
            "worker lost" => Tag::words(Look::Dead, "Worker lost"),
            "snoozed" => Tag::words(Look::Scheduled, "Snoozed"),
            "cancelled" => Tag::words(Look::Cancelled, "Cancelled"),
            _ => Tag::words(Look::Retrying, "Ended"),
        };
        Self {
            tag,
            message: attempt.message.as_deref().map(|message| mask(message).into_owned()).filter(|message| !message.is_empty()),
            took: attempt.started_at.or(attempt.claimed_at).map(|from| span_between(&from, &attempt.ended_at)),
            attempt,
        }
    }
}

#[derive(Debug, Template)]
#[template(path = "job.html")]
struct JobPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    job: JobSheet,
    tag: Tag,
    sentence: Option<(Look, String)>,
    attempts: Vec<Tried>,
    older_attempts: Option<i32>,
    newest_attempts: bool,
    error: Option<String>,
    args: Json,
    meta: Option<Json>,
    output: Option<Json>,
    origin: Vec<(String, String)>,
    family: Vec<Relative>,
    children: Vec<Row>,
    more_children: bool,
    deeds: Vec<Deed>,
}
