//! One job: where it stands, what happened to it, what it was given and what came of it.

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use haulage_queue::{
    Attempt, AttemptLog, AuditFilter, JobFilter, JobId, JobState, LogLine, ParkedFor, Progress, ReadError, Severity, Verb, Verdict,
    WhyCode, attempt_logs, job, job_page, list_audit,
    store::{self, JobSheet},
    story::{self, StoryKey},
    why,
};
use serde::Deserialize;

use super::{
    audit::Deed,
    jobs::Row,
    stuck::{self, Remedy},
};
use crate::{
    actions::Action,
    app::{App, Reading},
    button::Button,
    error::Problem,
    frame::Frame,
    show::{Gauge, Json, Look, Prose, Tag, ago, at, encode, gauge, json, mask, mask_named, prose, span, span_between},
    waterfall::Waterfall,
};

/// Characters of args, meta and output that are shown.
const MOST: i32 = 65_536;
/// Attempts, children and deeds that are shown at a time.
const SOME: u16 = 20;

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    /// Attempts before this one: its number, and when it ended, in microseconds. A job that began anew has a number twice.
    #[serde(default)]
    attempts: Option<String>,
}

/// `GET /jobs/{id}`.
pub(crate) async fn page(State(app): State<App>, frame: Frame, Path(id): Path<String>, Query(asked): Query<Asked>) -> Response {
    frame.answer(read(&app, &frame, &id, &asked).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, id: &str, asked: &Asked) -> Result<JobPage<'a>, Problem> {
    let id: JobId = id.parse().map_err(|error: haulage_queue::ParseJobIdError| Problem::not_found(error.to_string()))?;
    let before = asked.attempts.as_deref().and_then(cursor);
    let mut reading = app.read().await?;
    let Some(sheet) = store::get_job_sheet(reading.db(), id, MOST).await? else { return Err(absent(&mut reading, id).await) };
    let mut attempts = store::page_attempts(reading.db(), id, before.unwrap_or((i32::MAX, None)), i32::from(SOME) + 1).await?;
    let more = attempts.len() > usize::from(SOME);
    attempts.truncate(SOME.into());
    // Without its family, what people did to it, a verdict or a story the page is still worth its while.
    let mut aside = reading.aside().await?;
    let children = noted(job_page(&mut *aside, &JobFilter::new().parent(id).limit(SOME)).await);
    aside.rollback().await?;
    let (children, more_children) = children.map(|page| (page.jobs, page.next.is_some())).unwrap_or_default();
    let mut family = Vec::new();
    let root = sheet.root.filter(|root| Some(*root) != sheet.parent);
    for (relation, id) in [("Parent", sheet.parent), ("Root", root)] {
        if let Some(id) = id {
            family.push(Relative { relation, id, job: job(reading.db(), id).await? });
        }
    }
    let mut aside = reading.aside().await?;
    let deeds = noted(list_audit(&mut *aside, &AuditFilter::new().job(id).limit(SOME)).await);
    // Without them nobody can tell whether a form is sent twice.
    let seen = deeds.as_ref().map(|deeds| deeds.first().map_or(0, |newest| newest.id));
    let deeds = deeds.unwrap_or_default();
    aside.rollback().await?;
    let logs = attempt_logs(reading.db(), &[id]).await?;
    let clock = reading.clock;
    let verdict = noted(why(reading.db(), id).await).flatten();
    let said = verdict.map(|verdict| Said::new(frame, &verdict, Look::of(sheet.state, sheet.failures)));
    // It reads in a transaction of its own: this connection goes back first, or pages that wait for each other's could use up the pool.
    drop(reading);
    let story = noted(story::tell(&app.pool, &StoryKey::from(id)).await).flatten();
    let waterfall = story.map(|story| Waterfall::new(frame, &story));
    Ok(JobPage {
        frame,
        tag: Tag::of(sheet.state, sheet.failures, &sheet.parked_for),
        older_attempts: attempts.last().filter(|_| more).map(|last| format!("{}.{}", last.attempt, last.ended_at.timestamp_micros())),
        attempts: attempts.into_iter().map(|attempt| Tried::new(attempt, &logs)).collect(),
        last_log: sheet.finished_at.and_then(|_| logs.iter().find(|log| log.attempt == sheet.attempt)).map(lines).unwrap_or_default(),
        newest_attempts: before.is_none(),
        children: children.into_iter().map(|job| Row::new(job, &clock)).collect(),
        more_children,
        family,
        deeds: deeds.into_iter().map(Deed::new).collect(),
        origin: origin(sheet.origin.as_deref()),
        args: json(&sheet.args),
        meta: sheet.meta.as_ref().map(json),
        output: sheet.output.as_ref().map(json),
        error: sheet.error.as_deref().map(|error| mask(error).into_owned()),
        said,
        waterfall,
        bar: Bar::new(frame, &sheet, seen),
        job: sheet,
        clock,
    })
}

/// What is known of a job that is not there.
async fn absent(reading: &mut Reading, id: JobId) -> Problem {
    let gone = noted(why(reading.db(), id).await).flatten();
    Problem::not_found(gone.map_or_else(
        || format!("There is no job {id}, and as far as is known there never was one."),
        |gone| format!("There is no job {id} any more ({}). {} {}", gone.code, gone.sentence, gone.detail).trim_end().to_owned(),
    ))
}

fn cursor(text: &str) -> Option<(i32, Option<DateTime<Utc>>)> {
    let (attempt, ended) = text.split_once('.')?;
    Some((attempt.parse().ok()?, Some(DateTime::from_timestamp_micros(ended.parse().ok()?)?)))
}

/// What can be done to it: what is wanted most in the open, the rest in a menu.
#[derive(Debug, Default)]
struct Bar {
    open: Vec<Button>,
    more: Vec<Button>,
}

impl Bar {
    fn new(frame: &Frame, job: &JobSheet, seen: Option<i64>) -> Self {
        use JobState::{Available, Cancelled, Completed, Dead, Parked, Running, Scheduled};
        let id = job.id;
        let verb = |verb: Verb, label: &str| Button::new(frame, &Action::Job { id, verb }, label);
        let again = || seen.and_then(|seen| Button::new(frame, &Action::RunAgain { id, seen: Some(seen) }, "Run again"));
        // Chosen on the page that asks.
        let to = || verb(Verb::Move { queue: String::new() }, "Move").map(Button::asking);
        let priority = || verb(Verb::Reprioritise { priority: job.priority }, "Priority").map(Button::asking);
        let hold = || verb(Verb::Hold, "Hold").map(Button::asking);
        let edit = || Button::new(frame, &Action::EditArgs { id, args: String::new(), seen: None }, "Edit args");
        let (cancel, discard, delete) =
            (|| verb(Verb::Cancel, "Cancel"), || verb(Verb::Discard, "Discard"), || verb(Verb::Delete, "Delete"));
        let (open, more) = match job.state {
            Scheduled => (vec![verb(Verb::RunNow, "Run now"), hold(), cancel()], vec![to(), priority(), edit(), discard(), delete()]),
            Parked if job.parked_for == Some(ParkedFor::Held) => {
                (vec![verb(Verb::Release, "Release"), cancel()], vec![to(), priority(), edit(), discard(), delete()])
            }
            Available | Parked => (vec![hold(), cancel()], vec![to(), priority(), edit(), discard(), delete()]),
            Running => (vec![cancel()], vec![]),
            Dead | Cancelled => (vec![verb(Verb::Retry, "Retry"), again()], vec![edit(), delete()]),
            Completed => (vec![again()], vec![delete()]),
            _ => (vec![], vec![]),
        };
        let shown = |buttons: Vec<Option<Button>>| buttons.into_iter().flatten().collect();
        Self { open: shown(open), more: shown(more) }
    }
}

/// Why it does not run, or where its time went.
#[derive(Debug)]
struct Said {
    code: WhyCode,
    class: String,
    icon: String,
    sentence: Prose,
    detail: Option<Prose>,
    also: Vec<Prose>,
    mover: &'static str,
    due: Option<DateTime<Utc>>,
    overdue: bool,
    fixes: Vec<Remedy>,
}

impl Said {
    fn new(frame: &Frame, verdict: &Verdict, state: Look) -> Self {
        let look = stuck::look(verdict.severity);
        let warns = matches!(verdict.severity, Severity::Stuck | Severity::Worse) && state != Look::Dead;
        Self {
            code: verdict.code,
            class: look.filter(|_| warns).unwrap_or(state).class(),
            icon: if warns { "i-warn".to_owned() } else { state.icon() },
            sentence: prose(&verdict.sentence),
            detail: (!verdict.detail.is_empty()).then(|| prose(&verdict.detail)),
            also: verdict.also.iter().map(|other| prose(&other.sentence)).collect(),
            mover: stuck::mover(verdict.mover),
            due: verdict.due,
            overdue: verdict.overdue,
            fixes: Remedy::of(frame, &verdict.fixes, 0),
        }
    }
}

impl Said {
    /// Whether anything of it can be done here.
    fn acts(&self) -> bool {
        self.fixes.iter().any(|fix| fix.button.is_some())
    }
}

/// What is known of where it came from, name by name.
fn origin(text: Option<&str>) -> Vec<(String, String)> {
    let Some(Ok(serde_json::Value::Object(parts))) = text.map(serde_json::from_str) else { return Vec::new() };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    parts
        .into_iter()
        .take(12)
        .map(|(name, value)| {
            let text = mask_named(&name, &text(value));
            (name, text)
        })
        .collect()
}

/// Of a percentage.
fn percent(progress: &Progress) -> Gauge {
    gauge(i64::from(progress.percent), 100)
}

/// A time in ms.
fn millis(ms: &i32) -> String {
    span(f64::from(*ms) / 1e3)
}

/// What can be done without, and why it could not be had in the log.
fn noted<T>(read: Result<T, ReadError>) -> Option<T> {
    read.inspect_err(|error| tracing::warn!("a part of a page is left out: {error}")).ok()
}

/// A line that a handler logged.
#[derive(Debug)]
struct Line {
    at: String,
    level: &'static str,
    text: String,
}

fn lines(log: &AttemptLog) -> Vec<Line> {
    let line = |line: &LogLine| {
        let mut text = mask(&line.message).into_owned();
        for (name, value) in &line.fields {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            text.push_str(&format!(" {name}={}", mask_named(name, &value)));
        }
        Line { at: line.at.format("%Y-%m-%d %H:%M:%S%.3f").to_string(), level: line.level.as_str(), text }
    };
    log.lines.iter().map(line).collect()
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
    log: Vec<Line>,
}

impl Tried {
    fn new(attempt: Attempt, logs: &[AttemptLog]) -> Self {
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
            log: logs.iter().find(|log| log.attempt == attempt.attempt).map(lines).unwrap_or_default(),
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
    said: Option<Said>,
    bar: Bar,
    waterfall: Option<Waterfall<'a>>,
    attempts: Vec<Tried>,
    /// Of the attempt that completed it, which is not among those that did not.
    last_log: Vec<Line>,
    older_attempts: Option<String>,
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
