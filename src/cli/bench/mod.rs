//! `haulage bench`: what this build does on this machine, beside the same statements driven bare.
//!
//! Each scenario runs on a database of its own on a private durable server. Nothing is left out to look good: history is kept,
//! writes are fenced, the worker has its default configuration. The floor is what the machine and the statements allow: the same
//! statements on the same kind of data, driven by plain loops without the runtime, in the same run.

mod drain;
mod enqueue;
mod idle;
mod measure;
mod pickup;
mod report;
mod stage;
mod sustain;

use clap::{Args, ValueEnum};

use self::{report::Row, stage::Stage};
use crate::cli::output;

/// Measures throughput and latency on a private server, each beside the same statements driven bare.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    /// What to measure; everything unless named.
    scenarios: Vec<Scenario>,
    /// Jobs of the scenarios that run a fixed number.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    jobs: u32,
    /// Seconds of the scenarios that run for a time.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Jobs at once in the worker.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: u32,
    /// One JSON object a line instead of the table.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  haulage bench                        every scenario; some minutes
  haulage bench drain sustain --jobs 300000
  haulage bench pickup --json

Compare rows of one run only: the figures follow the machine and what else it does.
The server is private, on this machine, and shares its cores with the client.";

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// A backlog of no-op jobs is worked off.
    Drain,
    /// Jobs are enqueued, claimed and completed at once.
    Sustain,
    /// As sustain, while a session holds an old snapshot.
    Snapshot,
    /// A backlog behind a million jobs of a kind that nobody handles.
    Strangers,
    /// A backlog of which somebody has locked one row.
    Locked,
    /// Single enqueues by 1, 16 and 64 clients, with no, one and eight idle workers.
    Enqueue,
    /// One call of `enqueue_all`.
    Bulk,
    /// From the enqueue's answer to the handler's start, on an idle worker.
    Pickup,
    /// What a worker costs that has nothing to do.
    Idle,
}

impl Bench {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let scenarios = if self.scenarios.is_empty() { Scenario::value_variants() } else { &self.scenarios };
        let stage = Stage::open(self.concurrency).await?;
        output::remark(&stage.describe());
        if !self.json {
            output::print(&Row::head())?;
        }
        for scenario in scenarios {
            let rows = match scenario {
                Scenario::Drain => vec![drain::run(&stage, self.jobs, drain::Obstacle::None).await?],
                Scenario::Strangers => vec![drain::run(&stage, self.jobs, drain::Obstacle::Strangers).await?],
                Scenario::Locked => vec![drain::run(&stage, self.jobs, drain::Obstacle::LockedRow).await?],
                Scenario::Sustain => vec![sustain::run(&stage, self.seconds, false).await?],
                Scenario::Snapshot => vec![sustain::run(&stage, self.seconds, true).await?],
                Scenario::Enqueue => enqueue::singles(&stage, self.seconds).await?,
                Scenario::Bulk => vec![enqueue::bulk(&stage, self.jobs).await?],
                Scenario::Pickup => vec![pickup::run(&stage).await?],
                Scenario::Idle => vec![idle::run(&stage, self.seconds).await?],
            };
            for row in rows {
                if self.json { output::print_json_line(&row)? } else { output::print(&row.line())? }
            }
        }
        stage.close()
    }
}
