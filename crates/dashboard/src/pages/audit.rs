//! Who did what.

use askama::Template;
use axum::{extract::Query, response::Response};
use chrono::{DateTime, Utc};
use haulage_queue::{AuditEntry, AuditFilter, JobId, OperationId, audit_page, store::JsonText};
use serde::Deserialize;
use serde_json::Value;

use super::PAGE;
use crate::{
    app::App,
    error::Problem,
    frame::Frame,
    show::{Json, ago, encode, json, mask},
};

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    who: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    before: String,
}

/// `GET /audit`.
pub(crate) async fn page(app: App, frame: Frame, Query(asked): Query<Asked>) -> Response {
    frame.answer(read(&app, &frame, asked).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, asked: Asked) -> Result<AuditPage<'a>, Problem> {
    let bad = |sentence: &str| Problem::bad(sentence).go("audit", "The whole audit");
    let (who, target) = (asked.who.trim(), asked.target.trim());
    if who.contains('\0') || target.contains('\0') {
        return Err(bad("the character NUL can't be searched for"));
    }
    let mut filter = AuditFilter::new().limit(PAGE + 1);
    if !who.is_empty() {
        filter = filter.who(who);
    }
    filter = match target.split_once(' ') {
        _ if target.is_empty() => filter,
        Some(("job", id)) => filter.job(id.parse::<JobId>().map_err(|error| bad(&error.to_string()))?),
        Some(("operation", id)) => {
            filter.operation(id.parse::<OperationId>().map_err(|_| bad("the number of an operation is a whole number"))?)
        }
        Some(("queue", name)) => filter.queue(name),
        Some(("key", name)) => filter.key(name),
        Some(("schedule", name)) => filter.schedule(name),
        _ => return Err(bad("what it was done to is written like job 42, operation 7, queue mail, key tenant:42 or schedule nightly")),
    };
    if !asked.before.is_empty() {
        filter = filter.before(asked.before.parse().map_err(|_| bad("the number of an entry is a whole number"))?);
    }
    let mut reading = app.list().await?;
    let page = audit_page(reading.db(), &filter).await?;
    let (mut deeds, mut next) = (page.entries, page.next);
    // One more than is shown was asked for: there are older ones.
    if deeds.len() > usize::from(PAGE) {
        deeds.truncate(PAGE.into());
        next = deeds.last().map(|last| last.id);
    }
    let link = |before: Option<i64>| {
        let mut parts = Vec::new();
        for (name, value) in [("who", who), ("target", target)] {
            if !value.is_empty() {
                parts.push(format!("{name}={}", encode(value)));
            }
        }
        parts.extend(before.map(|id| format!("before={id}")));
        if parts.is_empty() { "audit".to_owned() } else { format!("audit?{}", parts.join("&")) }
    };
    Ok(AuditPage {
        frame,
        clock: reading.clock,
        older: next.map(|next| link(Some(next))),
        newest: (!asked.before.is_empty()).then(|| link(None)),
        deeds: deeds.into_iter().map(Deed::new).collect(),
        who: who.to_owned(),
        target: target.to_owned(),
    })
}

/// An entry of the audit, with a link to what it was done to.
#[derive(Debug)]
pub(crate) struct Deed {
    pub(crate) entry: AuditEntry,
    /// From our root.
    pub(crate) link: Option<String>,
    /// How many jobs it changed, if these are not the target.
    pub(crate) jobs: Option<usize>,
    pub(crate) before: Option<Json>,
    pub(crate) after: Option<Json>,
}

impl Deed {
    pub(crate) fn new(mut entry: AuditEntry) -> Self {
        entry.reason = entry.reason.map(|reason| mask(&reason).into_owned());
        let link = match entry.target.split_once(' ') {
            Some(("job", id)) => Some(format!("jobs/{}", encode(id))),
            Some(("operation", id)) => Some(format!("operations/{}", encode(id))),
            Some(("worker", id)) => Some(format!("workers/{}", encode(id))),
            Some(("queue", name)) => Some(format!("queues/{}", encode(name))),
            Some(("schedule", name)) => Some(format!("schedules/{}", encode(name))),
            _ => None,
        };
        let print = |value: &Option<Value>| {
            value.as_ref().map(|value| {
                let text = value.to_string();
                json(&JsonText { length: text.chars().count(), text })
            })
        };
        let (before, after) = (print(&entry.before), print(&entry.after));
        let jobs = (!entry.target.starts_with("job ") && !entry.jobs.is_empty()).then_some(entry.jobs.len());
        Self { link, jobs, before, after, entry }
    }
}

#[derive(Debug, Template)]
#[template(path = "audit.html")]
struct AuditPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    deeds: Vec<Deed>,
    older: Option<String>,
    newest: Option<String>,
    who: String,
    target: String,
}
