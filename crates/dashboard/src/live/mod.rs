//! Pages that stay as the fleet is: a stream of events, in which a page's content comes anew when it has changed.
//!
//! ```text
//!  viewers ──GET /live?at=jobs──> topic "jobs" <──every 2 s── one look at the page, whoever watches
//! ```
//!
//! The load on the database does not grow with viewers: all who watch a page in this process with one role share one look. A look is the page itself, as
//! everybody gets it, so there is no second way to read what a page shows. What is lost by a proxy or a break only comes later: an event
//! holds all there is. Without a stream the script asks for the page by itself, more seldom; without a script nothing moves.

mod hub;
mod topic;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Query, State},
    http::{HeaderMap, HeaderName, header},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::Instant,
};

use crate::{auth::Identity, error::Problem, replica::Position};

pub(crate) use hub::Hub;
use hub::Seen;
pub(crate) use topic::Base;
use topic::Topic;

/// A stream ends after this long and the browser opens the next, so that a server which waits for its connections when it stops need not
/// wait for a viewer.
const LIFE: Duration = Duration::from_secs(15);

/// A browser opens the next stream after this long.
const AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    /// The page, from our root.
    at: String,
    /// What stands before the links of the page.
    base: String,
}

/// `GET /live`: events `page` with the parts of a page that have changed as JSON, and `beat` when a look found nothing new.
pub(crate) async fn events(
    State(hub): State<Hub>,
    Query(asked): Query<Asked>,
    identity: Option<Extension<Identity>>,
    headers: HeaderMap,
) -> Response {
    let Some(topic) = Topic::new(&asked.at, &asked.base, identity.map(|Extension(identity)| identity.role)) else {
        return Problem::bad("This page has no live updates; at= is the path of one of ours, base= what stands before its links.").json();
    };
    // One look more at a page, and not one for each who did something: so they all read the primary, until their cookie is over.
    let topic = if hub.has_replica() && Position::of(&headers).is_some() { topic.on_primary() } else { topic };
    let Some(place) = hub.place() else {
        return Problem::busy("Too many pages are watched live; this one is loaded anew by itself each few seconds.").json();
    };
    // What the browser has already: a stream that goes on where the last one ended.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    // The second is for proxies that would keep events back until there are many.
    let headers = [(header::CACHE_CONTROL, "no-store"), (HeaderName::from_static("x-accel-buffering"), "no")];
    (headers, Sse::new(stream_of(hub.watch(topic), last, place)).keep_alive(KeepAlive::default())).into_response()
}

/// Holds its place among the streams until the viewer is gone.
fn stream_of(
    seen: watch::Receiver<Option<Arc<Seen>>>,
    last: Option<u64>,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let until = Instant::now() + LIFE;
    stream::unfold((seen, last, place), move |(mut seen, last, place)| async move {
        // What was seen before this viewer came is new to it.
        let known = if last.is_none() { seen.borrow_and_update().clone() } else { None };
        let now = match known {
            Some(known) => known,
            None => loop {
                tokio::time::timeout_at(until, seen.changed()).await.ok()?.ok()?;
                if let Some(now) = seen.borrow_and_update().clone() {
                    break now;
                }
            },
        };
        let event = Event::default().retry(AGAIN);
        let event = if last == Some(now.version) { event.event("beat").data("") } else { now.event(event) };
        Some((Ok(event), (seen, Some(now.version), place)))
    })
}
