//! `haulage jobs cancel`.

use haulage::Verb;

use super::{super::connect::DatabaseUrl, act::Act};

/// Cancels jobs; running ones are told to stop
///
/// A running handler hears of it at once, or at its worker's next heartbeat; if it completes first, the job is completed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs cancel 42 --reason 'ordered twice'
  haulage jobs cancel --kind import --tag 2026-11 --yes")]
pub(crate) struct Cancel {
    #[command(flatten)]
    act: Act,
}

impl Cancel {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        self.act.run(database, Verb::Cancel).await
    }
}
