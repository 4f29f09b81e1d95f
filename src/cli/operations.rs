//! `haulage operations`: acts on all jobs that match a filter.

use std::io::{self, IsTerminal, Write};

use anyhow::bail;
use haulage::{Operation, OperationId, OperationState, list_operations, operation, step_operation};
use sqlx::PgPool;

use super::{
    NotFound,
    connect::DatabaseUrl,
    operator::By,
    output::{print, print_json, remark, safe, time},
    stop::Stops,
    table::table,
};

/// Lists acts on many jobs, cancels them, goes on with them
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  haulage operations
  haulage operations show 7 --json
  haulage operations cancel 7 --reason 'the wrong queue'
  haulage operations resume 7

An operation is stored before its first batch, and each batch is a transaction that also moves its cursor. So one whose process was
killed stays open and is gone on with by resume, from any machine."
)]
pub(crate) struct Operations {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    list: List,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Cancel(Cancel),
    Resume(Resume),
}

/// Lists operations, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage operations list
  haulage operations list --json | jq '.[] | select(.state == \"open\") | .id'")]
struct List {
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000), default_value = "50")]
    limit: u16,

    /// Only operations older than this one: the last of the page before
    #[arg(long, value_name = "ID")]
    before: Option<OperationId>,

    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// Shows one operation: what, to which jobs, how far it is
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage operations show 7
  haulage operations show 7 --json | jq .skipped")]
struct Show {
    /// The operation
    #[arg(value_name = "ID")]
    id: OperationId,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Stops an operation where it is; undoes nothing
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage operations cancel 7 --reason 'the wrong queue'")]
struct Cancel {
    /// The operation
    #[arg(value_name = "ID")]
    id: OperationId,

    #[command(flatten)]
    by: By,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Goes on with an operation whose process has ended, or that was cancelled
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage operations resume 7")]
struct Resume {
    /// The operation
    #[arg(value_name = "ID")]
    id: OperationId,

    #[command(flatten)]
    by: By,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Operations {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        match self.command.unwrap_or(Command::List(self.list)) {
            Command::List(command) => command.run(database).await,
            Command::Show(Show { id, json }) => tell(&find(&database.connect().await?, id).await?, json),
            Command::Cancel(Cancel { id, by, json }) => {
                let (operator, pool) = (by.operator()?, database.connect().await?);
                find(&pool, id).await?;
                tell(&operator.cancel_operation(&pool, id).await?, json)
            }
            Command::Resume(Resume { id, by, json }) => {
                let (operator, pool) = (by.operator()?, database.connect().await?);
                find(&pool, id).await?;
                operator.resume_operation(&pool, id).await?;
                drive(&pool, id, json).await
            }
        }
    }
}

impl List {
    async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let operations = list_operations(&database.connect().await?, self.before, self.limit).await?;
        if self.json {
            return print_json(&operations);
        }
        if operations.is_empty() {
            return print("no operations\n");
        }
        let rows: Vec<_> = operations.iter().map(row).collect();
        let mut text = table(["ID", "STATE", "VERB", "DONE", "SKIPPED", "FAILED", "WHO", "STARTED", "FILTER", "REASON"], &rows);
        if let Some(last) = operations.last().filter(|_| operations.len() >= self.limit.into()) {
            text.push_str(&format!("older ones: --before {}\n", last.id));
        }
        print(&text)
    }
}

/// Drives an operation to its end, and tells how far it is meanwhile. Ctrl-C leaves it open; the batch
/// under way is undone.
pub(crate) async fn drive(pool: &PgPool, id: OperationId, json: bool) -> anyhow::Result<()> {
    let mut stops = Stops::listen()?;
    let shows = io::stderr().is_terminal();
    let ended = loop {
        let operation = tokio::select! {
            biased;
            operation = step_operation(pool, id) => operation?,
            _ = stops.next() => bail!(
                "stopped in the middle of operation {id}: `haulage operations resume {id}` goes on, `haulage operations cancel {id}` ends it"
            ),
        };
        if shows {
            // How far by id is as near as can be told without counting all.
            write!(io::stderr(), "\r{}\x1b[K", counts(&operation)).ok();
        }
        if operation.state != OperationState::Open {
            break operation;
        }
    };
    if shows {
        writeln!(io::stderr()).ok();
    }
    tell(&ended, json)?;
    let failed: u64 = ended.failed.values().sum();
    match ended.state {
        OperationState::Cancelled => bail!("operation {id} was cancelled; `haulage operations resume {id}` goes on"),
        _ if failed > 0 => bail!("the database refused to change {failed} jobs: `haulage operations show {id}` says why"),
        _ => Ok(()),
    }
}

async fn find(pool: &PgPool, id: OperationId) -> anyhow::Result<Operation> {
    Ok(operation(pool, id).await?.ok_or_else(|| NotFound(format!("there is no operation {id}; `haulage operations` lists them")))?)
}

fn tell(operation: &Operation, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(operation);
    }
    let mut text = counts(operation) + "\n";
    for (reason, jobs) in operation.skipped.iter().chain(&operation.failed) {
        text.push_str(&format!("  {jobs} {}\n", safe(reason)));
    }
    if operation.state == OperationState::Open {
        let id = operation.id;
        remark(&format!("if no process drives it, `haulage operations resume {id}` does"));
    }
    print(&text)
}

fn counts(operation: &Operation) -> String {
    format!(
        "operation {}, {} of {}: {}; {} done, {} skipped, {} failed",
        operation.id,
        operation.verb.as_str(),
        filter(operation),
        operation.state.as_str(),
        operation.done,
        operation.skipped.values().sum::<u64>(),
        operation.failed.values().sum::<u64>()
    )
}

fn filter(operation: &Operation) -> String {
    safe(&serde_json::to_string(&operation.filter).unwrap_or_default())
}

fn row(operation: &Operation) -> [String; 10] {
    [
        operation.id.to_string(),
        operation.state.as_str().to_owned(),
        operation.verb.as_str().to_owned(),
        operation.done.to_string(),
        operation.skipped.values().sum::<u64>().to_string(),
        operation.failed.values().sum::<u64>().to_string(),
        safe(&operation.who),
        time(operation.started_at),
        filter(operation),
        operation.reason.as_deref().map(safe).unwrap_or_default(),
    ]
}
