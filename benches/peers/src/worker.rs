//! What a child process does: it runs one participant's worker, so that processor time and memory are that worker's own.

use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::{
    job::Handler,
    participants::{Aim, Participant},
    process::{self, Process, Tally},
};

/// The name of the hidden subcommand.
const COMMAND: &str = "worker";

/// Runs one participant's worker; `peers` starts this itself.
#[derive(Debug, Args)]
pub(crate) struct Child {
    participant: Participant,
    aim: Aim,
}

/// A participant's worker in a process of its own, not yet told to begin.
pub(crate) async fn spawn(participant: Participant, aim: Aim, database: &str) -> anyhow::Result<Process> {
    let (participant, aim) = (name(participant)?, name(aim)?);
    Process::spawn(&[COMMAND, &participant, &aim], database).await
}

fn name(value: impl ValueEnum) -> anyhow::Result<String> {
    Ok(value.to_possible_value().context("a value that has no name")?.get_name().to_owned())
}

impl Child {
    /// Runs until the parent asks it to stop.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let tally = Arc::new(Tally::default());
        let handler = Handler { tally: Arc::clone(&tally), times: self.aim == Aim::Pickup };
        let start = async |database: String| self.participant.open().start(&database, self.aim, handler).await;
        process::serve(tally, start, async |worker| worker.stop().await).await
    }
}
