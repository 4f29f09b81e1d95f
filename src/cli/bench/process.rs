//! A worker in a process of its own, so that its processor time and memory are its own. It is this program again, started with
//! other arguments; the two talk in lines.
//!
//! ```text
//!  child  ──> "ready"                connected to nothing yet
//!  parent ──> "go"                   the worker is started
//!  child  ──> "17" "1017" ..         jobs run so far, whenever that has changed
//!  child  ──> "at 5 1790000000000000"  job 5 was started at that time, for jobs that ask for it
//!  parent closes its end             the worker is stopped in order, and the child ends
//! ```

use std::{
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::{Notify, mpsc},
};

/// Where a child finds its database.
const URL: &str = "HAULAGE_BENCH_URL";
/// A child tells its count this often at most.
const TELL_EVERY: Duration = Duration::from_millis(2);

/// A worker process.
pub(crate) struct Process {
    child: Child,
    to_child: ChildStdin,
    ran: Arc<AtomicU64>,
    starts: mpsc::UnboundedReceiver<(u64, u64)>,
}

impl Process {
    /// Starts this program with these arguments on this database; returns when it is ready to go.
    pub(crate) async fn spawn(arguments: &[&str], url: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .env(URL, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("could not start a worker process")?;
        let (Some(to_child), Some(from_child)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("a worker process has no pipes");
        };
        let mut lines = BufReader::new(from_child).lines();
        match lines.next_line().await? {
            Some(line) if line == "ready" => {}
            line => bail!("a worker process did not start; it said {line:?}"),
        }
        let ran = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&ran);
        let (started, starts) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let start = || {
                    let (job, at) = line.strip_prefix("at ")?.split_once(' ')?;
                    Some((job.parse().ok()?, at.parse().ok()?))
                };
                if let Ok(number) = line.parse() {
                    count.store(number, Ordering::Relaxed);
                } else if let Some(start) = start() {
                    started.send(start).ok();
                }
            }
        });
        Ok(Self { child, to_child, ran, starts })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Lets it start its worker.
    pub(crate) async fn go(&mut self) -> anyhow::Result<()> {
        self.to_child.write_all(b"go\n").await.context("a worker process has gone")
    }

    /// Jobs run so far, as last told.
    pub(crate) fn ran(&self) -> u64 {
        self.ran.load(Ordering::Relaxed)
    }

    /// The next job that told when it was started: its number and the time in microseconds since 1970.
    pub(crate) async fn start(&mut self) -> anyhow::Result<(u64, u64)> {
        self.starts.recv().await.context("a worker process has gone")
    }

    /// An error if it has ended by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("a worker process has ended by itself: {status}"),
            None => Ok(()),
        }
    }

    /// Stops the worker in order.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self { mut child, to_child, .. } = self;
        drop(to_child);
        let status = child.wait().await?;
        if status.success() { Ok(()) } else { bail!("a worker process failed: {status}") }
    }
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

/// What a child tells of its jobs.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    ran: AtomicU64,
    starts: Mutex<Vec<(u64, u64)>>,
    changed: Notify,
}

impl Tally {
    /// A job has run.
    pub(crate) fn ran(&self) {
        self.ran.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// The job of this number is started now.
    pub(crate) fn started(&self, job: u64) {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner).push((job, now_us()));
    }
}

/// The child's side: the database's URL is passed to `start`, what that returns is given to `stop` at the end.
pub(crate) async fn serve<W>(
    tally: Arc<Tally>,
    start: impl AsyncFnOnce(String) -> anyhow::Result<W>,
    stop: impl AsyncFnOnce(W),
) -> anyhow::Result<()> {
    let url = std::env::var(URL).context("only the benchmark starts this")?;
    let mut out = tokio::io::stdout();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    out.write_all(b"ready\n").await?;
    out.flush().await?;
    if lines.next_line().await?.as_deref() != Some("go") {
        return Ok(());
    }
    let worker = start(url).await?;
    let tell = async {
        loop {
            tally.changed.notified().await;
            tokio::time::sleep(TELL_EVERY).await;
            let starts = std::mem::take(&mut *tally.starts.lock().unwrap_or_else(PoisonError::into_inner));
            let mut text: String = starts.iter().map(|(job, at)| format!("at {job} {at}\n")).collect();
            text.push_str(&format!("{}\n", tally.ran.load(Ordering::Relaxed)));
            out.write_all(text.as_bytes()).await?;
            out.flush().await?;
        }
    };
    tokio::select! {
        told = tell => told,
        line = lines.next_line() => line.map(drop),
    }?;
    stop(worker).await;
    Ok(())
}
