//! Who may do what through the API.

use haulage::{
    AuditFilter,
    dashboard::{Auth, read_only, router},
    list_audit,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, ROOT, assert_problem, client, get, seed::seed, serve};
use crate::support::database;

const CREDENTIALS: &str = "vera viewer:correct-horse\notto operator:battery-staple\nada admin:unguessable";
/// From the least.
const ROLES: [(&str, &str); 3] =
    [("viewer", "Bearer correct-horse"), ("operator", "Bearer battery-staple"), ("admin", "Bearer unguessable")];

/// Every request of the document that changes something: its method, a path of the seed or of nothing, the role that it takes.
async fn writes(url: &str) -> Vec<(Method, String, String)> {
    let document = get(url, "/openapi.json").await.json();
    let mut writes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap().iter().filter(|(method, _)| *method != "get") {
            let says = described["description"].as_str().unwrap();
            let role = says.split("Takes the role ").nth(1).and_then(|rest| rest.split('.').next()).unwrap();
            let path = path.replace("{id}", "9007199254740996").replace("{name}", "mail").replace("{key}", "tenant:7");
            writes.push((method.to_uppercase().parse().unwrap(), path, role.to_owned()));
        }
    }
    assert!(writes.len() >= 20, "{writes:?}");
    writes
}

async fn send(url: &str, method: &Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let request = client().request(method.clone(), format!("{url}{ROOT}{path}")).json(body);
    let answer = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap();
    Answer { status: answer.status(), headers: answer.headers().clone(), text: answer.text().await.unwrap() }
}

#[tokio::test]
async fn every_request_that_changes_something_takes_the_role_that_the_document_names() {
    let pool = database().await.pool();
    seed(&pool).await;
    let open = serve(router(pool.clone())).await;
    let closed = serve(Auth::bearer(CREDENTIALS).unwrap().protect(router(pool.clone()))).await;
    let reading = serve(Auth::bearer(CREDENTIALS).unwrap().protect(router(read_only(&pool)))).await;
    let before = list_audit(&pool, &AuditFilter::new().limit(1_000)).await.unwrap().len();
    let writes = writes(&open).await;
    for (method, path, needs) in &writes {
        assert_problem(&send(&open, method, path, &[], &json!({})).await, StatusCode::FORBIDDEN, &["who you are"]);
        let admin = [("authorization", ROLES[2].1)];
        assert_problem(&send(&reading, method, path, &admin, &json!({})).await, StatusCode::FORBIDDEN, &["only reads"]);
        for (role, login) in ROLES {
            let may = ROLES.iter().position(|(name, _)| *name == role) >= ROLES.iter().position(|(name, _)| name == needs);
            if !may {
                let refused = send(&closed, method, path, &[("authorization", login)], &json!({})).await;
                assert_problem(&refused, StatusCode::FORBIDDEN, &[needs, role]);
            }
        }
    }
    assert_eq!(list_audit(&pool, &AuditFilter::new().limit(1_000)).await.unwrap().len(), before, "what is refused does nothing");
    for (method, path, needs) in &writes {
        let login = ROLES.iter().find(|(name, _)| name == needs).unwrap().1;
        let answer = send(&closed, method, path, &[("authorization", login)], &json!({})).await;
        assert_ne!(answer.status, StatusCode::FORBIDDEN, "{method} {path}: {}", answer.text);
    }
    // What a verb takes alone it takes for many.
    let bulk = json!({ "verb": "delete", "filter": { "queue": "q" } });
    for path in ["/operations", "/operations/preview"] {
        let refused = send(&closed, &Method::POST, path, &[("authorization", ROLES[1].1)], &bulk).await;
        assert_problem(&refused, StatusCode::FORBIDDEN, &["admin", "operator"]);
    }
    assert_eq!(send(&closed, &Method::POST, "/operations/preview", &[("authorization", ROLES[2].1)], &bulk).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_page_of_another_site_acts_by_no_log_in_that_a_browser_keeps() {
    let pool = database().await.pool();
    seed(&pool).await;
    let url = serve(Auth::basic("otto operator:battery-staple").unwrap().protect(router(pool.clone()))).await;
    let login = ("authorization", "Basic b3R0bzpiYXR0ZXJ5LXN0YXBsZQ==");
    let bare = client().post(format!("{url}{ROOT}/queues/mail/resume")).header(login.0, login.1).send().await.unwrap();
    assert_eq!(bare.status(), StatusCode::FORBIDDEN);
    for headers in [
        [login, ("origin", "https://evil.example")],
        [login, ("sec-fetch-site", "cross-site")],
        [login, ("referer", "https://evil.example/x")],
    ] {
        let refused = send(&url, &Method::POST, "/queues/mail/resume", &headers, &json!({})).await;
        assert_problem(&refused, StatusCode::FORBIDDEN, &["another site"]);
    }
    let done = send(&url, &Method::POST, "/queues/mail/resume", &[login], &json!({})).await;
    assert_eq!(done.json(), json!({ "name": "mail", "was_paused": true }));
}
