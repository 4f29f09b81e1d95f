//! `haulage audit`.

use haulage::{AuditEntry, AuditFilter, JobId, OperationId, list_audit};
use serde_json::Value;

use super::{
    connect::DatabaseUrl,
    limit::said,
    output::{print, print_json, safe, time},
    table::table,
};

/// Lists who did what to which job, queue, key or schedule, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage audit
  haulage audit --job 42
  haulage audit --queue mail --by ana
  haulage audit --operation 7 --json | jq '[.[].jobs[]]'

The batches of an operation are listed with --operation or --job only.")]
pub(crate) struct Audit {
    /// Only what was done to this job, alone or with others
    #[arg(long, value_name = "ID")]
    job: Option<JobId>,

    /// Only what belongs to this operation
    #[arg(long, value_name = "ID")]
    operation: Option<OperationId>,

    /// Only what was done to this queue itself, not to its jobs
    #[arg(long, value_name = "QUEUE", conflicts_with_all = ["key", "schedule"])]
    queue: Option<String>,

    /// Only what was done to the limits of this key, or with 'word:*' to those of its class
    #[arg(long, value_name = "KEY", conflicts_with = "schedule")]
    key: Option<String>,

    /// Only what was done to this schedule
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,

    /// Only what this person did
    #[arg(long, value_name = "NAME")]
    by: Option<String>,

    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000), default_value = "50")]
    limit: u16,

    /// Only entries older than this one: the last of the page before
    #[arg(long, value_name = "ID")]
    before: Option<i64>,

    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let mut filter = AuditFilter::new().limit(self.limit);
        if let Some(id) = self.job {
            filter = filter.job(id);
        }
        if let Some(id) = self.operation {
            filter = filter.operation(id);
        }
        if let Some(queue) = &self.queue {
            filter = filter.queue(queue);
        }
        if let Some(key) = &self.key {
            filter = filter.key(key);
        }
        if let Some(name) = &self.schedule {
            filter = filter.schedule(name);
        }
        if let Some(who) = self.by {
            filter = filter.who(who);
        }
        if let Some(id) = self.before {
            filter = filter.before(id);
        }
        let entries = list_audit(&database.connect().await?, &filter).await?;
        if self.json {
            return print_json(&entries);
        }
        if entries.is_empty() {
            return print("no entries\n");
        }
        let rows: Vec<_> = entries.iter().map(row).collect();
        let mut text = table(["ID", "AT", "WHO", "VERB", "TARGET", "JOBS", "REASON", "BEFORE", "AFTER"], &rows);
        if let Some(last) = entries.last().filter(|_| entries.len() >= self.limit.into()) {
            text.push_str(&format!("older ones: --before {}\n", last.id));
        }
        print(&text)
    }
}

fn row(entry: &AuditEntry) -> [String; 9] {
    [
        entry.id.to_string(),
        time(entry.at),
        safe(&entry.who),
        entry.verb.clone(),
        safe(&entry.target),
        entry.jobs.len().to_string(),
        entry.reason.as_deref().map(safe).unwrap_or_default(),
        brief(entry, entry.before.as_ref()),
        brief(entry, entry.after.as_ref()),
    ]
}

/// What changed, in short; the rest is in `--json`.
fn brief(entry: &AuditEntry, standing: Option<&Value>) -> String {
    let Some(standing) = standing else { return String::new() };
    if ["limit", "unlimit"].contains(&entry.verb.as_str()) {
        // Of a queue beside its pause, of a key alone.
        return said(standing.get("limit").unwrap_or(standing));
    }
    if let Some(job) = standing.get("job") {
        return format!("job {job}");
    }
    if let Some(paused_at) = standing.get("paused_at") {
        return if paused_at.is_null() { "not paused" } else { "paused" }.to_owned();
    }
    let word = |name: &str| standing.get(name).and_then(Value::as_str);
    safe(word("parked_for").or_else(|| word("state")).unwrap_or_default())
}
