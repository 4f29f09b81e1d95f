//! What two errors have in common if they are the same: kind, class, and the message without what is different each time.

use sha2::{Digest, Sha256};

/// The class of what happens to an attempt whose process died. Its message names the worker, which says nothing about the error.
pub const WORKER_LOST: &str = "worker lost";

/// Of a message so many characters count: where a long one goes on, it mostly tells what was being worked on.
const MOST: usize = 300;
/// A quotation is no longer than so many characters.
const QUOTED: usize = 200;
/// So many hex digits with a digit among them are an id, and no word.
const ID: usize = 8;

/// The fingerprint of an error: 16 hex digits. `rescue_jobs.sql` computes the same for lost workers.
pub fn fingerprint(kind: &str, class: &str, message: &str) -> String {
    let message = if class == WORKER_LOST { String::new() } else { common(message) };
    let digest =
        Sha256::new().chain_update(kind).chain_update("\n").chain_update(class).chain_update("\n").chain_update(message).finalize();
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The message with quotations, numbers, ids and addresses replaced, and blanks made one.
fn common(message: &str) -> String {
    let message = unquoted(message);
    let mut out = String::with_capacity(message.len().min(MOST * 4));
    for word in message.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        if word.contains('@') {
            out.push('@');
        } else {
            replace(word, &mut out);
        }
        if out.len() >= MOST {
            break;
        }
    }
    if let Some((end, _)) = out.char_indices().nth(MOST) {
        out.truncate(end);
    }
    out
}

/// What stands in quotes is mostly the value that was wrong: a name, a path, a key. As much of a message as can count.
fn unquoted(message: &str) -> String {
    let mut out = String::new();
    let (mut before, mut rest) = (' ', message);
    while let Some(c) = rest.chars().next().filter(|_| out.len() < MOST * 8) {
        rest = &rest[c.len_utf8()..];
        out.push(c);
        // In the midst of a word it is an apostrophe.
        let opens = matches!(c, '"' | '`') || (c == '\'' && !before.is_alphanumeric());
        if let Some(end) = opens.then(|| closing(rest, c)).flatten() {
            out.extend(['#', c]);
            rest = &rest[end + c.len_utf8()..];
        }
        before = c;
    }
    out
}

/// Where a quotation ends.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().take(QUOTED) {
        let goes_on = quote == '\'' && text[at + c.len_utf8()..].starts_with(char::is_alphanumeric);
        if c == quote && !escaped && !goes_on {
            return Some(at);
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

/// Adds a word without its numbers and ids.
fn replace(word: &str, out: &mut String) {
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if end == 0 {
            // What follows the point of a number belongs to it.
            let fraction = rest[first.len_utf8()..].trim_start_matches(|c: char| c.is_ascii_digit());
            if first == '.' && out.ends_with('#') && fraction.len() + 1 < rest.len() {
                rest = fraction;
                continue;
            }
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (part, after) = rest.split_at(end);
        rest = after;
        let has_digit = part.bytes().any(|byte| byte.is_ascii_digit());
        if has_digit && part.len() >= ID && part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            out.push('#');
            continue;
        }
        let mut in_number = false;
        for c in part.chars() {
            let is_digit = c.is_ascii_digit();
            if !(is_digit && in_number) {
                out.push(if is_digit { '#' } else { c });
            }
            in_number = is_digit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_different_each_time_makes_no_error_of_its_own() {
        for (one, other) in [
            ("no order 17", "no order 4711"),
            ("row 0af7651916cd43dd8448eb211c80319c is gone", "row 6ba7b810-9dad-11d1-80b4-00c04fd430c8 is gone"),
            ("timed out after 1.5s", "timed out after 900s"),
            ("panicked at src/mail.rs:41:9: no paper", "panicked at src/mail.rs:107:13: no paper"),
            ("bounced: ana@example.com", "bounced: ben@example.org"),
            ("a  b\n\tc", "a b c"),
            ("no file \"a b.png\" in 'in'", "no file \"c.png\" in 'out box'"),
            ("unknown field `a`, can't go on", "unknown field `b`, can't go on"),
            (r#"invalid "a \" b" here"#, r#"invalid "c" here"#),
            ("connect to 10.0.0.7:5432 refused", "connect to 192.168.1.20:5432 refused"),
        ] {
            assert_eq!(common(one), common(other));
            assert_eq!(fingerprint("k", "E", one), fingerprint("k", "E", other));
        }
    }

    #[test]
    fn what_says_something_else_is_another_error() {
        let of = |kind: &str, class: &str, message: &str| fingerprint(kind, class, message);
        let first = of("mail", "E", "no route to mx1");
        for other in [of("sync", "E", "no route to mx1"), of("mail", "F", "no route to mx1"), of("mail", "E", "no paper")] {
            assert_ne!(first, other);
        }
        assert_eq!(common("can't open, won't try"), "can't open, won't try", "an apostrophe is no quote");
        assert_eq!(common("a 5\" disk is missing"), "a #\" disk is missing", "nor is a sign alone");
        assert_eq!(common("deadbeef decade facade"), "deadbeef decade facade", "a word is no id");
        assert_eq!((first.len(), first.bytes().all(|byte| byte.is_ascii_hexdigit())), (16, true));
    }

    #[test]
    fn a_long_message_counts_with_its_beginning() {
        let long = "ä".repeat(10_000);
        assert_eq!(common(&long).chars().count(), MOST);
        assert_eq!(common(&format!("{long} 1")), common(&format!("{long} x")));
        assert_eq!(common(""), "");
    }

    #[test]
    fn a_lost_worker_is_one_error_of_its_kind() {
        assert_eq!(fingerprint("k", WORKER_LOST, "the worker a:1 died"), fingerprint("k", WORKER_LOST, "the worker b:2 died"));
    }
}
