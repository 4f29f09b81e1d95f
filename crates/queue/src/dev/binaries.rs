//! Finds `initdb` and `postgres`. Nothing else of Postgres is used, because some distributions of
//! the server come without `psql`, `createdb` and `pg_isready`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{DevError, io};

const PROGRAMS: [&str; 2] = ["initdb", "postgres"];

/// Where packages put the programs when they are not in `PATH`: parent, prefix of the versioned
/// folder, folder below it.
const USUAL: [(&str, &str, &str); 4] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/usr", "pgsql-", "bin"),
];

#[derive(Debug)]
pub(super) struct Binaries {
    folder: PathBuf,
    version: String,
}

impl Binaries {
    pub(super) fn find(given: Option<PathBuf>) -> Result<Self, DevError> {
        let folder = match given {
            Some(folder) => {
                if let Some(program) = PROGRAMS.iter().find(|name| !folder.join(name).is_file()) {
                    return Err(DevError::NotInFolder { program, folder });
                }
                folder
            }
            None => path_folders()
                .into_iter()
                .chain(USUAL.iter().flat_map(versioned_folders))
                .find(|folder| PROGRAMS.iter().all(|name| folder.join(name).is_file()))
                .ok_or(DevError::NotInstalled)?,
        };
        let folder = std::path::absolute(&folder).map_err(io(format!("resolve {folder:?}")))?;
        let version = version_of(&folder.join("postgres"))?;
        Ok(Self { folder, version })
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// Such as `15.18`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Such as `15`: what `PG_VERSION` in a data folder says.
    pub(super) fn major(&self) -> &str {
        let end = self.version.find(|c: char| !c.is_ascii_digit());
        &self.version[..end.unwrap_or(self.version.len())]
    }
}

fn path_folders() -> Vec<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "to look for a program in PATH is what PATH is for")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect()
}

/// The folders of one usual place, highest version first.
fn versioned_folders(&(parent, prefix, below): &(&str, &str, &str)) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?.trim_start_matches('@');
            Some((version.parse().unwrap_or(0), entry.path().join(below)))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`: the third word.
fn version_of(postgres: &Path) -> Result<String, DevError> {
    let output = Command::new(postgres).arg("--version").output().map_err(io(format!("run {postgres:?}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.split_whitespace().nth(2) {
        Some(version) if output.status.success() => Ok(version.to_owned()),
        _ => {
            Err(DevError::Failed { program: "postgres", status: output.status, log: String::from_utf8_lossy(&output.stderr).into_owned() })
        }
    }
}
