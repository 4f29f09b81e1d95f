//! The `haulage` command: what an operator or a developer does without writing Rust.
//!
//! | exit code | means |
//! |---|---|
//! | 0 | done |
//! | 1 | failed; one line on standard error says why and what to do |
//! | 2 | the command line is wrong |
//! | 3 | what was asked for is not there |
//!
//! `haulage dev -- COMMAND` exits with the command's own code.

mod cli;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, NotFound};

#[tokio::main]
#[expect(clippy::print_stderr, reason = "an error is the last thing this program says")]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("haulage: {}", one_line(&error));
            ExitCode::from(if error.is::<NotFound>() { 3 } else { 1 })
        }
    }
}

/// The error with its sources. An error that already says what its source says (a transparent one) is not said twice.
fn one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause_text = cause.to_string();
        if !text.is_empty() {
            if text.ends_with(&cause_text) {
                continue;
            }
            text.push_str(": ");
        }
        text.push_str(&cause_text);
    }
    text.split(char::is_control).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
