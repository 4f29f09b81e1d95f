//! Sentences in which names stand in backquotes.

use std::fmt;

use askama::filters::HtmlSafe;

use super::{redact::mask, text::escape};

/// A sentence whose names are set as code.
#[derive(Debug, Clone)]
pub(crate) struct Prose(String);

/// Only what stands between two backquotes of the sentence is code.
pub(crate) fn prose(text: &str) -> Prose {
    let text = mask(text);
    let mut out = String::with_capacity(text.len() + 32);
    let parts: Vec<&str> = text.split('`').collect();
    for (number, part) in parts.iter().enumerate() {
        let code = number % 2 == 1 && number + 1 < parts.len();
        out.push_str(if code { "<code>" } else { "" });
        escape(&mut out, part);
        out.push_str(match number {
            _ if code => "</code>",
            // A backquote without its other half is one.
            _ if number % 2 == 0 && number + 2 == parts.len() => "`",
            _ => "",
        });
    }
    Prose(out)
}

impl fmt::Display for Prose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything from outside went through `escape`.
impl HtmlSafe for Prose {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_set_as_code_and_nothing_becomes_markup() {
        for (text, html) in [
            ("Queue `mail` is paused.", "Queue <code>mail</code> is paused."),
            ("`a` and `<b>`", "<code>a</code> and <code>&#60;b&#62;</code>"),
            ("it's ` alone", "it&#39;s ` alone"),
            ("`a` and ` b", "<code>a</code> and ` b"),
            ("", ""),
        ] {
            assert_eq!(prose(text).to_string(), html, "{text}");
        }
    }
}
