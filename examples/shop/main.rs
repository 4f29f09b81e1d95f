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
mod process;

use std::{io::IsTerminal, process::ExitCode};

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
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn,sqlx=error,shop=info".into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .init();

    let options = Options::parse(std::env::args().skip(1))?;
    match options.command {
        Command::Demo => demo::run(options).await,
        Command::Web => web::run(options).await,
        Command::Worker => worker::run(options).await,
        Command::Outside => outside::run(options).await,
        Command::Help => {
            options::print_usage();
            Ok(())
        }
    }
}
