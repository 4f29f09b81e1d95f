//! What a stretch of work cost: wall time, processor time of clients and server, WAL. Processor times and memory come from Linux's
//! `/proc`; elsewhere they are unknown.

use std::{fs, time::Instant};

use sqlx::PgPool;

/// A stretch under way.
pub(crate) struct Meter<'a> {
    pool: &'a PgPool,
    server_pid: Option<u32>,
    clients: Vec<u32>,
    started: Instant,
    client_us: Option<f64>,
    server_us: Option<f64>,
    own_us: Option<f64>,
    machine_us: Option<f64>,
    wal_bytes: f64,
}

/// What it cost in all.
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) client_us: Option<f64>,
    pub(crate) server_us: Option<f64>,
    pub(crate) wal_bytes: f64,
    /// Share of the machine's cores, 0 to 1, used by others than these clients, the server and this process.
    pub(crate) other_cpu: Option<f64>,
}

impl<'a> Meter<'a> {
    /// Starts a stretch; `clients` are the processes whose time counts as the client's.
    pub(crate) async fn start(pool: &'a PgPool, server_pid: Option<u32>, clients: &[u32]) -> anyhow::Result<Self> {
        Ok(Self {
            pool,
            server_pid,
            clients: clients.to_vec(),
            wal_bytes: wal_bytes(pool).await?,
            client_us: processes_us(clients),
            server_us: server_pid.and_then(server_us),
            own_us: processes_us(&[std::process::id()]),
            machine_us: machine_us(),
            started: Instant::now(),
        })
    }

    /// Ends it. The time ends with the call.
    #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
    pub(crate) async fn stop(self) -> anyhow::Result<Cost> {
        let seconds = self.started.elapsed().as_secs_f64();
        let spent = |now: Option<f64>, before: Option<f64>| Some(now? - before?);
        let client_us = spent(processes_us(&self.clients), self.client_us);
        let server_us = spent(self.server_pid.and_then(server_us), self.server_us);
        let machine_us = spent(machine_us(), self.machine_us);
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let own_us =
            if self.clients.contains(&std::process::id()) { Some(0.0) } else { spent(processes_us(&[std::process::id()]), self.own_us) };
        let other_cpu = || Some(((machine_us? - client_us? - server_us? - own_us?) / (seconds * 1e6 * cores)).max(0.0));
        let other_cpu = other_cpu();
        Ok(Cost { seconds, client_us, server_us, wal_bytes: wal_bytes(self.pool).await? - self.wal_bytes, other_cpu })
    }
}

/// One tick of `/proc`'s clocks, in microseconds: `USER_HZ` is 100 on every Linux of today.
const TICK_US: f64 = 10_000.0;

/// Microseconds of processor time of these processes so far.
pub(crate) fn processes_us(pids: &[u32]) -> Option<f64> {
    pids.iter().map(|pid| Some(ticks(*pid, &[13, 14])? * TICK_US)).sum()
}

/// The server's main process, its ended children, and those that run.
fn server_us(pid: u32) -> Option<f64> {
    let own = ticks(pid, &[13, 14, 15, 16])?;
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let running: f64 = children.split_whitespace().filter_map(|child| ticks(child.parse().ok()?, &[13, 14])).sum();
    Some((own + running) * TICK_US)
}

/// The sum of these fields (from 0) of `/proc/PID/stat`.
fn ticks(pid: u32, fields: &[usize]) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets and may hold spaces.
    let rest: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    fields.iter().map(|field| rest.get(field - 2)?.parse::<f64>().ok()).sum()
}

/// Busy time of all cores.
fn machine_us() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<f64> = stat.lines().next()?.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    Some([0, 1, 2, 5, 6].iter().filter_map(|field| fields.get(*field)).sum::<f64>() * TICK_US)
}

/// The most memory a process has had resident.
pub(crate) fn peak_rss_mb(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

async fn wal_bytes(pool: &PgPool) -> anyhow::Result<f64> {
    Ok(sqlx::query_scalar("SELECT (pg_current_wal_insert_lsn() - '0/0')::double precision").fetch_one(pool).await?)
}
