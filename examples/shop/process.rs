//! A child process of the demo, kept alive.
//!
//! Standard input is the leash: a child runs with `--with-parent` and exits when the pipe closes.
//! So letting go of [`Process`] stops it gracefully, and the death of the demo, even by `kill -9`,
//! stops it too. A child has its own process group: Ctrl-C in the terminal reaches only the demo,
//! which then stops its children in order.

use std::{process::ExitStatus, time::Duration};

use anyhow::Context;
use tokio::{
    process::{Child, ChildStdin, Command},
    sync::watch,
    time::{sleep, timeout},
};

/// Time to watch what a dead worker leaves behind.
const RESTART_AFTER: Duration = Duration::from_secs(10);

/// Longer than a worker's shutdown grace.
const KILL_AFTER: Duration = Duration::from_secs(40);

/// What to start.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    /// As the user reads it: `worker 1`.
    pub(crate) name: &'static str,
    pub(crate) args: Vec<String>,
    pub(crate) database_url: String,
    /// The demo's phase in which this child stops.
    pub(crate) stops_in: Phase,
}

/// How far the demo's own stop has come. Workers go first, while what they talk to is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Running,
    StopWorkers,
    StopOthers,
}

/// A running child.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    leash: Option<ChildStdin>,
}

impl Process {
    pub(crate) fn start(role: &Role) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("could not find this program's own file")?;
        let mut child = Command::new(program)
            .args(&role.args)
            .arg("--with-parent")
            .env("DATABASE_URL", &role.database_url)
            .stdin(std::process::Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start {}", role.name))?;
        let leash = child.stdin.take();
        Ok(Self { child, leash })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Lets go of the leash and waits; a child that does not stop in time is killed.
    async fn stop(mut self) {
        drop(self.leash.take());
        if timeout(KILL_AFTER, self.child.wait()).await.is_err() {
            drop(self.child.kill().await);
        }
    }

    /// Ends it as `kill -9` does.
    pub(crate) async fn kill(mut self) {
        drop(self.child.kill().await);
    }

    async fn ended(&mut self) -> Option<ExitStatus> {
        self.child.wait().await.ok()
    }
}

/// Runs the child until its phase comes, starting it again whenever it dies.
pub(crate) async fn keep(role: Role, first: Process, mut phase: watch::Receiver<Phase>) {
    let mut process = first;
    loop {
        let status = tokio::select! {
            status = process.ended() => status,
            () = reached(&mut phase, role.stops_in) => return process.stop().await,
        };
        let how = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
        tracing::warn!("{} died ({how}); starting it again in {} seconds", role.name, RESTART_AFTER.as_secs());
        process = loop {
            tokio::select! {
                () = sleep(RESTART_AFTER) => {}
                () = reached(&mut phase, role.stops_in) => return,
            }
            match Process::start(&role) {
                Ok(process) => break process,
                Err(error) => tracing::error!("{error:#}"),
            }
        };
        tracing::warn!("{} is back, pid {}", role.name, process.id());
    }
}

/// A demo that is gone has reached every phase.
async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    drop(phase.wait_for(|phase| *phase >= wanted).await);
}
