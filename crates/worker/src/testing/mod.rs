//! Running jobs inside a test: one after the other, in this process, until nothing is left.
//!
//! The store is the real one: a job is claimed under a lease, runs with its extractors, layers, timeout and `Ctx`, and is settled
//! by the worker's own statements, fenced by the lease. What a test does not want is left out: no listener, no heartbeat, no
//! duties, no second job at the same time. So a cancel of the job that runs does not reach its handler here, and jobs of dead
//! workers are not taken over; a test of these starts the worker.

mod drain;
mod error;
mod perform;
mod report;
mod session;

pub use drain::Drain;
pub use error::DrainError;
pub use report::{Drained, Ended, Ran};
