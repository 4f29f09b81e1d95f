//! `haulage jobs list`.

use haulage::{JobFilter, JobId, JobState, JobSummary, check_name, list_jobs};

use super::super::{
    connect::DatabaseUrl,
    output::{print, print_json, safe, time},
    table::table,
};

/// Lists jobs, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs list
  haulage jobs list --state dead --queue mail
  haulage jobs list --limit 1000 --json | jq '.[].kind'")]
pub(crate) struct List {
    /// Only jobs in this state: scheduled, available, running, parked, completed, dead or cancelled
    #[arg(long)]
    state: Option<JobState>,

    /// Only jobs of this queue
    #[arg(long, value_parser = queue_name)]
    queue: Option<String>,

    /// Only jobs of this kind
    #[arg(long, value_parser = kind_name)]
    kind: Option<String>,

    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000), default_value = "50")]
    limit: u16,

    /// Only jobs older than this one: the last of the page before
    #[arg(long, value_name = "ID")]
    before: Option<JobId>,

    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

impl List {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let json = self.json;
        let limit = self.limit;
        let jobs = list_jobs(&database.connect().await?, &self.filter()).await?;
        if json {
            return print_json(&jobs);
        }
        if jobs.is_empty() {
            return print("no jobs\n");
        }
        let rows: Vec<_> = jobs.iter().map(row).collect();
        let mut text = table(["ID", "STATE", "KIND", "QUEUE", "PRIORITY", "FAILURES", "CREATED", "RUNS AT", "FINISHED", "ERROR"], &rows);
        if let Some(last) = jobs.last().filter(|_| jobs.len() >= limit.into()) {
            text.push_str(&format!("older ones: --before {}\n", last.id));
        }
        print(&text)
    }

    fn filter(self) -> JobFilter {
        let mut filter = JobFilter::new().limit(self.limit);
        if let Some(state) = self.state {
            filter = filter.state(state);
        }
        if let Some(queue) = self.queue {
            filter = filter.queue(queue);
        }
        if let Some(kind) = self.kind {
            filter = filter.kind(kind);
        }
        if let Some(id) = self.before {
            filter = filter.before(id);
        }
        filter
    }
}

fn row(job: &JobSummary) -> [String; 10] {
    [
        job.id.to_string(),
        job.state.to_string(),
        job.kind.clone(),
        job.queue.clone(),
        job.priority.to_string(),
        format!("{} of {}", job.failures, job.max_attempts),
        time(job.created_at),
        if job.state.is_final() { String::new() } else { time(job.run_at) },
        job.finished_at.map(time).unwrap_or_default(),
        job.error.as_deref().map(safe).unwrap_or_default(),
    ]
}

fn queue_name(text: &str) -> Result<String, haulage::NameError> {
    check_name("queue", text).map(|()| text.to_owned())
}

fn kind_name(text: &str) -> Result<String, haulage::NameError> {
    check_name("kind", text).map(|()| text.to_owned())
}
