//! The jobs that are run.

use haulage::Job;
use serde::{Deserialize, Serialize};

/// A job that does nothing, with args of a usual size: about 150 bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Noop {
    pub(crate) n: u64,
    pub(crate) text: String,
}

impl Job for Noop {
    const KIND: &'static str = "noop";
}

impl Noop {
    pub(crate) fn new(n: u64) -> Self {
        Self { n, text: "x".repeat(120) }
    }
}

/// Fails once, and is tried again at once.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Flaky {
    pub(crate) n: u64,
    pub(crate) text: String,
}

impl Job for Flaky {
    const KIND: &'static str = "flaky";
}

/// Tells when it was started.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Timed {
    pub(crate) n: u64,
    pub(crate) text: String,
}

impl Job for Timed {
    const KIND: &'static str = "timed";
}

/// A kind that is never enqueued.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Never;

impl Job for Never {
    const KIND: &'static str = "never";
}
