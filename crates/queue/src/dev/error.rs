use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why a private server could not be started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// No folder that was searched has both programs.
    #[error(
        "no Postgres found on this machine: install it with `apt-get install postgresql` (Debian, Ubuntu), `brew install postgresql` (macOS) or `dnf install postgresql-server` (Fedora)"
    )]
    NotInstalled,

    /// The folder that the caller named lacks a program.
    #[error("no \"{program}\" in {folder:?}, the folder given for the Postgres programs")]
    NotInFolder {
        /// The program that is missing.
        program: &'static str,
        /// The folder that was given.
        folder: PathBuf,
    },

    /// The data was made by another major version.
    #[error(
        "the data in {folder:?} was made by Postgres {data} and cannot be read by Postgres {program}: use the programs of Postgres {data} (bin_dir, or HAULAGE_PG_BIN where it is read), or remove the folder to start empty"
    )]
    Version {
        /// The data folder.
        folder: PathBuf,
        /// The major version that made the data.
        data: String,
        /// The version of the programs.
        program: String,
    },

    /// The folder holds something that is not ours.
    #[error("{folder:?} holds {found:?} and no server of Haulage: choose an empty or new folder")]
    NotEmpty {
        /// The data folder.
        folder: PathBuf,
        /// A file in it.
        found: PathBuf,
    },

    /// Another process runs a server on this folder.
    #[error("a server with process id {pid} already runs on this data folder: stop it, or use the URL that this error holds")]
    AlreadyRunning {
        /// The database `haulage` on that server.
        url: String,
        /// Its process id.
        pid: u32,
    },

    /// Root runs Postgres as another account, which cannot get to a folder.
    #[error(
        "account \"{account}\", as which root runs Postgres, may not enter {folder:?}: run `chmod a+x` on it, choose a folder elsewhere, or do not run as root"
    )]
    CannotEnter {
        /// The account.
        account: String,
        /// The folder, or the program, that it cannot use.
        folder: PathBuf,
    },

    /// We are root and found no other account.
    #[error("Postgres does not run as root, and there is no account \"postgres\" or \"nobody\"")]
    NoAccount,

    /// A program of Postgres ended with an error.
    #[error("\"{program}\" failed ({status}){}", indented(log))]
    Failed {
        /// `initdb` or `postgres`.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote.
        log: String,
    },

    /// The server runs but takes no connections.
    #[error("the server was not ready after {seconds} s{}", indented(log))]
    NotReady {
        /// How long we waited.
        seconds: u64,
        /// The end of its log.
        log: String,
    },

    /// The operating system refused something.
    #[error("could not {doing}")]
    Io {
        /// What we wanted.
        doing: String,
        /// Its answer.
        #[source]
        source: io::Error,
    },
}

/// For `map_err`: says what was being done.
pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> DevError {
    let doing = doing.into();
    move |source| DevError::Io { doing, source }
}

fn indented(log: &str) -> String {
    if log.is_empty() {
        return String::new();
    }
    let mut text = String::from(", its log ends with:");
    for line in log.lines() {
        text.push_str("\n  ");
        text.push_str(line);
    }
    text
}
