//! What stands around every page: the navigation, the search, who is logged in, the theme.

use std::convert::Infallible;

use askama::Template;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{Html, IntoResponse, Response},
};

use crate::{
    actions::{Actor, Role, forgery::Ticket},
    app::{App, Workers},
    assets,
    base::base,
    error::Problem,
    flash::Flash,
    show::visible,
    theme::Theme,
};

#[derive(Debug)]
pub(crate) struct Frame {
    /// What stands before every link.
    pub(crate) base: String,
    /// The path and query of this page, from our root: where to come back to.
    pub(crate) here: String,
    pub(crate) theme: Theme,
    pub(crate) actor: Actor,
    /// For forms, if there is anything that whoever is here may do.
    ticket: Option<Ticket>,
    /// What came of the form before.
    pub(crate) flash: Option<Flash>,
    pub(crate) workers: Option<Workers>,
    /// How many causes need a person.
    pub(crate) need_you: usize,
}

impl FromRequestParts<App> for Frame {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let Ok(actor) = Actor::from_request_parts(parts, app).await;
        Ok(Self {
            base: base(parts),
            here: parts.uri.path_and_query().map_or("", |path| path.as_str()).trim_start_matches('/').to_owned(),
            theme: Theme::of(&parts.headers),
            ticket: actor.acts().then(|| Ticket::new(&parts.headers, &actor)),
            flash: Flash::of(&parts.headers),
            actor,
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

    /// The pages there are: the key that leads there after "g", the path, the name.
    pub(crate) const fn sections(&self) -> &'static [(&'static str, &'static str, &'static str)] {
        &[
            ("o", "overview", "Overview"),
            ("s", "stuck", "Stuck"),
            ("j", "jobs", "Jobs"),
            ("q", "queues", "Queues"),
            ("w", "workers", "Workers"),
            ("c", "schedules", "Schedules"),
            ("p", "operations", "Operations"),
            ("a", "audit", "Audit"),
        ]
    }

    /// Whether an operator's buttons are shown.
    pub(crate) fn operates(&self) -> bool {
        self.actor.may(Role::Operator)
    }

    /// What a form must hold to be believed.
    pub(crate) fn token(&self) -> &str {
        self.ticket.as_ref().map_or("", |ticket| &ticket.token)
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

    /// The page, or what went wrong as one.
    pub(crate) fn answer<T: Template>(&self, page: Result<T, Problem>) -> Response {
        match page.and_then(|page| Ok(page.render()?)) {
            Ok(html) => self.with_cookies(Html(visible(html)).into_response()),
            Err(problem) => problem.page(self),
        }
    }

    /// The cookie that our forms need, and the end of the one whose message was shown.
    pub(crate) fn with_cookies(&self, mut response: Response) -> Response {
        let fresh = self.ticket.as_ref().and_then(|ticket| ticket.cookie.clone());
        for cookie in fresh.into_iter().chain(self.flash.is_some().then(Flash::end)) {
            if let Ok(value) = HeaderValue::try_from(cookie) {
                response.headers_mut().append(header::SET_COOKIE, value);
            }
        }
        response
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
