//! The user and the password of a URL.

use super::{CUT, scan::run};

/// No user and password of a URL are longer: a text of many URLs without blanks is not read again and again.
const USER: usize = 2_000;

/// How much stays of what stands before the host of a URL, and how much does not: of a user and a password the user does, unless one can't
/// tell which of them is the secret.
pub(super) fn user_of_url(rest: &str, is_http: bool, strict: bool) -> (usize, usize) {
    let near = rest.char_indices().nth(USER).map_or(rest, |(end, _)| &rest[..end]);
    let all = &near[..run(near, |c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '<' | '>' | '`' | '”'))];
    let authority = &all[..run(all, |c| !matches!(c, '/' | '?' | '#'))];
    let port = authority.rfind(':').map(|colon| &authority[colon + 1..]);
    let is_port = port.is_none_or(|port| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()));
    let end = match (authority.rfind('@'), all.rfind('@'), all.find(CUT)) {
        (Some(at), ..) => at,
        // Signs that should have been escaped in a password.
        (None, Some(at), _) if !is_port => at,
        // It was cut off before we could see whether it is one.
        (None, None, Some(cut)) if !is_port => cut,
        (None, None, None) if strict && all.len() == rest.len() && !port.is_none_or(like_port) => all.len(),
        _ => return (0, 0),
    };
    let kept = all[..end].find(':').map(|colon| colon + 1).filter(|begin| !is_http && *begin < end).unwrap_or(0);
    (kept, end - kept)
}

/// Whether what stands behind a colon may be a port and a sign after it, or is in an IPv6 address.
fn like_port(text: &str) -> bool {
    let after = text.trim_start_matches(|c: char| c.is_ascii_digit());
    text.contains(']') || text.is_empty() || (after.len() < text.len() && (after.is_empty() || after.starts_with([',', '.', ')', ';'])))
}
