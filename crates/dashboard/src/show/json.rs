//! JSON for people: indented, with colors, secrets hidden. Printed from the text that Postgres gives, token by token and not from
//! parsed values, so that a number keeps every digit, no depth is too deep, and a text that was cut still shows what is there.

use std::{borrow::Cow, fmt};

use askama::filters::HtmlSafe;
use haulage_queue::store::JsonText;
use serde_json::Value;

use super::{number, redact, text::escape};

/// Deeper than this nothing is indented further: it would leave the page.
const DEEPEST: usize = 32;

/// A value, printed.
#[derive(Debug, Clone)]
pub(crate) struct Json(String);

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything from outside went through `escape`.
impl HtmlSafe for Json {}

/// Prints a value, or as much of it as there is.
pub(crate) fn json(value: &JsonText) -> Json {
    let mut printer = Printer { out: String::with_capacity(value.text.len() * 2), open: Vec::new(), key: None, fresh: false };
    let mut rest = value.text.as_str();
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => printer.string(rest),
            '{' | '[' => printer.opening(rest, c),
            '}' | ']' => printer.closing(c),
            ',' => printer.comma(),
            c if c == ':' || c.is_whitespace() => c.len_utf8(),
            _ => printer.word(rest),
        };
        rest = &rest[length..];
    }
    let shown = value.text.chars().count();
    if shown < value.length {
        let (shown, all) = (number(as_count(shown)), number(as_count(value.length)));
        printer.out.push_str(&format!("\n<span class=\"cut\">… the first {shown} of {all} characters</span>"));
    }
    Json(printer.out)
}

/// The same text with secrets hidden, and otherwise as it is. A value whose name speaks of a secret becomes the mask, whatever it was.
pub(crate) fn hide_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open = Vec::new();
    let mut key: Option<String> = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let is_name = c == '"' && open.last() == Some(&true) && key.is_none();
        let length = match c {
            '"' => string_length(rest),
            '{' | '[' if key.as_deref().is_some_and(redact::is_secret) => value_length(rest),
            '{' | '[' | '}' | ']' | ',' | ':' => 1,
            c if c.is_whitespace() => c.len_utf8(),
            _ => word_length(rest),
        };
        let token = &rest[..length];
        rest = &rest[length..];
        match c {
            _ if is_name => {
                out.push_str(token);
                key = Some(serde_json::from_str(token).unwrap_or_else(|_| token.to_owned()));
            }
            ':' | ',' | '}' | ']' => {
                if c != ':' && c != ',' {
                    open.pop();
                }
                out.push(c);
            }
            c if c.is_whitespace() => out.push(c),
            c => {
                if key.take().as_deref().is_some_and(redact::is_secret) {
                    out.push_str(&Value::from(redact::MASK).to_string());
                } else if c == '"' {
                    out.push_str(&masked(token));
                } else {
                    if matches!(c, '{' | '[') {
                        open.push(c == '{');
                    }
                    out.push_str(token);
                }
            }
        }
    }
    out
}

/// What the string says, which may be JSON itself; of one that was cut, what there is.
fn masked(token: &str) -> Cow<'_, str> {
    match serde_json::from_str::<String>(token) {
        Ok(text) if redact::mask(&text) == text => Cow::Borrowed(token),
        Ok(text) => Value::from(redact::mask(&text)).to_string().into(),
        Err(_) => redact::mask(token),
    }
}

fn as_count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

struct Printer {
    out: String,
    /// What is open: true for an object.
    open: Vec<bool>,
    /// The name that the next value stands under.
    key: Option<String>,
    /// Nothing stands yet in what was opened last.
    fresh: bool,
}

impl Printer {
    fn string(&mut self, rest: &str) -> usize {
        let length = string_length(rest);
        let token = &rest[..length];
        if self.open.last() == Some(&true) && self.key.is_none() {
            self.line();
            self.span("k", token);
            self.out.push_str(": ");
            self.key = Some(serde_json::from_str(token).unwrap_or_else(|_| token.to_owned()));
        } else if !self.hidden() {
            self.span("s", &masked(token));
        }
        length
    }

    fn word(&mut self, rest: &str) -> usize {
        let length = word_length(rest);
        if !self.hidden() {
            let word = &rest[..length];
            self.span(if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') { "n" } else { "w" }, word);
        }
        length
    }

    fn opening(&mut self, rest: &str, c: char) -> usize {
        if self.key.as_deref().is_some_and(redact::is_secret) {
            self.hidden();
            return value_length(rest);
        }
        self.value();
        self.out.push(c);
        self.open.push(c == '{');
        self.fresh = true;
        1
    }

    fn closing(&mut self, c: char) -> usize {
        self.open.pop();
        if !std::mem::take(&mut self.fresh) {
            self.break_line();
        }
        self.out.push(c);
        1
    }

    fn comma(&mut self) -> usize {
        self.out.push(',');
        1
    }

    /// Begins a value; writes the mask instead and says so if its name speaks of a secret.
    fn hidden(&mut self) -> bool {
        let secret = self.key.as_deref().is_some_and(redact::is_secret);
        self.value();
        if secret {
            self.out.push_str("<span class=\"hidden\" title=\"hidden: its name speaks of a secret\">");
            self.out.push_str(redact::MASK);
            self.out.push_str("</span>");
        }
        secret
    }

    /// A value goes on a line of its own, or behind its name.
    fn value(&mut self) {
        if self.key.take().is_none() && !self.open.is_empty() {
            self.line();
        }
    }

    fn line(&mut self) {
        self.fresh = false;
        self.break_line();
    }

    fn break_line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", self.open.len().min(DEEPEST)));
    }

    fn span(&mut self, class: &str, text: &str) {
        self.out.push_str("<span class=\"");
        self.out.push_str(class);
        self.out.push_str("\">");
        escape(&mut self.out, text);
        self.out.push_str("</span>");
    }
}

/// Of a number, `true`, `false` or `null`; of what is no JSON at least a character.
fn word_length(text: &str) -> usize {
    let length = text.find(|c: char| ",]}:\"".contains(c) || c.is_whitespace()).unwrap_or(text.len()).max(1);
    // A character of several bytes: to its end.
    (length..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len())
}

/// Of a string with its quotes, or all there is of it.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Of an object or an array, or all there is of it.
fn value_length(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => {
                at += string_length(&text[at..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader sees.
    fn shown(text: &str) -> String {
        let printed = json(&JsonText { text: text.to_owned(), length: text.chars().count() }).to_string();
        let mut plain = String::new();
        let mut tag = false;
        for c in printed.chars() {
            match c {
                '<' => tag = true,
                '>' => tag = false,
                c if !tag => plain.push(c),
                _ => {}
            }
        }
        plain.replace("&#34;", "\"").replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&").replace("&#39;", "'")
    }

    #[test]
    fn values_are_indented_and_numbers_keep_their_digits() {
        assert_eq!(
            shown(r#"{"a": 918273645546372819123, "b": [1.10, true, null], "c": {}, "d": [], "e": [{"f": "x, {y"}]}"#),
            "{\n  \"a\": 918273645546372819123,\n  \"b\": [\n    1.10,\n    true,\n    null\n  ],\n  \"c\": {},\n  \"d\": [],\n  \
             \"e\": [\n    {\n      \"f\": \"x, {y\"\n    }\n  ]\n}"
        );
        for simple in ["null", "42", "\"a\\\"b\"", "{}", "[]"] {
            assert_eq!(shown(simple), simple);
        }
    }

    #[test]
    fn secrets_are_hidden_at_any_depth_with_all_that_is_in_them() {
        let text = r#"{"to": "a@b", "x": [{"api_key": "k1"}, {"pass\u0077ord": {"deep": ["k2", "}"]}}], "auth": 4711, "t": "k3", "u": "http://a:k4@h"}"#;
        let text = shown(text);
        for secret in ["k1", "k2", "k4", "4711"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(text.contains("\"to\": \"a@b\"") && text.contains("\"t\": \"k3\"") && text.contains("http://••••••@h"), "{text}");
        assert_eq!(text.matches("••••••").count(), 4, "{text}");
    }

    #[test]
    fn json_in_a_string_hides_its_secrets_too() {
        let text =
            shown(r#"{"body": "{\"password\": \"k1\", \"card\": [\"k2\"], \"n\": 1}", "line": "api_key=k3", "cut": "{\"token\": \"k4"#);
        assert!(["k1", "k2", "k3", "k4"].iter().all(|secret| !text.contains(secret)), "{text}");
        assert!(text.contains(r#"\"n\":1"#), "{text}");
    }

    #[test]
    fn redacted_json_is_the_same_json_but_for_its_secrets() {
        let text = r#"{"a": 918273645546372819123.10, "x": [{"api_key": "k1"}, {"pass\u0077ord": {"deep": ["k2", "}"]}}], "auth": 4711, "token": null, "b": [], "u": "http://a:k4@h"}"#;
        let clean = r#"{"a": 918273645546372819123.10, "x": [{"api_key": "••••••"}, {"pass\u0077ord": "••••••"}], "auth": "••••••", "token": "••••••", "b": [], "u": "http://••••••@h"}"#;
        assert_eq!(hide_secrets(text), clean);
        for same in ["null", "-1.5e300", r#""a\"b""#, "{}", r#"[[{"a": []}, "x"], true]"#, r#"{"a": {"b": {"c": 1}}, "d": 2}"#] {
            assert_eq!(hide_secrets(same), same);
        }
        assert_eq!(
            hide_secrets(r#"{"password": ["a", "b"], "n": 1, "secret": "x"}"#),
            r#"{"password": "••••••", "n": 1, "secret": "••••••"}"#
        );
    }

    #[test]
    fn markup_in_a_value_is_text_and_a_cut_value_shows_what_is_there() {
        let printed = json(&JsonText { text: r#"{"<b>": "</span><script>"#.to_owned(), length: 5_000 }).to_string();
        assert!(!printed.contains("<script") && !printed.contains("<b>") && printed.contains("&#60;script&#62;"), "{printed}");
        assert!(printed.contains("the first 24 of 5,000 characters"), "{printed}");
        for cut in ["{\"a", "{\"a\": ", "[1, ", "{\"a\": \"\\", "]}", "ä", "{\"token\": {\"a"] {
            json(&JsonText { text: cut.to_owned(), length: 100 });
        }
        let deep = "[".repeat(100_000);
        assert!(json(&JsonText { text: deep, length: 100_000 }).to_string().len() < 20_000_000);
    }
}
