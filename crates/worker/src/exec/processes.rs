//! What each process group takes, from `/proc`. Linux only; elsewhere every group looks empty, and a memory limit is refused by the
//! config.
//!
//! Why not `setrlimit`: its limits hold for one process, so a program that starts ten has ten times as much; what they count is
//! address space, of which Go, Java and Node reserve far more than they use; and setting them between fork and exec is unsafe code.
//! A cgroup would be exact, but making one takes rights that a worker seldom has.

use std::{collections::HashMap, fs, time::Instant};

use rustix::process::Pid;
use tokio::sync::Mutex;

/// What a group takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Processes that have not ended.
    pub(super) alive: usize,
    /// Bytes in memory, summed; pages that processes share count once for each.
    pub(super) resident: u64,
}

/// The last look at all processes, for all groups.
#[derive(Debug, Default)]
pub(super) struct Processes {
    last: Mutex<Option<Look>>,
}

#[derive(Debug)]
struct Look {
    at: Instant,
    groups: HashMap<i32, Usage>,
}

impl Processes {
    /// What the group takes, as seen at this moment or later.
    pub(super) async fn usage(&self, group: Pid, not_before: Instant) -> Usage {
        let mut last = self.last.lock().await;
        let look = match last.take().filter(|look| look.at >= not_before) {
            Some(look) => look,
            None => {
                let at = Instant::now();
                Look { at, groups: tokio::task::spawn_blocking(look).await.unwrap_or_default() }
            }
        };
        let usage = look.groups.get(&group.as_raw_pid()).copied().unwrap_or_default();
        *last = Some(look);
        usage
    }
}

fn look() -> HashMap<i32, Usage> {
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4_096);
    let mut groups: HashMap<i32, Usage> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        // A process may end between the two.
        let Ok(stat) = fs::read(entry.path().join("stat")) else { continue };
        if let Some((group, pages)) = parse(&String::from_utf8_lossy(&stat)) {
            let usage = groups.entry(group).or_default();
            usage.alive += 1;
            usage.resident += pages * page;
        }
    }
    groups
}

/// Group and resident pages of a process that has not ended.
fn parse(stat: &str) -> Option<(i32, u64)> {
    // The name, in parentheses, may hold anything, parentheses too.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let group = fields.nth(1)?.parse().ok()?;
    let pages: i64 = fields.nth(18)?.parse().ok()?;
    Some((group, u64::try_from(pages).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name_of_the_process_is() {
        let line = "4242 (a) b) S 1 4200 4100 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987 1048576 321 18446744073709551615 1 1";
        assert_eq!(parse(line), Some((4200, 321)));
        assert_eq!(parse(&line.replace(") S", ") Z")), None, "it has ended");
        assert_eq!(parse("garbage"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_group_is_alive_and_takes_memory() {
        let ours = look().remove(&rustix::process::getpgrp().as_raw_pid()).unwrap_or_default();
        assert!(ours.alive >= 1 && ours.resident > 100_000, "{ours:?}");
    }
}
