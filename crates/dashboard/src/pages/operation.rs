//! One act on many jobs.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use chrono::{DateTime, TimeDelta, Utc};
use haulage_queue::{AuditFilter, Operation, OperationId, OperationState, list_audit, operation};

use super::{
    audit::Deed,
    operations::{Line, signed},
};
use crate::{
    actions::Action,
    app::App,
    button::Button,
    error::Problem,
    frame::Frame,
    show::{ago, mask, number, span_between},
};

/// Reasons that are shown.
const MOST: usize = 50;

/// `GET /operations/{id}`.
pub(crate) async fn page(State(app): State<App>, frame: Frame, Path(id): Path<String>) -> Response {
    frame.answer(read(&app, &frame, &id).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, id: &str) -> Result<OperationPage<'a>, Problem> {
    let missing = || Problem::not_found("There is no such operation; they are kept for a year.").go("operations", "All operations");
    let id: OperationId = id.parse().map_err(|_| missing())?;
    let mut reading = app.read().await?;
    let found = operation(reading.db(), id).await?.ok_or_else(missing)?;
    let deeds = list_audit(reading.db(), &AuditFilter::new().operation(id).limit(20)).await?;
    let drives = app.drivers.drives(id);
    let button = match found.state {
        OperationState::Open if drives || is_fresh(&found, &reading.clock) => Button::new(frame, &Action::CancelOperation { id }, "Stop"),
        OperationState::Open => Button::new(frame, &Action::ResumeOperation { id }, "Go on").map(Button::first),
        OperationState::Cancelled => Button::new(frame, &Action::ResumeOperation { id }, "Go on"),
        _ => None,
    };
    let stop = Button::new(frame, &Action::CancelOperation { id }, "Stop");
    let left = found.state == OperationState::Open && !drives && !is_fresh(&found, &reading.clock);
    Ok(OperationPage {
        frame,
        buttons: button.into_iter().chain(stop.filter(|_| left)).collect(),
        goes: found.state == OperationState::Open && !left,
        left,
        clock: reading.clock,
        skipped: reasons(&found.skipped),
        failed: reasons(&found.failed),
        line: Line::new(found),
        deeds: deeds.into_iter().map(Deed::new).collect(),
    })
}

/// Somebody has done a batch of it a moment ago, or has just started it.
fn is_fresh(operation: &Operation, clock: &DateTime<Utc>) -> bool {
    *clock - operation.stepped_at.unwrap_or(operation.started_at) < TimeDelta::seconds(10)
}

/// What there was to say, and to how many jobs, most first.
fn reasons(counts: &BTreeMap<String, u64>) -> Vec<(String, String)> {
    let mut counts: Vec<_> = counts.iter().map(|(reason, count)| (reason, signed(*count))).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().take(MOST).map(|(reason, count)| (mask(reason).into_owned(), number(count))).collect()
}

#[derive(Debug, Template)]
#[template(path = "operation.html")]
struct OperationPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    line: Line,
    buttons: Vec<Button>,
    /// Somebody is at it.
    goes: bool,
    /// It is open and nobody is at it.
    left: bool,
    skipped: Vec<(String, String)>,
    failed: Vec<(String, String)>,
    deeds: Vec<Deed>,
}
