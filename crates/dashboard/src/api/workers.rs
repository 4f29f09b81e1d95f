//! Worker processes, and what they run.

use chrono::{DateTime, Utc};
use haulage_queue::{
    WorkerInfo, list_workers,
    store::{self, RunningJob},
};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgConnection;

use super::{
    acts::Because,
    endpoint::{Answer, Nothing, WorkerId},
    field::{Id, Page, Text},
    job::{Reported, Runner},
    write::{Doing, Done},
};
use crate::{app::App, error::Problem};

/// Jobs that stand with a worker.
const MOST: i32 = 200;

/// A worker process as it last told of itself.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Worker {
    /// Drawn anew each time it registers.
    id: String,
    /// Host and process id, unless it was given another name.
    name: String,
    /// Of Haulage.
    version: String,
    /// Whether it lives.
    #[schemars(extend("enum" = ["alive", "silent", "dead"]))]
    life: &'static str,
    /// The queues it works on.
    queues: Vec<String>,
    /// How many jobs it runs at once, queue by queue.
    slots: Vec<i32>,
    /// The kinds it handles.
    kinds: Vec<String>,
    /// The last revision that it knows of each, parallel to `kinds`. Empty: it takes every revision.
    revisions: Vec<i16>,
    /// Jobs that it held at its last heartbeat.
    running: i32,
    /// How long ago its last heartbeat came, in seconds.
    heartbeat_age_s: f64,
    /// When it started.
    started_at: DateTime<Utc>,
    /// When others declared it dead.
    dead_at: Option<DateTime<Utc>>,
    /// Since when it claims nothing, because somebody said so.
    quiet_at: Option<DateTime<Utc>>,
    /// Who said so.
    quiet_by: Option<String>,
    /// Why.
    quiet_why: Option<Text>,
}

impl Worker {
    fn new(worker: WorkerInfo) -> Self {
        Self {
            id: worker.id,
            name: worker.name,
            version: worker.version,
            life: worker.life.as_str(),
            queues: worker.queues,
            slots: worker.slots,
            kinds: worker.kinds,
            revisions: worker.revisions,
            running: worker.running,
            heartbeat_age_s: worker.heartbeat_age_s,
            started_at: worker.started_at,
            dead_at: worker.dead_at,
            quiet_at: worker.quiet_at,
            quiet_by: worker.quiet_by,
            quiet_why: Text::some(worker.quiet_why.as_deref()),
        }
    }
}

/// `GET /workers`.
pub(crate) async fn list(app: App, (): (), _: Nothing) -> Answer<Page<Worker>> {
    let mut reading = app.read().await?;
    Ok(Page::whole(list_workers(reading.db()).await?.into_iter().map(Worker::new).collect()))
}

/// A worker, with what it runs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WorkerDetail {
    #[serde(flatten)]
    worker: Worker,
    /// What it runs, those that have run longest first; at most 200.
    jobs: Vec<Running>,
}

/// A job that runs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RunningJob")]
pub(crate) struct Running {
    /// Its id.
    id: Id,
    /// Its kind.
    kind: String,
    /// Its queue.
    queue: String,
    /// Claims so far.
    attempt: i32,
    /// Since when.
    claimed_at: Option<DateTime<Utc>>,
    /// Who runs it.
    worker: Runner,
    /// What it last reported.
    progress: Option<Reported>,
    /// When somebody asked it to stop.
    cancel_at: Option<DateTime<Utc>>,
}

impl Running {
    pub(crate) fn new(job: RunningJob) -> Self {
        Self {
            id: job.id.into(),
            kind: job.kind,
            queue: job.queue,
            attempt: job.attempt,
            claimed_at: job.claimed_at,
            worker: Runner::new(job.worker),
            progress: job.progress.as_ref().map(Reported::new),
            cancel_at: job.cancel_at,
        }
    }
}

/// Whether something changed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ResumedWorker")]
pub(crate) struct Resumed {
    /// The worker.
    id: String,
    /// Whether it was quiet.
    was_quiet: bool,
}

/// `POST /workers/{id}/quiet`.
pub(crate) async fn quiet(mut doing: Doing, WorkerId(id): WorkerId, because: Because) -> Done<Worker> {
    let operator = doing.operator(because.reason.as_deref());
    operator.quiet_worker(doing.db(), id).await?;
    let worker = find(doing.db(), id).await?;
    Ok((doing, Worker::new(worker)))
}

/// `POST /workers/{id}/resume`.
pub(crate) async fn resume(mut doing: Doing, WorkerId(id): WorkerId, because: Because) -> Done<Resumed> {
    let operator = doing.operator(because.reason.as_deref());
    let was_quiet = operator.resume_worker(doing.db(), id).await?;
    Ok((doing, Resumed { id: id.to_string(), was_quiet }))
}

async fn find(db: &mut PgConnection, id: i64) -> Answer<WorkerInfo> {
    let text = id.to_string();
    list_workers(db).await?.into_iter().find(|worker| worker.id == text).ok_or_else(|| {
        Problem::not_found(format!("no worker {id} is known: one that stopped in order leaves the list at once, a dead one after an hour"))
    })
}

/// `GET /workers/{id}`.
pub(crate) async fn show(app: App, WorkerId(id): WorkerId, _: Nothing) -> Answer<WorkerDetail> {
    let mut reading = app.read().await?;
    let worker = find(reading.db(), id).await?;
    let running = store::list_running(reading.db(), None, Some(id), MOST).await?;
    Ok(WorkerDetail { worker: Worker::new(worker), jobs: running.into_iter().map(Running::new).collect() })
}
