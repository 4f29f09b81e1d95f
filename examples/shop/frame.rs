//! The frame around every page: header, footer, the time the request took and its id.
//!
//! A handler returns a [`Page`], the middle. [`around`] is the outermost layer, so it knows how
//! long the whole request took and whether the client wants a problem as a page or as JSON.

use std::{fmt, time::Instant};

use axum::{
    Json, Router,
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::{Html, IntoResponse, Response},
    routing::get,
};

use crate::{
    input::{request_id, wants_json},
    problem::Problem,
};

const NAV: &[(&str, &str)] =
    &[("/", "Shop"), ("/signup", "Sign up"), ("/reports", "Reports"), ("/mails", "Mails"), ("/partner", "Partner"), ("/queue", "Jobs")];

/// The middle of a page: a title as text and a body as HTML.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) body: String,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = ().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Middleware that puts the shop's frame around pages and problems.
pub(crate) async fn around(request: Request, next: Next) -> Response {
    respond(NAV, request, next).await
}

/// The same without the shop's links, for the servers outside.
pub(crate) async fn around_outside(request: Request, next: Next) -> Response {
    respond(&[], request, next).await
}

async fn respond(nav: &[(&str, &str)], request: Request, next: Next) -> Response {
    let started = Instant::now();
    let json = wants_json(request.headers());
    let id = request_id(request.headers());
    let mut response = next.run(request).await;
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;

    let id = id.map(|id| format!(" Its id is {id}.")).unwrap_or_default();
    let footer = format!("This request took {milliseconds:.1} ms.{id}");
    if let Some(page) = response.extensions_mut().remove::<Page>() {
        response = Html(html(&page, nav, &footer)).into_response();
    } else if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = if json {
            let body = serde_json::json!({ "error": problem.sentence });
            (problem.status, Json(body)).into_response()
        } else {
            let page = Page {
                title: problem.status.canonical_reason().unwrap_or("Problem").to_owned(),
                body: format!("<p class=\"note bad\">{}</p>\n<p><a href=\"/\">Back to the shop</a></p>", Text(&problem.sentence)),
            };
            (problem.status, Html(html(&page, nav, &footer))).into_response()
        };
    }

    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(format!("app;dur={milliseconds:.2}")) {
        headers.insert(HeaderName::from_static("server-timing"), value);
    }
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'self'; form-action 'self'; frame-ancestors 'none'"),
    );
    response
}

/// A whole page. `nav` is pairs of address and name.
fn html(page: &Page, nav: &[(&str, &str)], footer: &str) -> String {
    let links: String = nav.iter().map(|(address, name)| format!("<a href=\"{}\">{}</a>", Text(address), Text(name))).collect();
    format!(
        "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>{title} · Haulage shop</title>
<link rel=\"stylesheet\" href=\"/app.css\">
<link rel=\"icon\" href=\"/icon.svg\">
<script src=\"/app.js\" defer></script>
<header><b>Haulage shop</b><nav>{links}</nav></header>
<main>
<h1>{title}</h1>
{body}
</main>
<footer>{footer}</footer>
</html>
",
        title = Text(&page.title),
        body = page.body,
        footer = Text(footer),
    )
}

/// Text for HTML, in an element or a quoted attribute.
pub(crate) struct Text<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => fmt::Write::write_char(f, other)?,
            }
        }
        Ok(())
    }
}

/// The three files every page asks for, in the shop and outside.
pub(crate) fn assets<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/app.css", get(stylesheet)).route("/app.js", get(script)).route("/icon.svg", get(icon))
}

async fn stylesheet() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("assets/app.css"))
}

async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("assets/app.js"))
}

async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], include_str!("assets/icon.svg"))
}
