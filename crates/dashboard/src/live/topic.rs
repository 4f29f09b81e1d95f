//! What is watched: a page.

use axum::{
    body::Body,
    http::{Request, Uri},
};

use crate::{actions::Role, auth::Identity, frame::SECTIONS, replica::OnPrimary};

/// No page of ours has a longer address: a search is 2,048 characters at most, and each may take three as it is written in one.
const LONGEST: usize = 8_192;

/// What stands before the links of a page, if it is not seen where it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Base(pub(crate) String);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Topic {
    at: Uri,
    base: Base,
    /// What who watches may do: the buttons they have. Nobody's name is in what changes of a page.
    role: Option<Role>,
    /// Whether who watches has done something, and must see it.
    on_primary: bool,
}

impl Topic {
    /// `None`: not a page of ours that changes.
    pub(crate) fn new(at: &str, base: &str, role: Option<Role>) -> Option<Self> {
        let at = if at.is_empty() { "overview" } else { at };
        let section = at.split(['/', '?']).next()?;
        if at.len() > LONGEST || !SECTIONS.iter().any(|(_, path, _)| *path == section) || !is_base(base) {
            return None;
        }
        Some(Self { at: format!("/{at}").parse().ok()?, base: Base(base.to_owned()), role, on_primary: false })
    }

    /// The same, read from the primary.
    pub(crate) fn on_primary(self) -> Self {
        Self { on_primary: true, ..self }
    }

    /// The request for the page.
    pub(crate) fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        request.uri_mut().clone_from(&self.at);
        request.extensions_mut().insert(self.base.clone());
        if let Some(role) = self.role {
            request.extensions_mut().insert(Identity { name: String::new(), role });
        }
        if self.on_primary {
            request.extensions_mut().insert(OnPrimary);
        }
        request
    }
}

/// As [`crate::base::base`] makes them; nothing else comes into a page by this way.
fn is_base(text: &str) -> bool {
    let steps = |text: &str| !text.is_empty() && text.replace("../", "").is_empty();
    let segment = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@".contains(&byte);
    text == "./"
        || steps(text)
        || text.strip_prefix("./").and_then(|rest| rest.strip_suffix('/')).is_some_and(|last| !last.is_empty() && last.bytes().all(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_ours_are_watched() {
        for (at, base) in
            [("", "./"), ("overview", "./jobs/"), ("jobs?state=dead&q=queue%3Amail", "./"), ("jobs/42", "../"), ("queues/a/b", "../../")]
        {
            assert!(Topic::new(at, base, None).is_some(), "{at} {base}");
        }
        for (at, base) in [
            ("live?at=jobs", "./"),
            ("jobs.json", "./"),
            ("metrics", "./"),
            ("assets/app.js", "./"),
            ("/jobs", "./"),
            ("//evil.example", "./"),
            ("jobs", "//evil.example/"),
            ("jobs", "./a/b/"),
            ("jobs", "javascript:"),
            ("jobs", "./\"/"),
            ("jobs", ""),
            ("jobs\u{0}", "./"),
        ] {
            assert!(Topic::new(at, base, None).is_none(), "{at} {base}");
        }
    }
}
