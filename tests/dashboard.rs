//! The dashboard's router over HTTP, as a browser and a load balancer see it.
#![cfg(feature = "dashboard")]

use axum::Router;
use haulage::{Job, JobId, JobState, SCHEMA_VERSION};
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::support::{Count, PATIENCE, database, empty_database, wait_for_state, worker};

const HOSTILE: &str = "<script>alert('1')</script><img src=x onerror=\"a()\">&amp;";

#[tokio::test]
async fn health_is_good_only_with_a_database_that_answers_and_a_schema_that_fits() {
    let ready = database().await;
    let (status, body) = get(&serve(haulage::dashboard::router(ready.pool())).await, "/health").await;
    assert_eq!((status, json_of(&body)), (StatusCode::OK, json!({ "status": "ok", "schema_version": SCHEMA_VERSION })));

    let empty = empty_database().await;
    let (status, body) = get(&serve(haulage::dashboard::router(empty.pool())).await, "/health").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(json_of(&body)["error"].as_str().unwrap().contains("run `haulage migrate`"), "{body}");

    let timeout = std::time::Duration::from_millis(300);
    let down = PgPoolOptions::new().acquire_timeout(timeout).connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
    let url = serve(haulage::dashboard::router(down)).await;
    for path in ["/health", "/", "/jobs.json"] {
        let (status, body) = get(&url, path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
        assert!(body.contains("no connection to the database"), "{body}");
    }
}

#[tokio::test]
async fn jobs_are_listed_newest_first_page_by_page() {
    let database = database().await;
    let pool = database.pool();
    let ids = enqueue(&pool, "default", 60).await;
    enqueue(&pool, "other:queue/1", 1).await;
    let url = serve(haulage::dashboard::router(pool)).await;

    let (status, page) = get(&url, "/?queue=default&state=available").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(page.matches("<tr>").count(), 51, "{page}");
    assert!(!page.contains("other:queue/1"), "{page}");
    let next = attribute(&page, "rel=\"next\" href=\"");
    assert_eq!(next, format!("?before={}&amp;state=available&amp;queue=default", ids[10]));
    let (_, page) = get(&url, &format!("/{}", next.replace("&amp;", "&"))).await;
    assert_eq!(page.matches("<tr>").count(), 11, "{page}");
    assert!(!page.contains("rel=\"next\""), "{page}");
    let (_, page) = get(&url, "/?queue=none&state=&before=").await;
    assert!(page.contains("No jobs like this"), "{page}");

    let (_, all) = get(&url, "/jobs.json").await;
    assert_eq!(json_of(&all).as_array().unwrap().len(), 50);
    let (_, one) = get(&url, "/jobs.json?queue=other:queue/1").await;
    let one = json_of(&one);
    assert_eq!((&one[0]["queue"], &one[0]["state"], one.as_array().unwrap().len()), (&json!("other:queue/1"), &json!("available"), 1));
}

#[tokio::test]
async fn hostile_texts_are_shown_and_never_taken_for_html() {
    let database = database().await;
    let pool = database.pool();
    let id = Count { n: 1 }.with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    let worker = worker(&pool).handle(|_: Count| async { Err::<(), _>(anyhow::anyhow!(HOSTILE)) }).build().unwrap().start().await.unwrap();
    wait_for_state(&pool, id, JobState::Dead).await;
    worker.shutdown().await;

    let url = serve(haulage::dashboard::router(pool)).await;
    let client = reqwest::Client::new();
    for path in ["/", "/?state=dead", "/?state=HOSTILE", "/?queue=HOSTILE", "/?before=HOSTILE"] {
        let path = path.replace("HOSTILE", "%22%3E%3Cscript%3Ealert%281%29%3C/script%3E");
        let answer = client.get(format!("{url}{path}")).send().await.unwrap();
        assert_guarded(answer.headers());
        let page = answer.text().await.unwrap();
        assert!(!page.contains("<script") && !page.contains("<img"), "{path}: {page}");
        assert!(page.contains("&lt;script&gt;") || page.contains("&#60;script&#62;"), "{path}: {page}");
    }
    let (_, body) = get(&url, "/jobs.json").await;
    assert!(json_of(&body)[0]["error"].as_str().unwrap().contains(HOSTILE), "{body}");
}

#[tokio::test]
async fn a_bad_query_is_answered_with_a_sentence() {
    let url = serve(haulage::dashboard::router(database().await.pool())).await;
    for (query, value, remedy) in [
        ("state=done", "done", "completed"),
        ("queue=a%20b", "a b", "1 to 128"),
        ("before=x", "x", "whole number"),
        ("queue=%FF", "\u{fffd}", "1 to 128"),
        ("state=dead&state=dead", "state", "duplicate"),
    ] {
        for path in ["/", "/jobs.json"] {
            let (status, body) = get(&url, &format!("{path}?{query}")).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {body}");
            assert!(body.contains(value) && body.contains(remedy), "{query}: {body}");
        }
    }
    let (status, body) = get(&serve(haulage::dashboard::router(empty_database().await.pool())).await, "/").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("haulage migrate"), "{body}");
}

#[tokio::test]
async fn links_lead_home_under_every_prefix() {
    let pool = database().await.pool();
    enqueue(&pool, "default", 51).await;
    let dashboard = || haulage::dashboard::router(pool.clone());
    let app = Router::new().nest("/admin/jobs", dashboard()).nest_service("/service", dashboard()).merge(dashboard());
    let url = serve(app).await;
    for place in ["/", "/?state=available", "/admin/jobs", "/admin/jobs?state=dead", "/admin/jobs?state=bad", "/service", "/service/"] {
        let page_url = reqwest::Url::parse(&format!("{url}{place}")).unwrap();
        let page = reqwest::get(page_url.clone()).await.unwrap().text().await.unwrap();
        let style = page_url.join(&attribute(&page, "rel=\"stylesheet\" href=\"")).unwrap();
        let answer = reqwest::get(style.clone()).await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["content-type"]),
            (StatusCode::OK, &"text/css; charset=utf-8".parse().unwrap()),
            "{style}"
        );
        assert!(page.matches("href=\"").count() <= 3 && !page.contains("href=\"/") && !page.contains("://"), "{page}");
        if let Some((_, after)) = page.split_once("rel=\"next\" href=\"") {
            let older = page_url.join(&after.split('"').next().unwrap().replace("&amp;", "&")).unwrap();
            assert_eq!(older.path(), page_url.path());
            assert_eq!(reqwest::get(older).await.unwrap().status(), StatusCode::OK);
        }
    }
}

/// Serves until the test's runtime ends.
async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

async fn get(url: &str, path: &str) -> (StatusCode, String) {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let answer = client.get(format!("{url}{path}")).send().await.unwrap();
    assert_guarded(answer.headers());
    (answer.status(), answer.text().await.unwrap())
}

fn assert_guarded(headers: &HeaderMap) {
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(headers["x-content-type-options"], "nosniff");
}

/// What stands between this and the next quote.
fn attribute(page: &str, before: &str) -> String {
    let (_, after) = page.split_once(before).unwrap_or_else(|| panic!("no {before} in {page}"));
    after.split('"').next().unwrap().to_owned()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

async fn enqueue(pool: &PgPool, queue: &'static str, count: i64) -> Vec<JobId> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(Count { n }.with().queue(queue).enqueue(pool).await.unwrap().id());
    }
    ids
}
