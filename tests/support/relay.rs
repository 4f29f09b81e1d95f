//! What stands between a process and Postgres, in tests and in fault runs: a TCP relay that delays, cuts, swallows answers, lets nothing
//! through in one direction or on one connection, and rewrites statements.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};

/// How often a direction that is closed is looked at again.
const LOOK: Duration = Duration::from_millis(20);
/// How long an answer that will be swallowed is waited for.
const ANSWER: Duration = Duration::from_secs(5);

/// Only the worker's duties send a statement with this in it, in which they declare others dead.
const OF_DUTIES: &str = "-- Declares workers dead";

/// Text of a statement, and what stands in its place.
#[derive(Debug, Clone)]
pub(crate) struct Rewrite {
    /// The statement it must be in, or it has rotted.
    pub(crate) statement: &'static str,
    pub(crate) from: &'static str,
    pub(crate) to: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Fin,
    Reset,
}

/// A relay of one process. Its port stays when the process is replaced.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    pub(crate) port: u16,
    pub(crate) faults: Arc<Faults>,
}

/// What it does to the traffic, and what it has done.
#[derive(Debug)]
pub(crate) struct Faults {
    /// Host and port.
    server: Mutex<(String, u16)>,
    delay_ms: AtomicU64,
    to_server_closed: AtomicBool,
    to_client_closed: AtomicBool,
    cut: watch::Sender<(u64, Cut)>,
    swallow_commits: AtomicI64,
    swallow_answers: AtomicI64,
    silence: AtomicI64,
    silence_duties: AtomicBool,
    /// Some connection is silent.
    silent: AtomicBool,
    pub(crate) swallowed_commits: AtomicU64,
    pub(crate) swallowed_answers: AtomicU64,
    pub(crate) silenced: AtomicU64,
    pub(crate) rewritten: AtomicU64,
    rewrites: Vec<Rewrite>,
}

impl Relay {
    pub(crate) async fn start(server: (String, u16), rewrites: Vec<Rewrite>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let faults = Arc::new(Faults {
            server: Mutex::new(server),
            delay_ms: AtomicU64::new(0),
            to_server_closed: AtomicBool::new(false),
            to_client_closed: AtomicBool::new(false),
            cut: watch::channel((0, Cut::Fin)).0,
            swallow_commits: AtomicI64::new(0),
            swallow_answers: AtomicI64::new(0),
            silence: AtomicI64::new(0),
            silence_duties: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            swallowed_commits: AtomicU64::new(0),
            swallowed_answers: AtomicU64::new(0),
            silenced: AtomicU64::new(0),
            rewritten: AtomicU64::new(0),
            rewrites,
        });
        let shared = Arc::clone(&faults);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let faults = Arc::clone(&shared);
                let server = faults.server.lock().unwrap().clone();
                tokio::spawn(async move {
                    // Without a server the client sees its connection closed, as it would without a relay.
                    if let Ok(server) = TcpStream::connect(server).await {
                        Connection::new(client, server, faults).run().await.ok();
                    }
                });
            }
        });
        Ok(Self { port, faults })
    }
}

impl Faults {
    pub(crate) fn delay(&self, time: Duration) {
        self.delay_ms.store(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Nothing that the client sends arrives.
    pub(crate) fn close_to_server(&self, closed: bool) {
        self.to_server_closed.store(closed, Relaxed);
    }

    /// Nothing that the server sends arrives.
    pub(crate) fn close_to_client(&self, closed: bool) {
        self.to_client_closed.store(closed, Relaxed);
    }

    /// From now on connections go to this port.
    pub(crate) fn lead_to(&self, port: u16) {
        self.server.lock().unwrap().1 = port;
        self.cut(Cut::Reset);
    }

    pub(crate) fn cut(&self, how: Cut) {
        self.cut.send_modify(|(number, cut)| (*number, *cut) = (*number + 1, how));
    }

    /// The next so many COMMITs reach the server, and their answers are lost with their connections.
    pub(crate) fn swallow_commits(&self, many: i64) {
        self.swallow_commits.store(many, Relaxed);
    }

    /// The same of statements outside a transaction: claims, results, heartbeats.
    pub(crate) fn swallow_answers(&self, many: i64) {
        self.swallow_answers.store(many, Relaxed);
    }

    /// The next so many connections that are used fall silent: nothing comes through any more, and none is closed.
    pub(crate) fn silence(&self, many: i64) {
        self.silence.store(many, Relaxed);
    }

    /// That of the duties falls silent as it is used next.
    pub(crate) fn silence_duties(&self) {
        self.silence_duties.store(true, Relaxed);
    }

    pub(crate) fn heal(&self) {
        self.delay(Duration::ZERO);
        self.swallow_commits(0);
        self.swallow_answers(0);
        self.silence(0);
        self.silence_duties.store(false, Relaxed);
        let closed = self.to_server_closed.swap(false, Relaxed) | self.to_client_closed.swap(false, Relaxed);
        if closed | self.silent.swap(false, Relaxed) {
            // What was held up meanwhile is of no use to anybody.
            self.cut(Cut::Reset);
        }
    }

    fn rewrite(&self, statement: &str) -> Option<String> {
        let rewrite = self.rewrites.iter().find(|rewrite| statement.contains(rewrite.from))?;
        self.rewritten.fetch_add(1, Relaxed);
        Some(statement.replace(rewrite.from, &rewrite.to))
    }
}

/// Takes one of what is left, if anything is.
fn take(left: &AtomicI64) -> bool {
    left.fetch_update(Relaxed, Relaxed, |left| (left > 0).then(|| left - 1)).is_ok()
}

/// Whose answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Swallow {
    Commit,
    Answer,
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    faults: Arc<Faults>,
    /// Sent by the client, and no whole message yet.
    pending: Vec<u8>,
    /// The first message of a connection has no type.
    started: bool,
    /// Inside a transaction that the client has begun.
    in_transaction: bool,
    /// A statement was executed since the last answer was asked for.
    executed: bool,
    of_duties: bool,
}

impl Connection {
    fn new(client: TcpStream, server: TcpStream, faults: Arc<Faults>) -> Self {
        Self { client, server, faults, pending: Vec::new(), started: false, in_transaction: false, executed: false, of_duties: false }
    }

    async fn run(mut self) -> io::Result<()> {
        self.client.set_nodelay(true)?;
        self.server.set_nodelay(true)?;
        let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        let mut cut = self.faults.cut.subscribe();
        cut.mark_unchanged();
        loop {
            let (up, down) = (!self.faults.to_server_closed.load(Relaxed), !self.faults.to_client_closed.load(Relaxed));
            tokio::select! {
                changed = cut.changed() => {
                    if changed.is_ok() && cut.borrow().1 == Cut::Reset {
                        self.client.set_zero_linger()?;
                        self.server.set_zero_linger()?;
                    }
                    return Ok(());
                }
                read = self.client.read(&mut asked), if up => {
                    let read = read?;
                    if read == 0 {
                        return Ok(());
                    }
                    let (messages, swallow) = self.messages(&asked[..read]);
                    let delay = self.faults.delay_ms.load(Relaxed);
                    if delay > 0 {
                        sleep(Duration::from_millis(delay)).await;
                    }
                    if self.falls_silent() {
                        // In one of two the statement still arrives, and only its answer does not.
                        if self.faults.silenced.fetch_add(1, Relaxed).is_multiple_of(2) {
                            self.server.write_all(&messages).await?;
                        }
                        self.faults.silent.store(true, Relaxed);
                        cut.changed().await.ok();
                        self.client.set_zero_linger()?;
                        self.server.set_zero_linger()?;
                        return Ok(());
                    }
                    self.server.write_all(&messages).await?;
                    if let Some(swallow) = swallow {
                        // The server has done it, as its answer says; nobody else hears of it.
                        if timeout(ANSWER, self.server.read(&mut answered)).await.is_ok_and(|read| read.is_ok_and(|read| read > 0)) {
                            match swallow {
                                Swallow::Commit => self.faults.swallowed_commits.fetch_add(1, Relaxed),
                                Swallow::Answer => self.faults.swallowed_answers.fetch_add(1, Relaxed),
                            };
                        }
                        self.client.set_zero_linger()?;
                        return Ok(());
                    }
                }
                read = self.server.read(&mut answered), if down => {
                    let read = read?;
                    if read == 0 {
                        return Ok(());
                    }
                    self.client.write_all(&answered[..read]).await?;
                }
                () = sleep(LOOK), if !up || !down => {}
            }
        }
    }

    fn falls_silent(&self) -> bool {
        take(&self.faults.silence) || self.of_duties && self.faults.silence_duties.swap(false, Relaxed)
    }

    /// The whole messages that have come, as they are to be sent on, and whether the answer to the last one is to be lost.
    fn messages(&mut self, read: &[u8]) -> (Vec<u8>, Option<Swallow>) {
        self.pending.extend_from_slice(read);
        let (mut out, mut swallow, mut at) = (Vec::with_capacity(read.len()), None, 0);
        loop {
            let rest = &self.pending[at..];
            // A type, if the connection has started, then the length of itself and what follows.
            let head = usize::from(self.started);
            let Some(length) = rest.get(head..head + 4) else { break };
            let length = head + u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
            let Some(message) = rest.get(..length) else { break };
            at += length;
            if !self.started {
                self.started = true;
                out.extend_from_slice(message);
                continue;
            }
            let body = &message[5..];
            match message[0] {
                b'Q' => {
                    let text = text(body);
                    match text.split_whitespace().next() {
                        Some("BEGIN") => self.in_transaction = true,
                        Some("COMMIT") => {
                            self.in_transaction = false;
                            if take(&self.faults.swallow_commits) {
                                swallow = Some(Swallow::Commit);
                            }
                        }
                        Some("ROLLBACK") => self.in_transaction = false,
                        _ => {}
                    }
                    out.extend_from_slice(message);
                }
                b'P' => {
                    let name = body.iter().position(|byte| *byte == 0).unwrap_or(0);
                    let statement = text(&body[name + 1..]);
                    self.of_duties |= statement.contains(OF_DUTIES);
                    match self.faults.rewrite(&statement) {
                        Some(other) => {
                            let after = name + 1 + statement.len();
                            let body: Vec<u8> = [&body[..=name], other.as_bytes(), &body[after..]].concat();
                            out.push(b'P');
                            out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes());
                            out.extend_from_slice(&body);
                        }
                        None => out.extend_from_slice(message),
                    }
                }
                kind => {
                    if kind == b'E' {
                        self.executed = true;
                    } else if kind == b'S'
                        && std::mem::take(&mut self.executed)
                        && !self.in_transaction
                        && take(&self.faults.swallow_answers)
                    {
                        swallow = Some(Swallow::Answer);
                    }
                    out.extend_from_slice(message);
                }
            }
        }
        self.pending.drain(..at);
        (out, swallow)
    }
}

/// Up to the NUL.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}
