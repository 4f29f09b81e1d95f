//! The replica that the dashboard reads lists from.

use anyhow::{Context, bail};
use haulage::{dashboard::read_only, store};
use sqlx::{PgPool, postgres::PgPoolOptions};

use super::{
    connect::{connect, options, place},
    output::remark,
};

/// Where lists are read from
#[derive(Debug, clap::Args)]
pub(crate) struct ReadUrl {
    /// A streaming replica of the database, for lists, counts, searches and charts
    ///
    /// Better given by the environment variable: other users of this machine can see an option in the list of processes.
    #[arg(long, value_name = "URL", env = "HAULAGE_READ_URL", hide_env_values = true)]
    read_url: Option<String>,
}

impl ReadUrl {
    /// A pool of so many connections on the replica, if one is given. One that does not answer may come back; one that has other data is
    /// a mistake.
    pub(crate) async fn pool(&self, primary: &PgPool, pool: PgPoolOptions) -> anyhow::Result<Option<PgPool>> {
        let Some(url) = self.read_url.as_deref().filter(|url| !url.is_empty()) else { return Ok(None) };
        let options = options(url).context("the URL of the replica (--read-url, HAULAGE_READ_URL) is no good")?;
        let at = place(&options);
        match connect(url).await {
            Ok(replica) => {
                let (ours, other) = (store::identify_server(primary).await?, store::identify_server(&replica).await?);
                if ours.database != other.database || ours.system.zip(other.system).is_some_and(|(ours, other)| ours != other) {
                    bail!("{at} is no replica of this database: it has other data; give the URL of a streaming replica, or none");
                }
                if !other.follows {
                    remark(&format!("{at} is no replica, but takes writes itself; it is read all the same"));
                }
            }
            Err(error) => remark(&format!("the replica does not answer, so the primary is read until it does: {error:#}")),
        }
        let options = options.application_name("haulage dashboard, lists");
        Ok(Some(read_only(&pool.connect_lazy_with(options))))
    }
}
