//! What can go wrong in a request, said in a sentence.
//!
//! [`crate::frame`] turns it into a page or into JSON, as the client prefers.

use std::convert::Infallible;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) sentence: String,
}

impl Problem {
    /// The client's fault.
    pub(crate) fn bad(sentence: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, sentence: sentence.into() }
    }

    pub(crate) fn not_found(sentence: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, sentence: sentence.into() }
    }
}

/// Our fault: any other error. The log gets the cause, the client does not.
impl<E: Into<anyhow::Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        let error: anyhow::Error = error.into();
        tracing::error!("request failed: {error:#}");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, sentence: "Something broke on our side; please try again.".into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// For inputs that need no second look.
pub(crate) trait IntoProblem {
    fn into_problem(self) -> Problem;
}

impl IntoProblem for Infallible {
    fn into_problem(self) -> Problem {
        match self {}
    }
}

impl IntoProblem for Problem {
    fn into_problem(self) -> Problem {
        self
    }
}
