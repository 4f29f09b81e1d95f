//! The one job that every queue runs here: it does nothing, with arguments of a usual size.

use std::sync::Arc;

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use crate::process::Tally;

/// About 150 bytes as JSON.
#[derive(Debug, Clone, Serialize, Deserialize, awa::JobArgs)]
#[awa(kind = "noop")]
pub(crate) struct Noop {
    n: u64,
    text: String,
}

impl Noop {
    pub(crate) fn new(n: u64) -> Self {
        Self { n, text: "x".repeat(120) }
    }
}

/// All that a handler does: it tells the tally that its job has begun.
#[derive(Debug, Clone)]
pub(crate) struct Handler {
    pub(crate) tally: Arc<Tally>,
    /// Whether it tells the time, too.
    pub(crate) times: bool,
}

impl Handler {
    pub(crate) fn handle(&self, job: &Noop) {
        self.tally.ran();
        if self.times {
            self.tally.started(job.n);
        }
    }
}

impl haulage::Job for Noop {
    const KIND: &'static str = "noop";
}

impl TaskHandler for Noop {
    const IDENTIFIER: &'static str = "noop";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let handler = context.get_ext::<Handler>().ok_or("no handler")?;
        handler.handle(&self);
        Ok::<(), &str>(())
    }
}
