//! Decides for each request where it reads, and makes it anew elsewhere if that did not work.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode},
    middleware::Next,
    response::Response,
};

use super::{Hindrance, OnPrimary, Place, Position, Replica};

/// Where an answer was read, for programs.
const READ_FROM: HeaderName = HeaderName::from_static("haulage-read-from");

/// Around the routes that read. Only there if there is a replica.
pub(crate) async fn route(State(replica): State<Replica>, request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let (parts, _) = request.into_parts();
    let wrote = Position::of(&parts.headers);
    let ask = async |place: &Place| {
        let mut parts = parts.clone();
        parts.extensions.insert(place.clone());
        next.clone().run(Request::from_parts(parts, Body::empty())).await
    };
    let mut because = if parts.extensions.get::<OnPrimary>().is_some() {
        Some(Hindrance::Behind)
    } else {
        (!replica.is_there()).then_some(Hindrance::Unreachable)
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let place = because.map_or_else(|| Place::replica(&replica, wrote), Place::primary);
        let response = ask(&place).await;
        match hindrance(&response).filter(|_| because.is_none() && place.was_asked()) {
            Some(Hindrance::BrokenOff) if tries == 1 => {}
            Some(hindrance) => {
                tracing::debug!(path = parts.uri.path(), ?hindrance, "the replica did not answer");
                because = Some(hindrance);
            }
            None => return named(response, &place),
        }
    }
}

/// Why it is worth while to ask the primary for the same.
fn hindrance(response: &Response) -> Option<Hindrance> {
    let missing = (response.status() == StatusCode::NOT_FOUND).then_some(Hindrance::Missing);
    response.extensions().get().copied().or(missing)
}

fn named(mut response: Response, place: &Place) -> Response {
    if let Some(note) = place.note()
        && let Ok(value) = HeaderValue::try_from(note.header)
    {
        response.headers_mut().insert(READ_FROM, value);
    }
    response
}
