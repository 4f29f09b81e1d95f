//! Every integration test, in one binary: a file per capability. Each test has a database of its own, made from a migrated
//! template on a private server (or on `DATABASE_URL`).
#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop where it is")]

mod support;

mod bad_input;
mod cancel;
mod cli;
mod compile_errors;
mod crash;
mod dashboard;
mod dependencies;
mod enqueue;
mod examples;
#[cfg(all(feature = "exec", unix))]
mod exec;
mod layers;
mod lease;
mod limits;
mod lists;
mod manage;
mod migrate;
mod operations;
mod outcomes;
mod partitions;
mod queues;
mod schedule;
mod schedules;
mod shop;
mod shutdown;
mod sql_function;
mod statements;
mod telemetry;
mod test_database;
mod testing;
mod tracing;
mod unique;
mod work;
