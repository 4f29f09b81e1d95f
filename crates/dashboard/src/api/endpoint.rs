//! A path of the API with what it takes and answers. The types of its handler say both, to the router and to the document, so that
//! neither can say anything else.

use std::{borrow::Cow, future::Future};

use axum::{
    extract::{Query, RawPathParams, rejection::RawPathParamsRejection},
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use haulage_queue::{JobId, OperationId};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{actions::Role, app::App, error::Problem};

/// What a handler answers.
pub(crate) type Answer<T> = Result<T, Problem>;

/// A path and a method.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// Unique.
    pub(crate) name: &'static str,
    /// What it does, in a line.
    pub(crate) says: &'static str,
    pub(crate) place: Option<PlaceInPath>,
    pub(crate) asks: Asks,
    pub(crate) status: StatusCode,
    pub(crate) answer: SchemaOf,
    pub(crate) route: MethodRouter<App>,
}

/// Where a request says what it wants.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asks {
    Query(SchemaOf),
    /// With the role that it takes.
    Body(Role, SchemaOf),
}

pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Which thing a path is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlaceInPath {
    pub(crate) name: &'static str,
    pub(crate) says: &'static str,
    /// What it looks like.
    pub(crate) pattern: &'static str,
}

/// The part of a path that differs.
pub(crate) trait Place: Sized {
    const IN_PATH: Option<PlaceInPath>;

    fn read(text: &str) -> Result<Self, Problem>;
}

impl Place for () {
    const IN_PATH: Option<PlaceInPath> = None;

    fn read(_: &str) -> Result<Self, Problem> {
        Ok(())
    }
}

impl Place for JobId {
    const IN_PATH: Option<PlaceInPath> = Some(PlaceInPath { name: "id", says: "The id of the job.", pattern: "^[0-9]{1,18}$" });

    fn read(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(|error: haulage_queue::ParseJobIdError| Problem::not_found(error.to_string()))
    }
}

impl Place for OperationId {
    const IN_PATH: Option<PlaceInPath> = Some(PlaceInPath { name: "id", says: "The number of the operation.", pattern: "^[0-9]{1,18}$" });

    fn read(text: &str) -> Result<Self, Problem> {
        let sentence = || format!("\"{}\" is not the number of an operation: it is a whole number such as 7", cut(text).escape_debug());
        text.parse().map_err(|_| Problem::not_found(sentence()))
    }
}

/// A name or another text that leads to a thing.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) String);

impl Place for Name {
    const IN_PATH: Option<PlaceInPath> = Some(PlaceInPath {
        name: "name",
        says: "Its name, percent-encoded: a name may hold a slash.",
        pattern: "^[A-Za-z0-9_.:/-]{1,128}$",
    });

    fn read(text: &str) -> Result<Self, Problem> {
        haulage_queue::check_name("", text).map_err(|_| {
            let shown = cut(text);
            let shown = shown.escape_debug();
            Problem::not_found(format!("nothing is named \"{shown}\": a name has 1 to 128 of the characters A-Z a-z 0-9 _ . : / -"))
        })?;
        Ok(Self(text.to_owned()))
    }
}

/// The id of a worker, which is drawn anew each time it registers.
#[derive(Debug)]
pub(crate) struct WorkerId(pub(crate) i64);

impl Place for WorkerId {
    const IN_PATH: Option<PlaceInPath> = Some(PlaceInPath { name: "id", says: "The id of the worker.", pattern: "^-?[0-9]{1,18}$" });

    fn read(text: &str) -> Result<Self, Problem> {
        let sentence =
            || format!("\"{}\" is not the id of a worker: it is a whole number, as the list of workers has it", cut(text).escape_debug());
        text.parse().map(Self).map_err(|_| Problem::not_found(sentence()))
    }
}

/// The id of a trace, a request or a job.
#[derive(Debug)]
pub(crate) struct TraceId(pub(crate) haulage_queue::story::StoryKey);

impl Place for TraceId {
    const IN_PATH: Option<PlaceInPath> =
        Some(PlaceInPath { name: "id", says: "The id of a trace, a request or a job, percent-encoded.", pattern: "^[!-~]{1,256}$" });

    fn read(text: &str) -> Result<Self, Problem> {
        text.parse().map(Self).map_err(|error: haulage_queue::story::StoryKeyError| Problem::not_found(error.to_string()))
    }
}

/// What a sentence repeats of a text that is no good.
pub(crate) fn cut(text: &str) -> Cow<'_, str> {
    text.char_indices().nth(60).map_or(Cow::Borrowed(text), |(end, _)| format!("{}…", &text[..end]).into())
}

/// No parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// A `GET`: what it answers to a path and a query.
pub(crate) fn read<P, Q, A, F, Fut>(path: &'static str, name: &'static str, says: &'static str, handler: F) -> Endpoint
where
    P: Place + Send + 'static,
    Q: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema + 'static,
    F: Fn(App, P, Q) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer<A>> + Send,
{
    let route = on(MethodFilter::GET, move |app: App, place: Result<RawPathParams, RawPathParamsRejection>, uri: Uri| async move {
        let answered = async { handler(app, place_of(place)?, query_of(&uri)?).await };
        answered.await.map_or_else(|problem| problem.api(), |answer| json(StatusCode::OK, &answer))
    });
    Endpoint {
        method: Method::GET,
        path,
        name,
        says,
        place: P::IN_PATH,
        asks: Asks::Query(Q::json_schema),
        status: StatusCode::OK,
        answer: SchemaGenerator::subschema_for::<A>,
        route,
    }
}

/// As JSON.
pub(crate) fn json(status: StatusCode, answer: &impl Serialize) -> Response {
    match serde_json::to_vec(answer) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => Problem::broken(&error).api(),
    }
}

pub(crate) fn place_of<P: Place>(params: Result<RawPathParams, RawPathParamsRejection>) -> Result<P, Problem> {
    let params = params.map_err(|_| Problem::not_found("nothing has this path: what is percent-encoded in it is no UTF-8"))?;
    // The last: the prefix may have some of the application's.
    P::read(params.iter().last().map_or("", |(_, text)| text))
}

pub(crate) fn query_of<Q: DeserializeOwned>(uri: &Uri) -> Result<Q, Problem> {
    match Query::<Q>::try_from_uri(uri) {
        Ok(Query(query)) => Ok(query),
        Err(rejection) => {
            let text = rejection.body_text();
            let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            let named = |text: &str| text.split('`').nth(1).map(ToOwned::to_owned);
            if let Some(parameter) = text.strip_prefix("duplicate field").and_then(named) {
                return Err(Problem::bad(format!("`{parameter}` is given twice: give it once")).about(parameter));
            }
            let (parameter, text) = match text.split_once(": ") {
                Some((parameter, text)) if !parameter.contains(' ') => (Some(parameter), text),
                _ => (None, text),
            };
            let problem = Problem::bad(format!("the query can't be read: {text}"));
            Err(parameter.into_iter().fold(problem, Problem::about))
        }
    }
}
