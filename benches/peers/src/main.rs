//! Haulage beside other Postgres job queues for Rust: the same scenarios on the same private server, in turn.

mod job;
#[path = "../../../src/cli/bench/measure.rs"]
mod measure;
mod output;
mod participants;
#[path = "../../../src/cli/bench/process.rs"]
mod process;
mod report;
mod scenarios;
mod stage;
mod worker;

use clap::{Parser, Subcommand, ValueEnum};

use self::{
    participants::{Configuration, Participant},
    report::Runs,
    scenarios::{Amount, Part, Scenario},
    stage::Stage,
    worker::Child,
};

/// Measures Haulage beside other Postgres job queues, each as its best and as its default configuration.
#[derive(Debug, Parser)]
#[command(version, after_help = NOTES, args_conflicts_with_subcommands = true)]
struct Peers {
    #[command(subcommand)]
    child: Option<Command>,
    /// What to measure; everything unless named.
    scenarios: Vec<Scenario>,
    /// Who takes part, separated by commas; all unless named. Ratios need haulage.
    #[arg(long, value_delimiter = ',')]
    participants: Vec<Participant>,
    /// Leaves out the default configurations.
    #[arg(long)]
    no_defaults: bool,
    /// How often each participant has its turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    amount: Amount,
    /// One JSON object a line instead of the table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(hide = true)]
    Worker(Child),
}

const NOTES: &str = "\
Figures are medians over the rounds. HAULAGE/THIS is Haulage's figure by the row's, round by round: above 1 Haulage is ahead
where the figure is a rate, below 1 where it is a time (pickup, from the call). US and WAL are for each job.
Compare rows of one run only: the figures follow the machine and what else it does (OTHER %).";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let peers = Peers::parse();
    match peers.child {
        Some(Command::Worker(child)) => child.run().await,
        None => peers.run().await,
    }
}

impl Peers {
    async fn run(self) -> anyhow::Result<()> {
        let stage = Stage::open().await?;
        output::remark(&stage.describe());
        if !self.json {
            output::print(&report::head())?;
        }
        for scenario in self.scenarios() {
            for part in scenario.parts() {
                self.measure(&stage, *part).await?;
            }
        }
        stage.close()
    }

    /// All rounds of one part, and its rows.
    async fn measure(&self, stage: &Stage, part: Part) -> anyhow::Result<()> {
        let takes_part = |participant: &Participant| part.settings(*participant).is_some();
        let mut all: Vec<Runs> =
            self.participants().into_iter().filter(takes_part).map(|participant| Runs { participant, rounds: Vec::new() }).collect();
        for round in 1..=self.rounds {
            for runs in &mut all {
                let run = part.run(stage, runs.participant, self.amount).await;
                // A peer that fails is a result, too.
                if let Err(error) = &run {
                    output::remark(&format!("{}, {:?}, round {round}: {error:#}", part.name(), runs.participant));
                }
                runs.rounds.push(run.ok());
            }
        }
        let rows = report::rows(part, &all);
        if self.json {
            return rows.iter().try_for_each(|row| output::print(&format!("{}\n", serde_json::to_string(row)?)));
        }
        report::fastest(rows).iter().try_for_each(|row| output::print(&row.line()))
    }

    fn scenarios(&self) -> &[Scenario] {
        if self.scenarios.is_empty() { Scenario::value_variants() } else { &self.scenarios }
    }

    fn participants(&self) -> Vec<Participant> {
        let named = if self.participants.is_empty() { Participant::value_variants() } else { &self.participants };
        let wanted = |participant: &Participant| !self.no_defaults || participant.configuration() != Configuration::Default;
        named.iter().copied().filter(wanted).collect()
    }
}
