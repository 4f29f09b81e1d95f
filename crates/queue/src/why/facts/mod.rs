//! What is known: of one job, of its queue and key, of the fleet. Gathered by `gather.rs`, judged by the gates, handed over as evidence.

mod fleet;
mod job;
mod queue;
mod server;
mod wide;

pub(crate) use fleet::{Fleet, Pace, RunningFacts, Shape, UsualFacts};
pub(crate) use job::{Act, Holder, JobFacts, Past};
pub(crate) use queue::{Idle, KeyFacts, QueueFacts, Room};
pub(crate) use server::{DatabaseFacts, LockWait, MissedFacts, OddFacts, ServerFacts, Session};
pub(crate) use wide::{BackoffFacts, DeadFacts, DueFacts, LineFacts, OrphanFacts, Wide};
