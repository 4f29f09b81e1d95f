//! How the fleet's queues stand, for Prometheus. A scrape never asks the database more often than each ten seconds, whoever scrapes;
//! and an answer costs the same beside any backlog, because counts stop at 10,001.
//!
//! Written by hand and not by OpenTelemetry, so that a dashboard alone needs none of it. Names and meanings are those of the worker.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use haulage_queue::{
    CauseGroup, ReadError,
    store::FleetSample,
    telemetry::{
        metric::{self, Metric},
        sample_fleet,
    },
};
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::error::Problem;

/// A sample is good for this long.
const FRESH: Duration = Duration::from_secs(10);

/// The last sample. The lock is held while one is taken: who comes meanwhile waits for it and asks for none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Arc<Mutex<Option<(Instant, String)>>>);

/// `GET /metrics`.
pub(crate) async fn metrics(State(pool): State<PgPool>, Extension(samples): Extension<Samples>) -> Response {
    match samples.text(&pool).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => Problem::from(error).json(),
    }
}

impl Samples {
    async fn text(&self, pool: &PgPool) -> Result<String, ReadError> {
        let mut last = self.0.lock().await;
        if let Some((at, text)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(text.clone());
        }
        let mut connection = pool.acquire().await?;
        let text = write(&sample_fleet(&mut connection).await?);
        *last = Some((Instant::now(), text.clone()));
        Ok(text)
    }
}

fn write(sample: &FleetSample) -> String {
    let mut text = String::new();
    let states = sample.queues.iter().flat_map(|queue| {
        [("available", queue.available), ("parked", queue.parked), ("running", queue.running)].map(|(state, jobs)| {
            (format!("haulage_job_state=\"{state}\",{}", label("messaging_destination_name", &queue.name)), jobs.to_string())
        })
    });
    family(&mut text, metric::QUEUE_JOBS, states);
    let oldest =
        sample.queues.iter().map(|queue| (label("messaging_destination_name", &queue.name), queue.oldest_s.unwrap_or(0.0).to_string()));
    family(&mut text, metric::OLDEST, oldest);
    family(&mut text, metric::OLDEST_TRANSACTION, sample.oldest_transaction_s.map(|age| (String::new(), age.to_string())).into_iter());
    let groups = CauseGroup::ALL.iter().map(|group| {
        let causes = sample.cause_groups.get(group).copied().unwrap_or(0);
        (label("haulage_cause_group", group.as_str()), causes.to_string())
    });
    family(&mut text, metric::CAUSES, groups);
    let causes = sample.causes.iter().map(|cause| {
        (format!("haulage_cause_code=\"{}\",{}", cause.code, label("messaging_destination_name", &cause.queue)), cause.jobs.to_string())
    });
    family(&mut text, metric::CAUSE_JOBS, causes);
    family(&mut text, metric::DEAD_TUPLES, sample.dead.iter().map(|(table, rows)| (label("db_collection_name", table), rows.to_string())));
    text
}

fn family(text: &mut String, metric: Metric, series: impl Iterator<Item = (String, String)>) {
    let name = metric.prometheus();
    // Writing to a string does not fail.
    writeln!(text, "# HELP {name} {}\n# TYPE {name} gauge", metric.help).ok();
    for (labels, value) in series {
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        writeln!(text, "{name}{labels} {value}").ok();
    }
}

fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
