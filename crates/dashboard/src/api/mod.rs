//! The JSON API, version 1: what the pages show, for programs. `docs/api.md` is for whoever uses it.
//!
//! ```text
//!  endpoints() ──> routes         the types of a handler say what it takes and answers,
//!            └───> openapi.json   and the document is made of them
//! ```
//!
//! What was made of jobs passes through `field::Text` and `field::Json`, which hide secrets; names and words stay as they are, because a
//! program passes them back.

mod endpoint;
mod openapi;
mod write;

mod acts;
mod audit;
mod filter;
mod job;
mod jobs;
mod limits;
mod operations;
mod overview;
mod queues;
mod schedules;
mod story;
mod verdict;
mod workers;

mod cursor;
mod field;
mod problem;

use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode},
    response::Response,
    routing::{any, get},
};

use self::{
    endpoint::{Endpoint, read},
    write::write,
};
use crate::{actions::Role, app::App, error::Problem};

const OK: StatusCode = StatusCode::OK;
const CREATED: StatusCode = StatusCode::CREATED;

/// Where it is, from our root.
pub(crate) const ROOT: &str = "/api/v1";

/// What describes it.
const DOCUMENT: &str = "/openapi.json";

/// All that there is.
fn endpoints() -> Vec<Endpoint> {
    use Role::{Admin, Operator};
    vec![
        read("/overview", "getOverview", "How everything stands", overview::show),
        read("/causes", "listCauses", "What holds up jobs, the worst first", verdict::causes),
        read("/jobs", "listJobs", "Jobs, newest first", jobs::list),
        read("/jobs/{id}", "getJob", "A job, with its last attempts", job::show),
        read("/jobs/{id}/why", "getJobWhy", "Why it does not run, or where its time went", job::verdict),
        read("/jobs/{id}/attempts", "listJobAttempts", "Its attempts that did not simply succeed, newest first", job::attempts),
        read("/jobs/{id}/logs", "listJobLogs", "What its attempts logged, as far as it was kept", job::logs),
        read("/jobs/{id}/trace", "getJobTrace", "The story of its family", job::story),
        read("/jobs/{id}/related", "getJobRelated", "Its family", job::related),
        read("/traces/{id}", "getTrace", "The story of a trace, a request or a job", job::trace),
        read("/queues", "listQueues", "Queues, by name", queues::list),
        read("/queues/{name}", "getQueue", "A queue, with what waits and runs in it", queues::show),
        read("/keys", "listKeys", "The limits of keys, by key", queues::keys),
        read("/workers", "listWorkers", "Worker processes, the living first", workers::list),
        read("/workers/{id}", "getWorker", "A worker, with what it runs", workers::show),
        read("/schedules", "listSchedules", "Schedules, by name", schedules::list),
        read("/schedules/{name}", "getSchedule", "A schedule, with when it fires", schedules::show),
        read("/schedules/{name}/runs", "listScheduleRuns", "Its last instants, and what they made", schedules::runs),
        read("/operations", "listOperations", "Acts on many jobs, newest first", operations::list),
        read("/operations/{id}", "getOperation", "An act on many jobs, and how far it is", operations::show),
        read("/audit", "listAudit", "Who did what, newest first", audit::list),
        write(Admin, post("/jobs"), ("enqueueJob", "Enqueues a job"), CREATED, acts::enqueue),
        write(Admin, (Method::DELETE, "/jobs/{id}"), ("deleteJob", "Removes a job that does not run, for good"), OK, acts::delete),
        write(Operator, post("/jobs/{id}/retry"), ("retryJob", "A dead or cancelled job runs again"), OK, acts::retry),
        write(Operator, post("/jobs/{id}/run-now"), ("runJobNow", "A scheduled job is available now"), OK, acts::run_now),
        write(Operator, post("/jobs/{id}/run-again"), ("runJobAgain", "Repeats a finished job as a new one"), CREATED, acts::run_again),
        write(Operator, post("/jobs/{id}/cancel"), ("cancelJob", "The job ends as cancelled, or is told to"), OK, acts::cancel),
        write(Operator, post("/jobs/{id}/discard"), ("discardJob", "The job ends as dead"), OK, acts::discard),
        write(Operator, post("/jobs/{id}/hold"), ("holdJob", "The job is set aside until somebody releases it"), OK, acts::hold),
        write(Operator, post("/jobs/{id}/release"), ("releaseJob", "A held job goes on"), OK, acts::release),
        write(Operator, post("/jobs/{id}/move"), ("moveJob", "The job goes to another queue"), OK, acts::move_to),
        write(Operator, post("/jobs/{id}/reprioritise"), ("reprioritiseJob", "The job gets another priority"), OK, acts::reprioritise),
        write(Admin, put("/jobs/{id}/args"), ("editJobArgs", "Other args for a job that does not run"), OK, acts::edit_args),
        write(Operator, post("/queues/{name}/pause"), ("pauseQueue", "The fleet starts no jobs of a queue"), OK, acts::pause_queue),
        write(Operator, post("/queues/{name}/resume"), ("resumeQueue", "The fleet starts jobs of a queue again"), OK, acts::resume_queue),
        write(Operator, post("/workers/{id}/quiet"), ("quietWorker", "A worker claims nothing more"), OK, workers::quiet),
        write(Operator, post("/workers/{id}/resume"), ("resumeWorker", "A quiet worker claims again"), OK, workers::resume),
        write(Admin, put("/queues/{name}/limit"), ("limitQueue", "Sets all limits of a queue anew"), OK, limits::limit_queue),
        write(Admin, put("/keys/{key}/limit"), ("limitKey", "Sets all limits of a key anew, or of a class of keys"), OK, limits::limit_key),
        write(Operator, post("/schedules/{name}/pause"), ("pauseSchedule", "A schedule does not fire"), OK, acts::pause_schedule),
        write(Operator, post("/schedules/{name}/resume"), ("resumeSchedule", "A schedule fires again"), OK, acts::resume_schedule),
        write(
            Operator,
            post("/schedules/{name}/run-now"),
            ("runScheduleNow", "Enqueues a schedule's job now"),
            CREATED,
            acts::run_schedule,
        ),
        write(
            Operator,
            post("/operations/preview"),
            ("previewOperation", "What an act on many jobs would mean; changes nothing"),
            OK,
            acts::preview,
        ),
        write(Operator, post("/operations"), ("startOperation", "Starts an act on all jobs that match"), CREATED, acts::start),
        write(
            Operator,
            post("/operations/{id}/cancel"),
            ("cancelOperation", "Stops an act on many jobs where it is"),
            OK,
            acts::cancel_operation,
        ),
        write(
            Operator,
            post("/operations/{id}/resume"),
            ("resumeOperation", "A cancelled act on many jobs goes on"),
            OK,
            acts::resume_operation,
        ),
    ]
}

const fn put(path: &'static str) -> (Method, &'static str) {
    (Method::PUT, path)
}

const fn post(path: &'static str) -> (Method, &'static str) {
    (Method::POST, path)
}

/// The routes, from our root.
pub(crate) fn router() -> Router<App> {
    let endpoints = endpoints();
    let document = openapi::Document::of(&endpoints);
    let mut api = Router::new().route(DOCUMENT, get(move |request: Request| async move { document.answer(request.headers()) }));
    for Endpoint { path, route, .. } in endpoints {
        api = api.route(path, route);
    }
    let api = api.method_not_allowed_fallback(no_such_method).fallback(lost);
    Router::new().nest(ROOT, api).route("/api", any(lost)).route("/api/", any(lost)).route("/api/{*path}", any(lost))
}

/// What is read, by its path from our root.
pub(crate) fn read_paths() -> impl Iterator<Item = String> {
    let reads = endpoints().into_iter().filter(|endpoint| endpoint.method == Method::GET).map(|endpoint| endpoint.path);
    reads.chain([DOCUMENT]).map(|path| format!("{ROOT}{path}"))
}

/// Whether a path leads here, and so is answered for programs.
pub(crate) fn is_ours(path: &str) -> bool {
    path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

async fn lost(request: Request) -> Response {
    let path: String = request.uri().path().chars().take(100).collect();
    Problem::not_found(format!("nothing is at \"{}\": openapi.json in {ROOT} names what there is", path.escape_debug())).api()
}

async fn no_such_method(request: Request) -> Response {
    let sentence = format!("{} is not possible here: the header Allow names what is", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Not in this way", sentence).api()
}
