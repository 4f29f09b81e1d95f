//! `haulage jobs run-now`.

use haulage::Verb;

use super::{super::connect::DatabaseUrl, act::Act};

/// Lets scheduled jobs run at once, instead of at their time
///
/// Also those that back off after a failure, or snooze.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage jobs run-now 42
  haulage jobs run-now --queue mail --yes")]
pub(crate) struct RunNow {
    #[command(flatten)]
    act: Act,
}

impl RunNow {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        self.act.run(database, Verb::RunNow).await
    }
}
