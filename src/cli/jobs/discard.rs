//! `haulage jobs discard`.

use haulage::Verb;

use super::{super::connect::DatabaseUrl, act::Act};

/// Gives jobs up that do not run: they are dead, and can be retried
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs discard 42 --reason 'will never work'
  haulage jobs discard --state scheduled --error-class timeout --yes")]
pub(crate) struct Discard {
    #[command(flatten)]
    act: Act,
}

impl Discard {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        self.act.run(database, Verb::Discard).await
    }
}
