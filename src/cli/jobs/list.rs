//! `haulage jobs list`.

use haulage::{JobId, JobPage, JobSummary, job_page};

use super::{
    super::{
        connect::DatabaseUrl,
        output::{print, print_json, remark, safe, time},
        table::table,
    },
    filter::Filter,
};

/// Lists jobs, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs list
  haulage jobs list --state dead --queue mail
  haulage jobs list --state dead --error 'timed out' --finished-after 2h
  haulage jobs list --limit 1000 --json | jq '.[].kind'

A page looks at the newest 20,000 unfinished and 20,000 finished jobs; if there is more to search, it says where to go on.")]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,

    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000), default_value = "50")]
    limit: u16,

    /// Only jobs older than this one: what the page before ended with
    #[arg(long, value_name = "ID")]
    before: Option<JobId>,

    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

impl List {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let mut filter = self.filter.jobs().limit(self.limit);
        if let Some(id) = self.before {
            filter = filter.before(id);
        }
        let page = job_page(&database.connect().await?, &filter).await?;
        let more = more(&page, self.limit);
        if self.json {
            print_json(&page.jobs)?;
            if let Some(more) = more {
                remark(&more);
            }
            return Ok(());
        }
        let mut text = if page.jobs.is_empty() { "no jobs\n".to_owned() } else { job_table(&page.jobs) };
        if let Some(more) = more {
            text.push_str(&more);
            text.push('\n');
        }
        print(&text)
    }
}

/// How to get the next page, if there may be one.
fn more(page: &JobPage, limit: u16) -> Option<String> {
    let next = page.next?;
    Some(if page.jobs.len() < limit.into() {
        format!("searched back to job {next}; older ones: --before {next}")
    } else {
        format!("older ones: --before {next}")
    })
}

pub(crate) fn job_table(jobs: &[JobSummary]) -> String {
    let rows: Vec<_> = jobs.iter().map(row).collect();
    table(["ID", "STATE", "KIND", "QUEUE", "PRIORITY", "FAILURES", "CREATED", "RUNS AT", "FINISHED", "ERROR"], &rows)
}

fn row(job: &JobSummary) -> [String; 10] {
    [
        job.id.to_string(),
        // What it is parked for says more.
        job.parked_for.map_or_else(|| job.state.to_string(), |why| why.as_str().to_owned()),
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
