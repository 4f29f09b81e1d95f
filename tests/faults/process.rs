//! Processes of a run and what is done to them.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::role::{Kind, Role};

/// A running process. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) name: String,
    pub(crate) stopped: bool,
}

/// The end of a process that the run has killed, or that has ended by itself.
#[derive(Debug, Clone)]
pub(crate) struct Death {
    pub(crate) process: String,
    pub(crate) kind: Kind,
    pub(crate) at: f64,
    pub(crate) killed: bool,
    /// Nothing else is broken until its jobs are taken from it.
    pub(crate) calm: bool,
}

impl Process {
    /// `program`: another one than this. `clock`: what libfaketime adds to its wall clock.
    pub(crate) fn start(role: &Role, program: Option<&Path>, clock: Option<(&Path, &str)>) -> anyhow::Result<Self> {
        let mut command = match program {
            Some(program) => Command::new(program),
            None => Command::new(std::env::current_exe()?),
        };
        let (name, value) = role.variable();
        command.env(name, value).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((library, offset)) = clock {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME", offset)
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("FAKETIME_DISABLE_SHM", "1");
        }
        Ok(Self { child: command.spawn()?, name: role.name.clone(), stopped: false })
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    pub(crate) fn signal(&mut self, name: &str) {
        match name {
            "STOP" => self.stopped = true,
            "CONT" => self.stopped = false,
            _ => {}
        }
        signal(name, self.child.id());
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process, which may be gone.
pub(crate) fn signal(name: &str, pid: u32) {
    Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status().ok();
}

/// libfaketime, if it is on this machine: the program knows where its library is.
pub(crate) fn faketime() -> Option<std::path::PathBuf> {
    let asked = Command::new("faketime").args(["-m", "-f", "+0", "sh", "-c", "echo $LD_PRELOAD"]).output().ok()?;
    let path = String::from_utf8(asked.stdout).ok()?.trim().to_owned();
    (!path.is_empty()).then(|| path.into())
}
