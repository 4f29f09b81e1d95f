//! A request body, JSON or form, or a sentence on what is wrong with it.

use std::marker::PhantomData;

use axum::{
    Form, Json, RequestExt,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;

use crate::problem::{IntoProblem, Problem};

/// `Input<T>` reads the same fields from both. `Input<T, F>` reads a form as `F` and makes a `T`
/// of it, where HTML forms are too flat to say `T`.
pub(crate) struct Input<T, F = T>(pub(crate) T, pub(crate) PhantomData<F>);

impl<S, T, F> FromRequest<S> for Input<T, F>
where
    S: Send + Sync,
    T: DeserializeOwned + 'static,
    F: DeserializeOwned + TryInto<T, Error: IntoProblem> + 'static,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let value = if sends_json(request.headers()) {
            let Json(value) = request.extract::<Json<T>, _>().await.map_err(|error| Problem::bad(format!("{}.", error.body_text())))?;
            value
        } else {
            let Form(form) = request.extract::<Form<F>, _>().await.map_err(|error| Problem::bad(format!("{}.", error.body_text())))?;
            form.try_into().map_err(IntoProblem::into_problem)?
        };
        Ok(Self(value, PhantomData))
    }
}

fn sends_json(headers: &HeaderMap) -> bool {
    has(headers, header::CONTENT_TYPE)
}

/// Whether the client is a program: it sends JSON or asks for it.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    has(headers, header::ACCEPT) || sends_json(headers)
}

/// The request's id: from the client, or made up by the layer around the shop. `haulage trace` takes it.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(ToOwned::to_owned)
}

fn has(headers: &HeaderMap, name: header::HeaderName) -> bool {
    headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("application/json"))
}
