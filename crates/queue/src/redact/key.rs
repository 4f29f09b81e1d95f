//! Keys that are known by their looks.

use super::CUT;

/// How well-known keys begin: of GitHub, GitLab, Stripe, Slack, AWS.
const KEYS: [&str; 11] = ["ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-", "sk_live_", "rk_live_", "xoxb-", "xoxp-", "AKIA"];
/// Shorter than this, what follows "bearer" or begins like a key is a word.
pub(super) const SHORT: usize = 8;

/// How long the private key is that begins here.
pub(super) fn private_key(text: &str) -> Option<usize> {
    let begin = text.strip_prefix("-----BEGIN ")?;
    let kind = begin.find("-----")?;
    begin[..kind].contains("PRIVATE KEY").then(|| {
        let rest = &text["-----BEGIN ".len() + kind + 5..];
        let end = rest.find("-----END ").map(|end| end + 9).and_then(|end| rest[end..].find("-----").map(|dashes| end + dashes + 5));
        end.map_or(text.len(), |end| text.len() - rest.len() + end)
    })
}

/// Where in a word a token of JSON (JWT) begins, or the beginning of one that was cut off, or a key of a well-known service.
pub(super) fn key_in(word: &str, after: &str, strict: bool) -> Option<usize> {
    let jwt = word.find("eyJ").filter(|at| {
        let token = &word[*at..];
        let points = token.matches('.').count();
        let is_long = token.len() >= 20 && (points == 1 || (strict && after.is_empty()));
        points >= 2 || is_long || after.starts_with(CUT)
    });
    let known = || KEYS.iter().filter_map(|key| word.find(key).filter(|at| word.len() - at - key.len() >= SHORT)).min();
    jwt.or_else(known)
}
