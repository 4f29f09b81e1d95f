//! Results go to standard output, remarks for people to standard error.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Writes to standard output. A reader that has seen enough, as `head` has, is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("could not write to standard output"),
    }
}

#[expect(clippy::print_stderr, reason = "the one place that does")]
pub(crate) fn remark(text: &str) {
    eprintln!("{text}");
}
