//! The JSON API, as a program has it.

mod acts;
mod described;
mod documented;
mod roles;
mod seed;

use std::{collections::BTreeSet, time::Duration};

use axum::Router;
use haulage::{
    AuditFilter, Job, JobFilter, JobId, causes,
    dashboard::{Auth, only_local, router},
    job_detail, job_page, key_limits, list_audit, list_operations, list_schedules, list_workers, queues, story, why,
};
use reqwest::{Method, StatusCode, Url, header::HeaderMap};
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;

use self::seed::{FIRST, SECRET, places, seed};
use crate::support::{Count, PATIENCE, database, empty_database, page::serve};

const ROOT: &str = "/api/v1";

#[tokio::test]
async fn every_path_answers_json_that_is_kept_nowhere_and_holds_no_secret() {
    let pool = database().await.pool();
    let seeded = seed(&pool).await;
    let url = serve(router(pool)).await;
    let document = get(&url, "/openapi.json").await.json();
    let places = places(&document, &seeded);
    assert!(places.len() > 40, "{places:?}");
    for place in places {
        let answer = get(&url, &place).await;
        assert_eq!(answer.status, StatusCode::OK, "{place}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/json", "{place}");
        assert_eq!(answer.headers["cache-control"], if place == "/openapi.json" { "no-cache" } else { "no-store" }, "{place}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{place}");
        assert!(!answer.text.contains(SECRET), "{place}: {}", answer.text);
        assert_numbers_are_safe(&place, &answer.json());
        let head = ask(&url, Method::HEAD, &place, &[]).await;
        assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""), "{place}");
    }
    let job = get(&url, &format!("/jobs/{}", seeded.running)).await;
    // A number that is an argument keeps its digits, as everything in args does.
    assert!(job.text.contains("\"n\": 918273645546372819") && job.json()["args"]["password"] == "••••••", "{}", job.text);
}

#[tokio::test]
async fn ids_that_a_javascript_number_cannot_hold_come_back_whole() {
    let pool = database().await.pool();
    let seeded = seed(&pool).await;
    assert_eq!(seeded.running, JobId(FIRST));
    let url = serve(router(pool)).await;
    let id = FIRST.to_string();
    assert_eq!(get(&url, &format!("/jobs?q={id}")).await.json()["items"][0]["id"], json!(id));
    assert_eq!(get(&url, &format!("/jobs/{id}")).await.json()["id"], json!(id));
    assert_eq!(get(&url, &format!("/jobs/{id}/why")).await.json()["subject"]["job"], json!(id));
    let children = get(&url, &format!("/jobs/{id}/related")).await.json();
    assert_eq!(children["children"].as_array().unwrap().len(), 2);
    let child = get(&url, &format!("/jobs/{}", seeded.dead)).await.json();
    assert_eq!((&child["parent"], &child["root"]), (&json!(id), &json!(id)));
    let story = get(&url, &format!("/jobs/{id}/trace")).await.text;
    assert!(story.contains(&format!("\"job\":\"{id}\"")), "{story}");
    assert_eq!(get(&url, "/operations/1").await.json()["filter"]["root"], json!(id));
    assert_eq!(
        get(&url, &format!("/audit?target=job%20{}", seeded.held)).await.json()["items"][0]["jobs"][0],
        json!(seeded.held.to_string())
    );
    assert!(get(&url, "/schedules/nightly").await.json()["last_job"].is_string());
    assert_eq!(get(&url, "/workers/77").await.json()["jobs"][0]["id"], json!(id));
}

/// What a script reads of the command it reads of the API.
#[tokio::test]
async fn fields_have_the_names_that_the_command_gives_them() {
    let pool = database().await.pool();
    let seeded = seed(&pool).await;
    let url = serve(router(pool.clone())).await;
    let first = async |path: &str| get(&url, path).await.json()["items"][0].clone();
    let job = format!("/jobs/{}", seeded.running);

    let page = job_page(&pool, &JobFilter::new()).await.unwrap();
    assert_same_names("a job in a list", &json!(page.jobs[0]), &first("/jobs").await);
    let detail = json!(job_detail(&pool, seeded.running).await.unwrap().unwrap());
    let shown = get(&url, &job).await.json();
    let elsewhere = ["logs", "span"];
    for name in names(&detail).iter().filter(|name| !elsewhere.contains(&name.as_str())) {
        assert!(shown.get(name).is_some(), "{name} of `haulage jobs show --json` is missing: {shown}");
    }
    assert_same_names("an attempt", &detail["attempts"][0], &shown["attempts"][0]);
    let mut log = detail["logs"][0].clone();
    log.as_object_mut().unwrap().remove("job");
    assert_same_names("a log", &log, &first(&format!("{job}/logs")).await);
    assert_same_names("a queue", &json!(queues(&pool).await.unwrap()[0]), &first("/queues").await);
    assert_same_names("a key", &json!(key_limits(&pool).await.unwrap()[0]), &first("/keys").await);
    assert_same_names("a worker", &json!(list_workers(&pool).await.unwrap()[0]), &first("/workers").await);
    assert_same_names("a schedule", &json!(list_schedules(&pool).await.unwrap()[0]), &first("/schedules").await);
    assert_same_names("an operation", &json!(list_operations(&pool, None, 1).await.unwrap()[0]), &first("/operations").await);
    assert_same_names("a deed", &json!(list_audit(&pool, &AuditFilter::new()).await.unwrap()[0]), &first("/audit").await);
    let verdict = why(&mut pool.acquire().await.unwrap(), seeded.running).await.unwrap().unwrap();
    assert_same_names("a verdict", &json!(verdict), &get(&url, &format!("{job}/why")).await.json());
    let causes = json!(causes(&mut pool.acquire().await.unwrap()).await.unwrap());
    let told = get(&url, "/causes").await.json();
    assert_same_names("causes", &causes, &told);
    assert_same_names("a cause", &causes["causes"][0], &told["causes"][0]);
    assert_same_names("a fix", &causes["causes"][0]["fixes"][0], &told["causes"][0]["fixes"][0]);
    let told = get(&url, &format!("{job}/trace")).await.json();
    let story = json!(story::tell(&pool, &seeded.running.into()).await.unwrap().unwrap());
    assert_same_names("a story", &story, &told);
    assert_same_names("a span", &story["spans"][0], &told["spans"][0]);
}

#[tokio::test]
async fn a_walk_over_all_pages_meets_each_job_once_while_others_are_enqueued() {
    let pool = database().await.pool();
    let mut ids = BTreeSet::new();
    for n in 0..60 {
        ids.insert(Count { n }.with().queue("q").enqueue(&pool).await.unwrap().id().to_string());
    }
    let url = serve(router(pool.clone())).await;
    let (mut met, mut after) = (Vec::new(), String::new());
    loop {
        Count { n: 0 }.with().queue("q").enqueue(&pool).await.unwrap();
        let page = get(&url, &format!("/jobs?limit=7&queue=q{after}")).await.json();
        met.extend(page["items"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    // The one that was there before the first page, and none of those that came later.
    assert_eq!(met.len(), 61);
    assert!(ids.is_subset(&met.iter().cloned().collect()), "{met:?}");
    assert_eq!(met.iter().collect::<BTreeSet<_>>().len(), 61, "one was met twice: {met:?}");
}

#[tokio::test]
async fn every_list_is_walked_to_its_end() {
    let pool = database().await.pool();
    let id = Count { n: 1 }.with().enqueue(&pool).await.unwrap().id();
    for statement in [
        "INSERT INTO haulage.attempts (job_id, attempt, outcome, message) SELECT min(id), n, 'failed', 'no' FROM haulage.live_jobs, generate_series(1, 45) AS n GROUP BY n",
        "INSERT INTO haulage.schedules (name, owner, cron, zone, missed, overlap, jitter_ms, kind, queue, args, priority, max_attempts, next_at)
         SELECT 's' || n, 'o', '0 0 * * *', 'UTC', 0, 0, 0, 'k', 'q', '{}', 1, 1, now() + interval '1 hour' FROM generate_series(1, 45) AS n",
        "INSERT INTO haulage.operations (who, verb, filter, up_to) SELECT 'ana', 'retry', '{}', 1 FROM generate_series(1, 45)",
        "INSERT INTO haulage.audit (who, verb, target) SELECT 'ana', 'pause', 'queue q' || n FROM generate_series(1, 45) AS n",
        "INSERT INTO haulage.queues (name, paused_at, paused_by) SELECT 'q' || n, now(), 'ana' FROM generate_series(1, 44) AS n",
        "INSERT INTO haulage.key_limits (key, max_running) SELECT 'k' || n, 1 FROM generate_series(1, 45) AS n",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let url = serve(router(pool)).await;
    for list in
        [format!("/jobs/{id}/attempts"), "/schedules".into(), "/operations".into(), "/audit".into(), "/queues".into(), "/keys".into()]
    {
        let (mut met, mut after, mut pages) = (BTreeSet::new(), String::new(), 0);
        loop {
            let page = get(&url, &format!("{list}?limit=10{after}")).await.json();
            met.extend(page["items"].as_array().unwrap().iter().map(ToString::to_string));
            pages += 1;
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!((met.len(), pages), (45, 5), "{list}");
    }
    // A place of one list is none of another.
    let next = get(&url, "/audit?limit=10").await.json()["next"].as_str().unwrap().to_owned();
    let refused = get(&url, &format!("/operations?after={next}")).await;
    assert_problem(&refused, StatusCode::UNPROCESSABLE_ENTITY, &["next"]);
    assert_eq!(refused.json()["parameter"], "after");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_the_parameter_the_value_and_the_remedy() {
    let pool = database().await.pool();
    let url = serve(router(pool)).await;
    for (path, status, parameter, parts) in [
        ("/jobs?stat=dead", 400, Some("stat"), vec!["stat", "state"]),
        ("/jobs?state=done", 400, Some("state"), vec!["done", "completed"]),
        ("/jobs?limit=0", 400, Some("limit"), vec!["\"0\"", "1 to 200"]),
        ("/jobs?limit=201", 400, Some("limit"), vec!["201", "1 to 200"]),
        ("/jobs?limit=ten", 400, Some("limit"), vec!["ten"]),
        ("/jobs?limit=1&limit=2", 400, Some("limit"), vec!["limit", "once"]),
        ("/jobs?queue=a%20b", 400, Some("queue"), vec!["a b", "1 to 128"]),
        ("/jobs?q=colour:red", 422, Some("q"), vec!["colour", "use one of"]),
        ("/jobs?q=state:dead&state=dead", 422, Some("state"), vec!["once"]),
        ("/jobs?after=x", 422, Some("after"), vec!["\"x\"", "next"]),
        ("/queues?limit=1&colour=red", 400, Some("colour"), vec!["colour", "limit"]),
        ("/overview?x=1", 400, Some("x"), vec!["x"]),
        ("/audit?target=door%207", 400, Some("target"), vec!["door 7", "job 42"]),
        ("/audit?who=%00", 400, Some("who"), vec!["128"]),
        ("/jobs/x", 404, None, vec!["\"x\"", "42"]),
        ("/jobs/7", 404, None, vec!["no job 7"]),
        ("/jobs/7/attempts", 404, None, vec!["no job 7"]),
        ("/jobs/7/logs", 404, None, vec!["no job 7"]),
        ("/jobs/7/why", 404, None, vec!["no job 7"]),
        ("/jobs/7/trace", 404, None, vec!["no job 7"]),
        ("/traces/req-9", 404, None, vec!["req-9"]),
        ("/queues/none", 404, None, vec!["\"none\""]),
        ("/queues/%FF", 404, None, vec!["UTF-8"]),
        ("/queues/a%20b", 404, None, vec!["a b"]),
        ("/workers/0", 404, None, vec!["worker 0"]),
        ("/schedules/none", 404, None, vec!["\"none\""]),
        ("/operations/9", 404, None, vec!["operation 9"]),
        ("/none", 404, None, vec!["/none", "openapi.json"]),
    ] {
        let answer = get(&url, path).await;
        assert_problem(&answer, StatusCode::from_u16(status).unwrap(), &parts);
        assert_eq!(answer.json()["parameter"].as_str(), parameter, "{path}: {}", answer.text);
    }
    for path in ["/api", "/api/", "/api/v2/jobs"] {
        let answer = client().get(format!("{url}{path}")).send().await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["content-type"]),
            (StatusCode::NOT_FOUND, &"application/problem+json".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn no_other_site_may_read_it_and_no_other_method_is_taken() {
    let pool = database().await.pool();
    let url = serve(router(pool)).await;
    let preflight = [("origin", "https://evil.example"), ("access-control-request-method", "GET")];
    for (method, headers) in [(Method::OPTIONS, &preflight[..]), (Method::GET, &preflight[..1]), (Method::PATCH, &[])] {
        let answer = ask(&url, method.clone(), "/jobs", headers).await;
        assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{:?}", answer.headers);
        if method != Method::GET {
            assert_problem(&answer, StatusCode::METHOD_NOT_ALLOWED, &[method.as_str(), "Allow"]);
            assert!(answer.headers["allow"].to_str().unwrap().contains("GET"), "{:?}", answer.headers);
        }
    }
}

#[tokio::test]
async fn the_document_is_sent_once_and_leads_to_the_api_under_every_prefix() {
    let pool = database().await.pool();
    seed(&pool).await;
    let app =
        Router::new().nest("/admin/jobs", router(pool.clone())).nest_service("/service", router(pool.clone())).merge(router(pool.clone()));
    let url = serve(app).await;
    for prefix in ["", "/admin/jobs", "/service"] {
        let place = Url::parse(&format!("{url}{prefix}{ROOT}/openapi.json")).unwrap();
        let answer = client().get(place.clone()).send().await.unwrap();
        let tag = answer.headers()["etag"].clone();
        let document: Value = answer.json().await.unwrap();
        let server = place.join(document["servers"][0]["url"].as_str().unwrap()).unwrap();
        let jobs = client().get(format!("{server}/jobs")).send().await.unwrap();
        assert_eq!(jobs.status(), StatusCode::OK, "{server}");
        let again = client().get(place).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!((again.status(), again.headers()["etag"].clone()), (StatusCode::NOT_MODIFIED, tag));
        assert_eq!(again.text().await.unwrap(), "");
    }
}

#[tokio::test]
async fn who_is_not_logged_in_is_told_so_as_a_program_is_told() {
    let pool = database().await.pool();
    let seeded = seed(&pool).await;
    let bearer = serve(Auth::bearer("ci:battery-staple").unwrap().protect(router(pool.clone()))).await;
    let document = ask(&bearer, Method::GET, "/openapi.json", &[("authorization", "Bearer battery-staple")]).await.json();
    for place in places(&document, &seeded) {
        let answer = get(&bearer, &place).await;
        assert_problem(&answer, StatusCode::UNAUTHORIZED, &["log in"]);
        assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"), "{place}");
        let known = ask(&bearer, Method::GET, &place, &[("authorization", "Bearer battery-staple")]).await;
        assert_eq!(known.status, StatusCode::OK, "{place}");
    }
    let local = serve(only_local(router(pool))).await;
    let elsewhere = ask(&local, Method::GET, "/jobs", &[("host", "evil.example")]).await;
    assert_problem(&elsewhere, StatusCode::FORBIDDEN, &["localhost"]);
}

#[tokio::test]
async fn a_database_that_does_not_answer_or_takes_too_long_is_a_problem_too() {
    let timeout = Duration::from_millis(300);
    let down = PgPoolOptions::new().acquire_timeout(timeout).connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
    let url = serve(router(down)).await;
    for path in ["/jobs", "/jobs/1", "/jobs/1/why", "/jobs/1/trace", "/causes", "/overview", "/queues", "/schedules/x", "/audit"] {
        assert_problem(&get(&url, path).await, StatusCode::SERVICE_UNAVAILABLE, &["no connection to the database"]);
    }
    let empty = serve(router(empty_database().await.pool())).await;
    assert_problem(&get(&empty, "/jobs").await, StatusCode::SERVICE_UNAVAILABLE, &["haulage migrate"]);

    let pool = database().await.pool();
    let mut locked = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE haulage.live_jobs IN ACCESS EXCLUSIVE MODE").execute(&mut *locked).await.unwrap();
    let url = serve(router(pool)).await;
    assert_problem(&get(&url, "/jobs").await, StatusCode::GATEWAY_TIMEOUT, &["2 s"]);
}

/// An answer, read.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

async fn get(url: &str, path: &str) -> Answer {
    ask(url, Method::GET, path, &[]).await
}

async fn ask(url: &str, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = client().request(method, format!("{url}{ROOT}{path}"));
    let answer = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap();
    Answer { status: answer.status(), headers: answer.headers().clone(), text: answer.text().await.unwrap() }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(PATIENCE).build().unwrap()
}

fn assert_problem(answer: &Answer, status: StatusCode, parts: &[&str]) {
    assert_eq!((answer.status, &answer.headers["content-type"]), (status, &"application/problem+json".parse().unwrap()), "{}", answer.text);
    let problem = answer.json();
    assert_eq!(problem["status"], status.as_u16(), "{problem}");
    assert!(problem["type"].as_str().unwrap().starts_with("urn:haulage:problem:") && problem["title"].is_string(), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(parts.iter().all(|part| detail.contains(part)), "{parts:?}: {problem}");
    assert_eq!(answer.headers["cache-control"], "no-store");
}

/// Whole numbers outside of what somebody else has written fit a JavaScript number.
fn assert_numbers_are_safe(place: &str, value: &Value) {
    match value {
        Value::Number(number) => {
            assert!(number.as_i64().is_none_or(|number| number.abs() < 1 << 53), "{place}: {number}");
        }
        Value::Array(values) => values.iter().for_each(|value| assert_numbers_are_safe(place, value)),
        Value::Object(fields) => {
            let ours = fields
                .iter()
                .filter(|(name, _)| !["args", "meta", "output", "fields", "before", "after", "filter"].contains(&name.as_str()));
            ours.for_each(|(_, value)| assert_numbers_are_safe(place, value));
        }
        _ => {}
    }
}

fn names(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().cloned().collect()
}

fn assert_same_names(what: &str, theirs: &Value, ours: &Value) {
    assert_eq!(names(theirs), names(ours), "{what}");
}
