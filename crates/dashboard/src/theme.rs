//! Light or dark: as the system has it, unless somebody has chosen. The choice is a cookie and not a script's, so that no page flashes.

use axum::{
    Form,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use crate::frame::cookie;

const COOKIE: &str = "haulage_theme";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    System,
    Light,
    Dark,
}

impl Theme {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match cookie(headers, COOKIE) {
            Some("light") => Self::Light,
            Some("dark") => Self::Dark,
            _ => Self::System,
        }
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// What the button leads to.
    pub(crate) const fn next(self) -> &'static str {
        match self {
            Self::System => "dark",
            Self::Dark => "light",
            Self::Light => "system",
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Choice {
    #[serde(default)]
    to: String,
    #[serde(default)]
    here: String,
}

/// `POST /theme`: remembers the choice and goes back to the page. It changes nothing but the cookie of whoever asks.
pub(crate) async fn choose(Form(choice): Form<Choice>) -> Response {
    let theme = match choice.to.as_str() {
        "light" => "light",
        "dark" => "dark",
        _ => "system",
    };
    let cookie = format!("{COOKIE}={theme}; Max-Age=31536000; HttpOnly; SameSite=Lax");
    (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, back_to(&choice.here))]).into_response()
}

/// A place below our root, or the root: never another host, never a scheme.
pub(crate) fn back_to(here: &str) -> String {
    let plain = here.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if plain && !here.is_empty() && !here.starts_with('/') { format!("./{here}") } else { "./overview".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_never_leads_to_another_host() {
        for (here, place) in [
            ("jobs?state=dead", "./jobs?state=dead"),
            ("", "./overview"),
            ("//evil.example", "./overview"),
            ("/\\evil.example", "./overview"),
            ("\\\\evil.example", "./overview"),
            ("https://evil.example", "./https://evil.example"),
            ("a\r\nSet-Cookie: x", "./overview"),
        ] {
            assert_eq!(back_to(here), place, "{here:?}");
        }
    }
}
