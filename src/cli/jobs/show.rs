//! `haulage jobs show`.

use std::time::Duration;

use haulage::{Attempt, AttemptLog, AuditEntry, AuditFilter, JobDetail, JobId, JobState, job_detail, list_audit};
use serde_json::Value;

use super::super::{
    NotFound,
    connect::DatabaseUrl,
    output::{print, print_json, safe, said, time},
};

/// Shows one job: state, arguments, attempts that failed with what they logged, progress, output
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs show 42
  haulage jobs show 42 --json | jq .args

The exit code is 3 when there is no such job.")]
pub(crate) struct Show {
    /// The job's id
    #[arg(value_name = "ID", allow_negative_numbers = true)]
    id: JobId,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let id = self.id;
        let pool = database.connect().await?;
        let Some(job) = job_detail(&pool, id).await? else {
            let text = format!("there is no job {id}: it never existed, or it finished so long ago that its history is gone");
            return Err(NotFound(text).into());
        };
        if self.json {
            return print_json(&job);
        }
        let acts = list_audit(&pool, &AuditFilter::new().job(id)).await?;
        print(&(describe(&job) + &acts.iter().rev().map(describe_act).collect::<String>()))
    }
}

fn describe(job: &JobDetail) -> String {
    let status = &job.status;
    let mut text = format!("job {}\n", status.id);
    let mut line = |name: &str, value: String| {
        // Lines after the first stand below it.
        let value = safe(&value).replace('\n', "\n             ");
        text.push_str(&format!("  {name:10} {value}\n"));
    };
    line("kind", status.kind.clone());
    if job.revision > 0 {
        line("revision", job.revision.to_string());
    }
    line("queue", status.queue.clone());
    if let Some(key) = &job.limit_key {
        line("limit key", key.clone());
    }
    line("state", job.parked_for.map_or_else(|| status.state.to_string(), |why| format!("{} ({})", status.state, why.as_str())));
    line("priority", job.priority.to_string());
    line("attempts", format!("{}, of which failed {} of at most {}", status.attempt, status.failures, status.max_attempts));
    if job.crashes > 0 {
        line("crashes", job.crashes.to_string());
    }
    line("timeout", job.timeout_ms.map_or_else(|| "none".to_owned(), length));
    line("created", time(status.created_at));
    if !status.state.is_final() {
        line("runs at", time(status.run_at));
    }
    for (name, moment) in [("claimed", status.claimed_at), ("finished", status.finished_at)] {
        if let Some(moment) = moment {
            line(name, time(moment));
        }
    }
    if let Some(worker) = &job.worker {
        line("runs on", worker.clone());
    }
    if !job.tags.is_empty() {
        line("tags", job.tags.join(", "));
    }
    for (name, id) in [("parent", job.parent), ("root", job.root)] {
        if let Some(id) = id {
            line(name, id.to_string());
        }
    }
    if let Some(origin) = &job.origin {
        line("origin", origin.to_string());
    }
    line("args", pretty(&job.args));
    if let Some(meta) = &job.meta {
        line("meta", pretty(meta));
    }
    if let Some(progress) = &status.progress {
        line("progress", format!("{} % {}", progress.percent, progress.message.as_deref().unwrap_or_default()).trim_end().to_owned());
    }
    if let Some(span) = &job.span {
        line("in", format!("{}, since {}", span.path, time(span.since)));
    }
    if let Some(output) = &status.output {
        line("output", pretty(output));
    }
    if let Some(error) = &status.error {
        line("error", error.clone());
    }
    for attempt in &job.attempts {
        text.push_str(&describe_attempt(attempt));
        job.logs.iter().filter(|log| log.attempt == attempt.attempt).for_each(|log| text.push_str(&describe_log(log)));
    }
    // Of the attempt that succeeded, if the worker keeps those too; and of earlier ones than those above.
    for log in job.logs.iter().filter(|log| job.attempts.iter().all(|attempt| attempt.attempt != log.attempt)) {
        let has_completed = status.state == JobState::Completed && log.attempt == status.attempt;
        let outcome = if has_completed { "completed" } else { "its end is not listed" };
        text.push_str(&format!("attempt {}: {outcome}, {}\n", log.attempt, time(log.ended_at)));
        text.push_str(&describe_log(log));
    }
    text
}

/// One of those that did not simply succeed.
fn describe_attempt(attempt: &Attempt) -> String {
    let mut text = format!("attempt {}: {}, ", attempt.attempt, attempt.outcome);
    if let Some(started) = attempt.started_at.or(attempt.claimed_at) {
        text.push_str(&format!("{} to ", time(started)));
    }
    text.push_str(&time(attempt.ended_at));
    if let Some(worker) = &attempt.worker {
        text.push_str(&format!(", on {worker}"));
    }
    if let Some(next) = attempt.next_run_at {
        text.push_str(&format!(", next at {}", time(next)));
    }
    for line in attempt.message.as_deref().unwrap_or_default().lines() {
        text.push_str(&format!("\n    {line}"));
    }
    safe(&text) + "\n"
}

/// What an attempt logged.
fn describe_log(log: &AttemptLog) -> String {
    let mut text = String::new();
    if log.earlier > 0 {
        text.push_str(&format!("    ({} earlier lines were not kept)\n", log.earlier));
    }
    for line in &log.lines {
        let told = format!("{} {:5} {}: {}", line.at.format("%H:%M:%S%.3fZ"), line.level, line.target, said(line));
        text.push_str(&format!("    {}\n", safe(&told).replace('\n', "\n      ")));
    }
    text
}

/// What somebody did to it.
fn describe_act(entry: &AuditEntry) -> String {
    let mut text = format!("{} by {}, {}", entry.verb, entry.who, time(entry.at));
    if let Some(operation) = entry.operation {
        text.push_str(&format!(", in operation {operation}"));
    }
    if let Some(reason) = &entry.reason {
        text.push_str(&format!(": {}", reason.replace('\n', "\n    ")));
    }
    safe(&text) + "\n"
}

fn length(ms: i32) -> String {
    humantime::format_duration(Duration::from_millis(u64::try_from(ms).unwrap_or_default())).to_string()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}
