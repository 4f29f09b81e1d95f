//! `haulage jobs`.

mod list;
mod show;

mod cancel;
mod delete;
mod discard;
mod edit_args;
mod hold;
mod move_to;
mod release;
mod reprioritise;
mod retry;
mod run_again;
mod run_now;

mod act;
mod filter;

use super::connect::DatabaseUrl;

/// Lists jobs, shows one, and acts on them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs list --state dead
  haulage jobs show 42
  haulage jobs retry 42 --reason 'the relay is back'
  haulage jobs retry --queue mail --error 'no paper' --dry-run

The verbs take ids, or options that say which jobs are meant.")]
pub(crate) struct Jobs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::List),
    Show(show::Show),
    Retry(retry::Retry),
    RunNow(run_now::RunNow),
    RunAgain(run_again::RunAgain),
    Cancel(cancel::Cancel),
    Discard(discard::Discard),
    Hold(hold::Hold),
    Release(release::Release),
    Delete(delete::Delete),
    Move(move_to::Move),
    Reprioritise(reprioritise::Reprioritise),
    EditArgs(edit_args::EditArgs),
}

impl Jobs {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        match self.command {
            Command::List(command) => command.run(database).await,
            Command::Show(command) => command.run(database).await,
            Command::Retry(command) => command.run(database).await,
            Command::RunNow(command) => command.run(database).await,
            Command::RunAgain(command) => command.run(database).await,
            Command::Cancel(command) => command.run(database).await,
            Command::Discard(command) => command.run(database).await,
            Command::Hold(command) => command.run(database).await,
            Command::Release(command) => command.run(database).await,
            Command::Delete(command) => command.run(database).await,
            Command::Move(command) => command.run(database).await,
            Command::Reprioritise(command) => command.run(database).await,
            Command::EditArgs(command) => command.run(database).await,
        }
    }
}
