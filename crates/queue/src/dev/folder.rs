//! The folder of a server: the cluster, and beside it what belongs to us.
//!
//! | name | content |
//! |---|---|
//! | `pg` | the cluster; it gets this name only when it is complete |
//! | `pg.new` | a cluster in the making, removed by the next start if that was cut short |
//! | `password` | the password of `haulage`, readable by the owner only |
//! | `port` | the last port, used again if it is free |
//! | `log` | what the programs wrote |
//! | `lock` | locked while a server is being started |

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::binaries::Binaries;
use super::error::{DevError, io};
use super::guard::Guard;

const OURS: [&str; 6] = ["pg", "pg.new", "password", "port", "log", "lock"];

/// Enough for any message with its detail and hint, and for the lines before it.
const LOG_TAIL_LINES: usize = 20;

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    temporary: bool,
    account: Option<Account>,
}

impl Folder {
    pub(super) fn temporary() -> Result<Self, DevError> {
        let name = format!("haulage-dev-{:016x}", rand::random::<u64>());
        let account = Account::to_run_as(None)?;
        Self::with(std::env::temp_dir().join(name), true, account)
    }

    pub(super) fn open(path: &Path) -> Result<Self, DevError> {
        let path = std::path::absolute(path).map_err(io(format!("resolve {path:?}")))?;
        let existing = fs::metadata(&path).ok();
        if existing.is_some() {
            check_ours(&path)?;
        }
        let account = Account::to_run_as(existing.as_ref())?;
        Self::with(path, false, account)
    }

    fn with(path: PathBuf, temporary: bool, account: Option<Account>) -> Result<Self, DevError> {
        // A value from here on, so that a failure below removes what is temporary.
        let folder = Self { path, temporary, account };
        let path = &folder.path;
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).map_err(io(format!("make {above:?}")))?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && !temporary => {}
            result => result.map_err(io(format!("make {path:?}")))?,
        }
        folder.hand_over(path)?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// The folder that goes with the server, or nothing.
    pub(super) fn to_remove(&self) -> &Path {
        if self.temporary { &self.path } else { Path::new("") }
    }

    pub(super) fn cluster(&self) -> String {
        self.path.join("pg").display().to_string()
    }

    pub(super) fn check_can_run(&self, binaries: &Binaries) -> Result<(), DevError> {
        let Some(account) = &self.account else {
            return Ok(());
        };
        account.check_can_enter(&self.path)?;
        account.check_can_enter(&binaries.postgres())
    }

    /// Held while a server starts. The kernel lets go of it if we die.
    pub(super) fn lock(&self) -> Result<File, DevError> {
        let path = self.path.join("lock");
        let file = File::create(&path).map_err(io(format!("make {path:?}")))?;
        file.lock().map_err(io(format!("lock {path:?}")))?;
        Ok(file)
    }

    pub(super) fn is_made(&self) -> bool {
        self.path.join("pg").exists()
    }

    pub(super) fn check_version(&self, binaries: &Binaries) -> Result<(), DevError> {
        let data = read(&self.path.join("pg/PG_VERSION"))?;
        if data == binaries.major() {
            return Ok(());
        }
        Err(DevError::Version { folder: self.path.clone(), data, program: binaries.version().to_owned() })
    }

    /// Makes a cluster with a superuser and a database `haulage`.
    pub(super) fn make(&self, binaries: &Binaries, durable: bool) -> Result<(), DevError> {
        let new = self.path.join("pg.new");
        if new.exists() {
            fs::remove_dir_all(&new).map_err(io(format!("remove {new:?}")))?;
        }
        let password = self.path.join("password");
        self.write(&password, &format!("{:032x}", rand::random::<u128>()))?;

        let mut args = vec![
            "--username=haulage".to_owned(),
            "--auth=scram-sha-256".to_owned(),
            format!("--pwfile={}", password.display()),
            "--locale=C".to_owned(),
            "--encoding=UTF8".to_owned(),
            format!("--pgdata={}", new.display()),
        ];
        if !durable {
            args.push("--no-sync".to_owned());
        }
        self.run("initdb", &binaries.initdb(), &args, None)?;

        // Single-user mode, because `createdb` may not be installed and no server is up yet.
        let statement = new.join("create.sql");
        self.write(&statement, "CREATE DATABASE haulage\n")?;
        let sync = if durable { "fsync=on" } else { "fsync=off" };
        let cluster = new.display().to_string();
        let args = ["--single", "-D", &cluster, "-c", sync, "postgres"].map(str::to_owned);
        self.run("postgres", &binaries.postgres(), &args, Some(&statement))?;
        fs::remove_file(&statement).map_err(io(format!("remove {statement:?}")))?;

        let done = self.path.join("pg");
        fs::rename(&new, &done).map_err(io(format!("rename {new:?}")))
    }

    pub(super) fn password(&self) -> Result<String, DevError> {
        read(&self.path.join("password"))
    }

    /// The last port of this folder if nobody has it, so that an address in a configuration file
    /// stays good; else one that the system picks.
    pub(super) fn free_port(&self) -> Result<u16, DevError> {
        let last = fs::read_to_string(self.path.join("port"));
        let last = last.ok().and_then(|text| text.trim().parse::<u16>().ok());
        last.and_then(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
            .map_or_else(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)), Ok)
            .and_then(|listener| listener.local_addr())
            .map(|address| address.port())
            .map_err(io("find a free port"))
    }

    pub(super) fn remember_port(&self, port: u16) -> Result<(), DevError> {
        self.write(&self.path.join("port"), &format!("{port}\n"))
    }

    pub(super) fn pid_file(&self) -> Option<PidFile> {
        PidFile::parse(&fs::read_to_string(self.path.join("pg/postmaster.pid")).ok()?)
    }

    pub(super) fn open_log(&self) -> Result<File, DevError> {
        let path = self.path.join("log");
        OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(io(format!("open {path:?}")))
    }

    pub(super) fn log_len(&self) -> u64 {
        fs::metadata(self.path.join("log")).map_or(0, |log| log.len())
    }

    /// The last lines of the log, but none from before `start`.
    pub(super) fn log_since(&self, start: u64) -> String {
        let mut text = Vec::new();
        if let Ok(mut log) = File::open(self.path.join("log"))
            && log.seek(SeekFrom::Start(start)).is_ok()
        {
            // What could be read is all that there is to tell.
            let _ = log.read_to_end(&mut text);
        }
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    fn run(&self, name: &'static str, program: &Path, args: &[String], input: Option<&Path>) -> Result<(), DevError> {
        let log_start = self.log_len();
        let status = Guard::spawn(self, program, args, input)?.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(DevError::Failed { program: name, status, log: self.log_since(log_start) })
    }

    /// Writes a file that only the account of the server can read.
    fn write(&self, path: &Path, content: &str) -> Result<(), DevError> {
        OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .map_err(io(format!("write {path:?}")))?;
        self.hand_over(path)
    }

    fn hand_over(&self, path: &Path) -> Result<(), DevError> {
        let Some(account) = &self.account else {
            return Ok(());
        };
        chown(path, Some(account.uid), Some(account.gid)).map_err(io(format!("give {path:?} to the account that Postgres runs as")))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.temporary {
            return;
        }
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, folder = ?self.path, "temporary data is left behind");
            }
            // The shell of a server that was stopped has removed it already.
            _ => {}
        }
    }
}

/// What a server says of itself in `postmaster.pid`, one fact a line.
#[derive(Debug)]
pub(super) struct PidFile {
    pub(super) pid: u32,
    pub(super) port: u16,
    started: String,
    status: String,
}

impl PidFile {
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        Some(Self {
            pid: lines.first()?.trim().parse().ok()?,
            started: (*lines.get(2)?).to_owned(),
            port: lines.get(3)?.trim().parse().ok()?,
            status: lines.get(7).unwrap_or(&"").trim().to_owned(),
        })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.status == "ready"
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.status == "stopping"
    }

    /// The process id alone does not tell: in a container it is often the same at every start.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.pid == other.pid && self.started == other.started
    }
}

/// As root we give the folder to another account, so it must be ours to give.
fn check_ours(path: &Path) -> Result<(), DevError> {
    let entries = fs::read_dir(path).map_err(io(format!("read {path:?}")))?;
    for entry in entries {
        let name = entry.map_err(io(format!("read {path:?}")))?.file_name();
        if !OURS.iter().any(|ours| name == *ours) {
            return Err(DevError::NotEmpty { folder: path.to_owned(), found: name.into() });
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, DevError> {
    let text = fs::read_to_string(path).map_err(io(format!("read {path:?}")))?;
    Ok(text.trim().to_owned())
}
