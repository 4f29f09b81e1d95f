//! All worker processes.

use askama::Template;
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use haulage_queue::{WorkerInfo, WorkerLife, list_workers};

use crate::{
    actions::Action,
    app::App,
    button::Button,
    error::Problem,
    frame::Frame,
    show::{Gauge, Look, Tag, ago, encode, gauge, number, span},
};

/// `GET /workers`.
pub(crate) async fn page(State(app): State<App>, frame: Frame) -> Response {
    frame.answer(read(&app, &frame).await)
}

async fn read<'a>(app: &App, frame: &'a Frame) -> Result<WorkersPage<'a>, Problem> {
    let mut reading = app.read().await?;
    let workers: Vec<Process> =
        list_workers(reading.db()).await?.into_iter().map(|worker| Process::new(worker).with_button(frame)).collect();
    Ok(WorkersPage { frame, clock: reading.clock, alive: workers.iter().filter(|process| process.lives()).count(), workers })
}

/// A worker in a list.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) worker: WorkerInfo,
    pub(crate) tag: Tag,
    pub(crate) slots: i64,
    pub(crate) gauge: Gauge,
    pub(crate) beat: String,
    /// Where it is to be pressed.
    pub(crate) button: Option<Button>,
}

impl Process {
    pub(crate) fn new(worker: WorkerInfo) -> Self {
        let tag = match worker.life {
            WorkerLife::Alive if worker.quiet_at.is_some() => Tag::words(Look::Parked, "Quiet"),
            WorkerLife::Alive => Tag::words(Look::Completed, "Alive"),
            WorkerLife::Silent => Tag::words(Look::Retrying, "Silent"),
            _ => Tag::words(Look::Dead, "Dead"),
        };
        let slots: i64 = worker.slots.iter().map(|slots| i64::from(*slots)).sum();
        Self {
            tag,
            slots,
            gauge: gauge(i64::from(worker.running), slots),
            beat: span(worker.heartbeat_age_s.max(0.0)),
            button: None,
            worker,
        }
    }

    pub(crate) fn with_button(self, frame: &Frame) -> Self {
        let id = self.worker.id.parse().ok().filter(|_| self.worker.dead_at.is_none());
        let button = id.and_then(|worker| match self.worker.quiet_at {
            Some(_) => Button::new(frame, &Action::ResumeWorker { worker }, "Resume"),
            None => Button::new(frame, &Action::QuietWorker { worker }, "Keep quiet"),
        });
        Self { button, ..self }
    }

    pub(crate) fn lives(&self) -> bool {
        self.worker.life == WorkerLife::Alive
    }
}

#[derive(Debug, Template)]
#[template(path = "workers.html")]
struct WorkersPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    workers: Vec<Process>,
    alive: usize,
}
