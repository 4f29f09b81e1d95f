//! One queue: what it may do, what runs and what waits in it, who serves it.

use askama::Template;
use axum::{
    extract::{Path, Query},
    response::Response,
};
use chrono::{DateTime, Utc};
use haulage_queue::{
    AuditFilter, JobFilter, Priority, QueueStatus, WorkerInfo, WorkerLife, depths, job_page, list_audit, stats,
    store::{self, RunningJob, Waiting},
};

use super::{
    act::newest_deed,
    audit::Deed,
    jobs::Row,
    queues::{self, Line},
    stuck::{Card, cards},
};
use crate::{
    actions::Action,
    app::App,
    button::Button,
    chart::{Asked, Ended},
    error::Problem,
    frame::Frame,
    show::{Look, Tag, ago, capped, encode, gauge, mask, number, span, span_between},
};

/// Jobs, workers, kinds and deeds that are shown.
const SOME: u16 = 20;

/// `GET /queues/{name}`.
pub(crate) async fn page(app: App, frame: Frame, Path(name): Path<String>, Query(asked): Query<Asked>) -> Response {
    frame.answer(read(&app, &frame, name, &asked).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, name: String, asked: &Asked) -> Result<QueuePage<'a>, Problem> {
    if name.contains('\0') {
        return Err(Problem::not_found("The name of a queue holds no NUL.").go("queues", "All queues"));
    }
    let mut reading = app.list().await?;
    let clock = reading.clock;
    let known = store::list_queues(reading.db(), Some(&[&name]), None).await?.pop();
    let newest = job_page(reading.db(), &JobFilter::new().queue(&name).limit(SOME)).await?;
    let Some(known) = known else {
        // Its jobs may all be scheduled or finished.
        return if newest.jobs.is_empty() {
            let sentence = format!("No queue {name} is known: it has no job in line, no worker, no pause and no limit.");
            Err(Problem::not_found(sentence).go("queues", "All queues"))
        } else {
            let sentence = format!("Nothing waits or runs in the queue {name}, and no worker serves it.");
            Err(Problem::not_found(sentence).go(format!("jobs?q={}", encode(queue_term(&name))), "Its jobs"))
        };
    };
    let lines = store::count_lines(reading.db(), &name).await?;
    let kinds = store::sample_kinds(reading.db(), &name, SOME.into()).await?;
    let running = store::list_running(reading.db(), Some(&name), None, SOME.into()).await?;
    let workers = app.processes(&mut reading).await?;
    let deeds = list_audit(reading.db(), &AuditFilter::new().queue(&name).limit(SOME)).await?;
    let ended = stats(reading.db(), asked.range(), Some(&name)).await?;
    let depth = depths(reading.db(), asked.range(), Some(&name)).await?;
    let seen = newest_deed(frame, reading.db()).await?;
    drop(reading);
    let causes = app.causes_if_known().await;
    let of_queue =
        causes.iter().flat_map(|causes| causes.causes.iter()).filter(|cause| cause.verdict.subject.queue.as_ref() == Some(&name));
    let cards = cards(frame, of_queue.take(3), seen);
    Ok(QueuePage {
        frame,
        buttons: queues::buttons(frame, &known, &clock),
        limit: limit_button(frame, &known),
        most: lines.iter().map(|line| line.jobs).max().unwrap_or(0),
        most_of_kind: kinds.iter().map(|kind| kind.jobs).max().unwrap_or(0),
        lines,
        kinds,
        running,
        served: served(workers, &name),
        cards,
        deeds: deeds.into_iter().map(Deed::new).collect(),
        ended: Ended::new(frame, format!("queues/{}", encode(&name)), asked.range(), &depth, &ended),
        newest: newest.jobs.into_iter().map(|job| Row::new(job, &clock)).collect(),
        line: Line::new(known, &clock),
        clock,
    })
}

/// Opens the form with the limits as they are.
fn limit_button(frame: &Frame, queue: &QueueStatus) -> Option<Button> {
    let limit = (!queue.limit.is_none()).then_some(queue.limit);
    Button::new(frame, &Action::LimitQueue { queue: queue.name.clone(), limit }, "Limits")
}

/// Live workers of a queue with their slots there.
fn served(workers: Vec<WorkerInfo>, name: &str) -> Vec<(WorkerInfo, i32)> {
    let slots = |worker: &WorkerInfo| worker.queues.iter().position(|queue| queue == name).and_then(|at| worker.slots.get(at).copied());
    let alive = workers.into_iter().filter(|worker| worker.life != WorkerLife::Dead);
    alive.filter_map(|worker| slots(&worker).map(|slots| (worker, slots))).collect()
}

/// What the search has to be told for a queue, and for a kind in it.
fn queue_term(queue: &str) -> String {
    format!("queue:{queue}")
}

fn both(queue: &str, kind: &str) -> String {
    format!("queue:{queue} kind:{kind}")
}

#[derive(Debug, Template)]
#[template(path = "queue.html")]
struct QueuePage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    line: Line,
    buttons: Vec<Button>,
    limit: Option<Button>,
    lines: Vec<Waiting<Priority>>,
    most: i64,
    kinds: Vec<Waiting<String>>,
    most_of_kind: i64,
    running: Vec<RunningJob>,
    served: Vec<(WorkerInfo, i32)>,
    /// What holds up its jobs.
    cards: Vec<Card>,
    newest: Vec<Row>,
    deeds: Vec<Deed>,
    ended: Ended<'a>,
}
