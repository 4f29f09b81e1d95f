//! What must not be stored or shown of a text: values under names of secrets, and what looks like a secret.
//!
//! A word that is the name of a secret, and a sign after it: then what follows is hidden, in quotes or brackets all that is in them, else up
//! to the next blank. It errs on the side of hiding: `token_count=3` is hidden too, and more than the value where nothing says where that
//! ends. It can't know a secret that stands alone in a sentence.

mod encoding;
mod key;
mod scan;
mod url;
mod value;

use self::{encoding::decoded, scan::Scan};

/// Stands in place of what was there.
pub const REDACTED: &str = "[redacted]";
/// At the end of a text that was longer.
pub const CUT: char = '…';

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

/// The names whose values are hidden.
#[derive(Debug, Clone)]
pub struct Rules {
    names: Vec<String>,
    strict: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { names: NAMES.map(ToOwned::to_owned).to_vec(), strict: false }
    }
}

impl Rules {
    /// For what is only shown, and loses nothing: hides a word after `Basic` too, and what may be a secret whose end was cut off at the end
    /// of the text without the sign.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// The names, plain; those of [`add`](Self::add) come last.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Hides the values of this name too.
    pub fn add(&mut self, name: &str) {
        let name = plain(name);
        if !name.is_empty() {
            self.names.push(name);
        }
    }

    /// Whether a value of this name is a secret.
    pub fn cover(&self, name: &str) -> bool {
        let name = plain(name);
        self.names.iter().any(|part| name.contains(part.as_str()))
    }

    /// The text without what looks like a secret.
    pub fn clean(&self, text: &str) -> String {
        self.clean_with(text, REDACTED)
    }

    /// The same with another sign in place of secrets.
    pub fn clean_with(&self, text: &str, mark: &'static str) -> String {
        let clean = Scan::new(self, text, mark).clean();
        if !clean.contains('%') {
            return clean;
        }
        // What holds a secret in percent-encoding is stored without the encoding.
        let mut stored = String::with_capacity(clean.len());
        for part in clean.split_inclusive(char::is_whitespace) {
            let plain = decoded(part);
            let hidden = plain.as_ref().map(|plain| Scan::new(self, plain, mark).clean()).filter(|hidden| Some(hidden) != plain.as_ref());
            stored.push_str(hidden.as_deref().unwrap_or(part));
        }
        stored
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
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
            "it says “can't reach postgres://app:S3CRET…”. Next",
            "it says “sent bearer S3CRET…”. Next",
            "has eyJS3CRET…",
            "has eyJ.S3.CRET",
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
    fn what_may_be_a_secret_is_hidden_by_strict_rules_alone() {
        let strict = Rules::default().strict();
        for (text, hidden) in [
            ("sent Basic S3CRET12, sorry", "sent Basic [redacted], sorry"),
            ("can't reach postgres://app:S3CRET", "can't reach postgres://app:[redacted]"),
            ("has eyJS3CRETS3CRETS3CRET", "has [redacted]"),
        ] {
            assert_eq!(strict.clean(text), hidden);
            assert_eq!(Rules::default().clean(text), text);
            assert_eq!(strict.clean(hidden), hidden, "and what is clean stays");
        }
        for text in [
            "basic auth failed",
            "see http://example.org:8080",
            "see http://example.org:8080.",
            "http://[fe80::1]",
            "http://[::1]:80",
            "amqp://h:",
            "eyJust a word",
        ] {
            assert_eq!(strict.clean(text), text);
        }
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
                    Rules::default().strict().clean(&text);
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
