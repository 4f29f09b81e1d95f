//! What a run is told on the command line.

use std::path::PathBuf;

use clap::Parser;

/// Breaks real workers and a real Postgres on purpose, and says whether the contract held.
#[derive(Debug, Clone, Parser)]
#[command(name = "faults")]
pub(crate) struct Options {
    /// The first seed: it decides the plan of faults and what the workload does.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many seeds, one run each; 0 with `--mutants`: only those.
    #[arg(long, default_value_t = 1)]
    pub(crate) seeds: u64,
    /// How long faults happen in a run. Healing, draining and checking come after it.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Broken engines that the checker must catch: a name, or `all`.
    #[arg(long)]
    pub(crate) mutants: Option<String>,
    /// The version before, as `.ci/previous` has built it into this folder: the run begins with its schema and its processes.
    #[arg(long)]
    pub(crate) previous: Option<PathBuf>,
    /// The report as it is printed.
    #[arg(long)]
    pub(crate) report: Option<PathBuf>,
    /// The report as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Only prints the plan of faults of the seed.
    #[arg(long)]
    pub(crate) plan: bool,
    /// Keeps the folder with histories, logs and the database's files.
    #[arg(long)]
    pub(crate) keep: bool,
}
