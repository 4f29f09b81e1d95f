//! Somebody else's stock system: it fails one time in three, and remembers what it has done.
//!
//! Every third request gets 503. Every sixth is the nasty kind: the work is done and the answer
//! lost. A repeated key is answered with the first result and changes nothing, which is what makes
//! a retry safe.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Serialize;

use crate::{
    frame::{Page, Text},
    stock::Sold,
};

/// The oldest message is forgotten when one more comes.
const MOST_KEPT: usize = 10_000;

/// What the partner has received.
#[derive(Debug, Clone, Default, Serialize)]
struct Stock {
    requests: u64,
    /// Answered with 503.
    refused: u64,
    /// Repeats of a key, recognised.
    repeated: u64,
    /// By first arrival.
    received: VecDeque<Received>,
    /// The place of each key, counted from the first message ever.
    #[serde(skip)]
    places: HashMap<String, u64>,
    #[serde(skip)]
    forgotten: u64,
}

#[derive(Debug, Clone, Serialize)]
struct Received {
    key: String,
    /// How often this key arrived; the stock changed once.
    times: u32,
    #[serde(flatten)]
    sold: Sold,
}

#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Stock>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The partner's API and page.
pub(crate) fn router() -> Router {
    Router::new().route("/", get(page)).route("/stock", post(receive)).route("/stock.json", get(json)).with_state(Shared::default())
}

/// `POST /stock`
async fn receive(State(stock): State<Shared>, headers: HeaderMap, Json(sold): Json<Sold>) -> Response {
    let Some(key) = headers.get("Idempotency-Key").and_then(|key| key.to_str().ok()) else {
        return (StatusCode::BAD_REQUEST, "send an Idempotency-Key\n").into_response();
    };
    let mut stock = stock.lock();
    stock.requests += 1;
    let fails = stock.requests.is_multiple_of(3);
    let loses_answer = stock.requests.is_multiple_of(6);
    if !fails || loses_answer {
        stock.take(key, sold);
    }
    if fails {
        stock.refused += 1;
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "2")], "not now\n").into_response();
    }
    "noted\n".into_response()
}

impl Stock {
    fn take(&mut self, key: &str, sold: Sold) {
        if let Some(place) = self.places.get(key)
            && let Some(known) = self.received.get_mut((place - self.forgotten) as usize)
        {
            known.times += 1;
            self.repeated += 1;
            return;
        }
        self.places.insert(key.to_owned(), self.forgotten + self.received.len() as u64);
        self.received.push_back(Received { key: key.to_owned(), times: 1, sold });
        if self.received.len() > MOST_KEPT
            && let Some(oldest) = self.received.pop_front()
        {
            self.places.remove(&oldest.key);
            self.forgotten += 1;
        }
    }
}

async fn json(State(stock): State<Shared>) -> Json<Stock> {
    Json(stock.lock().clone())
}

async fn page(State(stock): State<Shared>) -> Page {
    let stock = stock.lock();
    let mut body = format!(
        "<p class=\"lead\">Fails one time in three. Also as <a href=\"/stock.json\">JSON</a>.</p>
<dl class=\"numbers wide card\">
<div><dt>requests</dt><dd>{}</dd></div>
<div><dt>answered 503</dt><dd>{}</dd></div>
<div><dt>repeats recognised</dt><dd>{}</dd></div>
<div><dt>messages kept</dt><dd>{}</dd></div>
</dl>
<table>
<tr><th>Key</th><th>Order</th><th class=\"number\">Lines</th><th class=\"number\">Arrived</th></tr>\n",
        stock.requests,
        stock.refused,
        stock.repeated,
        stock.received.len(),
    );
    for received in stock.received.iter().rev().take(50) {
        body += &format!(
            "<tr><td><code>{}</code></td><td>{}</td><td class=\"number\">{}</td>\
<td class=\"number\">{} ×</td></tr>\n",
            Text(&received.key),
            received.sold.order,
            received.sold.lines.len(),
            received.times,
        );
    }
    body += "</table>";
    Page { title: "Stock partner".into(), body }
}
