//! Where the value of a secret's name begins and ends.

use super::{
    key::private_key,
    scan::{blank, in_word, run},
};

/// What stands before a credential.
const SCHEMES: [&str; 5] = ["bearer", "basic", "token", "digest", "negotiate"];

/// Where the value of a secret's name begins in what stands after the name, if one does: after a sign; after the blank of an option; or
/// as the next of a list or tuple, when the name was in quotes.
pub(super) fn value_after(name: &str, after: &str) -> Option<usize> {
    let closed = run(after, |c| matches!(c, '\\' | '"' | '\'' | '`' | ']' | ')'));
    let space = closed + blank(&after[closed..]);
    let rest = &after[space..];
    let sign = match rest {
        _ if rest.starts_with("::") => return None,
        _ if [":=", "=>", "=="].iter().any(|sign| rest.starts_with(sign)) => 2,
        _ if rest.starts_with(['=', ':']) => 1,
        _ if rest.starts_with(',') && after[..closed].contains(['"', '\'', '`']) => {
            let place = space + 1 + blank(&rest[1..]);
            let next = &after[place..];
            // {"name": "password", "value": "..."}
            let open = run(next, |c| matches!(c, '\\' | '"' | '\''));
            let word = &next[open..][..run(&next[open..], in_word)];
            if word.eq_ignore_ascii_case("value") {
                return value_after(word, &next[open + word.len()..]).map(|value| place + open + word.len() + value);
            }
            let is_wrapped = !word.is_empty() && next[open + word.len()..].starts_with('(');
            return (open > 0 || is_wrapped || opening_quote(next).is_some()).then_some(place);
        }
        _ if name.starts_with("--") && space > closed => return Some(space),
        // ALTER ROLE shop PASSWORD '...'
        _ if name.eq_ignore_ascii_case("password") && rest.starts_with('\'') && space > closed => return Some(space),
        _ => return None,
    };
    Some(space + sign + blank(&rest[sign..]))
}

/// A quote that opens the text, perhaps with a sign or prefix before it as `&"` or `br"`: where, and how many backslashes stand before it.
fn opening_quote(text: &str) -> Option<(usize, usize, char)> {
    let prefix = run(text, |c| c.is_ascii_alphanumeric() || matches!(c, '&' | '*' | '$' | '@' | '#'));
    let escape = run(&text[prefix..], |c| c == '\\');
    let quote = text[prefix + escape..].chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    (prefix <= 3).then_some((prefix + escape, escape, quote))
}

/// How much of a value may stay, as its quotes, and how long what must not is.
pub(super) fn value(text: &str, to_line_end: bool) -> (usize, usize) {
    if let Some(length) = private_key(text) {
        return (0, length);
    }
    if let Some((at, escape, quote)) = opening_quote(text) {
        return (at + 1, quoted(&text[at + 1..], quote, escape));
    }
    let line = if to_line_end { run(text, |c| !matches!(c, '\n' | '\r')) } else { 0 };
    (0, line.max(unquoted(text)))
}

/// How long a value without quotes is: up to a blank, and to the end of the brackets that open before or after that.
fn unquoted(text: &str) -> usize {
    let length = run(text, |c| !c.is_whitespace());
    let word = &text[..length];
    // The block of a YAML file: the lines that are indented.
    if word.starts_with(['|', '>']) && word.chars().all(|c| matches!(c, '|' | '>' | '+' | '-' | '0'..='9')) {
        let first = text.find('\n').map_or(text.len(), |end| end + 1);
        let lines = text[first..].split_inclusive('\n').take_while(|line| line.starts_with([' ', '\t']) || line.trim().is_empty());
        return first + lines.map(str::len).sum::<usize>();
    }
    let next = length + blank(&text[length..]);
    if SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme)) {
        return next + run(&text[next..], |c| !c.is_whitespace());
    }
    let is_name = word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
    let open = word.find(['(', '[', '{']).or_else(|| (is_name && text[next..].starts_with(['(', '[', '{'])).then_some(next));
    open.map_or(length, |open| {
        let end = open + bracketed(&text[open..]);
        end + run(&text[end..], |c| !c.is_whitespace())
    })
}

/// How long what stands in quotes is, up to the end quote or the end; so many backslashes stood before the first.
fn quoted(text: &str, quote: char, escape: usize) -> usize {
    let mut from = 0;
    while let Some(found) = text[from..].find(quote) {
        let end = from + found;
        let before = end - text[..end].trim_end_matches('\\').len();
        let is_doubled = escape == 0 && text[end + 1..].starts_with(quote);
        // The same number of backslashes as before the first; more escape it.
        if before <= escape && !is_doubled {
            return end - before;
        }
        from = end + if is_doubled { 2 } else { 1 };
    }
    text.len()
}

/// How long what stands in brackets is, these included; brackets in quotes don't count.
fn bracketed(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(c) = text[at..].chars().next() {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth -= 1,
            '"' | '\'' => {
                let escape = at - text[..at].trim_end_matches('\\').len();
                at += 1 + quoted(&text[at + 1..], c, escape);
                at += run(&text[at..], |c| c == '\\');
            }
            _ => {}
        }
        at = (at + c.len_utf8()).min(text.len());
        if depth == 0 {
            return at;
        }
    }
    text.len()
}
