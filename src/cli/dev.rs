//! `haulage dev`: a database to develop on, with nothing to install but Postgres.
//!
//! ```text
//!  Ctrl-C ──> all of the foreground group: COMMAND ends by itself, then we stop the server
//!  SIGTERM ─> us alone: we pass it on to COMMAND, and then the same
//!  kill -9 ─> us alone: the server ends by itself, see `haulage::dev`
//! ```

use std::{
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
};

use anyhow::Context;
use haulage::dev::{DevError, Server};
use tokio::{
    process::{Child, Command},
    task::spawn_blocking,
};

use super::{
    connect::{DatabaseUrl, connect, place_of},
    output::{print, remark},
    stop::{Stop, Stops},
};

/// Starts a private Postgres for development, with the schema in it
///
/// If DATABASE_URL or --database-url is given, that database is used and no server is started. The server listens on 127.0.0.1
/// only, with a random password, and ends with this command. Port and password stay the same from start to start.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage dev                          until Ctrl-C
  haulage dev -- cargo run             runs a program with DATABASE_URL set, then stops the server
  haulage dev -- sh -c 'psql \"$DATABASE_URL\"'

HAULAGE_PG_BIN names the folder of initdb and postgres, if they are not the ones to use.")]
pub(crate) struct Dev {
    /// Where the data is kept
    #[arg(long, value_name = "DIR", default_value = ".haulage/postgres")]
    data_dir: PathBuf,

    /// A program to run with DATABASE_URL set; its exit code becomes ours
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Dev {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<ExitCode> {
        let Some(url) = database.given() else {
            let server = start(self.data_dir.clone()).await?;
            let result = self.with_database(server.url(), true).await;
            // On an error too, which matters more than how the server ended.
            let stopped = spawn_blocking(|| server.stop()).await?;
            let code = result?;
            stopped.context("the private Postgres did not stop cleanly")?;
            return Ok(code);
        };
        self.with_database(url, false).await
    }

    async fn with_database(&self, url: &str, private: bool) -> anyhow::Result<ExitCode> {
        // From here on a signal waits for its turn, and the server is stopped in order.
        let mut stops = Stops::listen()?;
        let pool = connect(url).await?;
        haulage::migrate(&pool).await?;
        pool.close().await;
        if let Some((program, args)) = self.command.split_first() {
            return run_program(program, args, url, &mut stops).await;
        }
        if private {
            // The only line on standard output, so that a script can read it.
            print(&format!("DATABASE_URL={url}\n"))?;
            remark(&format!("a private Postgres runs on {}; stop it with Ctrl-C", self.data_dir.display()));
        } else {
            remark(&format!("the database at {} is ready; no server was started, as DATABASE_URL is given", place_of(url)?));
            remark("stop with Ctrl-C");
        }
        stops.next().await;
        Ok(ExitCode::SUCCESS)
    }
}

async fn start(data_dir: PathBuf) -> anyhow::Result<Server> {
    let folder = data_dir.clone();
    // It blocks, for a second on a new folder.
    match spawn_blocking(|| Server::builder().from_env().data_dir(folder).start()).await? {
        // Its own text holds the password.
        Err(DevError::AlreadyRunning { pid, .. }) => anyhow::bail!(
            "a private Postgres with process id {pid} already runs on {data_dir:?}: stop that `haulage dev`, set DATABASE_URL to what it printed, or choose another --data-dir"
        ),
        result => Ok(result?),
    }
}

async fn run_program(program: &str, args: &[String], url: &str, stops: &mut Stops) -> anyhow::Result<ExitCode> {
    let mut child = Command::new(program)
        .args(args)
        .env("DATABASE_URL", url)
        .spawn()
        .with_context(|| format!("could not run \"{}\"", program.escape_debug()))?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(code_of(status.context("could not wait for the program")?)),
            stop = stops.next() => match stop {
                // It has got the signal from the terminal; a second one would mean "at once" to many programs.
                Stop::Interrupt => {}
                Stop::Terminate => terminate(&child).await?,
            },
        }
    }
}

/// The standard library and tokio send SIGKILL only; every system with signals has a shell that sends others.
async fn terminate(child: &Child) -> anyhow::Result<()> {
    let Some(pid) = child.id() else { return Ok(()) };
    // If it fails the program has ended already, and the next wait returns.
    Command::new("/bin/sh")
        .args(["-c", "kill -TERM \"$0\" 2>/dev/null", &pid.to_string()])
        .status()
        .await
        .context("could not run \"/bin/sh\"")?;
    Ok(())
}

/// A program that a signal ended counts as 128 and the signal's number, as in a shell.
fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
