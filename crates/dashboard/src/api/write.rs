//! What changes something: one transaction for the deed, its line in the audit and, if the client gave the request a key, what it is
//! answered. So a repeat of a request whose answer was lost finds either nothing done or the answer.
//!
//! ```text
//!  may this one? ──> body ──> BEGIN ──> key noted before? ──no──> deed, audit ──> answer kept ──> COMMIT ──> answer
//!                                              └──yes──> the answer of then
//! ```
//!
//! What went wrong is rolled back with its key: its repeat is tried anew.

use std::{future::Future, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{RawPathParams, State, rejection::RawPathParamsRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use haulage_queue::{OperationId, Operator, store};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Postgres, Transaction};

use super::endpoint::{Asks, Endpoint, Nothing, Place, cut, place_of, query_of};
use crate::{
    actions::{Action, Actor, Refusal, Role, deed, forgery},
    app::{App, PATIENCE},
    error::Problem,
};

/// A header that names a request, so that its repeat is known as one.
pub(super) const KEY: &str = "idempotency-key";
/// Whether an answer is that of before.
const REPLAYED: &str = "idempotency-replayed";
const LONGEST_KEY: usize = 200;
/// A lock is waited for so long.
const LOCKED: Duration = Duration::from_millis(1_500);
/// Args of a job with all else that may stand beside them.
const MOST: usize = haulage_queue::MAX_ARGS_BYTES + (128 << 10);

/// What is being done, and by whom.
pub(crate) struct Doing {
    tx: Transaction<'static, Postgres>,
    actor: Actor,
    /// What this process goes on with when it is done.
    drive: Option<OperationId>,
}

impl Doing {
    pub(crate) fn db(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Who does it, and why.
    pub(crate) fn operator(&self, reason: Option<&str>) -> Operator {
        self.actor.operator(reason)
    }

    /// Refuses who may not do what needs this role.
    pub(crate) fn check_role(&self, needs: Role) -> Result<(), Problem> {
        Ok(self.actor.check_role(needs)?)
    }

    /// Does what a page's form would do, in this transaction.
    pub(crate) async fn perform(&mut self, action: &Action, reason: Option<&str>) -> Result<(), Problem> {
        self.actor.check(action)?;
        let operator = self.actor.operator(reason);
        match deed(&mut self.tx, &operator, &self.actor, action).await {
            Err(Refusal::Unreadable(sentence)) => Err(Problem::unusable(sentence)),
            done => Ok(done.map(|_| ())?),
        }
    }

    /// Goes on with an operation when this is done.
    pub(crate) fn then_drive(&mut self, id: OperationId) {
        self.drive = Some(id);
    }
}

/// What was done, and what is answered.
pub(crate) type Done<A> = Result<(Doing, A), Problem>;

/// A change: what it does with a path and a body, and what it answers.
pub(crate) fn write<P, B, A, F, Fut>(
    needs: Role,
    (method, path): (Method, &'static str),
    (name, says): (&'static str, &'static str),
    status: StatusCode,
    handler: F,
) -> Endpoint
where
    P: Place + Send + 'static,
    B: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema + Send + 'static,
    F: Fn(Doing, P, B) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Done<A>> + Send,
{
    let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::POST);
    let route = on(
        filter,
        move |State(app): State<App>, place: Result<RawPathParams, RawPathParamsRejection>, actor: Actor, parts: Parts, body: Body| async move {
            let answered = async {
                actor.check_role(needs)?;
                check_origin(&parts)?;
                app.pace.count(actor.name.as_deref().unwrap_or_default())?;
                let body = bytes(body).await?;
                let request = Request { actor, key: key_of(&parts.headers)?, hash: hash(&parts.method, &parts.uri, &body) };
                let (place, Nothing {}) = (place_of(place)?, query_of(&parts.uri)?);
                let said = body_of(&parts.headers, &body)?;
                let mut response = request.answer(&app, status, |doing| handler(doing, place, said)).await?;
                if let Some(position) = app.position().await {
                    position.give(&mut response, Some(&parts));
                }
                Ok(response)
            };
            answered.await.unwrap_or_else(|problem: Problem| problem.api())
        },
    );
    Endpoint {
        method,
        path,
        name,
        says,
        place: P::IN_PATH,
        asks: Asks::Body(needs, B::json_schema),
        status,
        answer: SchemaGenerator::subschema_for::<A>,
        route,
    }
}

struct Request {
    actor: Actor,
    key: Option<String>,
    hash: Vec<u8>,
}

impl Request {
    async fn answer<A, Fut>(self, app: &App, status: StatusCode, deed: impl FnOnce(Doing) -> Fut) -> Result<Response, Problem>
    where
        A: Serialize,
        Fut: Future<Output = Done<A>>,
    {
        let mut tx = app.pool.begin().await?;
        store::limit_statement(&mut *tx, PATIENCE).await?;
        store::limit_lock(&mut *tx, LOCKED).await?;
        let who = self.actor.name.clone().unwrap_or_default();
        if let Some(key) = &self.key
            && let Some(before) = store::note_request(&mut tx, &who, key, &self.hash).await.map_err(busy)?
        {
            if before.request != self.hash {
                let sentence = format!("the key \"{}\" was given to another request before: a new request needs a new key", cut(key));
                return Err(Problem::unusable(sentence));
            }
            let status = u16::try_from(before.status).ok().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(status);
            return Ok(([(REPLAYED, "true")], json(status, before.answer)).into_response());
        }
        let (mut doing, answer) = deed(Doing { tx, actor: self.actor, drive: None }).await?;
        let answer = serde_json::to_string(&answer).map_err(|error| Problem::broken(&error))?;
        if let Some(key) = &self.key {
            store::answer_request(doing.db(), &who, key, status.as_u16(), &answer).await?;
        }
        doing.tx.commit().await?;
        app.forget().await;
        if let Some(id) = doing.drive {
            app.drivers.drive(&app.pool, id);
        }
        Ok(json(status, answer))
    }
}

/// The same request is still under way elsewhere.
fn busy(error: sqlx::Error) -> Problem {
    if store::lock_timed_out(&error) {
        return Problem::conflict("a request with this key is under way: ask again in a moment");
    }
    error.into()
}

/// Refuses what a page of another site can have a browser send. What says where it comes from must come from us; what says nothing, as a
/// program does, must have a header that no form can set.
fn check_origin(parts: &Parts) -> Result<(), Refusal> {
    let says = |name: &str| parts.headers.contains_key(name);
    let is_bearer = |value: &HeaderValue| value.as_bytes().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
    if parts.headers.get(header::AUTHORIZATION).is_some_and(is_bearer) {
        return Ok(());
    }
    if ["sec-fetch-site", "origin", "referer"].into_iter().any(says) {
        return forgery::check_site(parts);
    }
    if parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| is_json(&String::from_utf8_lossy(kind.as_bytes()))) {
        return Ok(());
    }
    Err(Refusal::Forged("a page of another site could have sent it: send it with Content-Type: application/json, as no form can"))
}

fn json(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

async fn bytes(body: Body) -> Result<Bytes, Problem> {
    axum::body::to_bytes(body, MOST).await.map_err(|error| {
        // Either it is longer, or the client went away and hears nothing of this.
        tracing::debug!("a body could not be read: {error}");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Too much", format!("the body is longer than the {MOST} bytes that are read"))
    })
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(KEY).iter();
    let (Some(key), another) = (keys.next(), keys.next()) else { return Ok(None) };
    let text = key
        .to_str()
        .ok()
        .filter(|key| (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) && another.is_none());
    let key = text.ok_or_else(|| {
        Problem::bad(format!("the header Idempotency-Key is no key: give it once, 1 to {LONGEST_KEY} visible characters"))
    })?;
    Ok(Some(key.to_owned()))
}

/// The same for the same request only.
fn hash(method: &Method, uri: &Uri, body: &[u8]) -> Vec<u8> {
    Sha256::new()
        .chain_update(method.as_str())
        .chain_update(" ")
        .chain_update(uri.path())
        .chain_update("\n")
        .chain_update(body)
        .finalize()
        .to_vec()
}

/// No body says the same as an empty object.
fn body_of<B: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<B, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()));
    if !body.is_empty() && kind.as_deref().is_none_or(|kind| !is_json(kind)) {
        let given = kind.map_or_else(|| "not given".to_owned(), |kind| format!("\"{}\"", cut(&kind).escape_debug()));
        let sentence = format!("the Content-Type of the body is {given}: send application/json");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not in this form", sentence));
    }
    // An array of its values would do for serde.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|first| *first == b'[') {
        return Err(Problem::unusable("the body is an array: send an object"));
    }
    serde_json::from_slice(if body.is_empty() { b"{}" } else { body }).map_err(|error| {
        let sentence = format!("the body can't be read: {error}");
        if error.is_data() { Problem::unusable(sentence) } else { Problem::bad(sentence) }
    })
}

fn is_json(kind: &str) -> bool {
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_another_site_is_refused_and_a_program_is_not() {
        let check = |headers: &[(&str, &str)]| {
            let request = headers.iter().fold(axum::http::Request::post("/"), |request, (name, value)| request.header(*name, *value));
            check_origin(&request.body(()).unwrap().into_parts().0).is_ok()
        };
        for headers in [
            &[("authorization", "bearer x"), ("sec-fetch-site", "cross-site")][..],
            &[("authorization", "Basic x"), ("content-type", "application/json; charset=utf-8")],
            &[("origin", "http://a.example"), ("host", "a.example")],
        ] {
            assert!(check(headers), "{headers:?}");
        }
        for headers in [
            &[("authorization", "Basic x")][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/json"), ("origin", "http://evil.example"), ("host", "a.example")],
            &[("content-type", "application/json"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!check(headers), "{headers:?}");
        }
    }

    #[test]
    fn a_request_is_the_same_only_with_the_same_method_path_and_body() {
        let uri = |text: &'static str| Uri::from_static(text);
        let one = hash(&Method::POST, &uri("/jobs/1/retry"), b"{}");
        assert_eq!(one, hash(&Method::POST, &uri("/jobs/1/retry"), b"{}"));
        for other in [
            hash(&Method::DELETE, &uri("/jobs/1/retry"), b"{}"),
            hash(&Method::POST, &uri("/jobs/2/retry"), b"{}"),
            hash(&Method::POST, &uri("/jobs/1/retry"), b"{\"reason\": \"x\"}"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_key_is_given_once_and_is_visible() {
        let keys = |keys: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            keys.iter().for_each(|key| {
                headers.append(KEY, HeaderValue::from_bytes(key).unwrap());
            });
            key_of(&headers)
        };
        assert_eq!(keys(&[]).unwrap(), None);
        assert_eq!(keys(&[b"a-1"]).unwrap().as_deref(), Some("a-1"));
        for bad in [vec![b"".as_slice()], vec![b"a", b"b"], vec!["ä".as_bytes()], vec![[b'k'; 201].as_slice()]] {
            assert!(keys(&bad).is_err(), "{bad:?}");
        }
    }
}
