//! Every integration test, in one binary: a file per capability. Each test has a database of its own, made from a migrated
//! template on a private server (or on `DATABASE_URL`).
#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop where it is")]

mod support;

#[cfg(feature = "dashboard")]
mod api;
mod audit;
mod bad_input;
mod browser;
mod cancel;
mod cli;
#[cfg(all(feature = "dev", target_os = "linux"))]
mod clock;
mod compile_errors;
mod crash;
mod dashboard;
mod dashboard_actions;
mod dashboard_buttons;
mod dependencies;
mod deploy;
mod depths;
mod enqueue;
mod errors;
mod examples;
#[cfg(all(feature = "exec", unix))]
mod exec;
mod forgotten;
mod history;
mod layers;
mod lease;
mod limits;
mod lists;
mod live;
mod manage;
mod migrate;
mod minutes;
mod operations;
mod other_languages;
mod outcomes;
mod pages;
mod partitions;
mod pooler;
mod queues;
mod quiet;
mod reading_pages;
mod replica;
mod retry_after;
mod roles;
mod rolling;
mod schedule;
mod schedules;
mod shop;
mod shutdown;
mod sql_function;
mod statements;
mod story;
mod stuck;
mod telemetry;
mod test_database;
mod testing;
mod turns;
mod unhandled;
mod unique;
mod why;
mod work;
