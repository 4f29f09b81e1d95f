//! Helpers for tests: what was enqueued, and a database per test. Running jobs inside a test is in `haulage_worker::testing`.
//!
//! ```no_run
//! # use haulage_queue::Job;
//! # #[derive(serde::Serialize, serde::Deserialize)] struct SendReceipt { order: i64 }
//! # impl Job for SendReceipt { const KIND: &'static str = "send_receipt"; }
//! # async fn place_order(_: &sqlx::PgPool) -> Result<i64, sqlx::Error> { Ok(1) }
//! use haulage_queue::testing::{Database, only_job};
//!
//! # async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! let db = Database::new().await?;
//! let order = place_order(db.pool()).await?;
//! let job = only_job::<SendReceipt>(db.pool()).await;
//! assert_eq!(job.args.order, order);
//! # Ok(())
//! # }
//! ```

mod assert;
mod found;

mod database;
mod error;
mod run;
mod template;

pub use assert::{Check, assert_enqueued, assert_not_enqueued, jobs_of, only_job};
pub use database::Database;
pub use error::DatabaseError;
pub use found::Found;
pub use template::{Setup, Template};
