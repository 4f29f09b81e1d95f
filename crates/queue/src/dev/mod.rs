//! A private Postgres server for development and tests.
//!
//! ```no_run
//! # fn main() -> Result<(), haulage_queue::dev::DevError> {
//! let server = haulage_queue::dev::Server::builder().start()?;
//! println!("psql {}", server.url());
//! # Ok(())
//! # }
//! ```
//!
//! It runs the `initdb` and `postgres` that are already on the machine. Nothing is downloaded, no
//! existing server is touched, and it listens on 127.0.0.1 only, with a random password.
//!
//! | option | default |
//! |---|---|
//! | [`data_dir`](ServerBuilder::data_dir) | a fresh temporary folder, removed at the end |
//! | [`bin_dir`](ServerBuilder::bin_dir) | the first of `PATH` and the usual folders that has both programs |
//! | [`durable`](ServerBuilder::durable) | yes with a `data_dir`, no without |
//!
//! # The server never outlives its owner
//!
//! Dropping a [`Server`] stops it. A process that gets `kill -9` drops nothing, so the server is
//! not our child but the child of a small shell that holds the read end of a pipe. The kernel
//! closes the write end however we die:
//!
//! ```text
//!  our process ──── pipe (never written) ────> sh ── waits for postgres
//!                                              ├── postgres
//!                                              └── watch: end of file ──> SIGINT to postgres
//! ```
//!
//! After that the shell removes the data if it is temporary. All of them are in a process group of
//! their own, so Ctrl-C reaches the application first and its connections end in order.
//!
//! # As root
//!
//! Postgres refuses to run as root, so both programs then run as the owner of the data folder,
//! or as `postgres`, or as `nobody`. That account must be able to enter each folder above the data.
//!
//! Unix only.

mod account;
mod binaries;
mod error;
mod folder;
mod guard;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use self::binaries::Binaries;
pub use self::error::DevError;
use self::folder::{Folder, PidFile};
use self::guard::Guard;

/// Recovery after a crash is the slow case. An empty server is ready in a tenth of a second.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// How often the status of a starting server is read: far below the start time of an empty one.
const POLL: Duration = Duration::from_millis(10);

/// A running Postgres server that ends with this value, and with this process however that ends.
pub struct Server {
    // The order matters: the server ends before its folder goes.
    guard: Guard,
    folder: Folder,
    version: String,
    password: String,
    port: u16,
    url: String,
}

impl Server {
    /// Options for a server that is not running yet.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The database `haulage` on this server, with user and password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same as [`url`](Server::url) for another database, which need not exist yet.
    pub fn database_url(&self, name: &str) -> String {
        url(&self.password, self.port, name)
    }

    /// The version of Postgres, such as `15.18`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Ends the server, and removes its data if it is temporary. Dropping does the same, but
    /// cannot tell of an error.
    pub fn stop(self) -> Result<(), DevError> {
        let status = self.guard.end()?;
        if status.success() {
            return Ok(());
        }
        Err(DevError::Failed { program: "postgres", status, log: self.folder.log_since(0) })
    }
}

impl fmt::Debug for Server {
    // By hand: the password stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("port", &self.port)
            .field("version", &self.version)
            .field("data_dir", &self.folder.path())
            .finish_non_exhaustive()
    }
}

/// Options of a [`Server`].
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until it is started"]
pub struct ServerBuilder {
    data_dir: Option<PathBuf>,
    bin_dir: Option<PathBuf>,
    durable: Option<bool>,
    settings: Vec<String>,
}

impl ServerBuilder {
    /// Keeps the data in this folder, which is made if it does not exist. The port and the
    /// password stay the same from start to start.
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(folder.into());
        self
    }

    /// Uses the `initdb` and `postgres` in this folder and looks nowhere else.
    pub fn bin_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.bin_dir = Some(folder.into());
        self
    }

    /// Whether committed data survives a crash of the machine. Without it the server is faster.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = Some(durable);
        self
    }

    /// A setting of the server, such as `shared_buffers` and `1GB`, for this run only. The last one of a name counts.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push(format!("{name}={value}"));
        self
    }

    /// Takes [`bin_dir`](ServerBuilder::bin_dir) from the environment variable `HAULAGE_PG_BIN`
    /// if it is set and not empty. Nothing else here reads the environment, except `PATH` and the
    /// variable that names the folder for temporary files.
    pub fn from_env(mut self) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the caller asked for exactly this")]
        let folder = std::env::var_os("HAULAGE_PG_BIN");
        if let Some(folder) = folder.filter(|folder| !folder.is_empty()) {
            self.bin_dir = Some(folder.into());
        }
        self
    }

    /// Starts the server and waits until it takes connections. The first start on a folder makes
    /// the data, which takes about a second.
    ///
    /// This blocks the thread. Two processes that start on the same folder at once take turns, and
    /// the second gets [`DevError::AlreadyRunning`].
    pub fn start(self) -> Result<Server, DevError> {
        let binaries = Binaries::find(self.bin_dir)?;
        let durable = self.durable.unwrap_or(self.data_dir.is_some());
        let folder = match self.data_dir {
            Some(path) => Folder::open(&path)?,
            None => Folder::temporary()?,
        };
        folder.check_can_run(&binaries)?;
        let _lock = folder.lock()?;
        if folder.is_made() {
            folder.check_version(&binaries)?;
        } else {
            folder.make(&binaries, durable)?;
        }
        let password = folder.password()?;

        let deadline = Instant::now() + START_DEADLINE;
        loop {
            let port = folder.free_port()?;
            let Some(guard) = try_start(&folder, &binaries, &password, &server_args(&folder, port, durable, &self.settings), deadline)?
            else {
                thread::sleep(POLL);
                continue;
            };
            folder.remember_port(port)?;
            tracing::info!(port, version = binaries.version(), "postgres started");
            return Ok(Server {
                url: url(&password, port, "haulage"),
                version: binaries.version().to_owned(),
                guard,
                folder,
                password,
                port,
            });
        }
    }
}

/// One attempt. `None` means that the cause is passing and another attempt is worth it: the port
/// was taken after we had looked, or the last server on this folder is still shutting down.
fn try_start(folder: &Folder, binaries: &Binaries, password: &str, args: &[String], deadline: Instant) -> Result<Option<Guard>, DevError> {
    // A server that was killed leaves its file behind, and that says "ready".
    let stale = folder.pid_file();
    let log_start = folder.log_len();
    let mut guard = Guard::spawn(folder, &binaries.postgres(), args, None)?;
    loop {
        if let Some(file) = folder.pid_file()
            && file.is_ready()
            && !stale.as_ref().is_some_and(|stale| stale.is_same(&file))
        {
            return Ok(Some(guard));
        }
        if let Some(status) = guard.try_status()? {
            let log = folder.log_since(log_start);
            let in_time = Instant::now() < deadline;
            if log.contains("\"postmaster.pid\" already exists") {
                match folder.pid_file() {
                    Some(file) if !(file.is_stopping() && in_time) => {
                        return Err(already_running(&file, password));
                    }
                    _ if in_time => return Ok(None),
                    _ => {}
                }
            }
            if log.contains("could not create any TCP/IP sockets") && in_time {
                return Ok(None);
            }
            return Err(DevError::Failed { program: "postgres", status, log });
        }
        if Instant::now() >= deadline {
            return Err(DevError::NotReady { seconds: START_DEADLINE.as_secs(), log: folder.log_since(log_start) });
        }
        thread::sleep(POLL);
    }
}

fn already_running(file: &PidFile, password: &str) -> DevError {
    DevError::AlreadyRunning { url: url(password, file.port, "haulage"), pid: file.pid }
}

fn server_args(folder: &Folder, port: u16, durable: bool, more: &[String]) -> Vec<String> {
    let on_off = if durable { "on" } else { "off" };
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "unix_socket_directories=".to_owned(),
        // Test suites open a pool per test.
        "max_connections=200".to_owned(),
        "logging_collector=off".to_owned(),
        format!("fsync={on_off}"),
        format!("synchronous_commit={on_off}"),
        format!("full_page_writes={on_off}"),
    ];
    let mut args = vec!["-D".to_owned(), folder.cluster()];
    for setting in settings.iter().chain(more) {
        args.extend(["-c".to_owned(), setting.clone()]);
    }
    args
}

fn url(password: &str, port: u16, database: &str) -> String {
    format!("postgres://haulage:{password}@127.0.0.1:{port}/{database}")
}
