//! `haulage jobs release`.

use haulage::Verb;

use super::{super::connect::DatabaseUrl, act::Act};

/// Lets held jobs go on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs release 42
  haulage jobs release --queue mail --yes")]
pub(crate) struct Release {
    #[command(flatten)]
    act: Act,
}

impl Release {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        self.act.run(database, Verb::Release).await
    }
}
