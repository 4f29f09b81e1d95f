//! `haulage jobs reprioritise`.

use haulage::{Priority, Verb};

use super::{super::connect::DatabaseUrl, act::Act};

/// Gives jobs that do not run another priority; they go to the end of that line
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs reprioritise 42 --to urgent
  haulage jobs reprioritise --queue mail --kind newsletter --to bulk --yes")]
pub(crate) struct Reprioritise {
    /// The new priority: urgent, normal, low or bulk
    #[arg(long, value_name = "PRIORITY")]
    to: Priority,

    #[command(flatten)]
    act: Act,
}

impl Reprioritise {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        self.act.run(database, Verb::Reprioritise { priority: self.to }).await
    }
}
