//! Every integration test, in one binary: a file per capability. Each test has a database of its own, made from a migrated
//! template on a private server (or on `DATABASE_URL`).
#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop where it is")]

mod support;

mod enqueue;
mod unique;
mod sql_function;
mod bad_input;
mod migrate;
mod work;
mod outcomes;
mod lease;
mod schedule;
mod cancel;
mod shutdown;
mod crash;
mod partitions;
mod layers;
mod statements;
mod compile_errors;
mod dependencies;
