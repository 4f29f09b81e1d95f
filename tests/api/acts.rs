//! What is done through the API.

use haulage::{AuditFilter, Job, JobFilter, JobId, JobState, job, job_page, list_audit};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Answer, ROOT, assert_problem, client, get, seed::seed, serve};
use crate::support::{Count, database};

const LOGIN: &str = "Bearer battery-staple";

/// A server where "ci" is logged in as who may do all.
async fn server(pool: &PgPool) -> String {
    serve(haulage::dashboard::Auth::bearer("ci admin:battery-staple").unwrap().protect(haulage::dashboard::router(pool.clone()))).await
}

async fn send(url: &str, method: Method, path: &str, body: Value, key: Option<&str>) -> Answer {
    let mut request = client().request(method, format!("{url}{ROOT}{path}")).header("authorization", LOGIN).json(&body);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let answer = request.send().await.unwrap();
    Answer { status: answer.status(), headers: answer.headers().clone(), text: answer.text().await.unwrap() }
}

async fn post(url: &str, path: &str, body: Value) -> Answer {
    send(url, Method::POST, path, body, None).await
}

#[tokio::test]
async fn every_verb_is_done_to_a_job_and_stands_in_the_audit_with_who_and_why() {
    let pool = database().await.pool();
    let seeded = seed(&pool).await;
    let url = server(&pool).await;
    let (dead, held, available) = (seeded.dead, seeded.held, seeded.available);
    let later = Count { n: 9 }.with().delay(std::time::Duration::from_secs(3_600)).enqueue(&pool).await.unwrap().id();
    for (id, verb, body, was, now) in [
        (dead, "retry", json!({}), "dead", json!("available")),
        (held, "release", json!({}), "parked", json!("available")),
        (held, "hold", json!({}), "available", json!("parked")),
        (later, "run-now", json!({}), "scheduled", json!("available")),
        (available, "move", json!({ "queue": "slow" }), "available", json!("available")),
        (available, "reprioritise", json!({ "priority": "low" }), "available", json!("available")),
        (available, "discard", json!({}), "available", json!("dead")),
        (later, "cancel", json!({}), "available", json!("cancelled")),
        (seeded.running, "cancel", json!({}), "running", json!("running")),
    ] {
        let mut body = body;
        body["reason"] = json!("INC-2207");
        let answer = post(&url, &format!("/jobs/{id}/{verb}"), body).await;
        assert_eq!(answer.status, StatusCode::OK, "{verb}: {}", answer.text);
        assert_eq!(answer.json(), json!({ "id": id.to_string(), "verb": verb, "was": was, "now": now }), "{verb}");
        let deed = list_audit(&pool, &AuditFilter::new().job(id).limit(1)).await.unwrap().remove(0);
        assert_eq!((deed.who.as_str(), deed.verb.as_str(), deed.reason.as_deref()), ("ci", verb, Some("INC-2207")));
    }
    let gone = send(&url, Method::DELETE, &format!("/jobs/{available}"), json!({}), None).await;
    assert_eq!(gone.json(), json!({ "id": available.to_string(), "verb": "delete", "was": "dead", "now": null }));
    assert!(job(&pool, available).await.unwrap().is_none());
    let again = post(&url, &format!("/jobs/{}/run-again", seeded.completed), json!({})).await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.text);
    let new: JobId = again.json()["new_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(job(&pool, new).await.unwrap().unwrap().state, JobState::Available);

    // What is hidden stays, if it comes back so.
    let shown = get_with_login(&url, &format!("/jobs/{held}")).await["args"].clone();
    assert_eq!(shown, json!({ "n": 3 }));
    let path = format!("/jobs/{held}/args");
    let secret = json!({ "n": 4, "password": "hunter2" });
    assert_eq!(send(&url, Method::PUT, &path, json!({ "args": secret }), None).await.json()["verb"], "edit-args");
    let mut shown = get_with_login(&url, &format!("/jobs/{held}")).await["args"].clone();
    assert_eq!(shown["password"], "••••••");
    shown["n"] = json!(5);
    assert_eq!(send(&url, Method::PUT, &path, json!({ "args": shown }), None).await.status, StatusCode::OK);
    let stored: Value = sqlx::query_scalar("SELECT args FROM haulage.live_jobs WHERE id = $1").bind(held.0).fetch_one(&pool).await.unwrap();
    assert_eq!(stored, json!({ "n": 5, "password": "hunter2" }));

    // Without a body, and refused with what to do.
    let bare = client().post(format!("{url}{ROOT}/jobs/{dead}/retry")).header("authorization", LOGIN).send().await.unwrap();
    let refused = Answer { status: bare.status(), headers: bare.headers().clone(), text: bare.text().await.unwrap() };
    assert_problem(&refused, StatusCode::CONFLICT, &["retry", "it waits for a worker already"]);
}

#[tokio::test]
async fn queues_schedules_and_operations_are_acted_on() {
    let pool = database().await.pool();
    seed(&pool).await;
    let url = server(&pool).await;
    let paused = post(&url, "/queues/a%2Fb/pause", json!({ "reason": "a deploy", "for_s": 60 })).await.json();
    assert!(paused["name"] == "a/b" && paused["paused_by"] == "ci" && paused["paused_why"] == "a deploy", "{paused}");
    assert!(paused["paused_until"].is_string(), "{paused}");
    assert_eq!(post(&url, "/queues/a%2Fb/resume", json!({})).await.json(), json!({ "name": "a/b", "was_paused": true }));
    assert_eq!(post(&url, "/queues/a%2Fb/resume", json!({})).await.json(), json!({ "name": "a/b", "was_paused": false }));

    let quiet = post(&url, "/workers/77/quiet", json!({ "reason": "INC-2207" })).await.json();
    assert!(quiet["id"] == "77" && quiet["quiet_by"] == "ci" && quiet["quiet_why"] == "INC-2207", "{quiet}");
    assert!(get_with_login(&url, "/workers/77").await["quiet_at"].is_string());
    assert_eq!(post(&url, "/workers/77/resume", json!({})).await.json(), json!({ "id": "77", "was_quiet": true }));
    assert_eq!(post(&url, "/workers/77/resume", json!({})).await.json(), json!({ "id": "77", "was_quiet": false }));
    assert_problem(&post(&url, "/workers/78/quiet", json!({})).await, StatusCode::NOT_FOUND, &["no worker 78 lives"]);

    let put = async |path: &str, body: Value| send(&url, Method::PUT, path, body, None).await;
    let limit = json!({ "max_running": 3, "rate": { "count": 100, "per_s": 60.0, "burst": 20 } });
    assert_eq!(put("/queues/a%2Fb/limit", limit.clone()).await.json(), limit);
    assert_eq!(get_with_login(&url, "/queues/a%2Fb").await["limit"], limit);
    assert_eq!(put("/queues/a%2Fb/limit", json!({})).await.json(), json!({ "max_running": null, "rate": null }));
    for key in ["tenant:9", "user:*"] {
        assert_eq!(put(&format!("/keys/{key}/limit"), limit.clone()).await.json(), limit);
    }
    assert_eq!(put("/keys/tenant:9/limit", json!({})).await.json()["max_running"], json!(null));
    let keys = get_with_login(&url, "/keys").await["items"].clone();
    assert_eq!(keys.as_array().unwrap().iter().map(|key| key["key"].as_str().unwrap()).collect::<Vec<_>>(), ["tenant:7", "user:*"]);
    assert_problem(&put("/keys/a:b:*/limit", limit.clone()).await, StatusCode::UNPROCESSABLE_ENTITY, &["a:b:*"]);
    let rate = json!({ "rate": { "count": 1, "per_s": 0.0 } });
    assert_problem(&put("/queues/mail/limit", rate).await, StatusCode::UNPROCESSABLE_ENTITY, &["rate"]);

    let paused = post(&url, "/schedules/nightly/pause", json!({})).await.json();
    assert!(paused["paused_by"] == "ci" && paused["paused_until"].is_null(), "{paused}");
    assert!(post(&url, "/schedules/nightly/resume", json!({})).await.json()["paused_at"].is_null());
    let made = post(&url, "/schedules/nightly/run-now", json!({})).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(made.json()["id"], get_with_login(&url, "/schedules/nightly").await["last_job"]);

    let what = json!({ "verb": "move", "queue": "slow", "filter": { "queue": "mail", "state": "available" } });
    let seen = post(&url, "/operations/preview", what.clone()).await.json();
    assert_eq!((&seen["jobs"], &seen["by_state"]), (&json!(1), &json!({ "available": 1 })), "{seen}");
    let started = post(&url, "/operations", what).await;
    assert_eq!(started.status, StatusCode::CREATED, "{}", started.text);
    let started = started.json();
    assert!(started["verb"] == "move" && started["queue"] == "slow" && started["who"] == "ci", "{started}");
    let id = started["id"].as_str().unwrap();
    crate::support::eventually("the operation is done", async || {
        get_with_login(&url, &format!("/operations/{id}")).await["state"] == "done"
    })
    .await;
    assert_eq!(job_page(&pool, &JobFilter::new().queue("slow")).await.unwrap().jobs.len(), 1);
    let ended = post(&url, &format!("/operations/{id}/cancel"), json!({})).await;
    assert_problem(&ended, StatusCode::CONFLICT, &["has ended"]);
}

async fn get_with_login(url: &str, path: &str) -> Value {
    super::ask(url, Method::GET, path, &[("authorization", LOGIN)]).await.json()
}

#[tokio::test]
async fn a_job_is_enqueued_with_its_args_to_the_last_digit() {
    let pool = database().await.pool();
    let url = server(&pool).await;
    let body = r#"{"kind": "sync", "args": {"n": 918273645546372819, "x": 1.10}, "queue": "slow", "priority": "low", "tags": ["eu"],
        "delay_s": 60, "max_attempts": 3, "meta": {"a": 1}, "unique_key": "k", "limit_key": "tenant:7", "reason": "by hand"}"#;
    let enqueue = async || {
        let request = client().post(format!("{url}{ROOT}/jobs")).header("authorization", LOGIN).header("content-type", "application/json");
        request.body(body).send().await.unwrap()
    };
    let first = enqueue().await;
    assert_eq!(first.status(), StatusCode::CREATED);
    let first: Value = first.json().await.unwrap();
    let second: Value = enqueue().await.json().await.unwrap();
    assert_eq!((&first["new"], &second["new"], &first["id"]), (&json!(true), &json!(false), &second["id"]));
    let shown = super::ask(&url, Method::GET, &format!("/jobs/{}", first["id"].as_str().unwrap()), &[("authorization", LOGIN)]).await;
    assert!(shown.text.contains("918273645546372819"), "{}", shown.text);
    let shown = shown.json();
    assert_eq!(
        (&shown["kind"], &shown["queue"], &shown["priority"], &shown["tags"], &shown["max_attempts"], &shown["limit_key"], &shown["state"]),
        (&json!("sync"), &json!("slow"), &json!("low"), &json!(["eu"]), &json!(3), &json!("tenant:7"), &json!("scheduled"))
    );
    let deed = list_audit(&pool, &AuditFilter::new()).await.unwrap().pop().unwrap();
    assert!(deed.verb == "enqueue" && deed.who == "ci" && deed.reason.as_deref() == Some("by hand"), "{deed:?}");
    assert!(!json!(deed.after).to_string().contains("9182"), "args are no business of the audit: {deed:?}");
}

#[tokio::test]
async fn a_repeat_with_the_same_key_does_nothing_and_is_answered_alike() {
    let pool = database().await.pool();
    let url = server(&pool).await;
    let body = json!({ "kind": "sync", "args": {} });
    let jobs = async || job_page(&pool, &JobFilter::new()).await.unwrap().jobs.len();
    // All at once, as clients do that give up waiting.
    let all = futures_util::future::join_all((0..8).map(|_| send(&url, Method::POST, "/jobs", body.clone(), Some("order-1")))).await;
    assert_eq!(jobs().await, 1);
    assert!(all.iter().all(|answer| answer.status == StatusCode::CREATED && answer.text == all[0].text));
    let replayed = |answer: &Answer| answer.headers.get("idempotency-replayed").is_some();
    assert_eq!(all.iter().filter(|answer| !replayed(answer)).count(), 1);

    let other = send(&url, Method::POST, "/jobs", json!({ "kind": "sync", "args": { "n": 1 } }), Some("order-1")).await;
    assert_problem(&other, StatusCode::UNPROCESSABLE_ENTITY, &["order-1", "new key"]);
    // What went wrong took no key.
    let wrong = send(&url, Method::POST, "/jobs", json!({ "kind": "a b", "args": {} }), Some("order-2")).await;
    assert_problem(&wrong, StatusCode::UNPROCESSABLE_ENTITY, &["a b"]);
    assert_eq!(send(&url, Method::POST, "/jobs", body.clone(), Some("order-2")).await.status, StatusCode::CREATED);
    assert_eq!(jobs().await, 2);

    let id = all[0].json()["id"].as_str().unwrap().to_owned();
    let hold = async || send(&url, Method::POST, &format!("/jobs/{id}/hold"), json!({}), Some("hold-1")).await;
    let (first, second) = (hold().await, hold().await);
    assert_eq!((second.status, &second.text), (StatusCode::OK, &first.text));
    assert!(!replayed(&first) && replayed(&second));
    assert_eq!(list_audit(&pool, &AuditFilter::new().job(id.parse().unwrap())).await.unwrap().len(), 2, "enqueue and hold");
}

#[tokio::test]
async fn answers_are_forgotten_after_a_day() {
    let pool = database().await.pool();
    let url = server(&pool).await;
    for key in ["old", "new"] {
        send(&url, Method::POST, "/jobs", json!({ "kind": "sync", "args": {} }), Some(key)).await;
    }
    sqlx::query("UPDATE haulage.requests SET answered_at = now() - interval '25 hours' WHERE key = 'old'").execute(&pool).await.unwrap();
    let worker =
        crate::support::worker(&pool).handle(|_: Count| async { Ok::<_, anyhow::Error>(()) }).build().unwrap().start().await.unwrap();
    crate::support::eventually("the old one is pruned", async || {
        let keys: Vec<String> = sqlx::query_scalar("SELECT key FROM haulage.requests").fetch_all(&pool).await.unwrap();
        keys == ["new"]
    })
    .await;
    worker.shutdown().await;
}

#[tokio::test]
async fn a_body_that_cannot_be_used_is_refused_with_what_and_why() {
    let pool = database().await.pool();
    seed(&pool).await;
    let url = server(&pool).await;
    for (path, body, status, parts) in [
        ("/jobs", r#"{"kind": "k""#, 400, vec!["EOF"]),
        ("/jobs", r#"{"kind": "k"}"#, 422, vec!["args"]),
        ("/jobs", r#"{"kind": "k", "args": 1, "colour": "red"}"#, 422, vec!["colour", "limit_key"]),
        ("/jobs", r#"{"kind": "a b", "args": 1}"#, 422, vec!["a b"]),
        ("/jobs", r#"{"kind": "k", "args": "\u0000"}"#, 422, vec!["args"]),
        ("/jobs", r#"{"kind": "k", "args": 1, "max_attempts": 0}"#, 422, vec!["0"]),
        ("/jobs", r#"{"kind": "k", "args": 1, "delay_s": 1, "run_at": "2027-01-01T00:00:00Z"}"#, 422, vec!["one of them"]),
        ("/jobs/9/hold", r#"{"reason": 5}"#, 422, vec!["string"]),
        ("/jobs/9/hold", "", 404, vec!["no job 9"]),
        ("/jobs/9/move", "", 422, vec!["queue"]),
        ("/queues/mail/pause", r#"{"for_s": 0}"#, 422, vec!["for_s"]),
        ("/schedules/none/pause", "", 404, vec!["none"]),
        ("/operations", r#"{"verb": "retry", "filter": {}}"#, 422, vec!["empty", "name at least"]),
        ("/operations", r#"{"verb": "retry", "filter": {"state": "running"}}"#, 422, vec!["running", "dead"]),
        ("/operations", r#"{"verb": "move", "filter": {"queue": "q"}}"#, 422, vec!["move"]),
        ("/operations", r#"{"verb": "hold", "queue": "x", "filter": {"queue": "q"}}"#, 422, vec!["queue"]),
        ("/operations", r#"{"verb": "hold", "filter": {"parent": 7}}"#, 422, vec!["integer", "string"]),
        ("/operations", r#"{"verb": "hold", "filter": {"trace": "xyz"}}"#, 422, vec!["xyz", "32 hex"]),
        ("/operations/preview", r#"{"verb": "hold", "filter": {"args": {"password": "hunter2"}}}"#, 422, vec!["secret"]),
        ("/operations/preview", r#"{"verb": "hold", "filter": {"tag": "\u0000"}}"#, 422, vec!["tag", "NUL"]),
        ("/operations/99/cancel", "", 404, vec!["99"]),
    ] {
        let mut request = client().post(format!("{url}{ROOT}{path}")).header("authorization", LOGIN);
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await.unwrap();
        let answer = Answer { status: answer.status(), headers: answer.headers().clone(), text: answer.text().await.unwrap() };
        assert_problem(&answer, StatusCode::from_u16(status).unwrap(), &parts);
        assert!(!answer.text.contains("hunter2"), "{}", answer.text);
    }
    for (kind, body, status, part) in [
        ("text/plain", "{}".to_owned(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "text/plain"),
        ("application/json", " ".repeat(2 << 20), StatusCode::PAYLOAD_TOO_LARGE, "bytes"),
    ] {
        let answer = client()
            .post(format!("{url}{ROOT}/jobs"))
            .header("authorization", LOGIN)
            .header("content-type", kind)
            .body(body)
            .send()
            .await
            .unwrap();
        let answer = Answer { status: answer.status(), headers: answer.headers().clone(), text: answer.text().await.unwrap() };
        assert_problem(&answer, status, &[part]);
    }
    assert!(get(&url, "/jobs").await.status == StatusCode::UNAUTHORIZED);
}
