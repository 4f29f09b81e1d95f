//! Fault runs: real worker processes and a real Postgres are broken on purpose, from a printed seed, and a checker says whether the
//! contract held. `make faults`; what breaks and what must hold is told in `docs/what-happens-when.md`.
//!
//! ```text
//!  this process ── starts, kills, stops ──> workers, enqueuers (this program in another role) ── histories, logs
//!   │  │                                       │
//!   │  └── delays, cuts, swallows, rewrites ─> relay, one a process
//!   │                                          │
//!   └── crashes, stops, locks ───────────────> Postgres ── a trail of every change, effects
//!                                              │
//!                     evidence <───────────────┴── histories ──> invariants ──> report
//! ```
#![expect(clippy::unwrap_used, reason = "a run that can't go on should stop where it is")]
#![expect(clippy::print_stdout, reason = "its report")]

mod options;
mod plan;
mod report;
mod run;

#[path = "../support/basebackup.rs"]
mod basebackup;
mod disk;
mod fault;
mod fleet;
mod previous;
mod process;
#[path = "../support/relay.rs"]
mod relay;
mod server;
mod standby;

mod handler;
mod job;
mod producer;
mod role;

mod clock;
mod evidence;
mod history;
mod invariant;
mod mutant;
mod sometimes;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;

use crate::{mutant::Mutant, options::Options, plan::Plan, previous::Previous, report::Report, role::Role, run::Run};

fn main() -> anyhow::Result<ExitCode> {
    if let Some(role) = Role::of_this_process() {
        role.run()?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::parse();
    let time = Duration::from_secs(options.seconds);
    if options.plan {
        print!("{}", Plan::new(options.seed, time, options.previous.is_some()));
        return Ok(ExitCode::SUCCESS);
    }
    let mutants = mutants(options.mutants.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let reports = runtime.block_on(all(&options, &mutants))?;
    if let Some(path) = &options.report {
        let runs: String = reports.iter().filter(|report| report.mutant.is_none()).map(|report| format!("{report}\n")).collect();
        fs::write(path, format!("{runs}{}\n", summary(&reports)))
            .with_context(|| format!("the report could not be written to {path:?}"))?;
    }
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_string_pretty(&reports)?).with_context(|| format!("the report could not be written to {path:?}"))?;
    }
    let good = reports.iter().all(|report| if report.mutant.is_some() { report.caught().is_some() } else { report.is_valid() });
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn all(options: &Options, mutants: &[Mutant]) -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for seed in options.seed..options.seed + options.seeds {
        println!("seed {seed}: {} s of faults", options.seconds);
        let report = one(options, seed, Duration::from_secs(options.seconds), None).await?;
        println!("{report}");
        reports.push(report);
    }
    for mutant in mutants {
        let report = one(options, options.seed, mutant.time(), Some(*mutant)).await?;
        println!("mutant {}: {}", mutant.name(), report.caught().map_or_else(|| "NOT CAUGHT".to_owned(), ToString::to_string));
        reports.push(report);
    }
    println!("{}", summary(&reports));
    Ok(reports)
}

async fn one(options: &Options, seed: u64, time: Duration, mutant: Option<Mutant>) -> anyhow::Result<Report> {
    let folder = Folder::new(mutant.map_or("run", Mutant::name), options.keep)?;
    let previous = options.previous.as_deref().filter(|_| mutant.is_none()).map(Previous::new).transpose()?;
    let report = Run { seed, time, mutant, previous, folder: &folder.path }.run().await?;
    if mutant.is_none() && !report.is_valid() {
        folder.keep();
    }
    Ok(report)
}

fn mutants(wanted: Option<&str>) -> anyhow::Result<Vec<Mutant>> {
    match wanted {
        None => Ok(Vec::new()),
        Some("all") => Ok(Mutant::ALL.to_vec()),
        Some(name) => {
            let names = Mutant::ALL.map(Mutant::name).join(", ");
            Ok(vec![Mutant::named(name).with_context(|| format!("no mutant is named {name:?}; there are {names}"))?])
        }
    }
}

/// The proof: what was tried, what held, and that the checker sees what is broken.
fn summary(reports: &[Report]) -> String {
    let mut lines = vec![String::new()];
    for report in reports {
        match report.mutant.and_then(Mutant::named) {
            None => {
                let faults: usize = report.faults.values().sum();
                let word = if report.is_valid() { "held" } else { "BROKEN" };
                lines.push(format!(
                    "{word:7} seed {:<4} {:6} jobs, {faults} faults, {} findings",
                    report.seed,
                    report.jobs,
                    report.findings.len()
                ));
                lines.extend(report.never().map(|what| format!("        never: {what}")));
            }
            Some(mutant) => {
                let caught = report.caught().map(|finding| finding.invariant.broken());
                let word = if caught.is_some() { "caught" } else { "MISSED" };
                lines.push(format!(
                    "{word:7} {:24} in {:3.0} s by {}; {}",
                    mutant.name(),
                    report.took,
                    caught.unwrap_or("nothing"),
                    mutant.what()
                ));
            }
        }
    }
    lines.join("\n")
}

/// Of a run: histories, logs, the database's files.
struct Folder {
    path: PathBuf,
    keep: std::cell::Cell<bool>,
}

impl Folder {
    fn new(name: &str, keep: bool) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("haulage-faults-{name}-{:08x}", rand::random::<u32>()));
        fs::create_dir(&path)?;
        // Postgres may run as another account, which has to enter.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        let folder = Self { path, keep: false.into() };
        if keep {
            folder.keep();
        }
        Ok(folder)
    }

    fn keep(&self) {
        println!("histories and logs are kept in {}", self.path.display());
        self.keep.set(true);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path, self.keep.get());
    }
}

/// The database's files are large and of no use once the server is gone.
fn remove(path: &Path, keep: bool) {
    if keep {
        ["postgres", "disk", "replica"].iter().for_each(|data| drop(fs::remove_dir_all(path.join(data))));
    } else {
        fs::remove_dir_all(path).ok();
    }
}
