//! Everything at once: a private Postgres, the world outside, the shop and two workers.

use std::{net::TcpListener, time::Duration};

use anyhow::{Context, bail};
use haulage_queue::dev::{DevError, Server}; // `haulage::dev` in an application, with the feature `dev`
use sqlx::{Connection, PgConnection};
use tokio::{
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    database,
    options::Options,
    process::{Phase, Process, Role, keep},
    stop,
};

pub(crate) async fn run(mut options: Options) -> anyhow::Result<()> {
    let stop = stop::requested(options.with_parent)?;
    let server = match &options.database_url {
        Some(url) => {
            answers_soon(url).await?;
            None
        }
        None => Some(start_server(&options).await?),
    };
    check_ports(&options)?;
    if let Some(server) = &server {
        options.database_url = Some(server.url().to_owned());
    }
    // Once here, so that the children do not wait for each other.
    database::open(&options).await?.close().await;

    let (phase, phases) = watch::channel(Phase::Running);
    let mut keepers = JoinSet::new();
    let mut pids = Vec::new();
    let roles = roles(&options);
    let first_to_stop = roles.iter().filter(|role| role.stops_in == Phase::StopWorkers).count();
    for role in roles {
        let process = Process::start(&role)?;
        pids.push((role.name, process.id()));
        keepers.spawn(keep(role, process, phases.clone()));
    }
    drop(phases);

    tokio::pin!(stop);
    tokio::select! {
        () = &mut stop => {}
        ready = answers(options.port) => {
            ready?;
            print_banner(&options, server.as_ref(), &pids);
            stop.await;
        }
    }

    tracing::info!("stopping: workers finish what they run");
    phase.send_replace(Phase::StopWorkers);
    for _ in 0..first_to_stop {
        keepers.join_next().await;
    }
    phase.send_replace(Phase::StopOthers);
    while keepers.join_next().await.is_some() {}
    if let Some(server) = server {
        tokio::task::spawn_blocking(|| server.stop()).await??;
    }
    Ok(())
}

/// A URL left in the shell by an earlier run should not cost a long wait and a riddle.
async fn answers_soon(url: &str) -> anyhow::Result<()> {
    let connected = tokio::time::timeout(Duration::from_secs(3), PgConnection::connect(url)).await;
    let advice = "the database in DATABASE_URL does not answer; unset DATABASE_URL to use the demo's own server";
    connected.context(advice)?.context(advice)?.close().await.ok();
    Ok(())
}

async fn start_server(options: &Options) -> anyhow::Result<Server> {
    let directory = options.data_dir.clone();
    let started = tokio::task::spawn_blocking(move || Server::builder().from_env().data_dir(directory).durable(false).start()).await?;
    match started {
        // Without the URL, which holds the password.
        Err(DevError::AlreadyRunning { pid, .. }) => bail!(
            "a demo already runs on {} (its Postgres is process {pid}): stop it, or give another --data-dir and other ports; with make: ARGS='--data-dir ...'",
            options.data_dir.display()
        ),
        started => started.context("could not start the private Postgres"),
    }
}

fn roles(options: &Options) -> Vec<Role> {
    let role = |name, command: &str, stops_in| Role {
        name,
        args: [
            command,
            "--port",
            &options.port.to_string(),
            "--smtp-port",
            &options.smtp_port.to_string(),
            "--mails-port",
            &options.mails_port.to_string(),
            "--partner-port",
            &options.partner_port.to_string(),
        ]
        .map(str::to_owned)
        .into(),
        database_url: options.database_url.clone().unwrap_or_default(),
        stops_in,
    };
    let mut roles = vec![
        role("outside", "outside", Phase::StopOthers),
        role("web", "web", Phase::StopOthers),
        role("worker 1", "worker", Phase::StopWorkers),
        role("worker 2", "worker", Phase::StopWorkers),
    ];
    if options.incidents {
        roles.push(role("incidents", "incidents", Phase::StopWorkers));
    }
    roles
}

/// Said before anything is started, not by four children one after the other.
fn check_ports(options: &Options) -> anyhow::Result<()> {
    for (port, flag, what) in [
        (options.port, "--port", "the shop"),
        (options.smtp_port, "--smtp-port", "caught mail"),
        (options.mails_port, "--mails-port", "the mails' pages"),
        (options.partner_port, "--partner-port", "the stock partner"),
    ] {
        if TcpListener::bind(("127.0.0.1", port)).is_err() {
            bail!("port {port}, for {what}, is taken; choose another with {flag} (with make: ARGS='{flag} ...')");
        }
    }
    Ok(())
}

/// Waits until the shop takes connections.
async fn answers(port: u16) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        if Instant::now() > deadline {
            bail!("the shop did not start within 30 seconds; its own message is above");
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the banner is what the user came for")]
fn print_banner(options: &Options, server: Option<&Server>, pids: &[(&str, u32)]) {
    let url = options.database_url.as_deref().unwrap_or_default();
    let pids: String = pids.iter().map(|(name, pid)| format!("  {name:<10}{pid}\n")).collect();
    let postgres = server.map_or_else(|| "the one in DATABASE_URL".to_owned(), |server| format!("private, version {}", server.version()));
    println!(
        "
  shop      http://127.0.0.1:{port}
  queue     http://127.0.0.1:{port}/queue{stuck}
  mails     http://127.0.0.1:{mails_port}
  partner   http://127.0.0.1:{partner_port}
  postgres  {postgres}

{pids}
  Kill a worker and watch its jobs being rescued:  kill -9 {worker}
  Place an order, then see what came of it, from its request to the last retry (its page names the request):
  DATABASE_URL='{url}' cargo run --features cli --bin haulage -- trace REQUEST
  See the jobs:
  DATABASE_URL='{url}' cargo run --features cli --bin haulage -- jobs list

  Ctrl-C stops everything.
",
        port = options.port,
        stuck = if options.incidents { "/stuck: ten things go wrong, each with its reason and what helps" } else { "" },
        mails_port = options.mails_port,
        partner_port = options.partner_port,
        worker = pids.lines().nth(2).and_then(|line| line.split_whitespace().last()).unwrap_or(""),
    );
}
