//! Counts statements: it stands between a program and the server, passes on everything, and looks at what the program sends.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
};

/// What a program says first, before messages have a letter: the version of the protocol.
const VERSION: u32 = 196_608;

#[derive(Debug)]
pub(super) struct Relay {
    url: String,
    statements: Arc<AtomicU64>,
}

impl Relay {
    /// In front of this database.
    pub(super) async fn start(url: &str) -> anyhow::Result<Self> {
        let options: PgConnectOptions = url.parse()?;
        let (host, port) = (options.get_host().to_owned(), options.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own = listener.local_addr()?;
        let url = options.host(&own.ip().to_string()).port(own.port()).to_url_lossy().into();
        let statements = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&statements);
        tokio::spawn(async move {
            while let Ok((program, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect((host.as_str(), port)).await else { return };
                drop((program.set_nodelay(true), server.set_nodelay(true)));
                let ((from_program, mut to_program), (mut from_server, to_server)) = (program.into_split(), server.into_split());
                tokio::spawn(pass(from_program, to_server, Arc::clone(&counted)));
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_program).await });
            }
        });
        Ok(Self { url, statements })
    }

    /// The database, through this.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Statements so far, with the beginnings and ends of transactions.
    pub(super) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, statements: Arc<AtomicU64>) -> std::io::Result<()> {
    let (mut bytes, mut messages) = (vec![0; 65_536], Messages::default());
    loop {
        let read = from.read(&mut bytes).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        statements.fetch_add(messages.statements(&bytes[..read]), Ordering::Relaxed);
        to.write_all(&bytes[..read]).await?;
    }
}

/// What a program has sent and is not a whole message yet.
#[derive(Debug, Default)]
struct Messages {
    rest: Vec<u8>,
    begun: bool,
}

impl Messages {
    /// How many statements are complete with these bytes: each is one "Execute" or one simple "Query".
    fn statements(&mut self, bytes: &[u8]) -> u64 {
        self.rest.extend_from_slice(bytes);
        let mut statements = 0;
        loop {
            let letter = usize::from(self.begun);
            let number = |at: usize| Some(u32::from_be_bytes(self.rest.get(at..at + 4)?.try_into().ok()?));
            let Some(length) = number(letter) else { return statements };
            let end = letter + usize::try_from(length).unwrap_or(usize::MAX);
            if self.rest.len() < end {
                return statements;
            }
            if self.begun {
                statements += u64::from(matches!(self.rest[0], b'E' | b'Q'));
            } else {
                self.begun = number(4) == Some(VERSION);
            }
            self.rest.drain(..end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_counted_however_the_bytes_come() {
        let message = |letter: &[u8], body: &[u8]| [letter, &u32::try_from(body.len() + 4).unwrap().to_be_bytes(), body].concat();
        let sent = [
            message(b"", &80_877_103_u32.to_be_bytes()),
            message(b"", &[&VERSION.to_be_bytes()[..], b"user\0a\0\0"].concat()),
            message(b"p", b"secret\0"),
            message(b"Q", b"BEGIN\0"),
            message(b"P", b"\0SELECT 'EEE'\0\0\0"),
            message(b"B", b"\0\0"),
            message(b"E", b"\0\0\0\0\0"),
            message(b"S", b""),
        ]
        .concat();
        for step in [1, 3, 7, sent.len()] {
            let mut messages = Messages::default();
            let counted: u64 = sent.chunks(step).map(|bytes| messages.statements(bytes)).sum();
            assert_eq!((counted, messages.rest.len()), (2, 0), "{step}");
        }
    }
}
