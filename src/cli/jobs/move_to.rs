//! `haulage jobs move`.

use haulage::Verb;

use super::{super::connect::DatabaseUrl, act::Act, filter::queue_name};

/// Moves jobs that do not run to another queue, to the end of the line there
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs move 42 --to slow
  haulage jobs move --queue mail --kind newsletter --to bulk_mail --yes")]
pub(crate) struct Move {
    /// The queue to move to; it exists on first use
    #[arg(long, value_name = "QUEUE", value_parser = queue_name)]
    to: String,

    #[command(flatten)]
    act: Act,
}

impl Move {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        self.act.run(database, Verb::Move { queue: self.to }).await
    }
}
