//! What a page does not show: values under names that speak of secrets, and what looks like one in any text.
//!
//! The rules are those by which a worker stores logs (`haulage_queue::redact`), strict and with more names: what is stored is gone for
//! good, what is hidden here costs a look into the database. So of JSON whole values are hidden, whatever is in them.

use std::{borrow::Cow, sync::LazyLock};

use haulage_queue::redact::Rules;
use serde_json::Value;

/// What stands in place of a secret.
pub(crate) const MASK: &str = "••••••";

/// Whoever's name holds one of these anywhere, upper or lower case, with or without signs between, is a secret; beside those of the rules.
const PARTS: [&str; 3] = ["cardnumber", "creditcard", "oauth"];
/// These only as words of their own: "card" is in "discarded".
const WORDS: [&str; 8] = ["pass", "auth", "private", "ssn", "card", "cvv", "cvc", "iban"];

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let mut rules = Rules::default().strict();
    PARTS.iter().for_each(|part| rules.add(part));
    rules
});

/// Whether a name in JSON speaks of a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    RULES.cover(name) || words(name).iter().any(|word| WORDS.contains(&word.as_str()))
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

/// What stands under this name, as far as it may be seen.
pub(crate) fn mask_named(name: &str, text: &str) -> String {
    if is_secret(name) { MASK.to_owned() } else { mask(text).into_owned() }
}

/// A text without what looks like a secret in it.
pub(crate) fn mask(text: &str) -> Cow<'_, str> {
    let json = inner_json(text);
    let clean = RULES.clean_with(json.as_deref().unwrap_or(text), MASK);
    if clean == text { Cow::Borrowed(text) } else { Cow::Owned(clean) }
}

/// A text that is JSON itself, with the values hidden whose names speak of secrets; `None`: there are none.
fn inner_json(text: &str) -> Option<String> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut value: Value = serde_json::from_str(text).ok()?;
    hide_values(&mut value).then(|| value.to_string())
}

fn hide_values(value: &mut Value) -> bool {
    match value {
        Value::Array(values) => values.iter_mut().map(hide_values).fold(false, bool::max),
        Value::Object(values) => values.iter_mut().fold(false, |any, (name, value)| {
            if is_secret(name) {
                *value = Value::String(MASK.to_owned());
                return true;
            }
            hide_values(value) || any
        }),
        _ => false,
    }
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
            "pass",
            "db_pass",
            "credential",
            "cardnumber",
            "creditCard",
            "oauth2",
            "signature",
            "access_key",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["discarded", "order", "cardinality", "author", "key", "to", "email", "", "passed", "ibanez"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn the_page_of_the_docs_has_the_names() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/dashboard.md")).unwrap();
        let told = page.split("speak of secrets").nth(1).and_then(|rest| rest.lines().next()).unwrap();
        let (parts, words) = told.split_once(" anywhere in a name").unwrap();
        let names = |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(|name| name.replace('_', "")).collect() };
        assert_eq!(names(parts), RULES.names());
        assert_eq!(names(words), WORDS);
    }

    #[test]
    fn secrets_in_texts_are_masked_and_the_rest_is_kept() {
        for (text, masked) in [
            ("401 for Authorization: Bearer abcdef0123456789==, sorry", "401 for Authorization: ••••••"),
            ("sent Bearer abcdef01, sorry", "sent Bearer ••••••, sorry"),
            ("sent Basic YTpiYzEy, sorry", "sent Basic ••••••, sorry"),
            ("can't reach postgres://app:hun", "can't reach postgres://app:••••••"),
            ("it says “can't reach postgres://app:hun…”. Next", "it says “can't reach postgres://app:••••••…”. Next"),
            ("can't reach postgres://app:hun…", "can't reach postgres://app:••••••…"),
            ("can't reach postgres://app:h/un#t@db/shop", "can't reach postgres://app:••••••@db/shop"),
            ("cloning https://ghp_0123456789abcdef@host/x", "cloning https://••••••@host/x"),
            ("has eyJhbGciOiJIUzI1NiJ9.eyJzd…", "has ••••••…"),
            ("has eyJhb…", "has ••••••…"),
            ("body {\"a\": \"password=hunter2\"}", "body {\"a\": \"password=••••••"),
            ("{\"card\": \"4711\", \"n\": 1}", "{\"card\":\"••••••\",\"n\":1}"),
            ("can't reach postgres://app:hunter2@db:5432/shop now", "can't reach postgres://app:••••••@db:5432/shop now"),
            ("p:a@ss in http://u:p@ss@h/", "p:a@ss in http://••••••@h/"),
            ("token eyJhbGciOi.eyJzdWIi.c2ln!", "token ••••••!"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nend", "••••••\nend"),
            ("-----BEGIN PRIVATE KEY-----\ncut", "••••••"),
        ] {
            assert_eq!(mask(text), masked);
        }
        for text in [
            "basic auth failed",
            "http://example.org/a@b:c",
            "http://example.org:8080",
            "http://example.org:8080/a",
            "http://example.org:8080/a…",
            "http://[::1]:80/x",
            "eyJust a word",
            "{\"n\":  1}",
            "nothing",
        ] {
            assert_eq!(mask(text), text);
        }
    }

    /// Was quadratic where what begins like a secret begins again and again: a page took minutes.
    #[test]
    fn a_long_text_is_masked_in_one_go() {
        for piece in [
            "eyJ",
            "-----BEGIN x ",
            "a://",
            "a://b:",
            "Bearer ",
            "token=",
            "token=(",
            "\"password\": \"",
            "%3A",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            let began = std::time::Instant::now();
            mask(&piece.repeat(200_000 / piece.len()));
            assert!(began.elapsed().as_secs() < 10, "{piece}: {:?}", began.elapsed());
        }
    }
}
