//! What a page does not show: values under names that speak of secrets, and what looks like one in any text.
//!
//! A rule that hides too much costs a look into the database; one that hides too little shows a password to everybody who may see
//! jobs. So whole values are hidden, whatever is in them.

use std::borrow::Cow;

/// What stands in place of a secret.
pub(crate) const MASK: &str = "••••••";

/// Whoever's name holds one of these anywhere, upper or lower case, with or without signs between, is a secret.
const PARTS: [&str; 9] = ["password", "passwd", "passphrase", "secret", "token", "authorization", "cookie", "apikey", "privatekey"];
/// These only as words of their own: "card" is in "discarded".
const WORDS: [&str; 9] = ["pwd", "auth", "private", "ssn", "card", "cvv", "cvc", "iban", "credentials"];

/// Whether a name in JSON speaks of a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let bare: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    PARTS.iter().any(|part| bare.contains(part)) || words(name).iter().any(|word| WORDS.contains(&word.as_str()))
}

/// "cardNumber" and "card_number" are two words each.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = None;
    for c in name.chars() {
        let starts = c.is_uppercase() && before.is_some_and(char::is_lowercase);
        if !c.is_alphanumeric() || starts {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = Some(c);
    }
    words
}

/// A text without what looks like a secret in it: bearer and basic credentials, passwords in URLs, JSON web tokens, private keys.
pub(crate) fn mask(text: &str) -> Cow<'_, str> {
    let mut found = Vec::new();
    find_private_keys(text, &mut found);
    find_credentials(text, &mut found);
    find_urls(text, &mut found);
    find_tokens(text, &mut found);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_unstable();
    let (mut out, mut done) = (String::with_capacity(text.len()), 0);
    for (start, end) in found {
        if start >= done {
            out.push_str(&text[done..start]);
            out.push_str(MASK);
        }
        done = done.max(end);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// From one PEM line to the other.
fn find_private_keys(text: &str, found: &mut Vec<(usize, usize)>) {
    for (start, _) in text.match_indices("-----BEGIN ") {
        let head = &text[start..];
        if !head.lines().next().is_some_and(|line| line.contains("PRIVATE KEY")) {
            continue;
        }
        // A text may be cut: then all the rest is the key.
        let end = head.find("-----END ").and_then(|at| head[at + 9..].find("-----").map(|more| start + at + 9 + more + 5));
        found.push((start, end.unwrap_or(text.len())));
    }
}

/// The word after "Bearer " and "Basic ", if it is long enough to be one.
fn find_credentials(text: &str, found: &mut Vec<(usize, usize)>) {
    let lower = text.to_ascii_lowercase();
    for scheme in ["bearer ", "basic "] {
        for (at, _) in lower.match_indices(scheme) {
            let start = at + scheme.len();
            let end = start + run(&text[start..], |c| c.is_ascii_alphanumeric() || "-._~+/=".contains(c));
            if end - start >= 12 {
                found.push((start, end));
            }
        }
    }
}

/// `scheme://user:password@host`: the password.
fn find_urls(text: &str, found: &mut Vec<(usize, usize)>) {
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let authority = &text[start..start + run(&text[start..], |c| !c.is_whitespace() && !"/?#\"'<>".contains(c))];
        if let Some((user, _)) = authority.rsplit_once('@')
            && let Some((name, _)) = user.split_once(':')
        {
            found.push((start + name.len() + 1, start + user.len()));
        }
    }
}

/// Three parts with points between, the first of which is a JSON object in base64.
fn find_tokens(text: &str, found: &mut Vec<(usize, usize)>) {
    for (start, _) in text.match_indices("eyJ") {
        let end = start + run(&text[start..], |c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if text[start..end].matches('.').count() >= 2 {
            found.push((start, end));
        }
    }
}

/// How many bytes from the start hold only such characters.
fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_speak_of_secrets_are_known_in_any_spelling() {
        for name in [
            "password",
            "userPassword",
            "API_KEY",
            "api-key",
            "apiKey",
            "access_token",
            "Authorization",
            "cardNumber",
            "card",
            "iban",
            "privateKey",
            "client.secret",
            "set-cookie",
            "PWD",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["discarded", "order", "cardinality", "author", "key", "to", "email", "", "passed", "ibanez"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn secrets_in_texts_are_masked_and_the_rest_is_kept() {
        for (text, masked) in [
            ("401 for Authorization: Bearer abcdef0123456789==, sorry", "401 for Authorization: Bearer ••••••, sorry"),
            ("can't reach postgres://app:hunter2@db:5432/shop now", "can't reach postgres://app:••••••@db:5432/shop now"),
            ("p:a@ss in http://u:p@ss@h/", "p:a@ss in http://u:••••••@h/"),
            ("token eyJhbGciOi.eyJzdWIi.c2ln!", "token ••••••!"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nend", "••••••\nend"),
            ("-----BEGIN PRIVATE KEY-----\ncut", "••••••"),
        ] {
            assert_eq!(mask(text), masked);
        }
        for text in ["basic auth failed", "http://example.org/a@b:c", "eyJust a word", "nothing"] {
            assert_eq!(mask(text), text);
        }
    }
}
