//! `haulage audit`.

use haulage::{AuditEntry, AuditFilter, JobId, OperationId, list_audit};

use super::{
    connect::DatabaseUrl,
    output::{print, print_json, safe, time},
    table::table,
};

/// Lists who did what to which job, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage audit
  haulage audit --job 42
  haulage audit --operation 7 --json | jq '[.[].jobs[]]'

The batches of an operation are listed with --operation or --job only.")]
pub(crate) struct Audit {
    /// Only what was done to this job, alone or with others
    #[arg(long, value_name = "ID")]
    job: Option<JobId>,

    /// Only what belongs to this operation
    #[arg(long, value_name = "ID")]
    operation: Option<OperationId>,

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
        entry.target.clone(),
        entry.jobs.len().to_string(),
        entry.reason.as_deref().map(safe).unwrap_or_default(),
        state(entry.before.as_ref()),
        state(entry.after.as_ref()),
    ]
}

/// The state in short; the rest is in `--json`.
fn state(standing: Option<&serde_json::Value>) -> String {
    let word = |name: &str| standing.and_then(|standing| standing.get(name)).and_then(|word| word.as_str());
    safe(word("parked_for").or_else(|| word("state")).unwrap_or_default())
}
