//! A mail server that keeps the last mails in memory and delivers none.
//!
//! Enough of SMTP for a client without TLS or log-in: `HELO EHLO MAIL RCPT DATA RSET NOOP QUIT`.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use crate::frame::{Page, Text};

/// The oldest mail goes when one more comes.
const MOST_MAILS: usize = 1_000;

/// What one client may send in a session: no more than a demo needs.
const MOST_BYTES: u64 = 1 << 20;

/// How long a session may last.
const LONGEST_SESSION: Duration = Duration::from_secs(60);

/// A mail as it was received.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Mail {
    from: String,
    to: Vec<String>,
    subject: String,
    message_id: String,
    date: String,
    text: String,
}

/// The mails kept, the latest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mails(Arc<Mutex<VecDeque<Mail>>>);

impl Mails {
    fn keep(&self, mail: Mail) {
        let mut mails = self.lock();
        mails.push_front(mail);
        mails.truncate(MOST_MAILS);
    }

    fn all(&self) -> Vec<Mail> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Mail>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The catcher's pages.
pub(crate) fn router(mails: Mails) -> Router {
    Router::new().route("/", get(page)).route("/mails.json", get(json)).with_state(mails)
}

async fn json(State(mails): State<Mails>) -> Json<Vec<Mail>> {
    Json(mails.all())
}

async fn page(State(mails): State<Mails>) -> Page {
    let mails = mails.all();
    let mut body =
        format!("<p class=\"lead\">{} mails caught, none delivered. Also as <a href=\"/mails.json\">JSON</a>.</p>\n", mails.len());
    for mail in mails.iter().take(100) {
        body += &format!(
            "<details class=\"card\"><summary><b>{}</b> <span class=\"muted\">to {}</span></summary>\
<pre>{}</pre><p class=\"muted small\">Message-ID {}, {}</p></details>\n",
            Text(&mail.subject),
            Text(mail.to.join(", ")),
            Text(&mail.text),
            Text(&mail.message_id),
            Text(&mail.date),
        );
    }
    Page { title: "Mails".into(), body }
}

/// Takes mails until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, mails: Mails) {
    let mut sessions = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let mails = mails.clone();
                sessions.spawn(async move {
                    // A client that breaks off is its own business.
                    drop(timeout(LONGEST_SESSION, session(stream, &mails)).await);
                });
            }
            Err(error) => {
                tracing::warn!("could not take a mail client: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while sessions.try_join_next().is_some() {}
    }
}

async fn session(mut stream: TcpStream, mails: &Mails) -> std::io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader.take(MOST_BYTES));
    let mut mail = Mail::default();

    say(&mut writer, "220 catcher ready").await?;
    while let Some(line) = next_line(&mut lines).await? {
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" => say(&mut writer, "250 catcher").await?,
            "MAIL" => {
                mail = Mail { from: address(rest), ..Mail::default() };
                say(&mut writer, "250 ok").await?;
            }
            "RCPT" => {
                mail.to.push(address(rest));
                say(&mut writer, "250 ok").await?;
            }
            "DATA" if mail.to.is_empty() => say(&mut writer, "503 to whom?").await?,
            "DATA" => {
                say(&mut writer, "354 end with a lone dot").await?;
                let Some(data) = data(&mut lines).await? else {
                    break;
                };
                mails.keep(read_message(std::mem::take(&mut mail), &data));
                say(&mut writer, "250 kept").await?;
            }
            "RSET" => {
                mail = Mail::default();
                say(&mut writer, "250 ok").await?;
            }
            "NOOP" => say(&mut writer, "250 ok").await?,
            "QUIT" => {
                say(&mut writer, "221 bye").await?;
                break;
            }
            _ => say(&mut writer, "502 not here").await?,
        }
    }
    Ok(())
}

async fn say(writer: &mut (impl AsyncWrite + Unpin), line: &str) -> std::io::Result<()> {
    writer.write_all(format!("{line}\r\n").as_bytes()).await
}

/// The next line without its end, or `None` when the client is gone.
async fn next_line(lines: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    if lines.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    let line = String::from_utf8_lossy(&line);
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The lines up to the lone dot; a doubled dot at a line's start stands for one.
async fn data(lines: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<Vec<String>>> {
    let mut data = Vec::new();
    while let Some(line) = next_line(lines).await? {
        match line.strip_prefix('.') {
            Some("") => return Ok(Some(data)),
            Some(rest) => data.push(rest.to_owned()),
            None => data.push(line),
        }
    }
    Ok(None)
}

/// `FROM:<ada@example.com> SIZE=10` is `ada@example.com`.
fn address(text: &str) -> String {
    let inner = text.split_once('<').map_or(text, |(_, rest)| rest);
    inner.split('>').next().unwrap_or_default().to_owned()
}

/// Fills in what the headers and the body say.
fn read_message(mut mail: Mail, data: &[String]) -> Mail {
    let blank = data.iter().position(String::is_empty).unwrap_or(data.len());
    let (headers, body) = data.split_at(blank);
    let header = |name: &str| {
        headers
            .iter()
            .filter_map(|line| line.split_once(':'))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    mail.subject = header("Subject");
    mail.message_id = header("Message-ID");
    mail.date = header("Date");
    let body = body.get(1..).unwrap_or_default().join("\n");
    mail.text = match header("Content-Transfer-Encoding").to_ascii_lowercase().as_str() {
        "quoted-printable" => quoted_printable(&body),
        _ => body,
    };
    mail
}

/// `Zo=C3=AB` is `Zoë`; `=` at a line's end joins it with the next.
fn quoted_printable(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let joined = text.replace("=\n", "");
    let mut rest = joined.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'=' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
