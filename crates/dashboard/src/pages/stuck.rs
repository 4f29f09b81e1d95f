//! What holds up jobs, cause by cause.

use askama::Template;
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use haulage_queue::{Cause, CauseGroup, CauseSubject, Causes, Severity, WhyCode};

use super::act::newest_deed;
use crate::{
    actions::Action,
    app::App,
    button::Button,
    error::Problem,
    frame::Frame,
    show::{Look, Prose, ago, capped, encode, mask, prose, span},
};

/// Causes that are shown of each group.
const MOST: usize = 50;

/// `GET /stuck`.
pub(crate) async fn page(State(app): State<App>, frame: Frame) -> Response {
    frame.answer(read(&app, &frame).await)
}

async fn read<'a>(app: &App, frame: &'a Frame) -> Result<StuckPage<'a>, Problem> {
    let causes = app.causes().await?;
    let mut reading = app.read().await?;
    let clock = reading.clock;
    let seen = newest_deed(frame, reading.db()).await?;
    drop(reading);
    let groups = CauseGroup::ALL.into_iter().map(|group| (group.title(), cards(frame, causes.of(group).take(MOST), seen)));
    Ok(StuckPage {
        frame,
        clock,
        groups: groups.filter(|(_, cards): &(_, Vec<Card>)| !cards.is_empty()).collect(),
        summary: summary(&causes),
        at: causes.at,
        took_ms: causes.took_ms,
        partial: causes.partial.clone(),
        oldest: causes.oldest_ready_s.zip(causes.oldest_ready_queue.clone()).map(|(seconds, queue)| (span(seconds), queue)),
    })
}

/// "5 causes hold back 183,212 jobs: 2 need you, 1 is getting worse, 2 clear by themselves."
fn summary(causes: &Causes) -> String {
    let count = |group| causes.of(group).count();
    let (need, worse, clear) = (count(CauseGroup::NeedsYou), count(CauseGroup::GettingWorse), count(CauseGroup::ClearsByItself));
    let verb = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let parts = [
        (need, verb(need, "needs you", "need you")),
        (worse, verb(worse, "is getting worse", "are getting worse")),
        (clear, verb(clear, "clears by itself", "clear by themselves")),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    format!("{}: {}.", verb(need + worse + clear, "cause", "causes"), parts.join(", "))
}

/// A cause as a card.
#[derive(Debug)]
pub(crate) struct Card {
    /// Unique on the page.
    pub(crate) id: String,
    pub(crate) code: WhyCode,
    pub(crate) class: String,
    pub(crate) sentence: Prose,
    pub(crate) detail: Option<Prose>,
    pub(crate) also: Vec<Prose>,
    pub(crate) jobs: Option<String>,
    pub(crate) oldest: Option<String>,
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) mover: &'static str,
    pub(crate) due: Option<DateTime<Utc>>,
    pub(crate) overdue: bool,
    pub(crate) fixes: Vec<Remedy>,
    /// From our root, with names.
    pub(crate) links: Vec<(String, &'static str)>,
}

/// What can be done, in words and as a command.
#[derive(Debug)]
pub(crate) struct Remedy {
    pub(crate) label: String,
    pub(crate) command: String,
    /// What does it here; the command is shown where there is none.
    pub(crate) button: Option<Button>,
}

impl Remedy {
    pub(crate) fn of(frame: &Frame, fixes: &[haulage_queue::Fix], seen: i64) -> Vec<Self> {
        let remedy = |(n, fix): (usize, &haulage_queue::Fix)| {
            let button = fix.act.as_ref().and_then(Action::of_fix).and_then(|action| {
                let action = match action {
                    Action::RunSchedule { schedule, .. } => Action::RunSchedule { schedule, seen: Some(seen) },
                    action => action,
                };
                Button::new(frame, &action, mask(&fix.label))
            });
            // The first of them is the one to press; where that is a command, none is.
            let button = button.map(|button| if n == 0 { button.first() } else { button });
            Self { label: mask(&fix.label).into(), command: mask(&fix.command).into(), button }
        };
        fixes.iter().take(3).enumerate().map(remedy).collect()
    }
}

pub(crate) fn cards<'c>(frame: &Frame, causes: impl Iterator<Item = &'c Cause>, seen: i64) -> Vec<Card> {
    causes.map(|cause| Card::new(frame, cause, seen)).collect()
}

/// The colors of the bar: how bad it is.
pub(crate) const fn look(severity: Severity) -> Option<Look> {
    match severity {
        Severity::Stuck => Some(Look::Dead),
        Severity::Worse => Some(Look::Retrying),
        Severity::Slow => Some(Look::Available),
        Severity::Heals => Some(Look::Running),
        _ => None,
    }
}

impl Card {
    fn new(frame: &Frame, cause: &Cause, seen: i64) -> Self {
        let verdict = &cause.verdict;
        let subject = &verdict.subject;
        let id: String = format!("{}{:?}", verdict.code, subject)
            .bytes()
            .fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()))
            .to_string();
        let more = if cause.at_least && cause.jobs <= 10_000 { "+" } else { "" };
        Self {
            id: format!("c{id}"),
            code: verdict.code,
            class: look(verdict.severity).unwrap_or(Look::Scheduled).class(),
            sentence: prose(&verdict.sentence),
            detail: (!verdict.detail.is_empty()).then(|| prose(&verdict.detail)),
            also: verdict.also.iter().map(|other| prose(&other.sentence)).collect(),
            jobs: (cause.jobs > 0).then(|| format!("{}{more}", capped(cause.jobs))),
            oldest: cause.oldest_s.map(|seconds| span(seconds.max(0.0))),
            since: verdict.since,
            mover: mover(verdict.mover),
            due: verdict.due,
            overdue: verdict.overdue,
            fixes: Remedy::of(frame, &verdict.fixes, seen),
            links: links(subject),
        }
    }
}

impl Card {
    /// Whether anything of it can be done here.
    pub(crate) fn acts(&self) -> bool {
        self.fixes.iter().any(|fix| fix.button.is_some())
    }
}

pub(crate) const fn mover(mover: haulage_queue::Mover) -> &'static str {
    match mover {
        haulage_queue::Mover::Clock => "the clock",
        haulage_queue::Mover::Worker => "a worker",
        haulage_queue::Mover::Rescuer => "the worker that rescues",
        haulage_queue::Mover::Person => "a person",
        haulage_queue::Mover::Database => "the database",
        _ => "nobody",
    }
}

fn links(subject: &CauseSubject) -> Vec<(String, &'static str)> {
    let mut links = Vec::new();
    if let Some(queue) = &subject.queue {
        let kind = subject.kind.as_ref().map(|kind| format!(" kind:{kind}")).unwrap_or_default();
        let state = subject.state.map(|state| format!("state={state}&")).unwrap_or_default();
        links.push((format!("jobs?{state}q={}", encode(format!("queue:{queue}{kind}"))), "Show jobs"));
        links.push((format!("queues/{}", encode(queue)), "Show queue"));
    }
    if let Some(schedule) = &subject.schedule {
        links.push((format!("schedules/{}", encode(schedule)), "Show schedule"));
    }
    if subject.worker.is_some() {
        links.push(("workers".to_owned(), "Show workers"));
    }
    if let Some(job) = subject.job {
        links.push((format!("jobs/{job}"), "Show one"));
    }
    links
}

#[derive(Debug, Template)]
#[template(path = "stuck.html")]
struct StuckPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    groups: Vec<(&'static str, Vec<Card>)>,
    summary: String,
    at: DateTime<Utc>,
    took_ms: u64,
    /// What was not looked at.
    partial: Vec<String>,
    oldest: Option<(String, String)>,
}
