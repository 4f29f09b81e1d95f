//! A small shell process beside the worker that ends its programs if the worker itself is killed (`kill -9`, out of memory).
//!
//! ```text
//!  worker ── "+N", "-N" ──> pipe ──> /bin/sh, reads          worker killed: the pipe ends,
//!     └── starts group N                                      sh ends every group it knows of
//! ```
//! Linux has a call by which a program dies with its parent, but it must be made between fork and exec, which is unsafe code, and it
//! does not reach what the program has started. A second process sees the worker's end in every case but one: when both are killed
//! at once, as with a container or a cgroup, and then the programs are too.

use std::{
    collections::BTreeSet,
    env,
    io::{self, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use rustix::{io::ioctl_fionbio, process::Pid};

const SCRIPT: &str = include_str!("warden.sh");

/// Started before the first program. A program knows that it is watched when it gets its args, which are sent after that.
#[derive(Debug, Default)]
pub(super) struct Warden {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    groups: BTreeSet<i32>,
    process: Option<Child>,
    /// There is no shell here; said once.
    impossible: bool,
}

impl Warden {
    /// Starts the shell if there is none. Called before a program is started, so that little time is left in which nobody knows of it.
    pub(super) fn prepare(&self) {
        let mut state = self.lock();
        if state.process.is_none() && !state.impossible {
            state.start();
        }
    }

    pub(super) fn watch(&self, group: Pid) {
        let mut state = self.lock();
        state.groups.insert(group.as_raw_pid());
        state.tell('+', group.as_raw_pid());
    }

    pub(super) fn forget(&self, group: Pid) {
        let mut state = self.lock();
        state.groups.remove(&group.as_raw_pid());
        state.tell('-', group.as_raw_pid());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn start(&mut self) {
        match spawn() {
            Ok(process) => {
                self.process = Some(process);
                for group in self.groups.clone() {
                    self.tell('+', group);
                }
            }
            Err(error) => {
                self.impossible = true;
                tracing::warn!(%error, "no /bin/sh: if this worker is killed, its programs go on until they end by themselves");
            }
        }
    }

    fn tell(&mut self, sign: char, group: i32) {
        let Some(pipe) = self.process.as_mut().and_then(|process| process.stdin.as_mut()) else { return };
        // One write of less than a pipe takes at once: all of the line or nothing.
        if let Err(error) = pipe.write_all(format!("{sign}{group}\n").as_bytes()) {
            tracing::warn!(%error, "the shell that would end our programs if we were killed is gone; the next program starts another");
            self.dismiss();
        }
    }

    /// Kills the shell before the pipe is closed, or it would end what still runs. A thread takes its status, which can take a
    /// moment.
    fn dismiss(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            thread::spawn(move || process.wait());
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.dismiss();
    }
}

fn spawn() -> io::Result<Child> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT, "haulage-warden"]).env_clear();
    #[expect(clippy::disallowed_methods, reason = "where `sleep` is; no setting")]
    let path = env::var_os("PATH");
    command.envs(path.map(|path| ("PATH", path)));
    // A group of its own: Ctrl-C is for the worker.
    let process = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    if let Some(pipe) = &process.stdin {
        // A shell that does not read must not stop the worker.
        ioctl_fionbio(pipe, true)?;
    }
    Ok(process)
}
