//! `haulage jobs delete`.

use haulage::Verb;

use super::{super::connect::DatabaseUrl, act::Act};

/// Removes jobs for good that do not run, finished ones too, with their attempts
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs delete 42
  haulage jobs delete --state completed --kind import --finished-before 2d --yes")]
pub(crate) struct Delete {
    #[command(flatten)]
    act: Act,
}

impl Delete {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        self.act.run(database, Verb::Delete).await
    }
}
