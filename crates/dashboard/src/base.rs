//! Where our own root is, seen from the page that the browser has.

use axum::{extract::OriginalUri, http::request::Parts};

/// What stands before a link that is written from our root: "./", "../", or the last segment of the prefix.
///
/// A router nested at `/admin/jobs` is reached without a slash at the end, and then `queues` would mean `/admin/queues`. The link names
/// the last segment again: `./jobs/queues`. Links stay relative, so a proxy may put more in front, or take the prefix away.
pub(crate) fn base(parts: &Parts) -> String {
    let asked = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    base_of(parts.uri.path(), asked.path())
}

/// From the path as this router sees it, and as the browser asked for it.
fn base_of(ours: &str, asked: &str) -> String {
    let depth = ours.strip_prefix('/').unwrap_or(ours).matches('/').count();
    if depth > 0 {
        return "../".repeat(depth);
    }
    match asked.rsplit_once('/') {
        // "./" keeps a segment with a colon from being taken for a scheme.
        Some((_, last)) if !last.is_empty() && matches!(ours, "" | "/") => format!("./{last}/"),
        _ => "./".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_root_is_found_from_every_page_with_and_without_a_prefix() {
        for (ours, asked, base) in [
            ("/", "/", "./"),
            ("/", "/jobs/", "./"),
            ("/", "/jobs", "./jobs/"),
            ("/", "/admin/jobs", "./jobs/"),
            ("", "", "./"),
            ("/queues", "/queues", "./"),
            ("/queues", "/admin/jobs/queues", "./"),
            ("/jobs/42", "/jobs/42", "../"),
            ("/queues/a/b", "/x/queues/a/b", "../../"),
            ("/queues/a%2Fb", "/x/queues/a%2Fb", "../"),
        ] {
            assert_eq!(base_of(ours, asked), base, "{ours} {asked}");
        }
    }
}
