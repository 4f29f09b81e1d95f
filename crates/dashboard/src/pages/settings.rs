//! What this dashboard and the fleet run with. No secret is among it.

use std::collections::BTreeMap;

use askama::Template;
use axum::{Extension, extract::State, response::Response};
use chrono::{DateTime, Utc};
use haulage_queue::{
    SCHEMA_VERSION, WorkerLife, list_workers,
    store::{self, HistoryDays, ServerFacts},
};

use crate::{
    app::{App, PATIENCE},
    auth::LetIn,
    error::Problem,
    frame::Frame,
    replica::{lag, warning},
    show::{ago, number, span},
};

/// `GET /settings`.
pub(crate) async fn page(State(app): State<App>, frame: Frame, way: Option<Extension<LetIn>>) -> Response {
    frame.answer(read(&app, &frame, way.map(|Extension(way)| way)).await)
}

async fn read<'a>(app: &App, frame: &'a Frame, way: Option<LetIn>) -> Result<SettingsPage<'a>, Problem> {
    let mut reading = app.read().await?;
    let clock = reading.clock;
    let server = store::describe_server(reading.db()).await?;
    let mut history: Vec<Part> = store::list_history_days(reading.db()).await?.into_iter().map(Part::new).collect();
    history.sort_by_key(|part| PARTS.iter().position(|(_, name)| *name == part.name).unwrap_or(PARTS.len()));
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    for worker in list_workers(reading.db()).await? {
        if worker.life != WorkerLife::Dead {
            *versions.entry(worker.version).or_default() += 1;
        }
    }
    let options = app.pool.options();
    drop(reading);
    let replica = match &app.replica {
        Some(replica) => Some(match replica.standing().await {
            Some(standing) => (format!("from a replica, {}", lag(&standing)), warning(&standing)),
            None => ("from the primary: the replica can't be reached".to_owned(), None),
        }),
        None => None,
    };
    Ok(SettingsPage {
        frame,
        clock,
        log_in: match (way, &frame.actor.name) {
            (Some(LetIn(way)), _) => way,
            (None, Some(_)) => "by the application around it",
            (None, None) => "none of its own: whoever reaches it sees every job",
        },
        connections: options.get_max_connections(),
        wait: span(options.get_acquire_timeout().as_secs_f64()),
        patience: span(PATIENCE.as_secs_f64()),
        history,
        lag: server.replica_lag_s.map(span),
        server,
        replica,
        versions,
    })
}

/// The parts of the history, and what they are called.
const PARTS: [(&str, &str); 5] = [
    ("finished_completed", "Completed jobs"),
    ("finished_failed", "Dead and cancelled jobs"),
    ("attempts", "Attempts that did not succeed"),
    ("attempt_logs", "What they logged"),
    ("attempt_traces", "Traces of attempts"),
];

/// A part of the history in words.
#[derive(Debug)]
struct Part {
    name: &'static str,
    days: HistoryDays,
}

impl Part {
    fn new(days: HistoryDays) -> Self {
        let name = PARTS.iter().find(|(family, _)| *family == days.family).map_or("Other", |(_, name)| name);
        Self { name, days }
    }
}

#[derive(Debug, Template)]
#[template(path = "settings.html")]
struct SettingsPage<'a> {
    frame: &'a Frame,
    clock: DateTime<Utc>,
    server: ServerFacts,
    /// If the server itself is a replica.
    lag: Option<String>,
    /// How lists are read if there is a replica beside it, and what is wrong with that.
    replica: Option<(String, Option<String>)>,
    log_in: &'static str,
    connections: u32,
    wait: String,
    patience: String,
    history: Vec<Part>,
    versions: BTreeMap<String, usize>,
}
