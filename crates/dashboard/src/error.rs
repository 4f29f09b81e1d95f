//! What can go wrong in a request, said in a sentence: as a page, or as JSON.

use std::error::Error;

use askama::Template;
use axum::{
    Json,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use haulage_queue::ReadError;
use serde::Serialize;

use crate::base::Base;

/// A status and a sentence. The cause goes to the log and not to the client, for whom it may be too much to know.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    sentence: String,
}

impl Problem {
    /// The request is wrong.
    pub(crate) fn bad(sentence: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, sentence: sentence.into() }
    }

    /// It may work later.
    pub(crate) fn unavailable(error: impl Error) -> Self {
        Self::ours(StatusCode::SERVICE_UNAVAILABLE, &error)
    }

    fn ours(status: StatusCode, error: &dyn Error) -> Self {
        let cause = error.source().map(tracing::field::display);
        tracing::error!(status = status.as_u16(), cause, "a request of the dashboard failed: {error}");
        Self { status, sentence: error.to_string() }
    }

    pub(crate) fn page(self, base: &Base) -> Response {
        let page = ProblemPage { base: &base.0, sentence: &self.sentence };
        match page.render() {
            Ok(html) => (self.status, Html(html)).into_response(),
            Err(error) => Self::from(error).json(),
        }
    }

    pub(crate) fn json(self) -> Response {
        (self.status, Json(ProblemJson { error: &self.sentence })).into_response()
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let status = match &error {
            ReadError::Schema(_) | ReadError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::ours(status, &error)
    }
}

impl From<askama::Error> for Problem {
    fn from(error: askama::Error) -> Self {
        tracing::error!("a page of the dashboard did not render: {error}");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, sentence: "the page could not be made; the log says why".to_owned() }
    }
}

#[derive(Debug, Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    base: &'a str,
    sentence: &'a str,
}

#[derive(Debug, Serialize)]
struct ProblemJson<'a> {
    error: &'a str,
}
