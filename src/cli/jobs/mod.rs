//! `haulage jobs`.

mod list;
mod show;

use super::connect::DatabaseUrl;

/// Lists jobs, shows one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs list --state dead
  haulage jobs show 42")]
pub(crate) struct Jobs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::List),
    Show(show::Show),
}

impl Jobs {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        match self.command {
            Command::List(command) => command.run(database).await,
            Command::Show(command) => command.run(database).await,
        }
    }
}
