//! The page that asks before something is done, and the route that does it.

use askama::Template;
use axum::{
    Form as Body,
    body::Bytes,
    extract::{FromRequest, Query, Request, State, rejection::QueryRejection},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use haulage_queue::{
    AuditFilter, JobFilter, JobState, Limit, ParkedFor, Preview, Priority, Verb, list_audit, list_operations,
    store::{self, JobSheet},
};

use super::{
    jobs::Row,
    operations::signed,
    queues::{self, MOST},
};
use crate::{
    actions::{Action, Refusal, Shown, forgery, shown},
    app::App,
    button::is_final,
    error::Problem,
    flash::Flash,
    form::Form,
    frame::Frame,
    show::{Tag, ago, capped, encode, mask},
    theme::back_to,
};

/// Characters of args that can be edited on a page.
const LONGEST_ARGS: i32 = 65_536;

/// `GET /act`: what would happen, and what is missing for it.
pub(crate) async fn page(State(app): State<App>, frame: Frame, asked: Result<Query<Form>, QueryRejection>) -> Response {
    let page = match asked {
        Ok(Query(form)) => ask(&app, &frame, form, None).await,
        Err(rejection) => Err(Problem::bad(rejection.body_text())),
    };
    frame.answer(page)
}

/// `POST /act`: does it, and leads to where it can be seen.
pub(crate) async fn act(State(app): State<App>, frame: Frame, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let form = match read(&app, &frame, &parts, Request::from_parts(parts.clone(), body)).await {
        Ok(form) => form,
        Err(refusal) => return Problem::from(refusal).page(&frame),
    };
    let done = async {
        let clock = app.read().await?.clock;
        let action = form.action(&clock)?;
        let reason = form.reason.replace("\r\n", "\n");
        let done = app.perform(&frame.actor, &action, Some(&reason)).await?;
        Ok::<_, Refusal>((action, done))
    };
    let done = done.await;
    if let Err(refusal) = &done {
        tracing::info!(who = frame.actor.name, code = refusal.code(), act = form.act, "an act was refused: {}", refusal.sentence());
    }
    match done {
        Ok((action, done)) => {
            let here = match (&action, done.job, done.operation) {
                (Action::RunAgain { .. }, Some(job), _) => format!("jobs/{job}"),
                (Action::Jobs { .. }, _, Some(operation)) => format!("operations/{operation}"),
                (Action::Job { verb: Verb::Delete, .. }, ..) if form.here.starts_with("jobs/") => "jobs".to_owned(),
                _ => form.here,
            };
            let mut response = go_back(&here, &Flash::new(done.changed, done.sentence));
            if let Some(position) = app.position().await {
                position.give(&mut response, None);
            }
            response
        }
        // What was typed must not be lost.
        Err(refusal @ (Refusal::Unreadable(_) | Refusal::NoLongerApplies(_))) if is_typed(&form) => {
            let status = refusal.status();
            let page = ask(&app, &frame, form, Some(refusal.sentence())).await;
            let asked = page.is_ok();
            let mut response = frame.answer(page);
            if asked {
                *response.status_mut() = status;
            }
            response
        }
        Err(refusal @ (Refusal::NoLongerApplies(_) | Refusal::Busy(_))) => go_back(&form.here, &Flash::new(false, refusal.sentence())),
        Err(refusal) => Problem::from(refusal).page(&frame),
    }
}

/// The form of somebody who may do something, from a page of ours. That is looked at first, so that nothing is read for others.
async fn read(app: &App, frame: &Frame, parts: &Parts, request: Request) -> Result<Form, Refusal> {
    frame.actor.check_role(crate::actions::Role::Operator)?;
    forgery::check_site(parts)?;
    let bytes = Bytes::from_request(request, app).await.map_err(|rejection| Refusal::Unreadable(rejection.body_text()))?;
    let request = Request::from_parts(parts.clone(), bytes.into());
    let Body(form) = Body::<Form>::from_request(request, app).await.map_err(|rejection| Refusal::Unreadable(rejection.body_text()))?;
    forgery::check_form(parts, &frame.actor, &form.token)?;
    app.pace.count(frame.actor.name.as_deref().unwrap_or_default())?;
    form.spelled_out()
}

/// Whether somebody wrote more into it than a click says.
fn is_typed(form: &Form) -> bool {
    matches!(form.act.as_str(), "edit-args" | "move" | "limit" | "pause") || form.of == "jobs"
}

fn go_back(here: &str, flash: &Flash) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, back_to(here)), (header::SET_COOKIE, flash.cookie())]).into_response()
}

async fn ask<'a>(app: &App, frame: &'a Frame, form: Form, refused: Option<String>) -> Result<ActPage<'a>, Problem> {
    frame.actor.check_role(crate::actions::Role::Operator)?;
    let mut reading = app.read().await?;
    let clock = reading.clock;
    let mut page = ActPage {
        frame,
        clock,
        title: String::new(),
        label: String::new(),
        sentences: Vec::new(),
        hindrance: None,
        refused,
        danger: false,
        counts: Vec::new(),
        samples: Vec::new(),
        conditions: Vec::new(),
        queues: None,
        priority: None,
        lengths: false,
        limit: false,
        args: None,
        form,
    };
    match page.form.of.as_str() {
        "job" => {
            let id = page.form.id.parse().map_err(|error: haulage_queue::ParseJobIdError| Problem::bad(error.to_string()))?;
            let sheet = store::get_job_sheet(reading.db(), id, LONGEST_ARGS)
                .await?
                .ok_or_else(|| Problem::not_found(format!("There is no job {id} any more, or its history is gone.")))?;
            if page.form.act == "move" {
                page.queues = Some(store::list_queue_names(reading.db(), MOST.into()).await?.into_iter().map(|(name, _)| name).collect());
            }
            if page.form.act == "run-again" && page.form.seen.is_empty() {
                page.form.seen = newest_deed(frame, reading.db()).await?.to_string();
            }
            drop(reading);
            page.one(&sheet)?;
        }
        "jobs" => {
            if page.form.act == "move" {
                page.queues = Some(store::list_queue_names(reading.db(), MOST.into()).await?.into_iter().map(|(name, _)| name).collect());
            }
            let newest = list_operations(reading.db(), None, 1).await?.first().map_or(0, |newest| newest.id.0);
            drop(reading);
            let verb = page.form.counted_verb()?;
            let filter = bounded(&page.form, &verb, &clock)?;
            let preview = app.preview(&frame.actor, &verb, &filter).await?;
            page.form.filter = serde_json::to_string(&filter).unwrap_or_default();
            (page.form.q, page.form.state) = (String::new(), String::new());
            if page.form.seen.is_empty() {
                page.form.seen = newest.to_string();
            }
            page.many(&verb, &filter, preview);
        }
        _ => {
            let action = page.form.action(&clock)?;
            page.rest(&action)?;
        }
    }
    // Whoever may not do it is told so before they have filled in a form.
    let mut probe = page.form.clone();
    if probe.act == "reprioritise" && probe.priority.is_empty() {
        probe.priority = Priority::Normal.to_string();
    }
    let action = probe.action(&clock);
    if let Ok(action) = &action {
        frame.actor.check(action)?;
        page.danger = is_final(action);
    }
    Ok(page)
}

/// The newest entry of the audit that a page could have shown, for forms that are sent twice.
pub(crate) async fn newest_deed(frame: &Frame, db: &mut sqlx::PgConnection) -> Result<i64, Problem> {
    if !frame.operates() {
        return Ok(0);
    }
    Ok(list_audit(db, &AuditFilter::new().limit(1)).await?.first().map_or(0, |deed| deed.id))
}

/// Which jobs, as of now: what is enqueued from here on was seen by nobody.
fn bounded(form: &Form, verb: &Verb, clock: &DateTime<Utc>) -> Result<JobFilter, Problem> {
    let filter = form.jobs(clock)?;
    if filter.is_empty() {
        return Err(Problem::bad("This would mean every job there is: search for a state, a queue or a kind first."));
    }
    let stored = serde_json::to_value(&filter).unwrap_or_default();
    let has = |name: &str| stored.get(name).is_some();
    let filter = if has("created_before") { filter } else { filter.created_before(*clock) };
    Ok(if has("state") { filter } else { verb.default_state().into_iter().fold(filter, JobFilter::state) })
}

/// What a verb does to a job, said of "It" or of "Each".
fn deed(act: &str) -> Option<&'static str> {
    Some(match act {
        "retry" => "runs again under its id: its attempts are kept, its failures counted from zero. It goes to the end of its line.",
        "run-now" => "does not wait for its time any more.",
        "cancel" => "ends as cancelled. One that runs is told to stop, and may complete first. It can be retried later.",
        "discard" => "ends as dead and is not tried again, unless somebody retries it while its history is kept.",
        "hold" => "is set aside until somebody releases it.",
        "release" => "goes on: to the end of its line, or at its time if that is still to come.",
        "delete" => "is removed for good, with its attempts, their logs and the unique key that it holds. Nothing brings it back.",
        "move" => "goes to another queue, to the end of the line there.",
        "reprioritise" => "gets another priority, and goes to the end of that line.",
        "run-again" => "stays as it is; a new job is made of it, with the same args and options.",
        "edit-args" => "has other args when it runs next. One in line goes to the end of it. Its unique key stays as it is.",
        _ => return None,
    })
}

impl ActPage<'_> {
    fn one(&mut self, job: &JobSheet) -> Result<(), Problem> {
        let act = self.form.act.clone();
        let what = deed(&act).ok_or_else(|| Problem::bad("Nobody knows how to do this to a job."))?;
        let verb = verb_words(&act);
        (self.title, self.label) = match act.as_str() {
            "edit-args" => (format!("Edit the args of job {}", job.id), "Save the args".to_owned()),
            "run-again" => (format!("Run job {} again?", job.id), verb),
            "run-now" => (format!("Run job {} now?", job.id), verb),
            _ => (format!("{verb} job {}?", job.id), verb),
        };
        self.sentences.push(format!("Job {} of kind {}, in the queue {}, {}.", job.id, job.kind, job.queue, stands(job)));
        self.sentences.push(format!("It {what}"));
        let fits = match act.as_str() {
            "run-again" => job.state.is_final(),
            "edit-args" => !matches!(job.state, JobState::Running | JobState::Completed),
            "release" => job.parked_for == Some(ParkedFor::Held),
            _ => self.form.counted_verb()?.states().contains(&job.state),
        };
        if !fits {
            self.hindrance = Some("This no longer applies: the job has gone on since that was offered.".to_owned());
        }
        match act.as_str() {
            "reprioritise" => self.priority = Some(job.priority),
            "edit-args" => self.edit(job),
            _ => {}
        }
        Ok(())
    }

    fn edit(&mut self, job: &JobSheet) {
        match shown(&job.args) {
            Some(Shown { text, seen, hides }) => {
                if hides {
                    self.sentences.push(
                        "What is hidden stays as it is where the dots are left alone, and is replaced where they are written over."
                            .to_owned(),
                    );
                }
                // After a refusal what was typed is kept; and it was made from what was seen then.
                if self.refused.is_none() {
                    (self.form.args, self.form.seen) = (text, seen);
                }
                self.args = Some(std::mem::take(&mut self.form.args));
            }
            None => {
                self.hindrance = Some(format!("Its args are too long for a page: haulage jobs edit-args {} --args -", job.id));
            }
        }
    }

    fn many(&mut self, verb: &Verb, filter: &JobFilter, preview: Preview) {
        let act = self.form.act.clone();
        let verb_word = verb_words(&act);
        let plus = if preview.more { "+" } else { "" };
        let jobs = signed(preview.jobs);
        let count = format!("{}{}", capped(jobs), if capped(jobs).ends_with('+') { "" } else { plus });
        let noun = if jobs == 1 && !preview.more { "job" } else { "jobs" };
        (self.title, self.label) = (format!("{verb_word} {count} {noun}?"), format!("{verb_word} {count} {noun}"));
        self.conditions = super::operations::conditions(filter);
        if preview.jobs == 0 && !preview.more {
            self.hindrance = Some("No job matches, so there is nothing to do.".to_owned());
            return;
        }
        self.sentences.push(format!("Each {}", deed(&act).unwrap_or_default()));
        self.sentences
            .push("Jobs that are enqueued from now on are left alone. It is done in batches, and can be stopped on the way.".to_owned());
        let running = preview.by_state.get(JobState::Running.as_str()).copied().unwrap_or(0);
        if running > 0 && !verb.states().contains(&JobState::Running) {
            self.sentences.push(format!("Those that run at that moment are skipped, and counted: now {running}."));
        }
        for state in JobState::ALL {
            if let Some(count) = preview.by_state.get(state.as_str()) {
                self.counts.push((Tag::state(state), capped(signed(*count))));
            }
        }
        if act == "reprioritise" {
            self.priority = Some(Priority::Normal);
        }
        self.samples = preview.samples.into_iter().map(|job| Row::new(job, &self.clock)).collect();
    }

    fn rest(&mut self, action: &Action) -> Result<(), Problem> {
        let limits = |limit: &Option<Limit>| limit.as_ref().map_or_else(String::new, |limit| format!(" Here: {}.", queues::limit(limit)));
        let (title, label, sentence) = match action {
            Action::PauseQueue { queue, .. } => {
                self.lengths = true;
                (
                    format!("Pause queue {queue}?"),
                    "Pause",
                    "The whole fleet starts no job of it. What runs goes on; what comes waits.".to_owned(),
                )
            }
            Action::PauseSchedule { schedule, .. } => {
                self.lengths = true;
                let sentence = "It does not fire. Its jobs stay; what comes while it is paused is not made up.";
                (format!("Pause schedule {schedule}?"), "Pause", sentence.to_owned())
            }
            Action::QuietWorker { .. } => {
                let sentence = "It claims nothing more, gives back what it has not started, finishes what it runs, and lives on until it is resumed or stopped.";
                ("Keep this worker quiet?".to_owned(), "Keep quiet", sentence.to_owned())
            }
            Action::ResumeWorker { .. } => ("Resume this worker?".to_owned(), "Resume", "It claims jobs again.".to_owned()),
            Action::ResumeQueue { queue } => (format!("Resume queue {queue}?"), "Resume", "Its jobs start again.".to_owned()),
            Action::ResumeSchedule { schedule } => {
                (format!("Resume schedule {schedule}?"), "Resume", "It fires again, from its next instant on.".to_owned())
            }
            Action::RunSchedule { schedule, .. } => {
                (format!("Run schedule {schedule} now?"), "Run now", "Its job is enqueued once more.".to_owned())
            }
            Action::LimitQueue { queue, limit } => {
                self.limit = true;
                let sentence = format!("In the whole fleet, from the next start on; what runs goes on.{}", limits(limit));
                (format!("Limit queue {queue}?"), "Set limits", sentence)
            }
            Action::LimitKey { key, limit } => {
                self.limit = true;
                let sentence = format!("For all jobs with this key, from the next start on.{}", limits(limit));
                (format!("Limit key {key}?"), "Set limits", sentence)
            }
            Action::EndSession { pid, .. } => (
                format!("End session {pid}?"),
                "End the session",
                "The database ends it and rolls its transaction back: what it has not committed is lost. Who has it open gets an error."
                    .to_owned(),
            ),
            Action::CancelOperation { id } => (format!("Stop operation {id}?"), "Stop", "It stops after the batch under way.".to_owned()),
            Action::ResumeOperation { id } => (format!("Go on with operation {id}?"), "Go on", "It goes on where it stopped.".to_owned()),
            _ => return Err(Problem::bad("Nobody knows how to do this.")),
        };
        (self.title, self.label) = (title, label.to_owned());
        self.sentences.push(sentence);
        Ok(())
    }

    /// What is sent along and not to be seen.
    fn hidden(&self) -> Vec<(&'static str, &str)> {
        let typed = |name: &str| match name {
            "to" => self.queues.is_some(),
            "priority" => self.priority.is_some(),
            "length" => self.lengths,
            "most" | "starts" | "per" | "burst" => self.limit,
            "args" => self.args.is_some(),
            _ => false,
        };
        self.form.fields().into_iter().filter(|(name, _)| !typed(name)).collect()
    }

    /// Where "Back" leads, from our root.
    fn back(&self) -> String {
        let back = back_to(&self.form.here);
        back.strip_prefix("./").unwrap_or(&back).to_owned()
    }

    /// The priority that is chosen at first.
    fn is_chosen(&self, priority: &Priority) -> bool {
        self.form.priority.parse().ok().or(self.priority) == Some(*priority)
    }
}

fn stands(job: &JobSheet) -> String {
    match (job.state, &job.parked_for) {
        (JobState::Parked, Some(ParkedFor::Held)) => "is held".to_owned(),
        (JobState::Running, _) => format!("runs, in its attempt {}", job.attempt),
        (state, _) if job.attempt == 0 => format!("is {state}"),
        (state, _) => format!("is {state}, after {} {}", job.attempt, if job.attempt == 1 { "attempt" } else { "attempts" }),
    }
}

/// What a button says.
pub(crate) fn verb_words(act: &str) -> String {
    let text = act.replace('-', " ");
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[derive(Debug, Template)]
#[template(path = "act.html")]
struct ActPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    title: String,
    label: String,
    sentences: Vec<String>,
    /// Why it can't be done now.
    hindrance: Option<String>,
    /// Why it was refused a moment ago.
    refused: Option<String>,
    danger: bool,
    counts: Vec<(Tag, String)>,
    samples: Vec<Row>,
    conditions: Vec<(String, String)>,
    /// To be chosen: a queue of these or another one, a priority, a time, limits, args.
    queues: Option<Vec<String>>,
    priority: Option<Priority>,
    lengths: bool,
    limit: bool,
    args: Option<String>,
    form: Form,
}
