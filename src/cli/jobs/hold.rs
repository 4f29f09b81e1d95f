//! `haulage jobs hold`.

use haulage::Verb;

use super::{super::connect::DatabaseUrl, act::Act};

/// Sets jobs aside that do not run, until somebody releases them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs hold 42 --reason 'wait for INC-2207'
  haulage jobs hold --queue mail --kind newsletter --yes")]
pub(crate) struct Hold {
    #[command(flatten)]
    act: Act,
}

impl Hold {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        self.act.run(database, Verb::Hold).await
    }
}
