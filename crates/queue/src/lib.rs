//! The client of [Haulage](https://docs.rs/haulage): define jobs, enqueue them in the transaction that makes them necessary,
//! read how they fare.
//!
//! This crate starts no task, holds no connection and knows no handler; a web application needs nothing else. The runtime is
//! `haulage-worker`. Most applications use the facade crate `haulage`, which re-exports both.
//!
//! ```no_run
//! use haulage_queue::Job;
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
//! # async fn place_order(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! let mut tx = pool.begin().await?;
//! sqlx::query("INSERT INTO orders (id) VALUES (42)").execute(&mut *tx).await?;
//! SendReceipt { order: 42 }.enqueue(&mut *tx).await?;
//! tx.commit().await?; // both, or neither
//! # Ok(())
//! # }
//! ```

mod bulk;
mod by_name;
mod depth;
mod enqueue;
mod errors;
mod inspect;
mod job;
mod limit;
mod manage;
mod migrate;
mod model;
mod origin;
mod provenance;
mod queue;
#[cfg(feature = "schedules")]
mod schedule;
mod stats;
pub mod story;
mod trace;
mod unique;
mod why;

mod args;
mod names;
pub mod notify;
#[doc(hidden)]
pub mod redact;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod telemetry;

#[cfg(all(feature = "dev", unix))]
pub mod dev;
#[cfg(feature = "testing")]
pub mod testing;

pub use args::{MAX_ARGS_BYTES, MAX_ARGS_DEPTH, MAX_OUTPUT_BYTES};
pub use bulk::enqueue_all;
pub use by_name::{NamedJob, enqueue_named};
pub use depth::{Depth, DepthCounts, depths};
pub use enqueue::{Enqueue, EnqueueError, Enqueued, Parent};
pub use errors::{ErrorGroup, error_group, error_groups};
pub use inspect::{
    Attempt, AttemptLog, FoundJobs, JobDetail, JobFilter, JobPage, JobStatus, JobSummary, LogLevel, LogLine, MissingWorker, Progress,
    ReadError, RunningSpan, UnhandledKind, WorkerInfo, WorkerLife, attempt_logs, find_jobs_by_request, find_jobs_by_trace, job, job_detail,
    job_page, list_jobs, list_workers, unhandled_kinds,
};
pub use job::Job;
pub use limit::{KeyLimit, Limit, LimitError, MAX_KEY_BYTES, class_keys, key_limits};
pub use manage::{
    Acted, AuditEntry, AuditFilter, AuditPage, CancelOutcome, ManageError, Operation, OperationId, OperationState, Operator, Preview, Verb,
    audit_page, cancel, list_audit, list_operations, operation, preview, run_operation, step_operation,
};
pub use migrate::{MigrateError, SCHEMA_VERSION, SchemaError, check_schema, migrate};
pub use model::{JobId, JobState, ParkedFor, ParseJobIdError, Priority, UnknownWord};
pub use names::{MAX_NAME_BYTES, NameError, check_name, valid_name};
pub use origin::Origin;
#[cfg(feature = "axum")]
pub use origin::{OriginLayer, OriginService};
pub use queue::{QueueStatus, queues};
#[cfg(feature = "schedules")]
pub use schedule::{
    Cron, CronError, Firing, Missed, Overlap, Schedule, ScheduleError, ScheduleStatus, declare_schedules, fire_schedules, list_schedules,
    schedule,
};
pub use stats::{Lengths, Stat, StatsRange, stats};
pub use trace::{TraceCarrier, TraceContext, TraceDefaults, TraceRelation, TraceUrl, TraceUrlError, set_trace_defaults};
pub use unique::{OnConflict, Unique};
pub use why::{
    Cause, CauseGroup, CauseSubject, Causes, Fix, FixAct, Health, Mover, OtherCause, Severity, Verdict, WhyCode, causes, health, why,
};

#[doc(hidden)]
pub use args::{ArgsProblem, check_json};
#[doc(hidden)]
pub use errors::{WORKER_LOST, fingerprint};
#[doc(hidden)]
pub use stats::LENGTHS;
