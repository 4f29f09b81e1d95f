//! Whether a page of ours asked: another site can have a browser send us a form, with the log-in that the browser keeps.
//!
//! Three things say so. The browser says in `Sec-Fetch-Site` which site a request comes from, where it is asked over TLS or on its own
//! machine. Elsewhere `Origin`, or `Referer`, must name the host that was asked. And a form holds a token that fits a cookie of the
//! browser and the name of who is logged in: another site can read neither. No server needs to remember anything, so any of several
//! can answer.

use axum::{
    extract::OriginalUri,
    http::{HeaderMap, HeaderName, Uri, header, request::Parts},
};
use sha2::{Digest, Sha256};

use super::{Actor, Refusal};
use crate::frame::cookie;

const COOKIE: &str = "haulage_form";
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a form needs to be believed.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    /// Stands in the form.
    pub(crate) token: String,
    /// The cookie that the browser has to be given, unless it has one.
    pub(crate) cookie: Option<String>,
}

impl Ticket {
    /// For forms of a page that this actor is shown.
    pub(crate) fn new(headers: &HeaderMap, actor: &Actor) -> Self {
        if let Some(known) = cookie(headers, COOKIE).filter(|value| is_ours(value)) {
            return Self { token: token(known, actor), cookie: None };
        }
        let fresh = format!("{:032x}", rand::random::<u128>());
        // For all paths: our own prefix is not known behind a proxy that takes it away.
        let cookie = format!("{COOKIE}={fresh}; Path=/; HttpOnly; SameSite=Lax");
        Self { token: token(&fresh, actor), cookie: Some(cookie) }
    }
}

/// Refuses a form that no page of ours sent.
pub(crate) fn check_form(parts: &Parts, actor: &Actor, given: &str) -> Result<(), Refusal> {
    check_site(parts)?;
    let known = cookie(&parts.headers, COOKIE).filter(|value| is_ours(value));
    // Of hashes, so that the time it takes tells nothing.
    if known.is_some_and(|known| Sha256::digest(token(known, actor)) == Sha256::digest(given)) {
        return Ok(());
    }
    Err(Refusal::Forged("the form is not one that this browser was given; load the page again, and allow its cookie"))
}

/// Refuses a request that a page of another site sent. Not for requests that carry a token of their own in `Authorization: Bearer`:
/// no browser adds that by itself.
pub(crate) fn check_site(parts: &Parts) -> Result<(), Refusal> {
    if let Some(site) = parts.headers.get(SITE) {
        return match site.as_bytes() {
            b"same-origin" => Ok(()),
            _ => Err(Refusal::Forged("another site asked for it")),
        };
    }
    let named = |name: HeaderName| parts.headers.get(name).map(|value| value.to_str().ok().and_then(|url| url.parse::<Uri>().ok()));
    match named(header::ORIGIN).or_else(|| named(header::REFERER)) {
        None => Err(Refusal::Forged("it does not say which site it comes from; a browser says so in Origin")),
        Some(from) => {
            let from = from.as_ref().and_then(Uri::authority).map(|authority| authority.as_str().to_ascii_lowercase());
            if from.is_some() && from == host(parts) {
                return Ok(());
            }
            Err(Refusal::Forged("another site asked for it, or a proxy does not pass the header Host on"))
        }
    }
}

/// The host that was asked, as the browser named it.
fn host(parts: &Parts) -> Option<String> {
    let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let asked = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    named.or_else(|| asked.authority().map(|authority| authority.as_str())).map(str::to_ascii_lowercase)
}

fn is_ours(value: &str) -> bool {
    value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn token(cookie: &str, actor: &Actor) -> String {
    let mut hash = Sha256::new();
    for part in ["haulage form", cookie, actor.name.as_deref().unwrap_or_default()] {
        hash.update(part);
        hash.update([0]);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::actions::Role;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let request = headers.iter().fold(Request::post("/act"), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn ana() -> Actor {
        Actor { name: Some("ana".to_owned()), role: Role::Operator, read_only: false }
    }

    #[test]
    fn only_our_own_site_is_believed() {
        for headers in [
            &[("sec-fetch-site", "same-origin")][..],
            // A proxy may write Host anew; the browser knows better.
            &[("sec-fetch-site", "same-origin"), ("origin", "https://a.example"), ("host", "10.0.0.1:8090")],
            &[("origin", "http://a.example:8090"), ("host", "A.example:8090")],
            &[("referer", "https://a.example/jobs/42"), ("host", "a.example")],
        ] {
            assert!(check_site(&parts(headers)).is_ok(), "{headers:?}");
        }
        for headers in [
            &[][..],
            &[("host", "a.example")],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://a.example"), ("host", "a.example")],
            &[("sec-fetch-site", "same-site"), ("origin", "http://a.example"), ("host", "a.example")],
            &[("sec-fetch-site", "none"), ("origin", "http://a.example"), ("host", "a.example")],
            &[("origin", "http://evil.example"), ("host", "a.example")],
            &[("origin", "http://a.example:81"), ("host", "a.example")],
            &[("origin", "null"), ("host", "a.example")],
            &[("origin", "null"), ("referer", "https://a.example/"), ("host", "a.example")],
            &[("origin", "http://a.example")],
        ] {
            assert!(check_site(&parts(headers)).is_err(), "{headers:?}");
        }
    }

    #[test]
    fn a_form_is_believed_only_with_the_token_of_this_browser_and_of_who_is_logged_in() {
        let ticket = Ticket::new(&HeaderMap::new(), &ana());
        let cookie = ticket.cookie.clone().unwrap().split(';').next().unwrap().to_owned();
        let asked = parts(&[("sec-fetch-site", "same-origin"), ("cookie", &cookie)]);
        assert!(check_form(&asked, &ana(), &ticket.token).is_ok());
        let again = Ticket::new(&asked.headers, &ana());
        assert!(again.cookie.is_none() && again.token == ticket.token);
        let ben = Actor { name: Some("ben".to_owned()), ..ana() };
        let other = Ticket::new(&HeaderMap::new(), &ana()).token;
        assert!(check_form(&asked, &ben, &ticket.token).is_err());
        for token in ["", "x", &other] {
            assert!(check_form(&asked, &ana(), token).is_err(), "{token}");
        }
        assert!(check_form(&parts(&[("sec-fetch-site", "same-origin")]), &ana(), &ticket.token).is_err());
    }
}
