//! A text, word by word.

use super::{
    CUT, Rules,
    key::{SHORT, key_in, private_key},
    plain,
    url::user_of_url,
    value::{value, value_after},
};

/// Headers whose values are made of several parts, with signs of all kinds between them.
const TO_LINE_END: [&str; 2] = ["authorization", "cookie"];

/// The text, read once from its beginning to its end.
pub(super) struct Scan<'a> {
    rules: &'a Rules,
    text: &'a str,
    /// Stands in place of what was there.
    mark: &'static str,
    clean: String,
    /// Everything before is decided.
    at: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(rules: &'a Rules, text: &'a str, mark: &'static str) -> Self {
        Self { rules, text, mark, clean: String::with_capacity(text.len()), at: 0 }
    }

    /// The text without what looks like a secret.
    pub(super) fn clean(mut self) -> String {
        while self.at < self.text.len() {
            self.step();
        }
        self.clean
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn keep(&mut self, bytes: usize) {
        self.clean.push_str(&self.rest()[..bytes]);
        self.at += bytes;
    }

    /// Keeps so much and hides what follows.
    fn hide(&mut self, kept: usize, bytes: usize) {
        self.keep(kept);
        if bytes > 0 {
            self.clean.push_str(self.mark);
            self.at += bytes;
        }
    }

    /// Decides about the next word, or the next character.
    fn step(&mut self) {
        let rest = self.rest();
        let word = &rest[..run(rest, in_word)];
        if word.is_empty() {
            return self.keep(rest.chars().next().map_or(1, char::len_utf8));
        }
        if let Some(begin) = word.find("-----BEGIN")
            && let Some(length) = private_key(&rest[begin..])
        {
            return self.hide(begin, length);
        }
        let (before, after) = (&self.text[..self.at], &rest[word.len()..]);
        if let Some(begin) = key_in(word, after, self.rules.strict) {
            return self.hide(begin, word.len() - begin);
        }
        if after.starts_with("://") {
            self.keep(word.len() + 3);
            let is_http = ["http", "https"].iter().any(|http| ends_with(word, http));
            let (kept, hidden) = user_of_url(self.rest(), is_http, self.rules.strict);
            return self.hide(kept, hidden);
        }
        // After the backslash of an escape its letter is no part of the word.
        let bare = Some(word).filter(|_| before.ends_with('\\')).and_then(|word| word.strip_prefix(['n', 'r', 't'])).unwrap_or(word);
        if bare.eq_ignore_ascii_case("bearer") || (self.rules.strict && bare.eq_ignore_ascii_case("basic")) {
            let space = blank(after);
            let credential = run(&after[space..], |c| !c.is_whitespace() && !matches!(c, '"' | '\'' | ',' | ';' | CUT));
            let is_cut = after[space + credential..].starts_with(CUT);
            if space > 0 && (credential >= SHORT || (is_cut && credential > 0)) {
                return self.hide(word.len() + space, credential);
            }
        }
        if self.rules.cover(word)
            && let Some(place) = value_after(word, after)
        {
            let begin = word.len() + place;
            let (kept, hidden) = if before.ends_with(['?', '&']) {
                (0, run(&rest[begin..], |c| !c.is_whitespace() && !matches!(c, '&' | '#' | '"' | '\'' | '<' | '>')))
            } else {
                value(&rest[begin..], TO_LINE_END.iter().any(|name| plain(word).contains(name)))
            };
            return self.hide(begin + kept, hidden);
        }
        self.keep(word.len());
    }
}

fn ends_with(word: &str, end: &str) -> bool {
    word.len().checked_sub(end.len()).and_then(|at| word.get(at..)).is_some_and(|last| last.eq_ignore_ascii_case(end))
}

pub(super) fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// How many bytes at the beginning are such characters.
pub(super) fn run(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is(c)).unwrap_or(text.len())
}

/// How many bytes at the beginning are blank: also a line feed or the like that was escaped.
pub(super) fn blank(text: &str) -> usize {
    let mut end = 0;
    loop {
        let rest = &text[end..];
        end += match run(rest, char::is_whitespace) {
            0 if rest.starts_with(r"\n") || rest.starts_with(r"\r") || rest.starts_with(r"\t") => 2,
            0 => return end,
            blank => blank,
        };
    }
}
