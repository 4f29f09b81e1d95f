//! The dashboard over HTTP, as a browser, a proxy and a load balancer see it.
#![cfg(feature = "dashboard")]

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use axum::Router;
use haulage::{
    Job, JobFilter, JobId, JobState, Operator, Priority, SCHEMA_VERSION, Schedule, Verb,
    dashboard::{Auth, Identity, Role, only_local, router},
    declare_schedules,
};
use reqwest::{StatusCode, Url, header::HeaderMap};
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::support::{
    Count, PATIENCE, ana, database, empty_database,
    page::{self, serve},
    text::{percent, unescape},
    wait_for_state, worker,
};

/// Tags, quotes, an entity, a character that turns the direction of writing, and one that commands a terminal.
const HOSTILE: &str = "\"><script>alert('1')</script><img src=x onerror=\"a()\">&amp;\u{202e}\u{1b}[31m";

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

#[tokio::test]
async fn health_is_good_only_with_a_database_that_answers_and_a_schema_that_fits() {
    let ready = database().await;
    let (status, body) = get(&serve(router(ready.pool())).await, "/health").await;
    assert_eq!((status, json_of(&body)), (StatusCode::OK, json!({ "status": "ok", "schema_version": SCHEMA_VERSION })));

    let empty = empty_database().await;
    let (status, body) = get(&serve(router(empty.pool())).await, "/health").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(json_of(&body)["error"].as_str().unwrap().contains("run `haulage migrate`"), "{body}");

    let timeout = Duration::from_millis(300);
    let down = PgPoolOptions::new().acquire_timeout(timeout).connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
    let url = serve(router(down)).await;
    for path in ["/health", "/", "/jobs", "/jobs/1", "/stuck", "/queues", "/audit"] {
        let (status, body) = get(&url, path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {body}");
        assert!(body.contains("no connection to the database"), "{path}: {body}");
    }
}

/// Follows every link, so that a page that is linked and not there, or a link that loses the prefix, fails.
#[tokio::test]
async fn every_page_is_reached_by_relative_links_under_every_prefix() {
    let database = database().await;
    let pool = database.pool();
    let furnished = furnish(&pool).await;
    let app = Router::new()
        .nest("/admin/jobs", router(pool.clone()))
        .nest("/slash/", router(pool.clone()))
        .nest_service("/service", router(pool.clone()))
        .merge(router(pool.clone()));
    let url = serve(app).await;
    for start in ["/", "/admin/jobs", "/slash/", "/service", "/service/"] {
        let home = Url::parse(&format!("{url}{start}")).unwrap();
        let prefix = start.trim_end_matches('/').to_owned();
        let mut seen = BTreeSet::new();
        let mut waiting = VecDeque::from([home]);
        while let Some(place) = waiting.pop_front() {
            // What only differs in what is chosen is the same page.
            let page = if place.path().ends_with("/jobs") { place.as_str() } else { place.path() };
            if seen.len() > 150 || !seen.insert(page.to_owned()) {
                continue;
            }
            let answer = client().get(place.clone()).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{place}");
            assert_guarded(answer.headers());
            if !answer.headers()["content-type"].to_str().unwrap().starts_with("text/html") {
                assert!(answer.headers()["cache-control"].to_str().unwrap().contains("immutable"), "{place}");
                continue;
            }
            let html = answer.text().await.unwrap();
            assert_plain(place.as_str(), &html);
            for link in attributes(&html, "href").into_iter().chain(attributes(&html, "src")) {
                if link.starts_with('#') {
                    continue;
                }
                assert!(link.starts_with("./") || link.starts_with("../"), "{place}: {link}");
                let target = place.join(&link).unwrap();
                assert!(target.path().starts_with(&format!("{prefix}/")), "{place}: {link} leaves {prefix}");
                waiting.push_back(target);
            }
        }
        let paths =
            ["/stuck", "/queues", "/queues/mail", "/workers", "/schedules", "/schedules/nightly", "/operations", "/operations/1", "/audit"];
        let jobs = [furnished.dead, furnished.child].map(|id| format!("/jobs/{id}"));
        for path in paths.into_iter().map(ToOwned::to_owned).chain(jobs) {
            assert!(seen.iter().any(|seen| seen.ends_with(&path)), "{start}: {path} is linked nowhere: {seen:#?}");
        }
    }
}

#[tokio::test]
async fn hostile_texts_in_every_field_are_shown_and_never_taken_for_html() {
    let database = database().await;
    let pool = database.pool();
    let id = plant(&pool, HOSTILE).await;
    let url = serve(router(pool.clone())).await;
    let name = percent(HOSTILE);
    let echoes = format!("/jobs/{}", id.0 + 1);
    let shows = ["/", "/stuck", "/jobs", "/queues", "/workers", "/schedules", "/operations", "/operations/1", "/audit"]
        .map(ToOwned::to_owned)
        .into_iter()
        .chain([
            format!("/jobs/{id}"),
            format!("/workers/{id}"),
            echoes,
            format!("/queues/{name}"),
            format!("/schedules/{name}"),
            format!("/audit?who={name}"),
        ])
        .collect::<BTreeSet<_>>();
    let paths = [
        "/".to_owned(),
        "/stuck".to_owned(),
        "/jobs".to_owned(),
        format!("/jobs?q={name}"),
        format!("/jobs?state={name}"),
        format!("/jobs?before={name}"),
        format!("/jobs?q=error:{name}"),
        format!("/jobs/{id}"),
        format!("/jobs/{}", id.0 + 1),
        format!("/jobs/{name}"),
        "/queues".to_owned(),
        format!("/queues/{name}"),
        "/workers".to_owned(),
        format!("/workers/{id}"),
        format!("/workers/{name}"),
        "/schedules".to_owned(),
        format!("/schedules/{name}"),
        format!("/schedules/x{name}"),
        format!("/schedules?after={name}"),
        "/operations".to_owned(),
        "/operations/1".to_owned(),
        format!("/operations/{name}"),
        "/audit".to_owned(),
        format!("/audit?who={name}"),
        format!("/audit?target={name}"),
        format!("/{name}"),
    ];
    for path in paths {
        let answer = client().get(format!("{url}{path}")).send().await.unwrap();
        assert_guarded(answer.headers());
        assert!(!answer.status().is_server_error(), "{path}: {}", answer.text().await.unwrap());
        let page = answer.text().await.unwrap();
        assert_plain(&path, &page);
        let is_shown = page.contains("&#60;script&#62;alert") && page.contains("⟨U+202E⟩⟨U+001B⟩[31m");
        assert!(is_shown || !shows.contains(&path), "{path}: {page}");
    }
    let named = serve(router(pool.clone()).layer(axum::Extension(Identity { name: HOSTILE.to_owned(), role: Role::Admin }))).await;
    let (_, page) = get(&named, "/workers").await;
    assert!(page.contains("<span>&#34;&#62;&#60;script"), "{page}");
    let (_, body) = get(&url, "/api/v1/jobs").await;
    assert!(body.contains("<script>alert"), "JSON is data: {body}");
}

#[tokio::test]
async fn jobs_are_listed_newest_first_page_by_page_to_the_last() {
    let database = database().await;
    let pool = database.pool();
    let mut ids = enqueue(&pool, "default", 120).await;
    enqueue(&pool, "other:queue/1", 1).await;
    let url = serve(router(pool.clone())).await;

    ids.reverse();
    let shown = walk(&url, "/jobs?q=queue%3Adefault&state=available").await;
    assert_eq!(shown, ids.iter().map(ToString::to_string).collect::<Vec<_>>());

    let (_, page) = get(&url, "/jobs?q=queue:none").await;
    assert!(page.contains("No job matches"), "{page}");
    let answer = page::client().get(format!("{url}/jobs?q=%2342")).send().await.unwrap();
    assert_eq!((answer.status(), &answer.headers()["location"]), (StatusCode::SEE_OTHER, &"./jobs/42".parse().unwrap()));
}

#[tokio::test]
async fn attempts_schedules_operations_and_deeds_are_shown_page_by_page_to_the_last() {
    let database = database().await;
    let pool = database.pool();
    let id = enqueue(&pool, "default", 1).await[0];
    for statement in [
        "INSERT INTO haulage.attempts (job_id, attempt, outcome, message) SELECT min(id), n, 'failed', 'no ' || n FROM haulage.live_jobs, generate_series(1, 45) AS n GROUP BY n",
        "UPDATE haulage.live_jobs SET attempt = 45, failures = 20",
        "INSERT INTO haulage.schedules (name, owner, cron, zone, missed, overlap, jitter_ms, kind, queue, args, priority, max_attempts, next_at)
         SELECT 's' || n, 'o', '0 0 * * *', 'UTC', 0, 0, 0, 'k', 'q', '{}', 1, 1, now() + interval '1 hour' FROM generate_series(100, 219) AS n",
        "INSERT INTO haulage.operations (who, verb, filter, up_to) SELECT 'ana', 'retry', '{}', 1 FROM generate_series(1, 120)",
        "INSERT INTO haulage.audit (who, verb, target) SELECT 'ana', 'pause', 'queue q' || n FROM generate_series(1, 120) AS n",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let url = serve(router(pool)).await;
    for (path, prefix, most) in [
        (format!("/jobs/{id}"), "<li class=\"st-dead\" id=\"attempt-", 45),
        ("/schedules".to_owned(), "<td class=\"name\"><a href=\"./schedules/s", 120),
        ("/operations".to_owned(), "<td class=\"name\"><a href=\"./operations/", 120),
        ("/audit".to_owned(), "<td><a href=\"./queues/q", 120),
    ] {
        let found = walk_for(&url, &path, prefix).await;
        assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (most, most), "{path}: {found:?}");
    }
}

/// A job that was run anew counts from 1 again.
#[tokio::test]
async fn attempts_with_one_number_are_shown_page_by_page_to_the_last() {
    let database = database().await;
    let pool = database.pool();
    let id = enqueue(&pool, "default", 1).await[0];
    sqlx::query(
        "INSERT INTO haulage.attempts (job_id, attempt, outcome, message, ended_at)
         SELECT $1, 1, 'failed', 'said ' || n, now() + n * interval '1 microsecond' FROM generate_series(1, 45) AS n",
    )
    .bind(id.0)
    .execute(&pool)
    .await
    .unwrap();
    let found = walk_for(&serve(router(pool)).await, &format!("/jobs/{id}"), "<pre>said ").await;
    assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (45, 45), "{found:?}");
}

/// There is no index by person: a page looks at 20,000 entries and leads on.
#[tokio::test]
async fn deeds_of_a_person_are_found_however_far_down() {
    let database = database().await;
    let pool = database.pool();
    sqlx::raw_sql(
        "INSERT INTO haulage.audit (who, verb, target) VALUES ('ben', 'pause', 'queue old');
         INSERT INTO haulage.audit (who, verb, target) SELECT 'ana', 'pause', 'queue q' FROM generate_series(1, 20100)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let url = serve(router(pool)).await;
    let (_, page) = get(&url, "/audit?who=ben").await;
    assert!(page.contains("Nothing matches among the newest") && page.contains("Search further"), "{page}");
    assert_eq!(walk_for(&url, "/audit?who=ben", "<td><a href=\"./queues/").await, ["old"]);
    let (_, page) = get(&url, "/audit?who=nobody&before=50").await;
    assert!(page.contains("Nothing is written down that matches"), "{page}");
}

#[tokio::test]
async fn pages_show_themselves_when_what_is_wrong_cannot_be_told() {
    let database = database().await;
    let pool = database.pool();
    enqueue(&pool, "default", 1).await;
    sqlx::query("ALTER TABLE haulage.schedules RENAME TO schedules_of_before").execute(&pool).await.unwrap();
    let url = serve(router(pool)).await;
    let (status, page) = get(&url, "/").await;
    assert!(status == StatusCode::OK && page.contains("The database did not say in time"), "{status} {page}");
    let (status, page) = get(&url, "/queues/default").await;
    assert!(status == StatusCode::OK && page.contains("Waiting, by priority"), "{status} {page}");
    assert!(get(&url, "/stuck").await.0.is_server_error());
}

#[tokio::test]
async fn a_job_is_shown_without_its_story_when_that_takes_too_long() {
    let database = database().await;
    let pool = database.pool();
    let id = enqueue(&pool, "default", 1).await[0];
    let mut other = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE haulage.audit IN ACCESS EXCLUSIVE MODE").execute(&mut *other).await.unwrap();
    let (status, page) = get(&serve(router(pool)).await, &format!("/jobs/{id}")).await;
    assert!(status == StatusCode::OK && page.contains("Arguments") && !page.contains("What took the time"), "{status} {page}");
    other.rollback().await.unwrap();
}

#[tokio::test]
async fn a_dashboard_without_a_log_in_answers_only_to_names_of_this_machine() {
    let url = serve(only_local(router(database().await.pool()))).await;
    for (host, status) in [
        ("localhost:8090", StatusCode::OK),
        ("127.0.0.1", StatusCode::OK),
        ("[::1]:8090", StatusCode::OK),
        ("evil.example", StatusCode::FORBIDDEN),
        ("127.0.0.1.evil.example:8090", StatusCode::FORBIDDEN),
    ] {
        let answer = client().get(format!("{url}/queues")).header("host", host).send().await.unwrap();
        assert_guarded(answer.headers());
        assert_eq!(answer.status(), status, "{host}");
    }
}

#[tokio::test]
async fn a_page_of_what_is_not_there_says_so_and_leads_on() {
    let url = serve(router(database().await.pool())).await;
    for (path, part, link) in [
        ("/jobs/999999", "There is no job 999999", "../jobs"),
        ("/jobs/x", "whole number", "../jobs"),
        ("/queues/none", "No queue none is known", "../queues"),
        ("/workers/7", "stopped in order", "../workers"),
        ("/schedules/none", "There is no schedule none", "../schedules"),
        ("/operations/7", "no such operation", "../operations"),
        ("/nothing/at/all", "no page here", "../../jobs"),
    ] {
        let (status, page) = get(&url, path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.contains(part) && page.contains(&format!("class=\"btn\" href=\"{link}\"")), "{path}: {page}");
    }
    for (path, part) in [
        ("/", "No queue is in use"),
        ("/jobs", "No job has been enqueued yet"),
        ("/stuck", "Nothing is stuck"),
        ("/queues", "No queue is in use"),
        ("/workers", "No worker is known"),
        ("/schedules", "No schedule is declared"),
        ("/operations", "No operation was ever started"),
        ("/audit", "Nothing is written down"),
    ] {
        let (status, page) = get(&url, path).await;
        assert!(status == StatusCode::OK && page.contains(part), "{path}: {page}");
    }
}

#[tokio::test]
async fn a_bad_query_is_answered_with_a_sentence_and_its_place() {
    let url = serve(router(database().await.pool())).await;
    for (query, value, remedy) in [
        ("state=done", "done", "completed"),
        ("before=x", "x", "whole number"),
        ("state=dead&state=dead", "state", "duplicate"),
        ("q=colour:red", "colour", "use one of kind, queue"),
        ("q=queue:a%20b%20c", "kind", "twice"),
    ] {
        let (status, body) = get(&url, &format!("/jobs?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {body}");
        assert!(body.contains(value) && body.contains(remedy), "{query}: {body}");
    }
    let (_, page) = get(&url, "/jobs?q=kind:a%20colour:red").await;
    assert!(page.contains("kind:a colour:red\n       ^"), "{page}");
    for path in ["/operations?before=x", "/audit?before=x", "/audit?target=door%207", "/audit?target=job%20x", "/schedules?after=%00"] {
        assert_eq!(get(&url, path).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
    let (status, body) = get(&serve(router(empty_database().await.pool())).await, "/").await;
    assert!(status == StatusCode::SERVICE_UNAVAILABLE && body.contains("haulage migrate"), "{body}");
}

#[tokio::test]
async fn secrets_in_args_errors_and_output_are_hidden_wherever_a_job_is_shown() {
    let database = database().await;
    let pool = database.pool();
    let id = Count { n: 1 }.with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    let text = "can't reach postgres://app:hunter2@db/x with Authorization: Bearer abcdef0123456789";
    let worker =
        worker(&pool).handle(move |_: Count| async move { Err::<(), _>(anyhow::anyhow!(text)) }).build().unwrap().start().await.unwrap();
    wait_for_state(&pool, id, JobState::Dead).await;
    worker.shutdown().await;
    let secret =
        json!({ "api_key": "hunter3", "nested": [{ "userPassword": { "deep": "hunter4" } }], "order": 918_273_645_546_372_819_i64 });
    sqlx::query("UPDATE haulage.finished_jobs SET args = $1, output = $1, meta = $1").bind(&secret).execute(&pool).await.unwrap();
    Operator::new("ana").because("for a drill").retry(&pool, id).await.unwrap();

    let url = serve(router(pool)).await;
    for path in
        ["/".to_owned(), "/jobs".to_owned(), format!("/jobs/{id}"), "/api/v1/jobs".to_owned(), "/stuck".to_owned(), "/audit".to_owned()]
    {
        let (status, page) = get(&url, &path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(!page.contains("hunter") && !page.contains("abcdef0123456789"), "{path}: {page}");
    }
    let (_, page) = get(&url, &format!("/jobs/{id}")).await;
    assert!(page.contains("••••••") && page.contains("918273645546372819") && page.contains("for a drill"), "{page}");
}

#[tokio::test]
async fn secrets_are_hidden_in_whatever_else_is_said_of_a_job() {
    let database = database().await;
    let pool = database.pool();
    // Long enough to be cut in the middle wherever somebody cuts.
    let secret = format!("{} can't reach postgres://app:{}@db/x", "so ".repeat(25), "Q".repeat(400));
    let short = "api_key=QQQQ and postgres://app:QQQQ@db/x";
    let id = enqueue(&pool, "q", 1).await[0];
    let run = async |sql: &'static str| sqlx::query(sql).bind(&secret).bind(short).bind(id.0).execute(&pool).await.unwrap();
    run("UPDATE haulage.live_jobs SET state = 2, lease = 5, failures = 1, attempt = 2,
             origin = jsonb_build_object('request_id', $1::text, 'route', $2::text, 'access_key', 'QQQQ') WHERE id = $3")
    .await;
    run("INSERT INTO haulage.leases (id, worker, ids) SELECT 5, 77, ARRAY[$3::bigint] WHERE $1::text <> $2::text").await;
    run("INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms)
         SELECT 77, 'w', '1', ARRAY['q'], ARRAY[1], ARRAY['k'], 600000 WHERE $1::text <> $2::text AND $3::bigint > 0")
    .await;
    run("INSERT INTO haulage.progress (job_id, lease, percent, message) SELECT $3, 5, 50, $1 || $2").await;
    run("INSERT INTO haulage.cancel_requests (job_id, reason) SELECT $3, $1 || $2").await;
    run("INSERT INTO haulage.attempts (job_id, attempt, outcome, error_class, message) VALUES ($3, 1, 'failed', $2, $1)").await;
    run("INSERT INTO haulage.attempt_logs (job_id, attempt, ended_at, earlier, lines)
         SELECT job_id, attempt, ended_at, 0, jsonb_build_array(jsonb_build_object('before_us', 1, 'level', 'ERROR', 'target', 't', 'message',
             $1::text, 'fields', jsonb_build_object('n', $2::text, 'pass', 'QQQQ'))) FROM haulage.attempts WHERE job_id = $3").await;
    run("INSERT INTO haulage.finished_jobs (id, run_at, eligible_at, created_at, claimed_at, attempt, priority, failures, max_attempts, crashes, state,
             kind_revision, queue, kind, args, error, parent_id, root_id)
         SELECT nextval('haulage.live_jobs_id_seq'), now(), now(), now(), now(), 1, 1, 1, 1, 0, 6, 0, 'q', 'k', jsonb_build_object('x', $2::text), $1, $3, $3").await;
    // It died of its attempt, which is a cause.
    run("INSERT INTO haulage.attempts (job_id, attempt, ended_at, outcome, error_class, message)
         SELECT id, attempt, finished_at, 'failed', $2, $1 FROM haulage.finished_failed WHERE parent_id = $3")
    .await;
    run("INSERT INTO haulage.queues (name, paused_at, paused_by, paused_why) SELECT 'q', now(), 'ana', $1 || $2 WHERE $3::bigint > 0")
        .await;
    run("INSERT INTO haulage.schedules (name, owner, cron, zone, missed, overlap, jitter_ms, kind, queue, args, priority, max_attempts, next_at,
             paused_at, paused_by, paused_why)
         SELECT 's', 'o', '0 0 * * *', 'UTC', 0, 0, 0, 'k', 'q', '{}', 1, 1, now(), now(), 'ana', $1 || $2 WHERE $3::bigint > 0").await;
    run("INSERT INTO haulage.operations (who, reason, verb, filter, up_to, failed)
         SELECT 'ana', $1, 'retry', jsonb_build_object('error', $2::text, 'args', jsonb_build_object('token', 'QQQQ')), $3,
             jsonb_build_object($1::text, 1)")
    .await;
    run("INSERT INTO haulage.audit (who, verb, target, jobs, reason, after) VALUES ('ana', 'retry', 'queue q', ARRAY[$3], $1, jsonb_build_object('why', $2::text))").await;
    run("INSERT INTO haulage.audit (who, verb, target, reason, operation) SELECT 'ana', 'start retry', t, $1 || $2, 1
         FROM (VALUES ('schedule s'), ('operation 1')) AS v (t) WHERE $3::bigint > 0")
    .await;
    let url = serve(router(pool)).await;
    let (job, dead) = (format!("/jobs/{id}"), format!("/jobs/{}", id.0 + 1));
    for path in [
        "/",
        "/stuck",
        "/jobs",
        "/api/v1/jobs",
        &job,
        &dead,
        "/queues",
        "/queues/q",
        "/workers",
        "/workers/77",
        "/schedules",
        "/schedules/s",
        "/operations",
        "/operations/1",
        "/audit",
    ] {
        let (status, page) = get(&url, path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {page}");
        assert!(!page.contains("QQQ"), "{path}: {page}");
        assert!(page.contains("••••••") || matches!(path, "/workers" | "/schedules"), "{path}: {page}");
    }
    let (_, page) = get(&url, &job).await;
    for part in ["50 %", "asked to stop", "1 line logged", "ERROR", "pass=••••••", "access_key ••••••"] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[tokio::test]
async fn a_page_that_the_database_keeps_waiting_is_given_up() {
    let database = database().await;
    let pool = database.pool();
    let mut other = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE haulage.live_jobs IN ACCESS EXCLUSIVE MODE").execute(&mut *other).await.unwrap();
    let (status, page) = get(&serve(router(pool)).await, "/jobs").await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert!(page.contains("to spare the database"), "{page}");
    other.rollback().await.unwrap();
}

#[tokio::test]
async fn the_theme_is_remembered_and_leads_back_to_the_page_and_nowhere_else() {
    let url = serve(Router::new().nest("/jobs", router(database().await.pool()))).await;
    let client = page::client();
    for (to, here, cookie, location) in [
        ("dark", "queues?x=1", "haulage_theme=dark", "./queues?x=1"),
        ("light", "//evil.example", "haulage_theme=light", "./overview"),
        ("<x>", "/\\evil", "haulage_theme=system", "./overview"),
    ] {
        let answer = client.post(format!("{url}/jobs/theme")).body(format!("to={}&here={}", percent(to), percent(here)));
        let answer = answer.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        let header = |name| answer.headers()[name].to_str().unwrap();
        assert_eq!((answer.status(), header("location")), (StatusCode::SEE_OTHER, location));
        assert!(header("set-cookie").starts_with(cookie) && header("set-cookie").contains("SameSite=Lax"), "{to}");
    }
    let page = client.get(format!("{url}/jobs/queues")).header("cookie", "a=b; haulage_theme=dark").send().await.unwrap();
    assert!(page.text().await.unwrap().contains("<html lang=\"en\" data-theme=\"dark\">"));
}

#[tokio::test]
async fn only_who_is_known_is_let_in() {
    let pool = database().await.pool();
    let basic = serve(Auth::basic("ana:correct-horse\nben:battery-staple").unwrap().protect(router(pool.clone()))).await;
    let bearer = serve(Auth::bearer("prometheus:0123456789abcdef").unwrap().protect(router(pool.clone()))).await;
    let proxy = Auth::proxy(vec!["127.0.0.0/8".parse().unwrap()], "X-Forwarded-User").unwrap();
    let proxy = serve(Router::new().nest("/jobs", proxy.protect(router(pool.clone())))).await + "/jobs";
    let other = Auth::proxy(vec!["10.0.0.0/8".parse().unwrap()], "X-Forwarded-User").unwrap();
    let other = serve(other.protect(router(pool))).await;
    let ask = async |url: &str, headers: &[(&'static str, &str)]| {
        let request = headers.iter().fold(client().get(format!("{url}/queues")), |request, (name, value)| request.header(*name, *value));
        let answer = request.send().await.unwrap();
        let challenge = answer.headers().get("www-authenticate").map_or("", |value| value.to_str().unwrap()).to_owned();
        assert_guarded(answer.headers());
        (answer.status(), challenge, answer.text().await.unwrap())
    };
    for (url, headers, name) in [
        (&basic, &[("authorization", "Basic YW5hOmNvcnJlY3QtaG9yc2U=")][..], "ana"),
        (&bearer, &[("authorization", "Bearer 0123456789abcdef")], "prometheus"),
        (&proxy, &[("x-forwarded-user", "ana@example.org")], "ana@example.org"),
    ] {
        let (status, _, page) = ask(url, headers).await;
        assert!(status == StatusCode::OK && page.contains(&format!("<span>{name}</span>")), "{name}: {status} {page}");
    }
    for (url, headers, challenge) in [
        (&basic, &[][..], "Basic realm"),
        (&basic, &[("authorization", "Basic YW5hOndyb25n")], "Basic realm"),
        (&basic, &[("authorization", "Basic YW5hOmJhdHRlcnktc3RhcGxl")], "Basic realm"),
        (&basic, &[("authorization", "Bearer correct-horse")], "Basic realm"),
        (&basic, &[("x-forwarded-user", "ana")], "Basic realm"),
        (&bearer, &[], "Bearer realm"),
        (&bearer, &[("authorization", "Bearer 0123456789abcdeg")], "invalid_token"),
        (&proxy, &[], ""),
        (&proxy, &[("x-forwarded-user", "")], ""),
        (&proxy, &[("x-forwarded-user", "eve"), ("x-forwarded-user", "ana")], ""),
    ] {
        let (status, given, page) = ask(url, headers).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{headers:?}");
        assert!(given.contains(challenge) && !page.contains("<html"), "{headers:?}: {given} {page}");
    }
    assert_eq!(ask(&other, &[("x-forwarded-user", "ana")]).await.0, StatusCode::FORBIDDEN);
    // Every route but the health check and the assets.
    for path in [
        "/",
        "/stuck",
        "/jobs",
        "/jobs/1",
        "/api/v1/jobs",
        "/workers/1",
        "/metrics",
        "/theme",
        "/none",
        "/health/x",
        "/assets/",
        "/assets/none.css",
        "/assets/a/b",
    ] {
        assert_eq!(client().get(format!("{basic}{path}")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(client().get(format!("{basic}/health")).send().await.unwrap().status(), StatusCode::OK);
    let (_, _, page) = ask(&basic, &[("authorization", "Basic YW5hOmNvcnJlY3QtaG9yc2U=")]).await;
    let style = attributes(&page, "href").into_iter().find(|link| link.ends_with(".css")).unwrap();
    assert_eq!(client().get(format!("{basic}{}", &style[1..])).send().await.unwrap().status(), StatusCode::OK);
    let zoe = client().get(format!("{proxy}/queues")).header("x-forwarded-user", "Zoë".as_bytes());
    assert!(zoe.send().await.unwrap().text().await.unwrap().contains("<span>Zoë</span>"));
}

/// The jobs of a database in which every page has something to show.
pub(crate) struct Furnished {
    pub(crate) dead: JobId,
    pub(crate) child: JobId,
}

pub(crate) async fn furnish(pool: &PgPool) -> Furnished {
    let dead = Count { n: 1 }.with().max_attempts(1).priority(Priority::Low).tag("eu").enqueue(pool).await.unwrap().id();
    let failing =
        worker(pool).handle(|_: Count| async { Err::<(), _>(anyhow::anyhow!("no paper")) }).build().unwrap().start().await.unwrap();
    wait_for_state(pool, dead, JobState::Dead).await;
    let child: i64 = sqlx::query_scalar("SELECT job_id FROM haulage.enqueue('sync', '{\"a\": [1, {}]}', queue => 'mail', parent_id => $1)")
        .bind(dead.0)
        .fetch_one(pool)
        .await
        .unwrap();
    declare_schedules(pool, "shop", vec![Schedule::new("nightly", "30 2 * * *", Count { n: 7 })]).await.unwrap();
    let operator = ana();
    operator.pause_queue(pool, "mail", None).await.unwrap();
    operator.run_schedule(pool, "nightly").await.unwrap();
    operator.start(pool, Verb::Hold, &JobFilter::new().queue("mail")).await.unwrap();
    // It stays alive in the list: the process ends with the test.
    std::mem::forget(failing);
    Furnished { dead, child: JobId(child) }
}

/// A job, and after it a dead one, a worker with the job's id, a queue, a schedule, an operation, deeds: with the text wherever one can
/// stand.
pub(crate) async fn plant(pool: &PgPool, text: &str) -> JobId {
    let h = text;
    let object = json!({ h: h, "list": [h] });
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO haulage.live_jobs (kind, queue, args, meta, tags, limit_key, tracestate, origin, failures, attempt)
         VALUES ($1, $1, $2, $2, ARRAY[$1], $1, $1, $2, 2, 2) RETURNING id",
    )
    .bind(h)
    .bind(&object)
    .fetch_one(pool)
    .await
    .unwrap();
    let run = async |sql: &'static str| sqlx::query(sql).bind(h).bind(&object).bind(id).execute(pool).await.unwrap();
    run("INSERT INTO haulage.finished_jobs (id, run_at, eligible_at, created_at, claimed_at, attempt, priority, failures, max_attempts, crashes, state,
             kind_revision, queue, kind, args, output, error, parent_id, root_id, worker)
         VALUES (nextval('haulage.live_jobs_id_seq'), now(), now(), now(), now(), 1, 1, 1, 1, 0, 6, 0, $1, $1, $2, $2, $1, $3, $3, $3)").await;
    run("INSERT INTO haulage.attempts (job_id, attempt, outcome, error_class, message, worker_name, claimed_at)
         SELECT $3, 1, 'failed', $1, $1, $1, now() WHERE $2::jsonb IS NOT NULL")
    .await;
    run("INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms)
         SELECT $3, $1, $1, ARRAY[$1], ARRAY[1], ARRAY[$1], 600000 WHERE $2::jsonb IS NOT NULL")
    .await;
    run("INSERT INTO haulage.queues (name, paused_at, paused_by, paused_why)
         SELECT $1, now(), $1, $1 WHERE $2::jsonb IS NOT NULL AND $3::bigint > 0")
    .await;
    run("INSERT INTO haulage.key_limits (key, max_running, set_by) SELECT $1, 1, $1 WHERE $2::jsonb IS NOT NULL AND $3::bigint > 0").await;
    run("INSERT INTO haulage.schedules (name, owner, cron, zone, missed, overlap, jitter_ms, kind, queue, args, priority, max_attempts, next_at,
             last_job, paused_at, paused_by, paused_why)
         VALUES ($1, $1, $1, $1, 0, 0, 0, $1, $1, $2, 1, 1, now(), $3, now(), $1, $1)").await;
    run("INSERT INTO haulage.operations (who, reason, verb, filter, up_to, skipped, failed)
         VALUES ($1, $1, 'retry', jsonb_build_object('queue', $1::text, 'error', $1::text), $3, jsonb_build_object($1::text, 3),
                 coalesce(jsonb_build_object($1::text, 2), $2::jsonb))")
    .await;
    run("INSERT INTO haulage.audit (who, verb, target, jobs, reason, before, after) VALUES ($1, $1, $1, ARRAY[$3], $1, $2, $2)").await;
    run("INSERT INTO haulage.audit (who, verb, target, reason, after, operation)
         SELECT $1, $1, t || $1, $1, $2, o FROM (VALUES ('queue ', NULL), ('schedule ', NULL), ('key ', NULL), ('operation ', 1)) AS v (t, o)
         WHERE $3::bigint > 0").await;
    JobId(id)
}

/// Serves until the test's runtime ends.
fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(PATIENCE).build().unwrap()
}

async fn get(url: &str, path: &str) -> (StatusCode, String) {
    let answer = client().get(format!("{url}{path}")).send().await.unwrap();
    assert_guarded(answer.headers());
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert_plain(path, &body);
    (status, body)
}

/// The ids of the jobs on a page and all that follow it.
async fn walk(url: &str, path: &str) -> Vec<String> {
    walk_for(url, path, "<span class=\"id\">").await
}

/// What stands behind this, up to the next quote or tag, on a page and all that follow it.
async fn walk_for(url: &str, path: &str, before: &str) -> Vec<String> {
    let mut place = Url::parse(&format!("{url}{path}")).unwrap();
    let mut found = Vec::new();
    for _ in 0..20 {
        let page = client().get(place.clone()).send().await.unwrap().text().await.unwrap();
        found.extend(page.split(before).skip(1).map(|rest| rest.split(['"', '<']).next().unwrap().to_owned()));
        let Some((_, after)) = page.split_once("rel=\"next\" href=\"") else { return found };
        place = place.join(&unescape(after.split('"').next().unwrap())).unwrap();
    }
    panic!("{path} has no end: {found:?}");
}

fn assert_guarded(headers: &HeaderMap) {
    for (name, value) in [("content-security-policy", POLICY), ("x-content-type-options", "nosniff"), ("referrer-policy", "same-origin")] {
        assert_eq!(headers[name], value);
    }
    let cache = headers["cache-control"].to_str().unwrap();
    assert!(cache == "no-store" || cache.contains("immutable"), "{cache}");
}

/// Nothing on the page runs or styles but our own files, and nothing on it is hidden or turns around.
fn assert_plain(place: &str, page: &str) {
    if !page.starts_with("<!doctype html>") {
        return;
    }
    for tag in page.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        let name = tag.split([' ', '\n']).next().unwrap();
        assert!(!matches!(name, "style" | "img" | "iframe" | "object" | "base"), "{place}: <{tag}>");
        assert!(name != "script" || tag.contains(" src=\""), "{place}: <{tag}>");
        // What stands in quotes is no attribute.
        let bare: String = tag.split('"').step_by(2).collect();
        assert!(!bare.contains(" style=") && !bare.split_whitespace().any(|word| word.starts_with("on")), "{place}: <{tag}>");
    }
    assert!(!page.chars().any(|c| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}'), "{place}");
}

/// The values of an attribute, in order.
fn attributes(page: &str, name: &str) -> Vec<String> {
    page.split(&format!(" {name}=\"")).skip(1).map(|rest| unescape(rest.split('"').next().unwrap())).collect()
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
