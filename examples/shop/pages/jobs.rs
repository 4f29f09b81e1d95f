//! How far a job has come: as JSON for the page's script, and as a card that the script keeps up
//! to date.

use axum::{
    Json,
    extract::{Path, State},
};
use haulage::{JobId, JobState, JobStatus};

use crate::{frame::Text, problem::Problem, web::App};

/// `GET /jobs/{id}.json`: one indexed read, cheap enough to poll.
///
/// A real shop asks first whether the job is this customer's.
pub(crate) async fn status(State(app): State<App>, Path(file): Path<String>) -> Result<Json<JobStatus>, Problem> {
    let id = file
        .strip_suffix(".json")
        .and_then(|id| id.parse::<JobId>().ok())
        .ok_or_else(|| Problem::not_found("A job's address is /jobs/NUMBER.json."))?;
    find(&app, id).await.map(Json)
}

pub(crate) async fn find(app: &App, id: JobId) -> Result<JobStatus, Problem> {
    haulage::job(&app.pool, id).await?.ok_or_else(|| Problem::not_found(format!("There is no job {id}.")))
}

/// The card. `assets/app.js` finds it by `data-job` and fills the elements by `data-field`.
pub(crate) fn card(title: &str, status: &JobStatus) -> String {
    let (percent, message) = match &status.progress {
        _ if status.state == JobState::Completed => (100, ""),
        Some(progress) => (progress.percent, progress.message.as_deref().unwrap_or_default()),
        None => (0, ""),
    };
    let state = state(status.state, status.failures);
    let settled = if status.state.is_final() { " data-final" } else { "" };
    format!(
        "<section class=\"card\" data-job=\"{id}\"{settled}>
<div class=\"row\"><h2>{title}</h2><span class=\"state {state}\" data-field=\"state\">{state}</span></div>
<progress max=\"100\" value=\"{percent}\" data-field=\"percent\"></progress>
<p class=\"muted\" data-field=\"message\">{message}</p>
<p class=\"muted small\">job <code>{id}</code> in queue <code>{queue}</code>, attempt <span data-field=\"attempt\">{attempt}</span></p>
<p class=\"muted small\">Its story: <code>haulage trace {id}</code></p>
<p class=\"error\" data-field=\"error\">{error}</p>
</section>\n",
        id = status.id,
        title = Text(title),
        message = Text(message),
        queue = Text(&status.queue),
        attempt = status.attempt,
        error = Text(status.error.as_deref().unwrap_or_default()),
    )
}

/// The state in a word: a scheduled job that has failed before is one that retries.
pub(crate) fn state(state: JobState, failures: i16) -> String {
    if state == JobState::Scheduled && failures > 0 { "retrying".to_owned() } else { state.to_string() }
}
