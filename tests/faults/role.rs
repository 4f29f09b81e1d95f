//! A process of the run: this program started anew, as a worker or as an enqueuer.

use std::{env, fs::File, io::Read, path::PathBuf, sync::Mutex, time::Duration};

use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::{handler, producer};

/// Where a process finds its role.
const VARIABLE: &str = "HAULAGE_FAULTS_ROLE";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Worker,
    Producer,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) url: String,
    /// For its history and its log.
    pub(crate) folder: PathBuf,
    pub(crate) seed: u64,
    /// The mutant that it plays.
    pub(crate) mutant: Option<String>,
}

impl Role {
    /// What this process is, if it was started by a run.
    pub(crate) fn of_this_process() -> Option<Self> {
        serde_json::from_str(&env::var(VARIABLE).ok()?).ok()
    }

    /// For the process to find it.
    pub(crate) fn variable(&self) -> (&'static str, String) {
        (VARIABLE, serde_json::to_string(self).unwrap())
    }

    pub(crate) fn plays(&self, mutant: crate::mutant::Mutant) -> bool {
        self.mutant.as_deref() == Some(mutant.name())
    }

    pub(crate) fn run(self) -> anyhow::Result<()> {
        end_with_parent();
        let log = File::options().create(true).append(true).open(self.folder.join(format!("{}.log", self.name)))?;
        tracing_subscriber::fmt().with_writer(Mutex::new(log)).with_ansi(false).with_max_level(tracing::Level::INFO).init();
        // As a server has them.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let kind = self.kind;
        runtime.block_on(async move {
            match kind {
                Kind::Worker => handler::run(self).await,
                Kind::Producer => producer::run(self).await,
            }
        })
    }

    pub(crate) fn pool(&self, connections: u32) -> anyhow::Result<PgPool> {
        let options = PgPoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_secs(5));
        Ok(options.connect_lazy(&self.url)?)
    }
}

/// Its standard input is a pipe that the run never writes to: it ends with the run, however that ends.
fn end_with_parent() {
    std::thread::spawn(|| {
        std::io::stdin().read(&mut [0]).ok();
        std::process::exit(3);
    });
}
