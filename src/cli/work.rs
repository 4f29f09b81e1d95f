//! `haulage work`.

use std::{net::SocketAddr, path::PathBuf};

use haulage::{exec::Config, telemetry};

use super::{
    connect::DatabaseUrl,
    output::{print, remark},
};

/// Runs the jobs of the kinds that a config file names, as programs or HTTP calls
///
/// For jobs that are not written in Rust. A kind's program gets the args on standard input, and its exit code is the verdict; a
/// kind's URL gets a signed POST, and the status is the verdict. docs/worker-binary.md tells all of it. The same worker alone is
/// the program haulage-worker.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage work --config worker.toml
  haulage work --config worker.toml --check        only says whether the file is right
  RUST_LOG=debug haulage work --config worker.toml
  haulage work --config worker.toml --metrics 127.0.0.1:9090
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 haulage work --config worker.toml

A config file:
  [queues]
  default = 10

  [kinds.send_email]
  command = [\"python3\", \"send.py\"]")]
pub(crate) struct Work {
    /// The config file, in TOML
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Serve metrics for Prometheus at http://ADDRESS/metrics; there is no log-in, so choose one that only it reaches
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,

    /// Only say whether the file is right; needs no database
    #[arg(long)]
    check: bool,
}

impl Work {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let config = Config::read(&self.config, &|name| std::env::var_os(name))?;
        if self.check {
            return print(&config.summary());
        }
        let mut telemetry = telemetry::builder("haulage-work").version(env!("CARGO_PKG_VERSION"));
        if let Some(address) = self.metrics {
            telemetry = telemetry.metrics(address);
        }
        // Dropped last: it sends what is left.
        let telemetry = telemetry.init()?;
        if let Some(address) = telemetry.metrics_address() {
            remark(&format!("metrics are at http://{address}/metrics"));
        }
        Ok(config.run(database.connect().await?).await?)
    }
}
