//! A disk of its own for the server: memory, whose size is set to what is used when it is to be full.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// More than a run of twenty minutes needs; what is not used takes no memory.
const SIZE: &str = "4g";

/// Unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// `None`: only root may mount, and not in every container.
    pub(crate) fn mount(folder: PathBuf) -> Option<Self> {
        fs::create_dir(&folder).ok()?;
        let options = format!("size={SIZE},mode=755");
        succeeds(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "haulage-faults"]).arg(&folder)).then_some(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Nothing more fits; returns whether that could be done.
    pub(crate) fn fill(&self) -> bool {
        let used = Command::new("df").args(["-k", "--output=used"]).arg(&self.0).stderr(Stdio::null()).output();
        let used: Option<u64> = used.ok().and_then(|output| String::from_utf8(output.stdout).ok()?.lines().nth(1)?.trim().parse().ok());
        used.is_some_and(|kilobytes| self.resize(&format!("{}k", kilobytes + 32)))
    }

    pub(crate) fn free(&self) {
        self.resize(SIZE);
    }

    fn resize(&self, size: &str) -> bool {
        succeeds(Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(&self.0))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A process of the server may not be quite gone yet.
        succeeds(Command::new("umount").arg("-l").arg(&self.0));
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
