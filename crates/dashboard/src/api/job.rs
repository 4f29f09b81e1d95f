//! One job: what it was given, what came of it, what happened to it.

use chrono::{DateTime, Utc};
use haulage_queue::{
    Attempt, AttemptLog, JobFilter, JobId, LogLine, Progress, attempt_logs, job_page,
    store::{self, JobSheet},
    story::{self, StoryKey},
    why,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cursor::{self, Cursor},
    endpoint::{Answer, Nothing, TraceId},
    field::{Id, Json, Limit, Page, Rank, State, Text},
    jobs::Line,
    story::Story,
    verdict::Verdict,
};
use crate::{
    app::{App, Reading},
    error::Problem,
};

/// Attempts and children that stand with the job itself.
const SOME: Limit = Limit(20);

/// All that is known of a job.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Job")]
pub(crate) struct Sheet {
    /// Its id.
    id: Id,
    /// Its kind.
    kind: String,
    /// The revision of its kind.
    revision: i16,
    /// Its queue.
    queue: String,
    /// Where it stands.
    state: State,
    /// What a parked job waits for.
    #[schemars(extend("enum" = ["held", "key", "suspect", null]))]
    parked_for: Option<&'static str>,
    /// Claims so far.
    attempt: i32,
    /// Failed attempts so far.
    failures: i16,
    /// How many may fail.
    max_attempts: i16,
    /// Times its process died while it held the job.
    crashes: i16,
    /// Its priority.
    priority: Rank,
    /// Not before this time.
    run_at: DateTime<Utc>,
    /// Since when only the queue makes it wait.
    eligible_at: DateTime<Utc>,
    /// When it was enqueued.
    created_at: DateTime<Utc>,
    /// When the last attempt was claimed.
    claimed_at: Option<DateTime<Utc>>,
    /// When it reached its final state.
    finished_at: Option<DateTime<Utc>>,
    /// Limit of an attempt in ms.
    timeout_ms: Option<i32>,
    /// Its tags.
    tags: Vec<String>,
    /// The key whose limits it shares.
    limit_key: Option<String>,
    /// The stored form of its unique key.
    unique_key: Option<String>,
    /// The job whose handler enqueued it.
    parent: Option<Id>,
    /// The first job of its family.
    root: Option<Id>,
    /// The trace that it belongs to, 32 hex digits.
    trace: Option<String>,
    /// Where it came from.
    origin: Json,
    /// What it was given.
    args: Json,
    /// Its meta.
    meta: Json,
    /// What its handler recorded.
    output: Json,
    /// Why it is dead or cancelled; while it is retried, what its last attempt said.
    error: Option<Text>,
    /// What the running attempt last reported.
    progress: Option<Reported>,
    /// Who runs it or finished it.
    worker: Option<Runner>,
    /// That somebody asked the running attempt to stop.
    cancel: Option<Asked>,
    /// The last attempts that did not simply succeed, newest first.
    attempts: Vec<Tried>,
    /// Pass it to `/jobs/{id}/attempts` as `after` for those before.
    next_attempts: Option<String>,
}

/// How far a running attempt has come.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Progress")]
pub(crate) struct Reported {
    /// 0 to 100.
    percent: u8,
    /// What it is doing.
    message: Option<Text>,
}

impl Reported {
    pub(crate) fn new(progress: &Progress) -> Self {
        Self { percent: progress.percent, message: Text::some(progress.message.as_deref()) }
    }
}

/// A worker, by id and name.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Runner {
    /// Its id.
    id: String,
    /// Its name, if it is still known.
    name: Option<String>,
}

impl Runner {
    pub(crate) fn new((id, name): (String, Option<String>)) -> Self {
        Self { id, name }
    }
}

/// That somebody asked an attempt to stop.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CancelRequest")]
struct Asked {
    /// Why.
    reason: Text,
    /// When.
    at: DateTime<Utc>,
}

/// An attempt that did not simply succeed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Attempt")]
pub(crate) struct Tried {
    /// Its number: claims up to this one.
    attempt: i32,
    /// "failed", "timed out", "panicked", "worker lost", "snoozed", "cancelled".
    outcome: String,
    /// Low-cardinality class of the error.
    error_class: Option<String>,
    /// What went wrong.
    message: Option<Text>,
    /// Host and process id of the worker.
    worker: Option<String>,
    /// When it was claimed.
    claimed_at: Option<DateTime<Utc>>,
    /// When its handler started; `null`: it never did, or that is unknown.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    ended_at: DateTime<Utc>,
    /// When the next may run; `null`: at once, or never.
    next_run_at: Option<DateTime<Utc>>,
}

impl Tried {
    fn new(attempt: Attempt) -> Self {
        Self {
            attempt: attempt.attempt,
            outcome: attempt.outcome,
            error_class: attempt.error_class,
            message: Text::some(attempt.message.as_deref()),
            worker: attempt.worker,
            claimed_at: attempt.claimed_at,
            started_at: attempt.started_at,
            ended_at: attempt.ended_at,
            next_run_at: attempt.next_run_at,
        }
    }

    /// A job that began anew has a number twice.
    fn place(&self) -> String {
        cursor::behind("attempts", format!("{}.{}", self.attempt, self.ended_at.timestamp_micros()))
    }
}

/// `GET /jobs/{id}`.
pub(crate) async fn show(app: App, id: JobId, _: Nothing) -> Answer<Sheet> {
    let mut reading = app.read().await?;
    let job = sheet(&mut reading, id).await?;
    let Page { items, next } = tried(&mut reading, id, (i32::MAX, None), SOME).await?;
    Ok(Sheet {
        id: job.id.into(),
        kind: job.kind,
        revision: job.revision,
        queue: job.queue,
        state: State(job.state),
        parked_for: job.parked_for.map(|what| what.as_str()),
        attempt: job.attempt,
        failures: job.failures,
        max_attempts: job.max_attempts,
        crashes: job.crashes,
        priority: Rank(job.priority),
        run_at: job.run_at,
        eligible_at: job.eligible_at,
        created_at: job.created_at,
        claimed_at: job.claimed_at,
        finished_at: job.finished_at,
        timeout_ms: job.timeout_ms,
        tags: job.tags,
        limit_key: job.limit_key,
        unique_key: job.unique_key,
        parent: job.parent.map(Id::from),
        root: job.root.map(Id::from),
        trace: job.trace,
        origin: job.origin.and_then(|origin| serde_json::from_str(&origin).ok()).map_or_else(Json::null, Json::ours),
        args: Json::stored(&job.args),
        meta: job.meta.as_ref().map_or_else(Json::null, Json::stored),
        output: job.output.as_ref().map_or_else(Json::null, Json::stored),
        error: Text::some(job.error.as_deref()),
        progress: job.progress.as_ref().map(Reported::new),
        worker: job.worker.map(Runner::new),
        cancel: job.cancel.map(|(reason, at)| Asked { reason: Text::of(&reason), at }),
        attempts: items,
        next_attempts: next,
    })
}

/// All of each value: a job's args, meta and output are bounded where they are stored.
async fn sheet(reading: &mut Reading, id: JobId) -> Answer<JobSheet> {
    store::get_job_sheet(reading.db(), id, i32::MAX).await?.ok_or_else(|| missing(id))
}

fn missing(id: JobId) -> Problem {
    let sentence = "it never was, its transaction was rolled back, or it finished so long ago that its history is gone";
    Problem::not_found(format!("there is no job {id}: {sentence}"))
}

async fn tried(reading: &mut Reading, id: JobId, place: (i32, Option<DateTime<Utc>>), limit: Limit) -> Answer<Page<Tried>> {
    let attempts = store::page_attempts(reading.db(), id, place, i32::from(limit.0) + 1).await?;
    Ok(Page::cut(attempts.into_iter().map(Tried::new).collect(), limit, Tried::place))
}

/// Which part of a list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// At most so many.
    pub(crate) limit: Option<Limit>,
    /// `next` of the part before.
    pub(crate) after: Option<Cursor>,
}

/// `GET /jobs/{id}/attempts`.
pub(crate) async fn attempts(app: App, id: JobId, part: Part) -> Answer<Page<Tried>> {
    let read = |place: &str| {
        let (attempt, ended) = place.split_once('.')?;
        Some((attempt.parse().ok()?, Some(DateTime::from_timestamp_micros(ended.parse().ok()?)?)))
    };
    let place = part.after.map(|after| after.place("attempts", read)).transpose()?.unwrap_or((i32::MAX, None));
    let mut reading = app.read().await?;
    exists(&mut reading, id).await?;
    tried(&mut reading, id, place, part.limit.unwrap_or_default()).await
}

async fn exists(reading: &mut Reading, id: JobId) -> Answer<()> {
    if haulage_queue::job(reading.db(), id).await?.is_none() {
        return Err(missing(id));
    }
    Ok(())
}

/// The end of what an attempt logged, as far as it was kept.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AttemptLog")]
pub(crate) struct Said {
    /// The attempt's number.
    attempt: i32,
    /// When it ended.
    ended_at: DateTime<Utc>,
    /// How many lines before these were not kept.
    earlier: i32,
    /// Oldest first.
    lines: Vec<SaidLine>,
}

/// One event that a handler logged.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LogLine")]
pub(crate) struct SaidLine {
    /// When, by the database's clock.
    at: DateTime<Utc>,
    /// How bad it was.
    #[schemars(extend("enum" = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]))]
    level: &'static str,
    /// Where it was logged.
    target: String,
    /// Its message.
    message: Text,
    /// Its other fields, by name.
    fields: Json,
}

impl SaidLine {
    fn new(line: &LogLine) -> Self {
        Self {
            at: line.at,
            level: line.level.as_str(),
            target: line.target.clone(),
            message: Text::of(&line.message),
            fields: Json::logged(&line.fields),
        }
    }
}

/// `GET /jobs/{id}/logs`.
pub(crate) async fn logs(app: App, id: JobId, _: Nothing) -> Answer<Page<Said>> {
    let mut reading = app.read().await?;
    exists(&mut reading, id).await?;
    let said = |log: AttemptLog| Said {
        attempt: log.attempt,
        ended_at: log.ended_at,
        earlier: log.earlier,
        lines: log.lines.iter().map(SaidLine::new).collect(),
    };
    Ok(Page::whole(attempt_logs(reading.db(), &[id]).await?.into_iter().map(said).collect()))
}

/// `GET /jobs/{id}/why`.
pub(crate) async fn verdict(app: App, id: JobId, _: Nothing) -> Answer<Verdict> {
    let mut connection = app.pool.acquire().await?;
    why(&mut connection, id).await?.map(Verdict::new).ok_or_else(|| missing(id))
}

/// `GET /jobs/{id}/trace`.
pub(crate) async fn story(app: App, id: JobId, _: Nothing) -> Answer<Story> {
    told(&app, &StoryKey::from(id)).await?.ok_or_else(|| missing(id))
}

/// `GET /traces/{id}`.
pub(crate) async fn trace(app: App, id: TraceId, _: Nothing) -> Answer<Story> {
    let missing = || {
        let sentence = "no job has this id or comes from such a trace or request, or its history is gone";
        Problem::not_found(format!("nothing is known of \"{}\": {sentence}", id.0.to_string().escape_debug()))
    };
    told(&app, &id.0).await?.ok_or_else(missing)
}

async fn told(app: &App, key: &StoryKey) -> Answer<Option<Story>> {
    Ok(story::tell(&app.pool, key).await?.map(|story| Story::new(&story)))
}

/// The family of a job.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Related {
    /// The job whose handler enqueued it.
    parent: Option<Id>,
    /// The first job of its family.
    root: Option<Id>,
    /// The newest jobs that its handler enqueued. For all: `/jobs?q=parent:{id}`.
    children: Vec<Line>,
    /// Whether there are more.
    more_children: bool,
}

/// `GET /jobs/{id}/related`.
pub(crate) async fn related(app: App, id: JobId, _: Nothing) -> Answer<Related> {
    let mut reading = app.read().await?;
    let job = sheet(&mut reading, id).await?;
    let children = job_page(reading.db(), &JobFilter::new().parent(id).limit(SOME.0)).await?;
    Ok(Related {
        parent: job.parent.map(Id::from),
        root: job.root.map(Id::from),
        children: children.jobs.into_iter().map(Line::new).collect(),
        more_children: children.next.is_some(),
    })
}
