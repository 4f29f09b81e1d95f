//! A program and everything it has started: a process group of its own, ended as a whole.
//!
//! A group's number is the process id of its first process, and the system gives it to nobody else as long as that process has not
//! been waited for. So a group is signalled only before its program is waited for: [`Group::ended`] looks without taking the status,
//! and a `Group` is dropped before `Child::wait`.
//!
//! What leaves the group on purpose (`setsid`, a daemon) is out of reach.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process_group, waitid, waitpgid},
};
use tokio::{
    process::Child,
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};

use super::{processes::Processes, warden::Warden};

/// How often a group's memory is looked at.
const MEMORY_LOOK: Duration = Duration::from_millis(100);
/// How often a group that was told to end is looked at.
const END_LOOK: Duration = Duration::from_millis(20);
/// How long to wait for the end of what was killed.
const ORPHANS: Duration = Duration::from_millis(300);
/// Without a working SIGCHLD: how often to look whether a program has ended.
const CHILD_LOOK: Duration = Duration::from_millis(100);

/// What all groups of a worker share.
#[derive(Debug, Default)]
pub(super) struct Groups {
    warden: Warden,
    processes: Processes,
}

impl Groups {
    /// Call it before a program is started.
    pub(super) fn prepare(&self) {
        self.warden.prepare();
    }
}

/// A running group. Dropping it kills what is left of it.
#[derive(Debug)]
pub(super) struct Group {
    id: Pid,
    groups: Arc<Groups>,
}

impl Group {
    /// The group of a program that was started as the first of its own group, and not been waited for.
    pub(super) fn of(leader: &Child, groups: Arc<Groups>) -> Option<Self> {
        let id = leader.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)?;
        groups.warden.watch(id);
        Some(Self { id, groups })
    }

    pub(super) fn id(&self) -> Pid {
        self.id
    }

    /// Waits until the program itself has ended, without taking its status.
    pub(super) async fn ended(&self) {
        // Listens before it looks, or an end between the two would be missed.
        let mut children = signal(SignalKind::child()).ok();
        loop {
            match waitid(WaitId::Pid(self.id), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT) {
                Ok(None) | Err(Errno::INTR) => {}
                Ok(Some(_)) | Err(_) => return,
            }
            match &mut children {
                Some(children) => {
                    children.recv().await;
                }
                None => sleep(CHILD_LOOK).await,
            }
        }
    }

    /// Asks everything in the group to end, and waits until it has, or the time is over.
    pub(super) async fn terminate(&self, grace: Duration) {
        self.signal(Signal::TERM);
        let gone = async {
            self.ended().await;
            // The first process may be a shell that ends at once, while what it runs still tidies up.
            while self.groups.processes.usage(self.id, Instant::now()).await.alive > 0 {
                sleep(END_LOOK).await;
            }
        };
        timeout(grace, gone).await.ok();
    }

    /// Waits until the group takes more memory than this, in bytes; tells how much.
    pub(super) async fn over(&self, limit: u64) -> u64 {
        loop {
            sleep(MEMORY_LOOK).await;
            // One look serves all groups.
            let recent = Instant::now().checked_sub(MEMORY_LOOK / 2).unwrap_or_else(Instant::now);
            let used = self.groups.processes.usage(self.id, recent).await.resident;
            if used > limit {
                return used;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        match kill_process_group(self.id, signal) {
            // A group of which only the ended program is left: ESRCH here, EPERM there.
            Ok(()) | Err(Errno::SRCH | Errno::PERM) => {}
            Err(error) => tracing::warn!(group = %self.id, %error, "a program could not be signalled"),
        }
    }
}

/// Takes the status of what an ended program had started, if that falls to us: as process 1 of a container we inherit orphans, which
/// would stay there as zombies. Called after `Child::wait`, whose status it would take too.
pub(super) async fn reap_orphans(group: Pid) {
    if !getpid().is_init() {
        return;
    }
    let reap = async {
        // Until there is none.
        while let Ok(reaped) = waitpgid(group, WaitOptions::NOHANG) {
            if reaped.is_none() {
                sleep(END_LOOK).await;
            }
        }
    };
    timeout(ORPHANS, reap).await.ok();
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.groups.warden.forget(self.id);
    }
}
