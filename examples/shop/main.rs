//! A web shop that leaves its slow work to Haulage: the sample to copy from.
//!
//! ```text
//!  browser ──> shop web ── one transaction: order + jobs ──> Postgres
//!                                                              │
//!                     shop worker, shop worker  <── claims ────┘
//!                            │          │
//!              SMTP server <─┘          └─> stock partner (fails one time in three)
//!              └──────────── shop outside ────────────┘
//! ```
//!
//! `shop demo` starts all of it, with a private Postgres. Start reading at [`order`], where the
//! jobs are born, then [`mail`], [`stock`], [`picture`] and [`report`], where they run, and [`worker`], which
//! ties them together. The rest is an ordinary axum application.
//!
//! What this shop leaves out, because it is a sample: log-in, CSRF tokens and TLS. It listens on
//! the loopback address only.

mod options;

mod order;

mod digest;
mod mail;
mod picture;
mod report;
mod stock;
mod summary;

mod worker;

mod frame;
mod input;
mod pages;
mod problem;
mod traffic;
mod web;

mod catcher;
mod outside;
mod partner;

mod database;
mod listen;
mod month;
mod stop;

mod demo;
mod incidents;
mod process;

use std::process::ExitCode;

use haulage::telemetry::{self, Logs};
use options::{Command, Options};

#[tokio::main]
#[expect(clippy::print_stderr, reason = "an error is the last thing this program says")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    // Dropped at the end: it sends what is left.
    let _telemetry = telemetry::builder(options.command.service())
        .version(env!("CARGO_PKG_VERSION"))
        .levels("warn,sqlx=error,shop=info")
        .logs(Logs::Pretty)
        .init()?;
    match options.command {
        Command::Demo => demo::run(options).await,
        Command::Web => web::run(options).await,
        Command::Worker => worker::run(options).await,
        Command::Outside => outside::run(options).await,
        Command::Incidents => incidents::run(options).await,
        Command::Courier => incidents::courier(options).await,
        Command::Help => {
            options::print_usage();
            Ok(())
        }
    }
}
