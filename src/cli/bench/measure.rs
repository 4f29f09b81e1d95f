//! What a stretch of work cost: wall time, processor time of client and server, WAL, memory. Processor times and memory come from
//! Linux's `/proc`; elsewhere those columns stay empty.

use std::{fs, time::Instant};

use sqlx::PgPool;

use super::report::Row;

/// A stretch under way.
pub(crate) struct Meter<'a> {
    pool: &'a PgPool,
    server_pid: Option<u32>,
    started: Instant,
    client: Option<f64>,
    server: Option<f64>,
    machine: Option<f64>,
    wal: f64,
}

impl<'a> Meter<'a> {
    pub(crate) async fn start(pool: &'a PgPool, server_pid: Option<u32>) -> anyhow::Result<Self> {
        Ok(Self {
            pool,
            server_pid,
            wal: wal(pool).await?,
            client: process_us("self"),
            server: server_pid.and_then(server_us),
            machine: machine_us(),
            started: Instant::now(),
        })
    }

    /// Ends the stretch, in which so many jobs were done.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) async fn stop(self, scenario: &str, jobs: u64, config: String) -> anyhow::Result<Row> {
        let wall_us = self.started.elapsed().as_secs_f64() * 1e6;
        let spent = |now: Option<f64>, before: Option<f64>| Some(now? - before?);
        let client = spent(process_us("self"), self.client);
        let server = spent(self.server_pid.and_then(server_us), self.server);
        let machine = spent(machine_us(), self.machine);
        let wal = wal(self.pool).await? - self.wal;
        let each = |value: f64| value / jobs.max(1) as f64;
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let other = || Some(((machine? - client? - server?) / (wall_us * cores)).max(0.0));
        Ok(Row {
            scenario: scenario.to_owned(),
            jobs,
            jobs_per_s: Some(jobs as f64 / (wall_us / 1e6)),
            client_cpu_us_per_job: client.map(each),
            server_cpu_us_per_job: server.map(each),
            wal_bytes_per_job: Some(each(wal)),
            peak_rss_mb: peak_rss_mb(),
            other_cpu: other(),
            config,
            ..Row::default()
        })
    }
}

/// Microseconds of processor time in this process so far.
pub(crate) fn client_us() -> Option<f64> {
    process_us("self")
}

/// One tick of `/proc`'s clocks, in microseconds: `USER_HZ` is 100 on every Linux of today.
const TICK_US: f64 = 10_000.0;

fn process_us(pid: &str) -> Option<f64> {
    Some(ticks(pid, &[13, 14])? * TICK_US)
}

/// The server's main process, its ended children, and those that run.
fn server_us(pid: u32) -> Option<f64> {
    let own = ticks(&pid.to_string(), &[13, 14, 15, 16])?;
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let running: f64 = children.split_whitespace().filter_map(|child| ticks(child, &[13, 14])).sum();
    Some((own + running) * TICK_US)
}

/// The sum of these fields (from 0) of `/proc/PID/stat`.
fn ticks(pid: &str, fields: &[usize]) -> Option<f64> {
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

fn peak_rss_mb() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

async fn wal(pool: &PgPool) -> anyhow::Result<f64> {
    Ok(sqlx::query_scalar("SELECT (pg_current_wal_insert_lsn() - '0/0')::double precision").fetch_one(pool).await?)
}
