//! Where our own files are, seen from the page that the browser has.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, extract::OriginalUri, http::request::Parts};

/// What stands before the name of a file of ours in a link.
///
/// A router nested at `/admin/jobs` is reached without a slash at the end, and then `app.css` would mean `/admin/app.css`. The
/// link names the last segment again: `jobs/app.css`. It stays relative, so a proxy may put more in front.
#[derive(Debug, Clone)]
pub(crate) struct Base(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for Base {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let asked = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        Ok(Self(base_of(asked.path())))
    }
}

fn base_of(path: &str) -> String {
    match path.rsplit_once('/') {
        // "./" keeps a segment with a colon from being taken for a scheme.
        Some((_, last)) if !last.is_empty() => format!("./{last}/"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_with_and_without_a_slash_at_the_end() {
        for (path, base) in [("/", ""), ("/jobs/", ""), ("/jobs", "./jobs/"), ("/admin/jobs", "./jobs/"), ("", "")] {
            assert_eq!(base_of(path), base, "{path}");
        }
    }
}
