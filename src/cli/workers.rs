//! `haulage workers`.

use std::time::Duration;

use anyhow::bail;
use haulage::{WorkerInfo, WorkerLife, list_workers, unhandled_kinds};
use sqlx::PgPool;

use super::{
    NotFound,
    connect::DatabaseUrl,
    operator::{By, Who, reason},
    output::{print, print_json, safe, time},
    table::table,
    unhandled,
};

/// Lists the worker processes: who lives, on which queues, with how much to do; keeps one quiet
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage workers
  haulage workers quiet web-1:4711 --reason 'out of memory soon'
  haulage workers --json | jq '.[] | select(.life != \"alive\") | .name'

A dead worker stays in the list for an hour; one that stopped in order leaves it at once. Jobs that no
live worker takes are shown below; `haulage queues unhandled --json` has them for programs.")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Workers {
    /// Print one JSON array
    #[arg(long)]
    json: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Tells a worker to claim nothing more; what it runs goes on, and it lives on
    #[command(after_help = "\
It learns so by its next heartbeat, and gives back what it has not started. A process that is started again is not quiet.

Examples:
  haulage workers quiet web-1:4711 --reason 'out of memory soon'
  haulage workers quiet 8123456789012345678 --reason INC-2207 --as ana")]
    Quiet {
        /// Its name, or its id if several have that name
        worker: String,
        /// Why, for whoever finds it quiet
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
        #[command(flatten)]
        who: Who,
    },
    /// Lets a quiet worker claim again
    #[command(after_help = "\
Examples:
  haulage workers resume web-1:4711")]
    Resume {
        /// Its name, or its id if several have that name
        worker: String,
        #[command(flatten)]
        by: By,
    },
}

/// The living worker of this name or id.
async fn find(pool: &PgPool, named: &str) -> anyhow::Result<(i64, String)> {
    let workers = list_workers(pool).await?;
    let found: Vec<_> =
        workers.iter().filter(|worker| worker.life != WorkerLife::Dead && (worker.name == named || worker.id == named)).collect();
    match found[..] {
        [worker] => Ok((worker.id.parse()?, worker.name.clone())),
        [] => Err(NotFound(format!("no living worker has the name or id \"{named}\": `haulage workers` has them")).into()),
        _ => {
            let ids: Vec<&str> = found.iter().map(|worker| worker.id.as_str()).collect();
            bail!("{} workers are named \"{named}\"; say which by its id: {}", found.len(), ids.join(", "))
        }
    }
}

impl Workers {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let pool = database.connect().await?;
        match self.command {
            Some(Command::Quiet { worker, reason, who }) => {
                let (id, name) = find(&pool, &worker).await?;
                who.operator()?.because(reason).quiet_worker(&pool, id).await?;
                return print(&format!("{} claims nothing more until `haulage workers resume {id}`\n", safe(&name)));
            }
            Some(Command::Resume { worker, by }) => {
                let (id, name) = find(&pool, &worker).await?;
                if !by.operator()?.resume_worker(&pool, id).await? {
                    return Err(NotFound(format!("the worker \"{name}\" is not quiet")).into());
                }
                return print(&format!("{} claims again\n", safe(&name)));
            }
            None => {}
        }
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
        if worker.quiet_at.is_some() && worker.life == WorkerLife::Alive { "quiet".to_owned() } else { worker.life.as_str().to_owned() },
        format!("{} ago", humantime::format_duration(Duration::from_secs(age.as_secs()))),
        worker.running.to_string(),
        worker.slots.iter().map(|slots| i64::from(*slots)).sum::<i64>().to_string(),
        queues.collect::<Vec<_>>().join(" "),
        worker.kinds.len().to_string(),
        time(worker.started_at),
        worker.version.clone(),
    ]
}
