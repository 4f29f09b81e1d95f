//! `haulage bench`: what this build does on this machine, beside the same statements driven bare.
//!
//! Each scenario runs on a database of its own on a private durable server. Nothing is left out to look good: history is kept,
//! writes are fenced, the worker has its default configuration. The floor is what the machine and the statements allow: the same
//! statements on the same kind of data, driven by plain loops without the runtime, in the same run.

mod bare;
mod dashboard;
mod depth;
mod drain;
mod enqueue;
mod fleet;
mod idle;
mod jobs;
mod limits;
mod measure;
mod mixed;
mod pickup;
mod process;
mod report;
mod schedules;
mod stage;
mod story;
mod sustain;
mod worker;

use clap::{Args, ValueEnum};

pub(crate) use self::worker::BenchWorker;
use self::{drain::Obstacle, report::Row, stage::Stage};
use crate::cli::output;

/// Measures throughput and latency on a private server, each beside the same statements driven bare.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    /// What to measure; everything unless named.
    scenarios: Vec<Scenario>,
    /// Jobs of the scenarios that run a fixed number.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    jobs: u64,
    /// Seconds of the scenarios that run for a time, but for `snapshot`.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Seconds that `snapshot` holds its snapshot.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(5..=36_000))]
    held: u32,
    /// Most jobs that wait in `backlog`; takes 1 GB of disk a million.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(..=100_000_000))]
    backlog: u64,
    /// Most finished jobs in `history`; takes 0.5 GB of disk a million.
    #[arg(long, default_value_t = 50_000_000, value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    history: u64,
    /// Finished jobs in `story`; takes 0.7 GB of disk a million.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    story: u64,
    /// Finished jobs in `dashboard`; takes 0.9 GB of disk a million.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(100_000..=100_000_000))]
    dashboard: u64,
    /// Jobs at once in the worker.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: u32,
    /// A server to measure on instead of a private one, as postgres://superuser:password@host:5432/postgres
    ///
    /// Databases named haulage_bench_.. are made on it and removed; no other is touched. `DATABASE_URL` is not looked at. Processor time
    /// of the server is only known on this machine.
    #[arg(long, value_name = "URL", env = "HAULAGE_BENCH_SERVER", hide_env_values = true)]
    server: Option<String>,
    /// One JSON object a line instead of the table.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  haulage bench                        every scenario at its full size; some 50 minutes and 30 GB of disk
  haulage bench --held 30 --backlog 1000000 --history 1000000
  haulage bench drain sustain --jobs 300000
  haulage bench pickup --json
  HAULAGE_BENCH_SERVER=postgres://postgres@10.0.0.5/postgres haulage bench sustain
  haulage bench dashboard --dashboard 1000000

Compare rows of one run only: the figures follow the machine and what else it does.
The server is private, on this machine, and shares its cores with the client, unless --server names another.";

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// A backlog of no-op jobs is worked off.
    Drain,
    /// The same with telemetry set up and nothing sampled.
    Traced,
    /// Jobs are enqueued, claimed and completed at once.
    Sustain,
    /// Single enqueues by 1, 16 and 64 clients, with no, one and eight idle workers.
    Enqueue,
    /// One call of `enqueue_all`.
    Bulk,
    /// From the enqueue's answer to the handler's start, on an idle worker.
    Pickup,
    /// What a worker costs that has nothing to do.
    Idle,
    /// A backlog behind a million jobs of a kind that nobody handles.
    Strangers,
    /// A backlog of which somebody has locked one row.
    Locked,
    /// A drain whose worker gathers what handlers log, beside one whose worker does not.
    Logs,
    /// One, two and four worker processes.
    Fleet,
    /// Queues, priorities, unique keys, retries, scheduled jobs.
    Mixed,
    /// Limits elsewhere, and ten thousand keys with a limit each.
    Limits,
    /// A hundred thousand schedules.
    Schedules,
    /// As sustain, while a session holds an old snapshot.
    Snapshot,
    /// While up to ten million jobs wait.
    Backlog,
    /// With up to fifty million finished jobs kept.
    History,
    /// A trace and a request are looked up among ten million finished jobs of ten days.
    Story,
    /// Every page of the dashboard and every read of its API beside ten million finished and 300,000 unfinished jobs.
    Dashboard,
    /// What an index on the trace would cost jobs that are unfinished, or finished today.
    Indexes,
}

/// Scenarios whose start is not what they are about run so many times as long.
const LONGER: u64 = 3;

impl Bench {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let scenarios = if self.scenarios.is_empty() { Scenario::value_variants() } else { &self.scenarios };
        let stage = Stage::open(self.concurrency, self.server.as_deref().filter(|url| !url.is_empty())).await?;
        output::remark(&stage.describe());
        if !self.json {
            output::print(&Row::head())?;
        }
        for scenario in scenarios {
            for row in self.rows(&stage, *scenario).await? {
                if self.json { output::print_json_line(&row)? } else { output::print(&row.line())? }
            }
        }
        stage.close()
    }

    async fn rows(&self, stage: &Stage, scenario: Scenario) -> anyhow::Result<Vec<Row>> {
        let jobs = self.jobs;
        Ok(match scenario {
            Scenario::Drain => vec![drain::plain(stage, jobs).await?, drain::wide(stage, jobs).await?],
            Scenario::Traced => vec![drain::traced(stage, jobs * LONGER).await?],
            Scenario::Sustain => vec![sustain::sustain(stage, self.seconds).await?],
            Scenario::Enqueue => enqueue::singles(stage, self.seconds).await?,
            Scenario::Bulk => vec![enqueue::bulk(stage, jobs).await?],
            Scenario::Pickup => pickup::run(stage).await?,
            Scenario::Idle => vec![idle::run(stage, self.seconds).await?],
            Scenario::Strangers => vec![drain::hindered(stage, jobs * LONGER, Obstacle::Strangers).await?],
            Scenario::Locked => vec![drain::hindered(stage, jobs * LONGER, Obstacle::LockedRow).await?],
            Scenario::Logs => vec![drain::hindered(stage, jobs * LONGER, Obstacle::Logs).await?],
            Scenario::Fleet => fleet::run(stage, jobs * LONGER).await?,
            Scenario::Mixed => mixed::run(stage, jobs).await?,
            Scenario::Limits => limits::run(stage, jobs).await?,
            Scenario::Schedules => vec![schedules::run(stage, self.seconds).await?],
            Scenario::Snapshot => sustain::snapshot(stage, self.held).await?,
            Scenario::Backlog => depth::backlog(stage, self.backlog, jobs).await?,
            Scenario::History => depth::history(stage, self.history, jobs).await?,
            Scenario::Story => story::look_ups(stage, self.story).await?,
            Scenario::Dashboard => dashboard::run(stage, self.dashboard).await?,
            Scenario::Indexes => story::further(stage, jobs).await?,
        })
    }
}
