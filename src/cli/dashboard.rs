//! `haulage dashboard`.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use haulage::check_schema;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;

use super::{connect::DatabaseUrl, output::remark, stop::Stops};

/// How long a page waits for a connection.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Serves the web UI on this machine, read-only
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage dashboard
  haulage dashboard --listen 127.0.0.1:9000
  ssh -L 8090:127.0.0.1:8090 HOST haulage dashboard      to see it from elsewhere")]
pub(crate) struct Dashboard {
    /// The address to listen on; only one of this machine, as there is no log-in yet
    #[arg(long, value_name = "ADDRESS", value_parser = loopback, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
}

impl Dashboard {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let mut stops = Stops::listen()?;
        let pool = database.connect().await?;
        check_schema(&mut *pool.acquire().await?).await?;
        // A page that says so beats one that hangs: a probe waits a second or two.
        let pool = PgPoolOptions::new().max_connections(4).acquire_timeout(PATIENCE).connect_lazy_with((*pool.connect_options()).clone());
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("can't listen on {}; choose another address with --listen", self.listen))?;
        remark(&format!("the dashboard is at http://{}/; stop it with Ctrl-C", listener.local_addr()?));
        axum::serve(listener, haulage::dashboard::router(pool))
            .with_graceful_shutdown(async move {
                stops.next().await;
            })
            .await
            .context("the dashboard stopped")
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "give an address and a port, such as 127.0.0.1:8090".to_owned())?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(format!(
        "the dashboard has no log-in yet, so it listens on this machine only: use 127.0.0.1:{}, or mount `haulage::dashboard::router` behind the log-in of your application",
        address.port()
    ))
}
