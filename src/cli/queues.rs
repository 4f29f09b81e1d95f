//! `haulage queues`.

use std::time::Duration;

use haulage::{QueueStatus, queues, unhandled_kinds};

use super::{
    NotFound,
    connect::DatabaseUrl,
    limit::{LimitOptions, shown},
    operator::By,
    output::{print, print_json},
    pause::{self, PauseOptions},
    table::table,
    unhandled,
};

/// Counts are exact up to here.
const COUNTED: i64 = 10_000;

/// Lists queues, pauses, resumes and limits them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage queues list
  haulage queues pause mail --reason 'the mail server is down' --for 30m
  haulage queues resume mail
  haulage queues limit reports --max 3
  haulage queues limit mail --rate 100/1m --burst 10
  haulage queues unhandled --json | jq -r '.[].kind'")]
pub(crate) struct Queues {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists queues that have jobs, workers, a pause or a limit
    #[command(after_help = "\
Examples:
  haulage queues list
  haulage queues list --json | jq '.[] | select(.workers == 0) | .name'")]
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Lists kinds whose jobs wait and that no live worker takes
    #[command(after_help = "\
Examples:
  haulage queues unhandled
  haulage queues unhandled --json")]
    Unhandled {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Stops the whole fleet from starting jobs of a queue; what runs goes on
    #[command(after_help = "\
Examples:
  haulage queues pause mail --reason 'the mail server is down'
  haulage queues pause mail --reason 'a deploy of the relay' --for 30m --as ana")]
    Pause {
        queue: String,
        #[command(flatten)]
        options: PauseOptions,
    },
    /// Lets the fleet start jobs of a queue again
    #[command(after_help = "\
Examples:
  haulage queues resume mail --reason 'the mail server is back'")]
    Resume {
        queue: String,
        #[command(flatten)]
        by: By,
    },
    /// Sets the limits of a queue in the whole fleet, all of them anew
    #[command(after_help = "\
Examples:
  haulage queues limit reports --max 3
  haulage queues limit mail --rate 100/1m --burst 10 --reason 'what the relay allows'")]
    Limit {
        queue: String,
        #[command(flatten)]
        limit: LimitOptions,
        #[command(flatten)]
        by: By,
    },
    /// Takes the limits of a queue away
    #[command(after_help = "\
Examples:
  haulage queues unlimit reports")]
    Unlimit {
        queue: String,
        #[command(flatten)]
        by: By,
    },
}

impl Queues {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let pool = database.connect().await?;
        match self.command {
            Command::List { json } => {
                let queues = queues(&pool).await?;
                if json {
                    return print_json(&queues);
                }
                if queues.is_empty() {
                    return print("no queues\n");
                }
                let rows: Vec<_> = queues.iter().map(row).collect();
                print(&table(["QUEUE", "AVAILABLE", "RUNNING", "PARKED", "OLDEST", "WORKERS", "SLOTS", "LIMIT", "PAUSED"], &rows))
            }
            Command::Unhandled { json } => {
                let waiting = unhandled_kinds(&pool).await?;
                match json {
                    true => print_json(&waiting),
                    false if waiting.is_empty() => print("no job waits for a worker that is not there\n"),
                    false => print(&unhandled::shown(&waiting)),
                }
            }
            Command::Pause { queue, options } => {
                let length = options.length;
                let until = options.operator()?.pause_queue(&pool, &queue, length).await?;
                print(&pause::begun(&queue, until, "queues"))
            }
            Command::Resume { queue, by } => {
                if !by.operator()?.resume_queue(&pool, &queue).await? {
                    return Err(NotFound(format!("the queue \"{queue}\" is not paused")).into());
                }
                print(&format!("{queue} is resumed\n"))
            }
            Command::Limit { queue, limit, by } => {
                by.operator()?.limit_queue(&pool, &queue, limit.limit()).await?;
                print(&format!("{queue}: {}\n", shown(&limit.limit())))
            }
            Command::Unlimit { queue, by } => {
                by.operator()?.limit_queue(&pool, &queue, None).await?;
                print(&format!("{queue} has no limit\n"))
            }
        }
    }
}

fn row(queue: &QueueStatus) -> [String; 9] {
    let count = |count: i64| if count > COUNTED { format!("over {COUNTED}") } else { count.to_string() };
    [
        queue.name.clone(),
        count(queue.available),
        queue.running.to_string(),
        count(queue.parked),
        queue
            .oldest_s
            .and_then(|s| Duration::try_from_secs_f64(s.round()).ok())
            .map_or_else(String::new, |age| humantime::format_duration(age).to_string()),
        queue.workers.to_string(),
        queue.slots.to_string(),
        shown(&queue.limit),
        pause::shown(queue.paused_at, queue.paused_until, queue.paused_by.as_deref(), queue.paused_why.as_deref()).unwrap_or_default(),
    ]
}
