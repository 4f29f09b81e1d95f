//! What commands print: plain text without color, or JSON.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;
use chrono::{DateTime, Utc};
use haulage::LogLine;
use serde::Serialize;

/// Writes to standard output. A reader that has seen enough, as `head` has, is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("could not write to standard output"),
    }
}

/// Writes one JSON value and a line feed.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    print(&text)
}

/// Writes one JSON value on a line of its own.
pub(crate) fn print_json_line(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(value)?;
    text.push('\n');
    print(&text)
}

/// Writes a remark for people, which is no output: to standard error.
#[expect(clippy::print_stderr, reason = "the one place that does")]
pub(crate) fn remark(text: &str) {
    eprintln!("{text}");
}

/// A time to the second.
pub(crate) fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A text that came from a job, safe for a terminal: what would steer it (colors, cursor, bell) or turn the direction of writing is shown
/// instead. Line feeds stay.
pub(crate) fn safe(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let plain = c == '\n' || !(c.is_control() || turns);
            plain.then_some(c).into_iter().chain((!plain).then(|| c.escape_default()).into_iter().flatten())
        })
        .collect()
}

/// What a handler logged: the message, and the fields after it.
pub(crate) fn said(line: &LogLine) -> String {
    let mut text = line.message.clone();
    for (name, value) in &line.fields {
        text.push_str(&format!(" {name}={}", value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_a_job_cannot_steer_the_terminal() {
        assert_eq!(safe("a\u{1b}[31mred\u{7}\n\tb\u{9b}é"), "a\\u{1b}[31mred\\u{7}\n\\tb\\u{9b}é");
        assert_eq!(safe("\u{202e}moc"), "\\u{202e}moc");
    }
}
