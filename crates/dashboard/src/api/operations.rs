//! Acts on many jobs.

use std::{borrow::Cow, collections::BTreeMap};

use chrono::{DateTime, Utc};
use haulage_queue::{JobFilter, OperationId, Verb, list_operations, operation};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::json;

use super::{
    cursor::behind,
    endpoint::{Answer, Nothing},
    field::{Id, Json, Page, Rank, Text},
    job::Part,
};
use crate::{app::App, error::Problem};

/// An act on every job that matched, and how far it is. `done`, `skipped` and `failed` together are the jobs that matched.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Operation {
    /// Its number.
    id: Id,
    /// Who started it.
    who: String,
    /// Why.
    reason: Option<Text>,
    /// What is done.
    verb: &'static str,
    /// Of a move: to which queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    /// Of a reprioritise: to which priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Rank>,
    /// To which jobs: the conditions, all of which hold.
    filter: Conditions,
    /// Whether it goes on.
    #[schemars(extend("enum" = ["open", "done", "cancelled"]))]
    state: &'static str,
    /// Jobs with a larger id were enqueued later and are not touched.
    up_to: Id,
    /// Jobs up to this id have had their turn.
    cursor: Id,
    /// Jobs that it was done to; of a cancel also those that were told.
    done: u64,
    /// Jobs that it did not fit, by reason.
    skipped: BTreeMap<Text, u64>,
    /// Jobs that the database refused to change, by what it said.
    failed: BTreeMap<Text, u64>,
    /// When it was started. Jobs that finished later are not touched.
    started_at: DateTime<Utc>,
    /// When the last batch was done.
    stepped_at: Option<DateTime<Utc>>,
    /// When it ended.
    ended_at: Option<DateTime<Utc>>,
}

/// A filter as it is stored.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Conditions(Json);

impl Conditions {
    fn new(filter: &JobFilter) -> Self {
        Self(Json::ours(json!(filter)))
    }
}

impl JsonSchema for Conditions {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Conditions".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "object", "additionalProperties": true })
    }
}

impl Operation {
    pub(crate) fn new(operation: haulage_queue::Operation) -> Self {
        // Two reasons may be the same without their secrets.
        let sums = |counts: &BTreeMap<String, u64>| {
            counts.iter().fold(BTreeMap::new(), |mut sums, (reason, count)| {
                *sums.entry(Text::of(reason)).or_default() += count;
                sums
            })
        };
        let (queue, priority) = match &operation.verb {
            Verb::Move { queue } => (Some(queue.clone()), None),
            Verb::Reprioritise { priority } => (None, Some(Rank(*priority))),
            _ => (None, None),
        };
        Self {
            id: operation.id.into(),
            who: operation.who,
            reason: Text::some(operation.reason.as_deref()),
            verb: operation.verb.as_str(),
            queue,
            priority,
            filter: Conditions::new(&operation.filter),
            state: operation.state.as_str(),
            up_to: operation.up_to.into(),
            cursor: operation.cursor.into(),
            done: operation.done,
            skipped: sums(&operation.skipped),
            failed: sums(&operation.failed),
            started_at: operation.started_at,
            stepped_at: operation.stepped_at,
            ended_at: operation.ended_at,
        }
    }
}

/// `GET /operations`.
pub(crate) async fn list(app: App, (): (), part: Part) -> Answer<Page<Operation>> {
    let before = part.after.map(|after| after.place("operations", |place| place.parse().ok())).transpose()?;
    let limit = part.limit.unwrap_or_default();
    let mut reading = app.list().await?;
    let operations = list_operations(reading.db(), before, limit.0 + 1).await?;
    Ok(Page::cut(operations.into_iter().map(Operation::new).collect(), limit, |last| behind("operations", last.id.0)))
}

/// `GET /operations/{id}`.
pub(crate) async fn show(app: App, id: OperationId, _: Nothing) -> Answer<Operation> {
    let found = operation(app.read().await?.db(), id).await?;
    found.map(Operation::new).ok_or_else(|| Problem::not_found(format!("there is no operation {id}; they are kept for a year")))
}
