//! The runtime of [Haulage](https://docs.rs/haulage): claims jobs from Postgres, runs their handlers, settles the results.
//!
//! ```text
//!                      ┌─────────── one worker process, at most five connections ────────────┐
//!  LISTEN ───────────> │ listen ─ wake ─> fetch ── jobs ──> lane ─> runner ─ results ─> settle │ ──> complete, reschedule, bury
//!  (wake-up only)      │ (1)              (2: claims)       one a queue, N runners        (3)  │
//!                      │ heartbeat (4, own OS thread)     duties (5: promote, rescue, sweep,   │
//!                      │                                   progress, partitions)               │
//!                      └─────────────────────────────────────────────────────────────────────┘
//! ```
//! The application's pool is used only by handlers (`ctx.pool()`, `ctx.begin()`).
//!
//! ```no_run
//! use haulage_queue::Job;
//! use haulage_worker::Worker;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct SendReceipt {
//!     order: i64,
//! }
//!
//! impl Job for SendReceipt {
//!     const KIND: &'static str = "send_receipt";
//! }
//!
//! async fn send_receipt(job: SendReceipt) -> anyhow::Result<()> {
//!     println!("a receipt for order {}", job.order);
//!     Ok(())
//! }
//!
//! # async fn run(pool: sqlx::PgPool) -> anyhow::Result<()> {
//! Worker::builder(pool).queue("default", 20).handle(send_receipt).build()?.run().await?;
//! # Ok(())
//! # }
//! ```

mod backoff;
mod builder;
mod context;
mod extract;
mod handler;
mod middleware;
mod outcome;

mod bounds;
mod execute;
mod fetch;
mod heartbeat;
mod lane;
mod leases;
mod listen;
mod logs;
mod misfit;
mod panics;
mod pooler;
mod run;
mod settle;
mod shared;
mod stall;
mod telemetry;
mod times;

mod admit;
mod duties;
mod errors;
mod index;
mod link;
mod minutes;
mod promote;
mod prune;
mod rescue;
mod rest;
mod sweep;
mod unhandled;

#[cfg(all(feature = "exec", unix))]
pub mod exec;
#[cfg(feature = "testing")]
pub mod testing;

pub use backoff::default_backoff;
pub use builder::{BuildError, Builder, Duty};
pub use context::{Ctx, LeaseLost, OutputError};
pub use extract::{FromCtx, FromRef, State};
pub use handler::{BlockingHandler, Extract, Handler};
#[doc(hidden)]
pub use logs::speaker;
pub use logs::{AttemptLogs, KeepLogs};
pub use middleware::{BoxError, JobService, Run};
pub use outcome::{DeadJob, IntoOutcome, JobError, Outcome, Retry};
pub use run::{RunError, Worker, WorkerHandle};
