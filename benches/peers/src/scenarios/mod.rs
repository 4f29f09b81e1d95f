//! What is measured, and what one run needs.

mod bulk;
mod drain;
mod enqueue;
mod pickup;
mod sustain;

use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::{
    output,
    participants::{Aim, Configuration, Participant, Producer, Queue},
    process::Process,
    report::Measured,
    stage::{Database, Stage},
    worker,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// A backlog of no-op jobs is worked off, from the worker's start until everything is recorded as finished.
    Drain,
    /// A producer stays 20,000 jobs ahead of one worker.
    Sustain,
    /// As sustain, three times as long, while a session holds an old snapshot.
    Snapshot,
    /// Single enqueues by 1 and by 16 clients, with no worker.
    Enqueue,
    /// Many jobs by the bulk interface, with no worker.
    Bulk,
    /// From the enqueue to the handler's start, on an idle worker.
    Pickup,
}

/// How much is done.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Amount {
    /// Jobs of the scenarios that run a fixed number.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    jobs: u64,
    /// Seconds of the scenarios that run for a time.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
}

impl Amount {
    fn time(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// A run that would take longer is stopped, and what was done until then is counted.
const LIMIT: Duration = Duration::from_secs(20);
const STOPPED: &str = "stopped after 20 s";
/// More than any worker needs that stops at all: its handlers do nothing.
const STOP: Duration = Duration::from_secs(15);

impl Scenario {
    /// The rows that it gives.
    pub(crate) fn parts(self) -> &'static [Part] {
        match self {
            Self::Drain => &[Part::Drain],
            Self::Sustain => &[Part::Sustain],
            Self::Snapshot => &[Part::Snapshot],
            Self::Enqueue => &[Part::Enqueue(1), Part::Enqueue(16)],
            Self::Bulk => &[Part::Bulk],
            Self::Pickup => &[Part::Pickup],
        }
    }
}

/// What gives one row a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Drain,
    Sustain,
    Snapshot,
    Enqueue(u32),
    Bulk,
    Pickup,
}

impl Part {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Drain => "drain".into(),
            Self::Sustain => "sustain".into(),
            Self::Snapshot => "snapshot".into(),
            Self::Enqueue(1) => "enqueue, 1 client".into(),
            Self::Enqueue(clients) => format!("enqueue, {clients} clients"),
            Self::Bulk => "bulk".into(),
            Self::Pickup => "pickup".into(),
        }
    }

    /// What distinguishes the participant's row, or nothing if the pairing has no meaning.
    pub(crate) fn settings(self, participant: Participant) -> Option<&'static str> {
        match self {
            Self::Enqueue(_) | Self::Bulk => participant.way_in(),
            // It would show a few jobs a second, slowly.
            Self::Snapshot if participant.configuration() == Configuration::Default => None,
            _ => Some(participant.settings()),
        }
    }

    /// One run on a new database.
    pub(crate) async fn run(self, stage: &Stage, participant: Participant, amount: Amount) -> anyhow::Result<Measured> {
        let database = stage.database().await?;
        let play = Play { server_pid: stage.server_pid, participant, queue: participant.open(), database };
        let measured = self.play(&play, amount).await;
        stage.remove(play.database).await?;
        measured
    }

    async fn play(self, play: &Play, amount: Amount) -> anyhow::Result<Measured> {
        play.queue.install(&play.database.url).await.context("could not make the schema")?;
        // Nothing of the run before is still being written out.
        sqlx::raw_sql("CHECKPOINT").execute(&play.database.pool).await?;
        match self {
            Self::Drain => drain::run(play, amount.jobs).await,
            Self::Sustain => sustain::run(play, amount.time(), false).await,
            Self::Snapshot => sustain::run(play, amount.time() * 3, true).await,
            Self::Enqueue(clients) => enqueue::run(play, clients, amount.time() / 5).await,
            Self::Bulk => bulk::run(play, amount.jobs).await,
            Self::Pickup => pickup::run(play).await,
        }
    }
}

/// One run of one participant.
struct Play {
    server_pid: Option<u32>,
    participant: Participant,
    queue: Box<dyn Queue>,
    database: Database,
}

impl Play {
    /// The participant's worker in a process of its own, not yet told to begin.
    async fn worker(&self, aim: Aim) -> anyhow::Result<Process> {
        worker::spawn(self.participant, aim, &self.database.url).await
    }

    /// The fastest way in.
    async fn producer(&self) -> anyhow::Result<Box<dyn Producer>> {
        self.queue.producer(&self.database.url).await
    }

    /// The way in that the configuration stands for: the fastest, or what the documentation shows first.
    async fn own_producer(&self) -> anyhow::Result<Box<dyn Producer>> {
        match self.participant.configuration() {
            Configuration::Only | Configuration::Best => self.producer().await,
            Configuration::Default => self.queue.usual_producer(&self.database.url).await,
        }
    }
}

/// Stops a worker in order; one that takes too long is killed, which changes no figure.
async fn stop(worker: Process) {
    match tokio::time::timeout(STOP, worker.stop()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => output::remark(&format!("{error:#}")),
        Err(_) => output::remark(&format!("a worker did not stop within {} s and was killed", STOP.as_secs())),
    }
}

/// Stores so many jobs in the calls that the producer likes best.
async fn store(producer: &dyn Producer, jobs: u64) -> anyhow::Result<()> {
    let mut stored = 0;
    while stored < jobs {
        let until = stored + producer.batch().min(jobs - stored);
        producer.enqueue_many(stored..until).await?;
        stored = until;
    }
    Ok(())
}
