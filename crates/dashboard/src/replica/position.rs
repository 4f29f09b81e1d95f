//! How far the write-ahead log had come when somebody did something. Their browser keeps it for some minutes and shows it with each
//! request, so what they did is on every page that they see, whichever process answers.

use axum::{
    extract::OriginalUri,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::Response,
};
use haulage_queue::store::Standing;

use crate::{api, frame::cookies};

const COOKIE: &str = "haulage_wrote";
/// A replica that is further behind than this is warned of on every page.
const KEPT_S: u32 = 300;

/// A position in the write-ahead log of the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(i64);

impl Position {
    /// Behind everything: of somebody who did something, while the primary does not say where that is.
    pub(crate) const UNKNOWN: Self = Self(i64::MAX);

    pub(crate) const fn new(byte: i64) -> Self {
        Self(byte)
    }

    /// Whether a server shows it. One that follows no other counts its log from somewhere else.
    pub(super) fn is_in(self, standing: &Standing) -> bool {
        standing.follows && standing.replayed.is_some_and(|replayed| self.0 <= replayed)
    }

    /// The last that a browser says; there are two if it used a form and the API.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        cookies(headers, COOKIE).filter_map(|value| value.parse().ok().filter(|byte| *byte >= 0)).max().map(Self)
    }

    /// Gives it to a browser. `parts` are those of a request to the API; a form is directly below our root, and a cookie without a path is
    /// for what is there, as the browser sees it, whatever stands between.
    pub(crate) fn give(self, response: &mut Response, parts: Option<&Parts>) {
        let path = parts.map_or_else(String::new, |parts| format!("; Path={}", root(parts)));
        let cookie = format!("{COOKIE}={}{path}; Max-Age={KEPT_S}; HttpOnly; SameSite=Lax", self.0);
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
}

/// The path of our root, as far as it is known here: a proxy may have taken a part of it away, and then it is a wider one.
fn root(parts: &Parts) -> &str {
    let asked = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0).path();
    let is_plain = |path: &&str| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%/".contains(&byte));
    let root = asked.find(&format!("{}/", api::ROOT)).map(|end| &asked[..end]);
    root.filter(is_plain).filter(|root| !root.is_empty()).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};

    use super::*;

    fn standing(follows: bool, replayed: i64) -> Standing {
        Standing { follows, replayed: follows.then_some(replayed), lag_s: None, receives: true, paused: false }
    }

    #[test]
    fn a_position_comes_back_as_it_was_and_the_last_counts() {
        let mut response = Response::new(Body::empty());
        Position::new(42).give(&mut response, None);
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.starts_with("haulage_wrote=42; Max-Age=") && cookie.contains("HttpOnly") && !cookie.contains("Path"), "{cookie}");
        let of = |text: &'static str| Position::of(&HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(text))]));
        assert_eq!(of("haulage_wrote=42"), Some(Position::new(42)));
        assert_eq!(of("haulage_wrote=7; a=b; haulage_wrote=42"), Some(Position::new(42)));
        for bad in ["a=42", "haulage_wrote=", "haulage_wrote=-1", "haulage_wrote=x", "haulage_wrote=99999999999999999999"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_server_shows_what_it_has_replayed_and_one_that_follows_none_shows_nothing_for_sure() {
        assert!(Position::new(42).is_in(&standing(true, 42)) && Position::new(42).is_in(&standing(true, 43)));
        assert!(!Position::new(42).is_in(&standing(true, 41)) && !Position::new(42).is_in(&standing(false, 43)));
        assert!(!Position::UNKNOWN.is_in(&standing(true, i64::MAX - 1)));
    }

    #[test]
    fn the_root_is_what_stands_before_the_api() {
        for (asked, expected) in [
            ("/api/v1/jobs/1/retry", "/"),
            ("/admin/jobs/api/v1/jobs/1/retry", "/admin/jobs"),
            ("/a;Max-Age=9/api/v1/jobs/1/retry", "/"),
            ("/elsewhere", "/"),
        ] {
            assert_eq!(root(&Request::post(asked).body(()).unwrap().into_parts().0), expected, "{asked}");
        }
    }
}
