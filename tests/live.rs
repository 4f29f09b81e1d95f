//! Pages that stay as the fleet is: the stream of events behind them.
#![cfg(feature = "dashboard")]

use std::time::Duration;

use axum::Router;
use haulage::{Job, dashboard::router};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::support::{Count, PATIENCE, ana, database, page::serve};

/// An event of a stream.
#[derive(Debug)]
struct Event {
    name: String,
    id: Option<String>,
    data: String,
}

/// A stream of events, read one after the other.
pub(crate) struct Events {
    answer: Response,
    text: String,
}

impl Events {
    pub(crate) fn of(answer: Response) -> Self {
        Self { answer, text: String::new() }
    }

    /// `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start().to_owned()));
                // A comment keeps the connection open.
                let found = field("event:").map(|name| Event { name, id: field("id:"), data: field("data:").unwrap_or_default() });
                self.text = rest.to_owned();
                match found {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("something comes in time").unwrap()?;
            self.text.push_str(str::from_utf8(&chunk).unwrap());
        }
    }

    /// Waits for the content of which this holds.
    pub(crate) async fn until(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        let until = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < until {
            let event = self.next().await.expect("the stream goes on");
            if event.name == "page" {
                let parts = serde_json::from_str(&event.data).unwrap();
                if holds(&parts) {
                    return parts;
                }
            }
        }
        panic!("the page did not change as it should");
    }
}

#[tokio::test]
async fn what_changes_is_shown_to_whoever_watches() {
    let database = database().await;
    let pool = database.pool();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    let url = serve(Router::new().nest("/admin", router(pool.clone()))).await;
    let at = format!("/admin/live?at=jobs%2F{id}&base=..%2F");
    let mut viewers = [watch(&url, &at, None).await, watch(&url, &at, None).await];
    let says = |parts: &Value, word: &str| parts["main"].as_str().unwrap().contains(word);
    for viewer in &mut viewers {
        let parts = viewer.until(|parts| says(parts, "Available")).await;
        assert!(parts["main"].as_str().unwrap().contains("href=\"../queues/default\""), "{parts}");
        assert!(parts["nav"].as_str().unwrap().contains("href=\"../stuck\"") && parts["clock"].as_str().unwrap().contains("UTC"));
    }
    ana().because("not needed").cancel(&pool, id).await.unwrap();
    for viewer in &mut viewers {
        viewer.until(|parts| says(parts, "Cancelled") && says(parts, "not needed")).await;
    }
}

#[tokio::test]
async fn a_stream_ends_by_itself_and_the_next_does_not_repeat_what_is_there() {
    let database = database().await;
    let url = serve(router(database.pool())).await;
    // Nothing on it counts the time.
    let at = "/live?at=schedules&base=.%2F";
    let mut stream = watch(&url, at, None).await;
    let mut last = None;
    while let Some(event) = stream.next().await {
        assert!(event.name == "page" || (event.name == "beat" && last.is_some()), "{event:?}");
        last = event.id.or(last);
    }
    let mut next = watch(&url, at, last.clone()).await;
    let event = next.next().await.unwrap();
    assert!(event.name == "beat" || event.id != last, "{event:?}");
}

#[tokio::test]
async fn only_pages_of_ours_are_watched() {
    let database = database().await;
    let url = serve(router(database.pool())).await;
    for query in ["", "?at=jobs", "?at=metrics&base=.%2F", "?at=%2F%2Fevil.example&base=.%2F", "?at=jobs&base=javascript%3A"] {
        let answer = reqwest::get(format!("{url}/live{query}")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
    }
    // A page that is not there is watched in vain: nothing is sent, and nothing breaks.
    let mut stream = watch(&url, "/live?at=jobs%2F99999&base=..%2F", None).await;
    assert!(tokio::time::timeout(Duration::from_secs(5), stream.next()).await.is_err());
}

/// Watches a page; `last`: what was heard before.
pub(crate) async fn watch(url: &str, at: &str, last: Option<String>) -> Events {
    let request = reqwest::Client::new().get(format!("{url}{at}"));
    let request = last.into_iter().fold(request, |request, id| request.header("last-event-id", id));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    Events::of(answer)
}
