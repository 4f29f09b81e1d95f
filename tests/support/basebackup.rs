//! A copy of a server that runs, by `pg_basebackup -R`: started, it follows.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

/// Copies the cluster of a private server, at `url` and in the folder `pg` of its data, into a folder as that of another one. By the
/// programs beside its own, as the account that it runs as: Postgres takes no folder of another. Returns whether `pg_basebackup` is there.
pub(crate) fn copy(data: &Path, folder: &Path, programs: &Path, url: &str) -> io::Result<bool> {
    let program = programs.join("pg_basebackup");
    if !program.exists() {
        return Ok(false);
    }
    let owner = fs::metadata(data.join("pg"))?;
    DirBuilder::new().mode(0o700).create(folder)?;
    chown(folder, Some(owner.uid()), Some(owner.gid()))?;
    fs::copy(data.join("password"), folder.join("password"))?;
    let mut command = Command::new(program);
    command.args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", url, "-D"]).arg(folder.join("pg"));
    command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
    // Nobody but root may, or has to, become another.
    if fs::metadata(folder.join("password"))?.uid() != owner.uid() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("pg_basebackup failed: {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(true)
}
