//! What must not be stored of what handlers say: values under names of secrets, and what looks like a secret in a text.
//!
//! It errs on the side of hiding: `token_count=3` is hidden too. It can't know a secret that stands alone in a sentence.

/// Stands in place of what was there.
pub(super) const REDACTED: &str = "[redacted]";
/// At the end of a text that was longer.
pub(super) const CUT: char = '…';

/// Parts of names, plain: lower case, letters and digits only.
const NAMES: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "authorization",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "cookie",
    "signature",
];
/// How well-known keys begin: of GitHub, GitLab, Stripe, Slack, AWS.
const KEYS: [&str; 11] = ["ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-", "sk_live_", "rk_live_", "xoxb-", "xoxp-", "AKIA"];
/// What stands before a credential in a header.
const SCHEMES: [&str; 5] = ["bearer", "basic", "token", "digest", "negotiate"];
/// Shorter than this, what follows "bearer" or begins like a key is a word.
const SHORT: usize = 8;

/// The names whose values are hidden.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    names: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { names: NAMES.map(ToOwned::to_owned).to_vec() }
    }
}

impl Rules {
    pub(super) fn add(&mut self, name: &str) {
        let name = plain(name);
        if !name.is_empty() {
            self.names.push(name);
        }
    }

    /// Whether a value of this name is a secret.
    pub(super) fn cover(&self, name: &str) -> bool {
        let name = plain(name);
        self.names.iter().any(|part| name.contains(part.as_str()))
    }

    /// The text without what looks like a secret.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut scan = Scan { rules: self, text, clean: String::with_capacity(text.len()), at: 0 };
        while scan.at < text.len() {
            scan.step();
        }
        scan.clean
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// Ends a value that stands without quotes.
fn ends_value(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ';' | '&' | ')' | '}' | ']' | '"' | '\'' | '<' | '>' | '|')
}

/// How many bytes at the beginning are such characters.
fn run(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is(c)).unwrap_or(text.len())
}

struct Scan<'a> {
    rules: &'a Rules,
    text: &'a str,
    clean: String,
    /// Everything before is decided.
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn keep(&mut self, bytes: usize) {
        self.clean.push_str(&self.rest()[..bytes]);
        self.at += bytes;
    }

    fn hide(&mut self, bytes: usize) {
        self.clean.push_str(REDACTED);
        self.at += bytes;
    }

    /// Decides about the next word, or the next character.
    fn step(&mut self) {
        let rest = self.rest();
        if let Some(length) = private_key(rest) {
            return self.hide(length);
        }
        let word = &rest[..run(rest, in_word)];
        if word.is_empty() {
            return self.keep(rest.chars().next().map_or(1, char::len_utf8));
        }
        if is_key(word) {
            return self.hide(word.len());
        }
        let after = &rest[word.len()..];
        if after.starts_with("://") {
            self.keep(word.len() + 3);
            return self.user_of_url();
        }
        if word.eq_ignore_ascii_case("bearer") {
            let space = run(after, |c| c == ' ');
            let credential = run(&after[space..], |c| !ends_value(c));
            let cut = after.ends_with(CUT);
            if space > 0 && (credential >= SHORT || cut && credential > 0) {
                self.keep(word.len() + space);
                return self.hide(credential);
            }
        }
        if self.rules.cover(word)
            && let Some(value) = value_after(after, word.starts_with("--"))
        {
            self.keep(word.len() + value);
            return self.value();
        }
        self.keep(word.len());
    }

    /// The password before the host of a URL; stops before the `@`.
    fn user_of_url(&mut self) {
        let rest = self.rest();
        let all = &rest[..run(rest, |c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '<' | '>' | '`'))];
        let authority = &all[..run(all, |c| !matches!(c, '/' | '?' | '#'))];
        let Some(colon) = authority.find(':') else { return };
        let port = run(&authority[colon + 1..], |c| c.is_ascii_digit());
        let is_port = port > 0 && colon + 1 + port == authority.len();
        let end = match (authority.rfind('@'), all.rfind('@')) {
            (Some(at), _) => Some(at),
            // Signs that should have been escaped in a password.
            (None, Some(at)) if !is_port => Some(at),
            // It was cut off before we could see whether it is one.
            (None, None) if !is_port && all.ends_with(CUT) => Some(all.len()),
            _ => None,
        };
        if let Some(end) = end.filter(|end| *end > colon) {
            self.keep(colon + 1);
            self.hide(end - colon - 1);
        }
    }

    /// The value of a secret's name.
    fn value(&mut self) {
        // `Some("..")`, `Secret("..")`
        loop {
            let rest = self.rest();
            let wrapper = run(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            if wrapper == 0 || !rest[wrapper..].starts_with('(') {
                break;
            }
            self.keep(wrapper + 1);
        }
        let rest = self.rest();
        let escape = run(rest, |c| c == '\\');
        match rest[escape..].chars().next() {
            Some(quote @ ('"' | '\'' | '`')) => {
                let inside = escape + 1;
                let length = quoted(&rest[inside..], quote, &rest[..escape]);
                self.keep(inside);
                self.hide(length);
            }
            Some('[' | '{' | '(') => {
                let length = bracketed(rest);
                self.hide(length);
            }
            _ => {
                let mut length = run(rest, |c| !ends_value(c));
                if SCHEMES.iter().any(|scheme| rest[..length].eq_ignore_ascii_case(scheme)) {
                    let space = run(&rest[length..], |c| c == ' ');
                    length += space + run(&rest[length + space..], |c| !ends_value(c));
                }
                if length > 0 {
                    self.hide(length);
                }
            }
        }
    }
}

/// Where a value begins after its name, if one does: after `=`, `:`, `=>`, with quotes that close the name; after an option's space.
fn value_after(after: &str, option: bool) -> Option<usize> {
    let closed = run(after, |c| matches!(c, '\\' | '"' | '\'' | '`'));
    let space = closed + run(&after[closed..], |c| c == ' ');
    let sign = match &after[space..] {
        rest if rest.starts_with("::") => 0,
        rest if rest.starts_with("=>") => 2,
        rest if rest.starts_with(['=', ':']) => 1,
        _ if option && space > closed => return Some(space),
        _ => 0,
    };
    (sign > 0).then(|| space + sign + run(&after[space + sign..], |c| c == ' '))
}

/// How long what stands in quotes is, up to the end quote or the end; `escape` stood before the first quote.
fn quoted(text: &str, quote: char, escape: &str) -> usize {
    let mut from = 0;
    while let Some(found) = text[from..].find(quote) {
        let end = from + found;
        let before = text[..end].len() - text[..end].trim_end_matches('\\').len();
        // The same number of backslashes as before the first; more escape it.
        if before <= escape.len() {
            return end - before;
        }
        from = end + quote.len_utf8();
    }
    text.len()
}

/// How long what stands in brackets is, these included.
fn bracketed(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + c.len_utf8();
        }
    }
    text.len()
}

/// How long the private key is that begins here.
fn private_key(text: &str) -> Option<usize> {
    let begin = text.strip_prefix("-----BEGIN ")?;
    let kind = begin.find("-----")?;
    begin[..kind].contains("PRIVATE KEY").then(|| {
        let rest = &text["-----BEGIN ".len() + kind + 5..];
        let end = rest.find("-----END ").map(|end| end + 9).and_then(|end| rest[end..].find("-----").map(|dashes| end + dashes + 5));
        end.map_or(text.len(), |end| text.len() - rest.len() + end)
    })
}

/// A token of JSON (JWT), or a key of a well-known service.
fn is_key(word: &str) -> bool {
    let jwt = word.starts_with("eyJ") && word.matches('.').count() >= 1 && word.len() >= 20;
    jwt || KEYS.iter().any(|key| word.strip_prefix(key).is_some_and(|rest| rest.len() >= SHORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        for text in [
            "password=S3CRET",
            "login with password: S3CRET, retrying",
            "the Password = \"S3 CRET, \\\" more\" was refused",
            r#"{"user":"ana","password":"S3CRET","n":1}"#,
            r#"body: "{\"user\":\"ana\",\"api_key\":\"S3CRET\"}""#,
            "Login { user: \"ana\", password: Some(\"S3CRET\") }",
            "Config { token: Secret(S3CRET), n: 1 }",
            "Config { tokens: [\"S3CRET\", \"S3CRET\"], n: 1 }",
            "authorization: Bearer S3CRET.abc-def",
            "Authorization: Basic S3CRET==",
            "{\"authorization\": \"Bearer S3CRET\"}",
            "sent Bearer S3CRET123456 to them",
            "GET /x?access_token=S3CRET&page=2",
            "connecting to postgres://app:S3CRET@db.example/shop",
            "connecting to postgres://app:S3/CR#ET@db.example/shop",
            "amqp://u:S3CRET@h:5672/%2f is down",
            "Set-Cookie: session=S3CRET; Path=/",
            "run with --db-password S3CRET now",
            "x-api-key: S3CRET",
            "client_secret => 'S3CRET'",
            "got eyJhbGciOiJIUzI1NiJ9.S3CRETeyJzdWIiOiIxIn0.abc",
            "key ghp_S3CRET0123456789",
            "-----BEGIN RSA PRIVATE KEY-----\nS3CRET\n-----END RSA PRIVATE KEY-----\nafter",
            "-----BEGIN PRIVATE KEY-----\nS3CRET…",
            "postgres://app:S3CRET…",
            "bearer S3CRET…",
            "password: S3CRET…",
        ] {
            let clean = Rules::default().clean(text);
            assert!(!clean.contains("S3") && !clean.contains("CRET") && clean.contains(REDACTED), "{text} became {clean}");
        }
    }

    #[test]
    fn the_rest_stays_as_it_is() {
        for text in [
            "sent 3 mails to ana@example.org in 5 ms",
            "see https://example.org:8080/a/@b?page=2#top",
            "the token is gone and the password too",
            "basic understanding, bearer of news",
            "error[E0433]: token::expired",
            "ä € 漢字 \u{1F600} tail…",
            "a.b-c_d: x=y; z",
            "",
        ] {
            assert_eq!(Rules::default().clean(text), text);
        }
        let clean = Rules::default().clean("postgres://app:pw@db/shop?token=a&n=1 and the rest, password=x; more");
        assert_eq!(clean, "postgres://app:[redacted]@db/shop?token=[redacted]&n=1 and the rest, password=[redacted]; more");
    }

    #[test]
    fn names_can_be_added_and_are_compared_without_signs_and_case() {
        let mut rules = Rules::default();
        assert!(rules.cover("X-API-Key") && rules.cover("user.passWord") && !rules.cover("iban"));
        rules.add("I-BAN");
        assert!(rules.cover("customer_iban"));
        assert_eq!(rules.clean("iban: DE12"), "iban: [redacted]");
    }
}
