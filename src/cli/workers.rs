//! `haulage workers`.

use std::time::Duration;

use haulage::{WorkerInfo, list_workers, unhandled_kinds};

use super::{
    connect::DatabaseUrl,
    output::{print, print_json, safe, time},
    table::table,
    unhandled,
};

/// Lists the worker processes: who lives, on which queues, with how much to do
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage workers
  haulage workers --json | jq '.[] | select(.life != \"alive\") | .name'

A dead worker stays in the list for an hour; one that stopped in order leaves it at once. Jobs that no
live worker takes are shown below; `haulage queues unhandled --json` has them for programs.")]
pub(crate) struct Workers {
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

impl Workers {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let pool = database.connect().await?;
        let workers = list_workers(&pool).await?;
        if self.json {
            return print_json(&workers);
        }
        let rows: Vec<_> = workers.iter().map(row).collect();
        let mut text = match rows.is_empty() {
            true => "no workers\n".to_owned(),
            false => table(["NAME", "LIFE", "HEARTBEAT", "RUNNING", "SLOTS", "QUEUES", "KINDS", "STARTED", "VERSION"], &rows),
        };
        let waiting = unhandled_kinds(&pool).await?;
        if !waiting.is_empty() {
            text += &format!("\njobs that no live worker takes:\n{}", unhandled::shown(&waiting));
        }
        print(&text)
    }
}

fn row(worker: &WorkerInfo) -> [String; 9] {
    let age = Duration::try_from_secs_f64(worker.heartbeat_age_s.max(0.0)).unwrap_or_default();
    let queues = worker.queues.iter().zip(&worker.slots).map(|(queue, slots)| format!("{queue}:{slots}"));
    [
        safe(&worker.name),
        worker.life.as_str().to_owned(),
        format!("{} ago", humantime::format_duration(Duration::from_secs(age.as_secs()))),
        worker.running.to_string(),
        worker.slots.iter().map(|slots| i64::from(*slots)).sum::<i64>().to_string(),
        queues.collect::<Vec<_>>().join(" "),
        worker.kinds.len().to_string(),
        time(worker.started_at),
        worker.version.clone(),
    ]
}
