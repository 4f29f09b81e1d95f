//! `haulage jobs list`.

use haulage::{JobFilter, JobId, JobPage, JobSummary, job_page};
use sqlx::PgPool;

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

The search goes back through the newest million unfinished and finished jobs, 20,000 at a time. If it stops before the end, it says where
to go on; if it has found nothing until then, the exit code is 1.")]
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

/// Pages that are searched until the list is full: some seconds.
const MOST_PAGES: usize = 50;

impl List {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let mut filter = self.filter.jobs().limit(self.limit);
        if let Some(id) = self.before {
            filter = filter.before(id);
        }
        let page = search(&database.connect().await?, filter, self.limit).await?;
        let more = more(&page, self.limit);
        // That nothing was found so far doesn't say that there is nothing.
        if let Some(more) = &more
            && page.jobs.is_empty()
        {
            if self.json {
                print_json(&page.jobs)?;
            }
            anyhow::bail!("no jobs found yet: {more}");
        }
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

/// Goes on where a page found less than it may show.
async fn search(pool: &PgPool, filter: JobFilter, limit: u16) -> anyhow::Result<JobPage> {
    let mut page = job_page(pool, &filter).await?;
    for _ in 1..MOST_PAGES {
        let left = limit.saturating_sub(u16::try_from(page.jobs.len()).unwrap_or(u16::MAX));
        let Some(next) = page.next.filter(|_| left > 0) else { break };
        let further = job_page(pool, &filter.clone().before(next).limit(left)).await?;
        page.jobs.extend(further.jobs);
        page.next = further.next;
    }
    Ok(page)
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
