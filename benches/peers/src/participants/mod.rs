//! Who takes part: Haulage in its one configuration, and each peer as its best and as its default.

mod apalis;
mod awa;
mod graphile;
mod haulage;

use std::ops::Range;

use async_trait::async_trait;
use clap::ValueEnum;
use sqlx::PgPool;

use crate::job::Handler;

/// One queue in one configuration. The names are those of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Participant {
    Haulage,
    GraphileWide,
    GraphileNarrow,
    GraphileTwin,
    GraphileDefault,
    Apalis,
    ApalisDefault,
    Awa,
    AwaDefault,
}

/// Of a queue's several configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Configuration {
    /// The one that there is.
    Only,
    /// The fastest that we found. Of several the report shows the faster.
    Best,
    /// What the queue does when nothing is set.
    Default,
}

impl Participant {
    /// The crate and its version.
    pub(crate) fn queue(self) -> &'static str {
        match self {
            Self::Haulage => "haulage",
            Self::GraphileWide | Self::GraphileNarrow | Self::GraphileTwin | Self::GraphileDefault => "graphile_worker 0.14.1",
            Self::Apalis | Self::ApalisDefault => "apalis-postgres 1.0.0",
            Self::Awa | Self::AwaDefault => "awa 0.6.9",
        }
    }

    pub(crate) fn configuration(self) -> Configuration {
        match self {
            Self::Haulage => Configuration::Only,
            Self::GraphileWide | Self::GraphileNarrow | Self::GraphileTwin | Self::Apalis | Self::Awa => Configuration::Best,
            Self::GraphileDefault | Self::ApalisDefault | Self::AwaDefault => Configuration::Default,
        }
    }

    /// The configuration of its worker in a few words.
    pub(crate) fn settings(self) -> &'static str {
        match self {
            Self::Haulage => "50 slots",
            Self::GraphileWide => graphile::WIDE.describe,
            Self::GraphileNarrow => graphile::NARROW.describe,
            Self::GraphileTwin => graphile::TWIN.describe,
            Self::Apalis => apalis::BEST,
            Self::Awa => awa::BEST,
            Self::GraphileDefault | Self::ApalisDefault | Self::AwaDefault => "its defaults",
        }
    }

    /// How it stores jobs where that is what is measured; nothing if another of the queue's configurations does it the same way.
    pub(crate) fn way_in(self) -> Option<&'static str> {
        match self {
            Self::Haulage => Some("enqueue; enqueue_all"),
            Self::GraphileWide => Some("add_job; add_jobs, 1000 a call"),
            Self::GraphileNarrow | Self::GraphileTwin | Self::GraphileDefault => None,
            Self::Apalis => Some("queries::push_tasks; 5000 a call"),
            Self::ApalisDefault => Some("push; push_bulk, 5000 a call"),
            Self::Awa => Some("enqueue_params_batch; enqueue_params_copy, 100000 a call; 4 shards"),
            Self::AwaDefault => Some("insert_with; insert_many, 1000 a call"),
        }
    }

    pub(crate) fn open(self) -> Box<dyn Queue> {
        match self {
            Self::Haulage => Box::new(haulage::Haulage),
            Self::GraphileWide => Box::new(graphile::Graphile(Some(graphile::WIDE))),
            Self::GraphileNarrow => Box::new(graphile::Graphile(Some(graphile::NARROW))),
            Self::GraphileTwin => Box::new(graphile::Graphile(Some(graphile::TWIN))),
            Self::GraphileDefault => Box::new(graphile::Graphile(None)),
            Self::Apalis => Box::new(apalis::Apalis { best: true }),
            Self::ApalisDefault => Box::new(apalis::Apalis { best: false }),
            Self::Awa => Box::new(awa::Awa { best: true }),
            Self::AwaDefault => Box::new(awa::Awa { best: false }),
        }
    }
}

/// What a queue must be able to do to take part.
#[async_trait(?Send)]
pub(crate) trait Queue {
    /// Makes the queue's schema in a new database.
    async fn install(&self, database: &str) -> anyhow::Result<()>;

    /// The fastest way in that the queue offers.
    async fn producer(&self, database: &str) -> anyhow::Result<Box<dyn Producer>>;

    /// The way in that its own documentation shows first.
    async fn usual_producer(&self, database: &str) -> anyhow::Result<Box<dyn Producer>> {
        self.producer(database).await
    }

    /// Starts a worker in this process.
    async fn start(&self, database: &str, aim: Aim, handler: Handler) -> anyhow::Result<Box<dyn Running>>;

    /// Whether all jobs, of which so many were stored, are recorded as finished.
    async fn finished(&self, pool: &PgPool, stored: u64) -> anyhow::Result<bool>;
}

/// What a worker is configured for, where a queue needs other settings for one than for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Aim {
    Throughput,
    Pickup,
}

/// Stores jobs.
#[async_trait(?Send)]
pub(crate) trait Producer {
    /// Stores one job in a transaction of its own.
    async fn enqueue(&self, n: u64) -> anyhow::Result<()>;

    /// Stores many jobs in one call.
    async fn enqueue_many(&self, numbers: Range<u64>) -> anyhow::Result<()>;

    /// How many jobs a call of `enqueue_many` takes best when there are more to store.
    fn batch(&self) -> u64;
}

/// A worker that runs.
#[async_trait(?Send)]
pub(crate) trait Running {
    /// Stops in order.
    async fn stop(self: Box<Self>);
}

/// Enough for 16 clients.
const PRODUCER_CONNECTIONS: u32 = 20;
/// Of a worker that is given its pool to be at its best: more than any of them uses.
const WORKER_CONNECTIONS: u32 = 100;
