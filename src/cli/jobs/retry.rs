//! `haulage jobs retry`.

use haulage::Verb;

use super::{super::connect::DatabaseUrl, act::Act};

/// Runs dead or cancelled jobs again
///
/// The same jobs with their ids and past attempts; their failures count from zero. Without --state a filter means dead ones.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs retry 42 43
  haulage jobs retry --queue mail --error 'no paper' --dry-run
  haulage jobs retry --kind send_email --finished-after 2h --reason 'the relay is back' --yes")]
pub(crate) struct Retry {
    #[command(flatten)]
    act: Act,
}

impl Retry {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        self.act.run(database, Verb::Retry).await
    }
}
