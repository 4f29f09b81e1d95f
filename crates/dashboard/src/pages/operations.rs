//! Acts on many jobs, newest first.

use std::collections::BTreeMap;

use askama::Template;
use axum::{extract::Query, response::Response};
use chrono::{DateTime, Utc};
use haulage_queue::{JobFilter, Operation, OperationId, OperationState, Verb, list_operations};
use serde::Deserialize;

use super::PAGE;
use crate::{
    app::App,
    error::Problem,
    frame::Frame,
    show::{Gauge, Look, Tag, ago, gauge, mask, mask_named, number},
};

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    before: String,
}

/// `GET /operations`.
pub(crate) async fn page(app: App, frame: Frame, Query(asked): Query<Asked>) -> Response {
    frame.answer(read(&app, &frame, &asked.before).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, before: &str) -> Result<OperationsPage<'a>, Problem> {
    let before: Option<OperationId> = (!before.is_empty())
        .then(|| before.parse())
        .transpose()
        .map_err(|_| Problem::bad("the number of an operation is a whole number").go("operations", "All operations"))?;
    let mut reading = app.list().await?;
    let mut operations = list_operations(reading.db(), before, PAGE + 1).await?;
    let more = operations.len() > usize::from(PAGE);
    operations.truncate(PAGE.into());
    Ok(OperationsPage {
        frame,
        clock: reading.clock,
        older: operations.last().filter(|_| more).map(|last| last.id),
        first: before.is_none(),
        operations: operations.into_iter().map(Line::new).collect(),
    })
}

/// An operation in a list.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) operation: Operation,
    pub(crate) tag: Tag,
    pub(crate) verb: String,
    /// How many of the ids have had their turn.
    pub(crate) gauge: Gauge,
    pub(crate) percent: i64,
    pub(crate) done: i64,
    pub(crate) skipped: i64,
    pub(crate) failed: i64,
    /// Which jobs, condition by condition.
    pub(crate) conditions: Vec<(String, String)>,
}

impl Line {
    pub(crate) fn new(mut operation: Operation) -> Self {
        operation.reason = operation.reason.map(|reason| mask(&reason).into_owned());
        let tag = match operation.state {
            OperationState::Open => Tag::words(Look::Running, "Open"),
            OperationState::Done => Tag::words(Look::Completed, "Done"),
            _ => Tag::words(Look::Cancelled, "Cancelled"),
        };
        let up_to = operation.up_to.0.max(1);
        let reached = if operation.state == OperationState::Done { up_to } else { operation.cursor.0.min(up_to) };
        let sum = |counts: &BTreeMap<String, u64>| signed(counts.values().sum::<u64>());
        Self {
            tag,
            verb: words(&operation.verb),
            gauge: gauge(reached, up_to),
            percent: reached.saturating_mul(100) / up_to,
            done: signed(operation.done),
            skipped: sum(&operation.skipped),
            failed: sum(&operation.failed),
            conditions: conditions(&operation.filter),
            operation,
        }
    }
}

/// What is done, and to where.
fn words(verb: &Verb) -> String {
    match verb {
        Verb::Move { queue } => format!("move to {queue}"),
        Verb::Reprioritise { priority } => format!("reprioritise to {priority}"),
        _ => verb.as_str().replace('-', " "),
    }
}

pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A filter, condition by condition, under the names that it is stored with.
pub(crate) fn conditions(filter: &JobFilter) -> Vec<(String, String)> {
    let Ok(serde_json::Value::Object(parts)) = serde_json::to_value(filter) else { return Vec::new() };
    let word = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    let masked = |(name, value): (String, _)| (name.replace('_', " "), mask_named(&name, &word(value)));
    parts.into_iter().map(masked).collect()
}

#[derive(Debug, Template)]
#[template(path = "operations.html")]
struct OperationsPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    operations: Vec<Line>,
    older: Option<OperationId>,
    first: bool,
}
