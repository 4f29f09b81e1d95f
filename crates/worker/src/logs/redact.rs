//! What must not be stored of what handlers say: values under names of secrets, and what looks like a secret in a text.
//!
//! A word that is the name of a secret, and a sign after it: then what follows is hidden, in quotes or brackets all that is in them, else up
//! to the next blank. It errs on the side of hiding: `token_count=3` is hidden too, and more than the value where nothing says where that
//! ends. It can't know a secret that stands alone in a sentence.

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
/// What stands before a credential.
const SCHEMES: [&str; 5] = ["bearer", "basic", "token", "digest", "negotiate"];
/// Headers whose values are made of several parts, with signs of all kinds between them.
const TO_LINE_END: [&str; 2] = ["authorization", "cookie"];
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
        let clean = self.scan(text);
        if !clean.contains('%') {
            return clean;
        }
        // What holds a secret in percent-encoding is stored without the encoding.
        let mut stored = String::with_capacity(clean.len());
        for part in clean.split_inclusive(char::is_whitespace) {
            let plain = decoded(part);
            let hidden = plain.as_ref().map(|plain| self.scan(plain)).filter(|hidden| Some(hidden) != plain.as_ref());
            stored.push_str(hidden.as_deref().unwrap_or(part));
        }
        stored
    }

    fn scan(&self, text: &str) -> String {
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

/// How many bytes at the beginning are such characters.
fn run(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is(c)).unwrap_or(text.len())
}

/// How many bytes at the beginning are blank: also a line feed or the like that was escaped.
fn blank(text: &str) -> usize {
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

    /// Keeps so much and hides what follows.
    fn hide(&mut self, kept: usize, bytes: usize) {
        self.keep(kept);
        if bytes > 0 {
            self.clean.push_str(REDACTED);
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
        if let Some(begin) = key_in(word) {
            return self.hide(begin, word.len() - begin);
        }
        let (before, after) = (&self.text[..self.at], &rest[word.len()..]);
        if after.starts_with("://") {
            self.keep(word.len() + 3);
            let is_http = ["http", "https"].iter().any(|http| ends_with(word, http));
            let (kept, hidden) = user_of_url(self.rest(), is_http);
            return self.hide(kept, hidden);
        }
        // After the backslash of an escape its letter is no part of the word.
        let bare = Some(word).filter(|_| before.ends_with('\\')).and_then(|word| word.strip_prefix(['n', 'r', 't'])).unwrap_or(word);
        if bare.eq_ignore_ascii_case("bearer") {
            let space = blank(after);
            let credential = run(&after[space..], |c| !c.is_whitespace() && !matches!(c, '"' | '\'' | ',' | ';'));
            if space > 0 && (credential >= SHORT || after.ends_with(CUT) && credential > 0) {
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

/// Where the value of a secret's name begins in what stands after the name, if one does: after a sign; after the blank of an option; or
/// as the next of a list or tuple, when the name was in quotes.
fn value_after(name: &str, after: &str) -> Option<usize> {
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
fn value(text: &str, to_line_end: bool) -> (usize, usize) {
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

/// How much stays of what stands before the host of a URL, and how much does not: of a user and a password the user does, unless one can't
/// tell which of them is the secret.
fn user_of_url(rest: &str, is_http: bool) -> (usize, usize) {
    let all = &rest[..run(rest, |c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '<' | '>' | '`'))];
    let authority = &all[..run(all, |c| !matches!(c, '/' | '?' | '#'))];
    let port = authority.rfind(':').map(|colon| &authority[colon + 1..]);
    let is_port = port.is_none_or(|port| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()));
    let end = match (authority.rfind('@'), all.rfind('@')) {
        (Some(at), _) => at,
        // Signs that should have been escaped in a password.
        (None, Some(at)) if !is_port => at,
        // It was cut off before we could see whether it is one.
        (None, None) if !is_port && all.ends_with(CUT) => all.len(),
        _ => return (0, 0),
    };
    let kept = all[..end].find(':').map(|colon| colon + 1).filter(|begin| !is_http && *begin < end).unwrap_or(0);
    (kept, end - kept)
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

/// Where in a word a token of JSON (JWT) begins, or a key of a well-known service.
fn key_in(word: &str) -> Option<usize> {
    let jwt = word.find("eyJ").filter(|at| word.len() - at >= 20 && word[*at..].contains('.'));
    let known = || KEYS.iter().filter_map(|key| word.find(key).filter(|at| word.len() - at - key.len() >= SHORT)).min();
    jwt.or_else(known)
}

/// Without percent-encoding, as far as that yields visible ASCII; `None`: there is none.
fn decoded(text: &str) -> Option<String> {
    let once = |text: &str| {
        let (mut plain, mut rest, mut any) = (String::with_capacity(text.len()), text, false);
        while let Some(at) = rest.find('%') {
            let byte = rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(u8::is_ascii_graphic);
            plain.push_str(&rest[..at]);
            plain.push(byte.map_or('%', char::from));
            rest = &rest[at + if byte.is_some() { 3 } else { 1 }..];
            any |= byte.is_some();
        }
        plain.push_str(rest);
        any.then_some(plain)
    };
    let mut plain = once(text)?;
    // One URL in another in another.
    for _ in 0..3 {
        let Some(deeper) = once(&plain) else { break };
        plain = deeper;
    }
    Some(plain)
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
            // As Debug has it.
            "Login {\n    password: Some(\n        \"S3CRET\",\n    ),\n}",
            "Login { password: Password { inner: \"S3CRET\", of: [1] }, n: 1 }",
            "Login { password: Password(\"S3 ) CRET\"), n: 1 }",
            "Login { token: b\"S3CRET\", n: 1 }",
            "Login { token: br\"S3 CRET\", n: 1 }",
            "Login { token: &\"S3 CRET\" }",
            "Login { cookie: Some(\n    \"S3CRET\",\n) }",
            "tokens: [\"a]\", \"S3CRET\"]",
            "tokens: {'a': ')', 'b': 'S3CRET'}",
            "[(\"password\", \"S3CRET\")]",
            "(\"x-api-key\", \"S3CRET\")",
            "{(\"password\", Some(\"S3CRET\"))}",
            "[\"login\", \"--password\", \"S3CRET\"]",
            r#"{"name": "password", "value": "S3CRET"}"#,
            r#"headers["x-api-key"] = "S3CRET""#,
            // Blanks and YAML.
            "password:\tS3CRET",
            "password =\n  S3CRET",
            "password: |\n  S3 first\n  CRET second\nafter: 1",
            "private_key: >-\n  S3CRET",
            // Headers.
            "Cookie: theme=dark; session=S3CRET",
            "Authorization: ApiKey S3CRET",
            "Authorization: Digest username=\"u\", response=\"S3CRET\"",
            "{\"authorization\": \"ApiKey S3 CRET\"}",
            "Proxy-Authorization: AWS4-HMAC-SHA256 Credential=a/b, Signature=S3CRET",
            // Escaped line feeds.
            r"failed:\n-----BEGIN PRIVATE KEY-----\nS3CRET\n-----END PRIVATE KEY-----\nafter",
            r"private_key: -----BEGIN PRIVATE KEY-----\nS3CRET\n-----END PRIVATE KEY-----",
            "private_key=-----BEGIN PRIVATE KEY-----\nS3CRET\n-----END PRIVATE KEY-----",
            r"failed:\nghp_S3CRET0123456789",
            r"failed:\neyJhbGciOiJIUzI1NiJ9.S3CRETeyJzdWIiOiIxIn0.abc",
            r"failed:\nBearer S3CRET123456",
            r#"{\n  \"token\": \"S3CRET\"\n}"#,
            // Percent-encoding.
            "GET /in?next=/a%3Fpassword%3DS3CRET%26n%3D1",
            "body %7B%22token%22%3A%22S3CRET%22%7D",
            "to https%3A%2F%2Fu%3AS3CRET%40h%2F",
            "to https%253A%252F%252Fu%253AS3CRET%2540h",
            // Users of URLs.
            "cloning https://S3CRETTOKEN@host/x",
            "cloning https://S3CRET:x-oauth-basic@host:8080/x",
            "redis://S3CRET@host:6379 is down",
            "redis://:S3CRET@host is down",
            // Signs within.
            "password=ab&S3,CRET!",
            "Server=h;Password=S3;CRET",
            "ALTER ROLE a PASSWORD 'it''s S3CRET'",
            "password='it''s S3CRET'",
            r#"password="a\"b S3CRET""#,
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
            "100% of %7E and %zz of https://example.org/a%20b",
            "https://example.org/@ana and http://[::1]:80/x",
            r"C:\new\file",
            "",
        ] {
            assert_eq!(Rules::default().clean(text), text);
        }
        let clean = Rules::default().clean("postgres://app:pw@db/shop?token=a&n=1 and the rest, password=x; more");
        assert_eq!(clean, "postgres://app:[redacted]@db/shop?token=[redacted]&n=1 and the rest, password=[redacted] more");
        let clean = Rules::default().clean("Login { password: Some(\"a\"), user: \"ana\" } by amqp://u:pw@h/%2f");
        assert_eq!(clean, "Login { password: [redacted] user: \"ana\" } by amqp://u:[redacted]@h/%2f");
        assert_eq!(Rules::default().clean(&clean), clean, "and what is clean stays");
    }

    #[test]
    fn whatever_stands_there_it_ends() {
        let pieces = [
            "password", ":", "=", "\"", "'", "\\", "\\n", "(", "]", "{", ",", " ", "\n", "%3A", "%", "://", "@", "ä", "…", "Bearer ", "|",
            "--token",
        ];
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    let text = format!("token{a}{b}{c}{a}x{c}{b}");
                    Rules::default().clean(&text);
                }
            }
        }
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
