//! Kinds that are HTTP endpoints, against a real server.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use haulage::{JobDetail, JobId, JobState, Limit, NamedJob, enqueue_named, job, job_detail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use super::{Folder, SECRET, message, once, start, story};
use crate::support::{ana, database, eventually, wait_for_state};

#[tokio::test]
async fn a_call_is_signed_and_says_everything_and_its_answer_is_the_output() {
    let (database, folder, server) = (database().await, Folder::new(), Server::start().await);
    let pool = database.pool();
    let worker = start(&pool, &folder, &server.kind("stock", "/ok", "secret_env = \"STOCK_SECRET\"")).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let args = json!({ "product": 7, "name": "Zoë's <mug>" });
    let id: i64 = sqlx::query_scalar("SELECT job_id FROM haulage.enqueue('stock', $1, max_attempts => 3, traceparent => $2)")
        .bind(&args)
        .bind(trace)
        .fetch_one(&pool)
        .await
        .unwrap();
    wait_for_state(&pool, JobId(id), JobState::Completed).await;
    worker.shutdown().await;
    assert_eq!(job(&pool, JobId(id)).await.unwrap().unwrap().output, Some(json!({ "received": true })));

    let calls = server.calls();
    assert_eq!(calls.len(), 1);
    let (headers, body) = &calls[0];
    let key = format!("haulage-{id}");
    assert_eq!(
        serde_json::from_slice::<Value>(body).unwrap(),
        json!({
            "id": id, "kind": "stock", "queue": "default", "attempt": 1, "failures": 0, "max_attempts": 3, "idempotency_key": key, "args": args,
        })
    );
    let header = |name: &str| headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap();
    assert_eq!((header("content-type"), header("idempotency-key"), header("traceparent")), ("application/json", key.as_str(), trace));
    assert_eq!((header("haulage-job-id"), header("haulage-kind"), header("haulage-attempt")), (id.to_string().as_str(), "stock", "1"));
    let time = header("haulage-timestamp");
    let age = chrono::Utc::now().timestamp() - time.parse::<i64>().unwrap();
    assert!((0..60).contains(&age), "{age}");
    let signed = [time.as_bytes(), b".", body].concat();
    assert_eq!(header("haulage-signature"), format!("t={time},v1={}", hmac(SECRET.as_bytes(), &signed)));
}

#[tokio::test]
async fn the_status_is_the_verdict() {
    let (database, folder, server) = (database().await, Folder::new(), Server::start().await);
    let pool = database.pool();
    let paths = ["/empty", "/prose", "/error", "/bad", "/busy", "/down", "/down-until", "/later", "/redirect", "/cut"];
    let kinds: String = paths.map(|path| server.kind(&path[1..], path, "")).concat();
    let worker = start(&pool, &folder, &kinds).await;
    let place = &server.place;
    for (path, state, failures, said) in [
        ("empty", JobState::Completed, 0, String::new()),
        ("prose", JobState::Completed, 0, String::new()),
        ("error", JobState::Dead, 1, format!("{place} answered 500 Internal Server Error: the printer is on fire")),
        ("bad", JobState::Dead, 1, format!("{place} answered 422 Unprocessable Entity")),
        ("busy", JobState::Scheduled, 1, format!("{place} answered 429 Too Many Requests")),
        ("down-until", JobState::Scheduled, 1, format!("{place} answered 503 Service Unavailable")),
        // It ends some time, whatever the endpoint says.
        ("busy", JobState::Dead, 1, format!("{place} answered 429 Too Many Requests")),
        ("down", JobState::Dead, 1, format!("{place} answered 503 Service Unavailable")),
        ("later", JobState::Scheduled, 1, format!("{place} answered 429 Too Many Requests")),
        ("redirect", JobState::Dead, 1, "a redirect to https://elsewhere.example.org, which is not followed".into()),
        ("cut", JobState::Dead, 1, format!("no answer from {place}: ")),
    ] {
        let detail = finish(&pool, path, state).await;
        assert_eq!((detail.status.failures, detail.status.output.clone()), (failures, None), "{path}");
        if state == JobState::Scheduled {
            assert_eq!((detail.attempts[0].outcome.as_str(), message(&detail)), ("failed", said.as_str()), "{path}");
            let wait = (detail.status.run_at - detail.attempts[0].ended_at).num_seconds();
            let expected = if path == "later" { 86_400 } else { 3_600 };
            assert!((expected - 30..=expected + 1).contains(&wait), "{path}: {wait}");
        } else if state == JobState::Dead {
            assert!(message(&detail).contains(&said) && !message(&detail).contains("hunter2"), "{path}: {}", message(&detail));
        }
    }
    let detail = finish(&pool, "error", JobState::Dead).await;
    assert!(message(&detail).len() < 2_300 && message(&detail).ends_with('…'), "{}", message(&detail).len());
    worker.shutdown().await;
    assert!(server.calls().iter().all(|(headers, _)| !headers.contains_key("haulage-signature")), "no secret, no signature");
}

#[tokio::test]
async fn an_endpoint_that_says_not_before_holds_up_the_rate_of_its_key() {
    let (database, folder, server) = (database().await, Folder::new(), Server::start().await);
    let pool = database.pool();
    ana().limit_key(&pool, "partner:1", Limit::starts(100, Duration::from_secs(1))).await.unwrap();
    let worker = start(&pool, &folder, &[server.kind("busy", "/busy", ""), server.kind("ok", "/ok", "")].concat()).await;
    let call = |kind: &str, key: &str| NamedJob::new(kind, json!({})).limit_key(key);
    let busy = enqueue_named(&pool, &call("busy", "partner:1")).await.unwrap().id();
    eventually("it was refused", async || !job_detail(&pool, busy).await.unwrap().unwrap().attempts.is_empty()).await;
    let held = enqueue_named(&pool, &call("ok", "partner:1")).await.unwrap().id();
    let free = enqueue_named(&pool, &call("ok", "partner:2")).await.unwrap().id();
    wait_for_state(&pool, free, JobState::Completed).await;
    worker.shutdown().await;
    assert_eq!(job(&pool, held).await.unwrap().unwrap().state, JobState::Parked);
    let held_s: f64 =
        sqlx::query_scalar("SELECT extract(epoch FROM full_at - now())::float8 FROM haulage.key_rates").fetch_one(&pool).await.unwrap();
    // For an hour; and the burst is used up.
    assert!((3_570.0..=3_601.0).contains(&held_s), "{held_s}");
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_in_time_is_a_timeout() {
    let (database, folder, server) = (database().await, Folder::new(), Server::start().await);
    let kinds = server.kind("slow", "/never", "timeout = \"200ms\"");
    let detail = story(&database.pool(), &folder, &kinds, once("slow"), JobState::Dead).await;
    assert_eq!(
        (detail.attempts[0].outcome.as_str(), message(&detail)),
        ("timed out", format!("{} did not answer within 200ms", server.place).as_str())
    );
}

#[tokio::test]
async fn a_name_of_this_machine_is_not_called_unless_private_addresses_are_allowed() {
    let (database, folder, server) = (database().await, Folder::new(), Server::start().await);
    let pool = database.pool();
    let url = server.place.replace("127.0.0.1", "localhost");
    let kinds = format!("[kinds.guarded]\nurl = \"{url}/ok\"\n[kinds.allowed]\nurl = \"{url}/ok\"\nallow_private = true");
    let worker = start(&pool, &folder, &kinds).await;
    let detail = finish(&pool, "guarded", JobState::Dead).await;
    assert!(message(&detail).contains("which is loopback") && message(&detail).contains("allow_private"), "{}", message(&detail));
    assert_eq!(server.calls().len(), 0);
    finish(&pool, "allowed", JobState::Completed).await;
    worker.shutdown().await;
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_a_failure_that_holds_no_secret_of_the_url() {
    let (database, folder) = (database().await, Folder::new());
    let kinds = "[kinds.gone]\nurl = \"http://127.0.0.1:1/hunter2?token=hunter2\"\nallow_private = true";
    let detail = story(&database.pool(), &folder, kinds, once("gone"), JobState::Dead).await;
    assert!(
        message(&detail).starts_with("no answer from http://127.0.0.1:1: ") && message(&detail).contains("refused"),
        "{}",
        message(&detail)
    );
    assert!(!message(&detail).contains("hunter2"), "{}", message(&detail));
}

async fn finish(pool: &sqlx::PgPool, kind: &str, state: JobState) -> JobDetail {
    let id = enqueue_named(pool, &NamedJob::new(kind, json!({})).max_attempts(if state.is_final() { 1 } else { 2 })).await.unwrap().id();
    wait_for_state(pool, id, state).await;
    job_detail(pool, id).await.unwrap().unwrap()
}

/// By its definition (RFC 2104), as a check on the crate that makes the signature.
fn hmac(key: &[u8], text: &[u8]) -> String {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(block, key)| *block ^= key);
        block
    };
    let inner = Sha256::digest([&pad(0x36)[..], text].concat());
    let outer = Sha256::digest([&pad(0x5c)[..], &inner[..]].concat());
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

type Call = (HeaderMap, Bytes);

/// Answers by path and remembers what it was sent.
struct Server {
    place: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&calls));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { place, calls }
    }

    fn kind(&self, kind: &str, path: &str, more: &str) -> String {
        format!("[kinds.{kind}]\nurl = \"{}{path}\"\nallow_private = true\n{more}\n", self.place)
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

async fn answer(State(calls): State<Arc<Mutex<Vec<Call>>>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    calls.lock().unwrap().push((headers, body));
    let in_an_hour = (chrono::Utc::now() + chrono::TimeDelta::hours(1)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    match uri.path() {
        "/ok" => axum::Json(json!({ "received": true })).into_response(),
        "/empty" => StatusCode::NO_CONTENT.into_response(),
        "/prose" => "thank you".into_response(),
        "/error" => (StatusCode::INTERNAL_SERVER_ERROR, format!("the printer is on fire{}", "!".repeat(100_000))).into_response(),
        "/bad" => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        "/busy" => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")]).into_response(),
        "/down-until" => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", in_an_hour.as_str())]).into_response(),
        "/down" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/later" => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "999999999")]).into_response(),
        "/redirect" => (StatusCode::FOUND, [("location", "https://elsewhere.example.org/hunter2?hunter2")]).into_response(),
        "/cut" => {
            let parts = [Ok(Bytes::from("short")), Err(std::io::Error::other("the server broke off"))];
            axum::body::Body::from_stream(futures_util::stream::iter(parts)).into_response()
        }
        _ => std::future::pending().await,
    }
}
