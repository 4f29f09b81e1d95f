//! What stands around every page: the navigation, the search, who is logged in, the theme.

use std::convert::Infallible;

use askama::Template;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
    response::{Html, IntoResponse, Response},
};

use crate::{
    app::{App, Workers},
    assets,
    auth::Identity,
    base::base,
    error::Problem,
    live::Base,
    show::{encode, visible},
    theme::Theme,
};

/// The pages there are: the key that leads there after "g", the path, the name.
pub(crate) const SECTIONS: [(&str, &str, &str); 11] = [
    ("o", "overview", "Overview"),
    ("s", "stuck", "Stuck"),
    ("j", "jobs", "Jobs"),
    ("q", "queues", "Queues"),
    ("w", "workers", "Workers"),
    ("c", "schedules", "Schedules"),
    ("t", "traces", "Traces"),
    ("e", "errors", "Errors"),
    ("p", "operations", "Operations"),
    ("a", "audit", "Audit"),
    (",", "settings", "Settings"),
];

#[derive(Debug)]
pub(crate) struct Frame {
    /// What stands before every link.
    pub(crate) base: String,
    /// The path and query of this page, from our root: where to come back to.
    pub(crate) here: String,
    pub(crate) theme: Theme,
    pub(crate) user: Option<String>,
    pub(crate) workers: Option<Workers>,
    /// How many causes need a person.
    pub(crate) need_you: usize,
}

impl FromRequestParts<App> for Frame {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self {
            base: parts.extensions.get::<Base>().map_or_else(|| base(parts), |base| base.0.clone()),
            here: parts.uri.path_and_query().map_or("", |path| path.as_str()).trim_start_matches('/').to_owned(),
            theme: Theme::of(&parts.headers),
            user: parts.extensions.get::<Identity>().map(|identity| identity.name.clone()),
            workers: app.workers().await,
            need_you: app.need_you().await,
        })
    }
}

impl Frame {
    /// Whether the page is this one of the navigation, or below it.
    pub(crate) fn is_at(&self, section: &str) -> bool {
        let path = self.here.split('?').next().filter(|path| !path.is_empty()).unwrap_or("overview");
        path.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    pub(crate) const fn sections(&self) -> &'static [(&'static str, &'static str, &'static str)] {
        &SECTIONS
    }

    pub(crate) fn icon(&self) -> String {
        assets::ICON.link()
    }

    /// The style sheet and the script, under names that change with their content.
    pub(crate) fn style(&self) -> String {
        assets::STYLE.link()
    }

    pub(crate) fn script(&self) -> String {
        assets::SCRIPT.link()
    }

    pub(crate) fn live_script(&self) -> String {
        assets::LIVE.link()
    }

    pub(crate) fn morph(&self) -> String {
        assets::MORPH.link()
    }

    /// Where the page's content comes anew from.
    pub(crate) fn live(&self) -> String {
        format!("{base}live?at={}&base={}", encode(&self.here), encode(&self.base), base = self.base)
    }

    /// The page, or what went wrong as one.
    pub(crate) fn answer<T: Template>(&self, page: Result<T, Problem>) -> Response {
        match page.and_then(|page| Ok(page.render()?)) {
            Ok(html) => Html(visible(html)).into_response(),
            Err(problem) => problem.page(self),
        }
    }
}

/// The value of one of our cookies.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}
