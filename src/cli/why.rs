//! `haulage why`.

use haulage::{JobId, Verdict, why};

use super::{
    NotFound,
    connect::DatabaseUrl,
    output::{print, print_json, safe, time},
};

/// Says why a job does not run, who moves it and when; of a finished one, where its time went
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage why 42
  haulage why 42 --json | jq .evidence

The codes are in docs/why.md. The exit code is 3 when there never was such a job.")]
pub(crate) struct Why {
    /// The job's id
    #[arg(value_name = "ID", allow_negative_numbers = true)]
    id: JobId,

    /// Print one JSON object, with all facts
    #[arg(long)]
    json: bool,
}

impl Why {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let id = self.id;
        let pool = database.connect().await?;
        let Some(verdict) = why(&mut *pool.acquire().await?, id).await? else {
            return Err(NotFound(format!("there never was a job {id}")).into());
        };
        if self.json {
            return print_json(&verdict);
        }
        print(&shown(&verdict))
    }
}

/// The sentence first, then whatever else there is.
fn shown(verdict: &Verdict) -> String {
    let mut text = format!("{}\n", safe(&verdict.sentence));
    if !verdict.detail.is_empty() {
        text += &format!("{}\n", safe(&verdict.detail));
    }
    let mut line = |name: &str, value: &str| text += &format!("  {name:6} {}\n", safe(value));
    line("code", &format!("{}, {}", verdict.code, verdict.severity.as_str()));
    if let Some(since) = verdict.since {
        line("since", &time(since));
    }
    line("moves", verdict.mover.as_str());
    if let Some(due) = verdict.due {
        line("due", &format!("{}{}", time(due), if verdict.overdue { ", overdue" } else { "" }));
    }
    for other in &verdict.also {
        line("also", &format!("{}: {}", other.code, other.sentence));
    }
    for fix in &verdict.fixes {
        line("fix", &format!("{}: {}", fix.label, fix.command));
    }
    text
}
