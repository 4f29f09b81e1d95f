//! Texts from outside: in HTML, in links, and what of them must not act on a page or a person.

use std::{borrow::Cow, fmt::Write as _};

/// Writes a text so that HTML takes none of it for markup, between tags and in quotes.
pub(crate) fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&#38;"),
            '<' => out.push_str("&#60;"),
            '>' => out.push_str("&#62;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

/// A page with characters that can't be seen made visible: control characters and those that turn the direction of writing, by which
/// one text can pass for another. Applied to a whole page, so no field can be forgotten; our own templates hold none.
pub(crate) fn visible(page: String) -> String {
    if !page.chars().any(hides) {
        return page;
    }
    let mut out = String::with_capacity(page.len() + 64);
    for c in page.chars() {
        if hides(c) {
            // Writing to a string does not fail.
            write!(out, "⟨U+{:04X}⟩", u32::from(c)).ok();
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether pages show another character in place of this one.
pub(crate) fn hides(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0e}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// A text as one segment of a path or one value of a query: nothing in it means anything there.
pub(crate) fn encode(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~:".contains(&byte) {
            out.push(byte.into());
        } else {
            // Writing to a string does not fail.
            write!(out, "%{byte:02X}").ok();
        }
    }
    out
}

/// What [`encode`] wrote; `None`: it did not.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        out.push(if byte == b'%' { hex(bytes.next()?)? << 4 | hex(bytes.next()?)? } else { byte });
    }
    String::from_utf8(out).ok()
}

/// The first line of a text, or as much of it as fits in a list.
pub(crate) fn first_line(text: &str) -> Cow<'_, str> {
    const MOST: usize = 160;
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    match line.char_indices().nth(MOST) {
        Some((end, _)) => Cow::Owned(format!("{}…", &line[..end])),
        None => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_means_anything_in_a_link() {
        assert_eq!(encode("mail"), "mail");
        assert_eq!(encode("a/b?c&d=e#f \"<ä"), "a%2Fb%3Fc%26d%3De%23f%20%22%3C%C3%A4");
    }

    #[test]
    fn characters_that_cannot_be_seen_are_made_visible() {
        assert_eq!(visible("plain\ttext\n".to_owned()), "plain\ttext\n");
        assert_eq!(
            visible("a\u{ad}b\u{3164}c\u{e0041}d\u{2800}\u{2764}\u{fe0f}".to_owned()),
            "a⟨U+00AD⟩b⟨U+3164⟩c⟨U+E0041⟩d⟨U+2800⟩\u{2764}\u{fe0f}"
        );
        assert_eq!(visible("a\u{202e}b\u{1b}[31m\u{0}\u{200b}".to_owned()), "a⟨U+202E⟩b⟨U+001B⟩[31m⟨U+0000⟩⟨U+200B⟩");
    }

    #[test]
    fn a_list_shows_the_first_line_that_says_something() {
        assert_eq!(first_line("\n  one \ntwo"), "one");
        assert_eq!(first_line(&"ä".repeat(200)), format!("{}…", "ä".repeat(160)));
        assert_eq!(first_line(""), "");
    }
}
