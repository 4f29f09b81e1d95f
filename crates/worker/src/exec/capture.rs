//! What a program writes, in bounded memory: the start of one stream, the end of the other. All of it is read, so that a program
//! that writes much is not held up.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Read at once.
const CHUNK: usize = 8 << 10;

/// The first bytes of a stream.
#[derive(Debug)]
pub(super) struct Head {
    limit: usize,
    bytes: Vec<u8>,
    whole: bool,
}

impl Head {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, bytes: Vec::new(), whole: true }
    }

    /// Reads to the end of the stream.
    pub(super) async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        each_chunk(stream, |chunk| self.add(chunk)).await;
    }

    fn add(&mut self, chunk: &[u8]) {
        let room = self.limit - self.bytes.len();
        self.whole &= chunk.len() <= room;
        self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }

    /// The text, if all of it fitted and it is one.
    pub(super) fn text(&self) -> Option<&str> {
        self.whole.then(|| std::str::from_utf8(&self.bytes).ok().map(str::trim)).flatten()
    }
}

/// The last bytes of a stream.
#[derive(Debug)]
pub(super) struct Tail {
    limit: usize,
    bytes: Vec<u8>,
    whole: bool,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, bytes: Vec::new(), whole: true }
    }

    /// Reads to the end of the stream.
    pub(super) async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        each_chunk(stream, |chunk| self.add(chunk)).await;
    }

    fn add(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        // Not at each chunk, which would move all that is kept each time.
        if self.bytes.len() > 2 * self.limit {
            self.whole = false;
            self.bytes.drain(..self.bytes.len() - self.limit);
        }
    }

    /// The end of the stream as a text of at most the limit; it begins with "…" if something was left out.
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes).replace('\0', "\u{FFFD}");
        let text = text.trim();
        if self.whole && text.len() <= self.limit {
            return text.to_owned();
        }
        // A character that is no character takes three bytes instead of one, so it is cut again.
        let mut start = text.len().saturating_sub(self.limit - '…'.len_utf8());
        while !text.is_char_boundary(start) {
            start += 1;
        }
        format!("…{}", &text[start..])
    }
}

async fn each_chunk(stream: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&[u8])) {
    let Some(mut stream) = stream else { return };
    let mut chunk = vec![0; CHUNK];
    // A pipe that fails has nothing more to say.
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        take(&chunk[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_was_cut_is_no_text() {
        let mut head = Head::new(4);
        head.add(b" 12");
        assert_eq!(head.text(), Some("12"));
        head.add(b"3");
        assert_eq!(head.text(), Some("123"));
        head.add(b"4");
        assert_eq!((head.text(), head.bytes.len()), (None, 4));
    }

    #[test]
    fn a_tail_is_bounded_in_memory_and_in_text_and_says_that_it_was_cut() {
        let mut tail = Tail::new(100);
        for n in 0..10_000 {
            tail.add(format!("line {n}\n").as_bytes());
            assert!(tail.bytes.len() <= 2 * tail.limit);
        }
        let text = tail.text();
        assert!(text.starts_with('…') && text.ends_with("line 9999") && text.len() <= 100, "{text}");

        let mut garbage = Tail::new(100);
        garbage.add(&[0; 60]);
        garbage.add(&[0xff; 60]);
        assert!(garbage.text().len() <= 100);

        let mut short = Tail::new(100);
        short.add(b"no paper\n");
        assert_eq!(short.text(), "no paper");
    }
}
