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
    live::Base,
    replica::{Note, Place},
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
    pub(crate) actor: Actor,
    /// For forms, if there is anything that whoever is here may do.
    ticket: Option<Ticket>,
    /// What came of the form before.
    pub(crate) flash: Option<Flash>,
    pub(crate) workers: Option<Workers>,
    /// How many causes need a person.
    pub(crate) need_you: usize,
    /// Where the page was read.
    place: Place,
}

impl FromRequestParts<App> for Frame {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let Ok(actor) = Actor::from_request_parts(parts, app).await;
        Ok(Self {
            base: parts.extensions.get::<Base>().map_or_else(|| base(parts), |base| base.0.clone()),
            here: parts.uri.path_and_query().map_or("", |path| path.as_str()).trim_start_matches('/').to_owned(),
            theme: Theme::of(&parts.headers),
            ticket: actor.acts().then(|| Ticket::new(&parts.headers, &actor)),
            flash: Flash::of(&parts.headers),
            actor,
            workers: app.workers().await,
            need_you: app.need_you().await,
            place: parts.extensions.get().cloned().unwrap_or_default(),
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

    /// What there is to say about where the page was read.
    pub(crate) fn note(&self) -> Option<Note> {
        self.place.note()
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
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &'a str) -> Option<&'a str> {
    cookies(headers, name).next()
}

/// All values of one of our cookies: there may be one for each path.
pub(crate) fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(key, _)| *key == name)
        .map(|(_, value)| value)
}
