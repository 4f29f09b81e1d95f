//! Kinds in any language, from a config file: a kind is a program that is started for each job, or an HTTP endpoint that is called.
//!
//! ```text
//!  config file ─> Config ─> Builder ─> the same runtime as for Rust handlers
//!                   │
//!                   ├── kinds.NAME.command ─> Program:  args on stdin, context in the environment, exit code as verdict
//!                   └── kinds.NAME.url ─────> Endpoint: signed POST, status as verdict
//! ```
//! A program runs in a process group of its own, which is ended as a whole: on a timeout, on a cancel, at shutdown, when it takes
//! too much memory, and by a warden when the worker itself was killed. `docs/worker-binary.md` is the page for users.

mod config;
mod file;

mod subprocess;
mod verdict;

mod capture;
mod group;
mod processes;
mod warden;

mod http;
mod resolve;
mod signature;

mod address;
mod clock;
mod log;

use std::time::Duration;

use crate::{JobError, Run, context::Stop, execute::TIMEOUT};

pub use config::{Config, ConfigError, Environment, WorkError};
pub use log::log_to_stderr;

/// The shorter of the job's own limit and the kind's.
fn limit(run: &Run, kind: Option<Duration>) -> Option<Duration> {
    match (run.ctx.attempt.timeout, kind) {
        (Some(job), Some(kind)) => Some(job.min(kind)),
        (job, kind) => job.or(kind),
    }
}

/// Completes after the time, never without one.
async fn time_out(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Whether the runtime told the attempt to stop because of the job's own timeout.
fn timed_out(run: &Run) -> bool {
    run.ctx.attempt.stopped() == Some(Stop::Timeout)
}

/// A failure that is recorded as a timeout.
fn timeout_error(text: String) -> JobError {
    JobError::from(text).with_class(TIMEOUT)
}
