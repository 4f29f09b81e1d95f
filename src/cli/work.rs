//! `haulage work`.

use std::path::PathBuf;

use haulage::exec::{Config, log_to_stderr};

use super::{connect::DatabaseUrl, output::print};

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

A config file:
  [queues]
  default = 10

  [kinds.send_email]
  command = [\"python3\", \"send.py\"]")]
pub(crate) struct Work {
    /// The config file, in TOML
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

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
        log_to_stderr(std::env::var("RUST_LOG").ok().as_deref());
        Ok(config.run(database.connect().await?).await?)
    }
}
