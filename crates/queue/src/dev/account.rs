//! The account that Postgres runs as when we are root.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{DevError, io};

#[derive(Debug)]
pub(super) struct Account {
    name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// `None` when we are not root: Postgres then runs as we do. The owner of existing data comes
    /// first, because a server refuses the data of another account.
    pub(super) fn to_run_as(data: Option<&Metadata>) -> Result<Option<Self>, DevError> {
        if id(&["-u"])? != Some(0) {
            return Ok(None);
        }
        if let Some(data) = data
            && data.uid() != 0
        {
            return Ok(Some(Self { name: format!("#{}", data.uid()), uid: data.uid(), gid: data.gid() }));
        }
        for name in ["postgres", "nobody"] {
            if let (Some(uid), Some(gid)) = (id(&["-u", name])?, id(&["-g", name])?) {
                let name = name.to_owned();
                return Ok(Some(Self { name, uid, gid }));
            }
        }
        Err(DevError::NoAccount)
    }

    /// Asks the system instead of reading modes, which do not tell of access lists.
    pub(super) fn check_can_enter(&self, path: &Path) -> Result<(), DevError> {
        let mut above: Vec<&Path> = path.ancestors().collect();
        above.reverse();
        let output = Command::new("/bin/sh")
            .args(["-c", r#"for f; do [ -x "$f" ] || { printf %s "$f"; exit 1; }; done"#])
            .arg("sh")
            .args(above)
            .uid(self.uid)
            .gid(self.gid)
            .current_dir("/")
            .output()
            .map_err(io(format!("run \"/bin/sh\" as \"{}\"", self.name)))?;
        if output.status.success() {
            return Ok(());
        }
        Err(DevError::CannotEnter {
            account: self.name.clone(),
            folder: PathBuf::from(String::from_utf8_lossy(&output.stdout).into_owned()),
        })
    }
}

/// The standard library has no `geteuid` and no look-up of accounts; this program is in POSIX.
fn id(args: &[&str]) -> Result<Option<u32>, DevError> {
    let output = Command::new("id").args(args).output().map_err(io("run \"id\""))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok())
}
