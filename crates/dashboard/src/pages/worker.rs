//! One worker process.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use haulage_queue::{
    list_workers,
    store::{self, RunningJob},
};

use super::workers::Process;
use crate::{
    app::App,
    error::Problem,
    frame::Frame,
    show::{Look, Tag, ago, at, encode, mask, number, span_between},
};

/// Jobs that are shown.
const MOST: i32 = 200;

/// `GET /workers/{id}`.
pub(crate) async fn page(State(app): State<App>, frame: Frame, Path(id): Path<String>) -> Response {
    frame.answer(read(&app, &frame, &id).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, id: &str) -> Result<WorkerPage<'a>, Problem> {
    let gone = || {
        let sentence = "This worker is not known. One that stopped in order leaves the list at once, a dead one after an hour.";
        Problem::not_found(sentence).go("workers", "All workers")
    };
    let number: i64 = id.parse().map_err(|_| gone())?;
    let mut reading = app.read().await?;
    let worker = list_workers(reading.db()).await?.into_iter().find(|worker| worker.id == id).ok_or_else(gone)?;
    let running = store::list_running(reading.db(), None, Some(number), MOST).await?;
    let revisions = worker.revisions.iter().copied().chain(std::iter::repeat(0));
    let kinds = worker.kinds.iter().cloned().zip(revisions).collect();
    Ok(WorkerPage { frame, clock: reading.clock, kinds, process: Process::new(worker).with_button(frame), running })
}

#[derive(Debug, Template)]
#[template(path = "worker.html")]
struct WorkerPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    process: Process,
    running: Vec<RunningJob>,
    /// Each with the last revision that it knows.
    kinds: Vec<(String, i16)>,
}
