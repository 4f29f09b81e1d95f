//! What people do by the dashboard: who may, what it changes, and what is refused. Over HTTP, as a browser without a script does it.
#![cfg(feature = "dashboard")]

use std::{fs, net::SocketAddr, path::Path};

use axum::Router;
use haulage::{
    AuditEntry, AuditFilter, Job, JobFilter, JobId, JobState, OperationId, OperationState, Priority, Schedule, Verb,
    dashboard::{Auth, read_only, router},
    declare_schedules, list_audit, operation,
};
use reqwest::{Method, StatusCode};
use sqlx::PgPool;

use crate::support::{Count, PATIENCE, ana, database, eventually, jobs_in};

/// A viewer, an operator and an admin.
const CREDENTIALS: &str = "vic:correct-horse\nola operator:battery-staple\nzoe admin:unguessable";
const PEOPLE: [&str; 3] = ["vic", "ola", "zoe"];

/// Each deed, by whom, and what it leaves behind: one value by a query, and a row of the audit.
#[tokio::test]
async fn each_deed_changes_what_it_says_and_is_in_the_audit_with_who_and_why() {
    let database = database().await;
    let pool = database.pool();
    let url = serve(&pool).await;
    declare_schedules(&pool, "shop", vec![Schedule::new("nightly", "30 2 * * *", Count { n: 7 })]).await.unwrap();
    let id = enqueue(&pool, 1).await[0];
    let job = id.to_string();
    let state = format!("SELECT state FROM haulage.jobs WHERE id = {id}");
    let (ola, zoe) = (Browser::open(&url, "ola").await, Browser::open(&url, "zoe").await);
    let on_job = |act: &'static str| vec![("of", "job"), ("act", act), ("id", job.as_str())];
    let named = |of: &'static str, act: &'static str, name: &'static str| vec![("of", of), ("act", act), ("name", name)];
    let with = |mut fields: Vec<(&'static str, &'static str)>, more: &[(&'static str, &'static str)]| {
        fields.extend_from_slice(more);
        fields
    };
    let paused = |table: &str, name: &str| {
        format!("SELECT concat_ws(' ', paused_by, paused_why, (paused_until > now())::text) FROM haulage.{table} WHERE name = '{name}'")
    };
    let of_job = |column: &str| format!("SELECT {column}::text FROM haulage.jobs WHERE id = {id}");
    let moved = |act, field: (&'static str, &'static str)| {
        let mut fields = on_job(act);
        fields.push(field);
        fields
    };
    for (by, fields, query, after, verb) in [
        (&ola, on_job("hold"), state.clone(), "parked", "hold"),
        (&ola, on_job("release"), state.clone(), "available", "release"),
        (&ola, moved("move", ("to", "mail")), of_job("queue"), "mail", "move"),
        (&ola, moved("reprioritise", ("priority", "urgent")), of_job("priority"), "0", "reprioritise"),
        (&zoe, moved("edit-args", ("args", "{\"n\": 43}")), of_job("args"), "{\"n\": 43}", "edit-args"),
        (&ola, on_job("discard"), state.clone(), "dead", "discard"),
        (&ola, on_job("retry"), state.clone(), "available", "retry"),
        (&ola, on_job("cancel"), state.clone(), "cancelled", "cancel"),
        (&ola, on_job("run-again"), "SELECT count(*)::text FROM haulage.jobs WHERE kind = 'count'".to_owned(), "2", "run-again"),
        (&zoe, on_job("delete"), format!("SELECT count(*)::text FROM haulage.jobs WHERE id = {id}"), "0", "delete"),
        (&ola, with(named("queue", "pause", "mail"), &[("length", "2h")]), paused("queues", "mail"), "ola a drill true", "pause"),
        (
            &ola,
            named("queue", "resume", "mail"),
            "SELECT count(*)::text FROM haulage.queues WHERE paused_at IS NOT NULL".into(),
            "0",
            "resume",
        ),
        (
            &zoe,
            with(named("queue", "limit", "mail"), &[("most", "3")]),
            "SELECT max_running::text FROM haulage.queues WHERE name = 'mail'".into(),
            "3",
            "limit",
        ),
        (
            &zoe,
            with(named("key", "limit", "tenant:7"), &[("most", "2")]),
            "SELECT max_running::text FROM haulage.key_limits WHERE key = 'tenant:7'".into(),
            "2",
            "limit",
        ),
        (&ola, named("schedule", "pause", "nightly"), paused("schedules", "nightly"), "ola a drill", "pause"),
        (
            &ola,
            named("schedule", "resume", "nightly"),
            "SELECT count(*)::text FROM haulage.schedules WHERE paused_at IS NOT NULL".into(),
            "0",
            "resume",
        ),
        (
            &ola,
            named("schedule", "run-now", "nightly"),
            "SELECT count(*)::text FROM haulage.jobs WHERE args->>'n' = '7'".into(),
            "1",
            "run-now",
        ),
    ] {
        let name = format!("{} {}", fields[0].1, fields[1].1);
        let before = deeds(&pool).await.len();
        let mut fields = fields;
        fields.extend([("reason", "a drill"), ("here", "queues")]);
        let (status, said) = by.act(&fields).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{name}: {said}");
        assert!(!said.is_empty(), "{name} says nothing");
        let now: String = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&pool).await.unwrap();
        assert_eq!(now, after, "{name}: {said}");
        let deeds = deeds(&pool).await;
        let newest = deeds.first().unwrap();
        assert_eq!(deeds.len(), before + 1, "{name}");
        assert_eq!((newest.verb.as_str(), newest.who.as_str(), newest.reason.as_deref()), (verb, by.who, Some("a drill")), "{name}");
    }
}

/// The reason can't be kept without the deed, nor the deed without its row: both are one transaction.
#[tokio::test]
async fn a_deed_that_cannot_be_written_to_the_audit_is_not_done() {
    let database = database().await;
    let pool = database.pool();
    let url = serve(&pool).await;
    let id = enqueue(&pool, 1).await[0];
    sqlx::query("ALTER TABLE haulage.audit ADD CONSTRAINT refused CHECK (verb <> 'hold')").execute(&pool).await.unwrap();
    let (status, said) = Browser::open(&url, "ola").await.act(&[("of", "job"), ("act", "hold"), ("id", &id.to_string())]).await;
    assert!(status.is_server_error(), "{status} {said}");
    assert_eq!(jobs_in(&pool, JobState::Available).await, 1);
}

#[tokio::test]
async fn what_no_longer_applies_is_said_and_changes_nothing() {
    let database = database().await;
    let pool = database.pool();
    let url = serve(&pool).await;
    let id = enqueue(&pool, 1).await[0];
    let job = id.to_string();
    let ola = Browser::open(&url, "ola").await;
    let act = async |act: &str, of: &str| ola.act(&[("of", of), ("act", act), ("id", &job), ("name", "mail"), ("here", "queues")]).await;
    for (name, of) in [("retry", "job"), ("release", "job"), ("run-now", "job"), ("run-again", "job")] {
        let (status, said) = act(name, of).await;
        assert!(status == StatusCode::SEE_OTHER && said.contains("no longer applies") && said.contains(&job), "{name}: {status} {said}");
    }
    let (_, said) = act("resume", "queue").await;
    assert!(said.contains("not paused"), "{said}");
    assert_eq!(jobs_in(&pool, JobState::Available).await, 1);
    // Resuming what goes on is written down by nobody.
    assert!(deeds(&pool).await.iter().all(|deed| deed.verb != "retry" && deed.verb != "run-again"));
    ana().delete(&pool, id).await.unwrap();
    let (status, said) = act("hold", "job").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{said}");
}

/// A click that is sent twice makes one job.
#[tokio::test]
async fn a_form_that_is_sent_twice_makes_one_job() {
    let database = database().await;
    let pool = database.pool();
    let url = serve(&pool).await;
    let id = enqueue(&pool, 1).await[0];
    ana().cancel(&pool, id).await.unwrap();
    let ola = Browser::open(&url, "ola").await;
    let page = ola.get(&format!("/act?of=job&act=run-again&id={id}")).await.1;
    let seen = hidden(&page, "seen").expect("the page says what it knew of");
    let form = [("of", "job"), ("act", "run-again"), ("id", &id.to_string()), ("seen", seen.as_str()), ("here", "queues")];
    let (first, second) = tokio::join!(ola.act(&form), ola.act(&form));
    let again = [&first.1, &second.1].into_iter().filter(|said| said.contains("no longer applies")).count();
    assert_eq!(again, 1, "{first:?} {second:?}");
    assert_eq!(jobs_in(&pool, JobState::Available).await, 1);
}

#[tokio::test]
async fn many_jobs_are_acted_on_by_an_operation_that_shows_first_what_it_means() {
    let database = database().await;
    let pool = database.pool();
    let url = serve(&pool).await;
    let ids = enqueue(&pool, 30).await;
    sqlx::query("UPDATE haulage.live_jobs SET queue = 'mail' WHERE id <= $1").bind(ids[24].0).execute(&pool).await.unwrap();
    let ola = Browser::open(&url, "ola").await;
    let (status, page) = ola.get("/act?of=jobs&act=hold&q=queue:mail").await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("25") && page.matches("/jobs/").count() >= 5, "{page}");
    let filter = hidden(&page, "filter").expect("the page says which jobs it means");
    // What comes after somebody looked is not meant.
    let later = enqueue(&pool, 1).await[0];
    sqlx::query("UPDATE haulage.live_jobs SET queue = 'mail' WHERE id = $1").bind(later.0).execute(&pool).await.unwrap();
    // And one is held by somebody else meanwhile.
    ana().hold(&pool, ids[0]).await.unwrap();
    let (status, _) = ola.act(&[("of", "jobs"), ("act", "hold"), ("filter", &filter), ("reason", "the relay is down")]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let last = async || operation(&pool, OperationId(1)).await.unwrap().unwrap();
    eventually("the operation is done", async || last().await.state == OperationState::Done).await;
    let done = last().await;
    assert_eq!((done.done, done.skipped.values().sum::<u64>(), done.who.as_str()), (24, 1, "ola"), "{done:?}");
    assert_eq!(done.reason.as_deref(), Some("the relay is down"));
    assert_eq!(jobs_in(&pool, JobState::Available).await, 6);
    let (_, page) = ola.get("/operations/1").await;
    assert!(page.contains("<b>24</b> done") && page.contains("<b>1</b> skipped"), "{page}");
}

#[tokio::test]
async fn an_operation_is_stopped_and_gone_on_with() {
    let database = database().await;
    let pool = database.pool();
    let url = serve(&pool).await;
    enqueue(&pool, 3).await;
    // Nobody drives it.
    let id = ana().start(&pool, Verb::Hold, &JobFilter::new().queue("default")).await.unwrap().id;
    let ola = Browser::open(&url, "ola").await;
    let act = async |act: &str| ola.act(&[("of", "operation"), ("act", act), ("id", &id.to_string()), ("here", "operations")]).await;
    assert_eq!(act("cancel").await.0, StatusCode::SEE_OTHER);
    assert_eq!(operation(&pool, id).await.unwrap().unwrap().state, OperationState::Cancelled);
    assert!(act("cancel").await.1.contains("no longer applies"));
    assert_eq!(act("resume").await.0, StatusCode::SEE_OTHER);
    eventually("it goes on", async || operation(&pool, id).await.unwrap().unwrap().state == OperationState::Done).await;
    assert_eq!(jobs_in(&pool, JobState::Parked).await, 3);
}

/// What each route answers to nobody, a viewer, an operator and an admin. A route that is not here fails the test.
#[tokio::test]
async fn every_route_answers_each_role_as_this_table_says() {
    let database = database().await;
    let pool = database.pool();
    let url = serve(&pool).await;
    let id = enqueue(&pool, 1).await[0];
    declare_schedules(&pool, "shop", vec![Schedule::new("nightly", "30 2 * * *", Count { n: 7 })]).await.unwrap();
    ana().start(&pool, Verb::Hold, &JobFilter::new().queue("default")).await.unwrap();
    sqlx::query(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms)
         VALUES (77, 'w', '1', ARRAY['default'], ARRAY[1], ARRAY['count'], 600000)",
    )
    .execute(&pool)
    .await
    .unwrap();
    const LOOK: [u16; 4] = [401, 200, 200, 200];
    let table: Vec<(&str, &str, String, [u16; 4])> = [
        ("GET", "/", "/", LOOK),
        ("GET", "/overview", "/overview", LOOK),
        ("GET", "/stuck", "/stuck", LOOK),
        ("GET", "/jobs", "/jobs", LOOK),
        ("GET", "/jobs.json", "/jobs.json", LOOK),
        ("GET", "/jobs/{id}", "/jobs/1", LOOK),
        ("GET", "/queues", "/queues", LOOK),
        ("GET", "/queues/{*name}", "/queues/default", LOOK),
        ("GET", "/workers", "/workers", LOOK),
        ("GET", "/workers/{id}", "/workers/77", LOOK),
        ("GET", "/schedules", "/schedules", LOOK),
        ("GET", "/schedules/{*name}", "/schedules/nightly", LOOK),
        ("GET", "/operations", "/operations", LOOK),
        ("GET", "/operations/{id}", "/operations/1", LOOK),
        ("GET", "/audit", "/audit", LOOK),
        ("GET", "/metrics", "/metrics", LOOK),
        ("GET", "/act", "/act?of=queue&act=pause&name=mail", [401, 403, 200, 200]),
        ("GET", "/act", "/act?of=job&act=delete&id=1", [401, 403, 403, 200]),
        ("POST", "/act", "of=queue&act=pause&name=mail", [401, 403, 303, 303]),
        ("POST", "/act", "of=queue&act=limit&name=mail&most=1", [401, 403, 403, 303]),
        ("POST", "/act", "of=door&act=open", [401, 403, 400, 400]),
        // A choice of one's own, which changes nothing but a cookie.
        ("POST", "/theme", "to=dark&here=jobs", [401, 303, 303, 303]),
        ("GET", "/health", "/health", [200; 4]),
        ("GET", "/assets/{name}", "/assets/none.css", [401, 404, 404, 404]),
    ]
    .into_iter()
    .map(|(method, route, asked, statuses)| {
        (method, route, asked.replace("/jobs/1", &format!("/jobs/{id}")).replace("id=1", &format!("id={id}")), statuses)
    })
    .collect();
    for (method, route) in routes() {
        let is_known = table.iter().any(|(known, path, ..)| *known == method && *path == route);
        assert!(is_known, "{method} {route} is missing: say here who may use it");
    }
    let nobody = client();
    let mut people = Vec::new();
    for who in PEOPLE {
        people.push(Browser::open(&url, who).await);
    }
    let mut wrong = Vec::new();
    for (method, route, asked, statuses) in &table {
        let alone = match *method {
            "GET" => nobody.get(format!("{url}{asked}")),
            _ => nobody.post(format!("{url}{route}")).header("content-type", FORM).body(asked.clone()),
        };
        let mut got = vec![alone.send().await.unwrap().status().as_u16()];
        for browser in &people {
            let status = match *method {
                "GET" => browser.get(asked).await.0,
                _ => browser.post(route, &format!("{asked}&token={}", browser.token), &[("origin", &url)]).await.status(),
            };
            got.push(status.as_u16());
        }
        if got != statuses {
            wrong.push(format!("{method} {asked}: nobody, {}: {got:?} and not {statuses:?}", PEOPLE.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let who: Vec<String> = deeds(&pool).await.into_iter().map(|deed| deed.who).collect();
    assert!(!who.iter().any(|who| who == "vic"), "{who:?}");
}

#[tokio::test]
async fn a_form_that_no_page_of_ours_sent_changes_nothing() {
    let database = database().await;
    let pool = database.pool();
    let url = serve(&pool).await;
    let (ola, zoe) = (Browser::open(&url, "ola").await, Browser::open(&url, "zoe").await);
    let token = ola.token.as_str();
    let other = Browser { cookie: ola.cookie.clone(), token: ola.token.clone(), ..Browser::open(&url, "zoe").await };
    for (case, browser, headers, token) in [
        ("another site, by the browser's word", &ola, &[("sec-fetch-site", "cross-site"), ("origin", url.as_str())][..], token),
        ("a neighbour", &ola, &[("sec-fetch-site", "same-site"), ("origin", &url)], token),
        ("typed into the address", &ola, &[("sec-fetch-site", "none"), ("origin", &url)], token),
        ("another origin", &ola, &[("origin", "http://evil.example")], token),
        ("no origin", &ola, &[("origin", "null")], token),
        ("nothing said", &ola, &[], token),
        ("no token", &ola, &[("origin", &url)], ""),
        ("a made-up token", &ola, &[("origin", &url)], "0123456789abcdef0123456789abcdef"),
        ("the token of another browser", &ola, &[("origin", &url)], &zoe.token),
        ("the token and cookie of another person", &other, &[("origin", &url)], token),
        ("a token by the browser's word", &ola, &[("sec-fetch-site", "same-origin")], ""),
    ] {
        let answer = browser.post("/act", &format!("of=queue&act=pause&name=mail&token={token}"), headers).await;
        let (status, page) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, StatusCode::FORBIDDEN, "{case}: {page}");
        assert!(page.contains("Nothing was done"), "{case}: {page}");
    }
    // A page that a link leads to changes nothing, and what is no form is none.
    ola.get(&format!("/act?of=queue&act=pause&name=mail&reason=x&token={token}")).await;
    let json = ola.request(Method::POST, "/act").header("origin", &url).header("content-type", "text/plain");
    let json = json.body(format!("of=queue&act=pause&name=mail&token={token}")).send().await.unwrap();
    assert!(json.status().is_client_error());
    assert!(deeds(&pool).await.is_empty());
    // And with all three it is done: it was not something else that failed.
    let answer = ola.post("/act", &format!("of=queue&act=pause&name=mail&token={token}"), &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!((answer.status(), deeds(&pool).await.len()), (StatusCode::SEE_OTHER, 1));
}

#[tokio::test]
async fn a_form_that_is_too_long_is_refused() {
    let database = database().await;
    let pool = database.pool();
    let url = serve(&pool).await;
    let zoe = Browser::open(&url, "zoe").await;
    let id = enqueue(&pool, 1).await[0];
    let args = format!("{{\"n\": 1, \"x\": \"{}\"}}", "x".repeat(5 << 20));
    let body = format!("of=job&act=edit-args&id={id}&token={}&args={args}", zoe.token);
    let answer = zoe.post("/act", &body, &[("origin", &url)]).await;
    assert!(answer.status().is_client_error(), "{}", answer.status());
    assert!(deeds(&pool).await.is_empty());
}

/// Not only no button: the database itself refuses, so no route can forget to.
#[tokio::test]
async fn a_dashboard_that_only_reads_changes_nothing_by_the_database() {
    let database = database().await;
    let pool = database.pool();
    let id = enqueue(&pool, 1).await[0];
    let reading = read_only(&pool);
    let error = sqlx::query("DELETE FROM haulage.live_jobs").execute(&reading).await.unwrap_err();
    assert_eq!(error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned())).as_deref(), Some("25006"));
    let url = serve(&reading).await;
    // The token is of no use here, so none is given; one from a dashboard beside this one fits.
    let beside = Browser::open(&serve(&pool).await, "zoe").await;
    let zoe = Browser { url: url.clone(), ..beside };
    for path in ["/", "/stuck", "/jobs", &format!("/jobs/{id}"), "/queues", "/schedules", "/operations", "/audit"] {
        let (status, page) = zoe.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {page}");
        assert!(page.contains("read-only") && !page.contains("name=\"token\"") && !page.contains("/act"), "{path}: {page}");
    }
    let (status, page) = zoe.get("/act?of=queue&act=pause&name=mail").await;
    assert!(status == StatusCode::FORBIDDEN && page.contains("only reads"), "{status} {page}");
    let (status, said) = zoe.act(&[("of", "job"), ("act", "delete"), ("id", &id.to_string())]).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{said}");
    assert_eq!((jobs_in(&pool, JobState::Available).await, deeds(&pool).await.len()), (1, 0));
}

/// What stands in `<main>` is the same for all who may do the same, so that a live page can be made once for all of them.
#[tokio::test]
async fn a_button_says_what_it_does_and_nothing_of_who_presses_it() {
    let database = database().await;
    let pool = database.pool();
    let url = serve(&pool).await;
    let job = enqueue(&pool, 1).await[0];
    ana().discard(&pool, job).await.unwrap();
    let ola = Browser::open(&url, "ola").await;
    let (_, page) = ola.get(&format!("/jobs/{job}")).await;
    let main = page.split_once("<main").and_then(|(_, rest)| rest.split_once("</main>")).unwrap().0;
    assert!(page.contains(&ola.token) && !main.contains(&ola.token) && !main.contains("ola"), "{page}");
    let retry = main.split("name=\"do\" value=\"").skip(1).find(|rest| rest.contains("act=retry")).expect("a button to retry");
    let retry = retry.split('"').next().unwrap().replace("&#38;", "&");
    let (status, said) = ola.act(&[("do", &retry)]).await;
    assert!(status == StatusCode::SEE_OTHER && said.contains("is available"), "{status} {said}");
    // What it led to is said outside of it, too.
    let flash = [("do", retry.as_str()), ("token", ola.token.as_str())].map(|(name, value)| format!("{name}={}", percent(value))).join("&");
    let answer = ola.post("/act", &flash, &[("origin", &url)]).await;
    assert_eq!(answer.headers()["location"], format!("./jobs/{job}"));
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let page = ola.request(Method::GET, &format!("/jobs/{job}")).header("cookie", cookie).send().await.unwrap().text().await.unwrap();
    assert!(page.split("<main").next().unwrap().contains("no longer applies"), "{page}");
}

/// Which buttons a page shows is what its reader may do.
#[tokio::test]
async fn a_page_offers_only_what_its_reader_may_do() {
    let database = database().await;
    let pool = database.pool();
    let url = serve(&pool).await;
    let job = Count { n: 1 }.with().queue("mail").priority(Priority::Low).enqueue(&pool).await.unwrap().id();
    ana().pause_queue(&pool, "mail", None).await.unwrap();
    for (who, acts, deletes) in [("vic", false, false), ("ola", true, false), ("zoe", true, true)] {
        let browser = Browser::open(&url, who).await;
        let (_, page) = browser.get(&format!("/jobs/{job}")).await;
        assert_eq!((page.contains("hold"), page.contains("act=delete")), (acts, deletes), "{who}: {page}");
        for path in ["/queues/mail", "/stuck"] {
            let (_, page) = browser.get(path).await;
            assert_eq!(page.contains("Resume"), acts || path == "/stuck", "{who} {path}: {page}");
            assert_eq!(page.contains("name=\"token\""), acts, "{who} {path}: {page}");
        }
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// Somebody's browser: the log-in that it keeps, the cookie it was given, and the token of a form that it was shown.
#[derive(Debug)]
struct Browser {
    url: String,
    who: &'static str,
    cookie: String,
    token: String,
}

impl Browser {
    /// Of a viewer, who is shown no form, cookie and token are empty.
    async fn open(url: &str, who: &'static str) -> Self {
        let browser = Self { url: url.to_owned(), who, cookie: String::new(), token: String::new() };
        let answer = browser.request(Method::GET, "/act?of=queue&act=pause&name=x").send().await.unwrap();
        let cookies = answer.headers().get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
        let cookie = cookies.filter_map(|line| line.split(';').next()).find(|pair| pair.starts_with("haulage_form=")).unwrap_or_default();
        let (cookie, page) = (cookie.to_owned(), answer.text().await.unwrap());
        Self { cookie, token: hidden(&page, "token").unwrap_or_default(), ..browser }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let secret = CREDENTIALS.lines().find(|line| line.starts_with(self.who)).and_then(|line| line.split_once(':')).unwrap().1;
        let request = client().request(method, format!("{}{path}", self.url)).basic_auth(self.who, Some(secret));
        if self.cookie.is_empty() { request } else { request.header("cookie", &self.cookie) }
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn post(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let request = self.request(Method::POST, path).header("content-type", FORM);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(body.to_owned()).send().await.unwrap()
    }

    /// Sends a form of a page, and reads what the page says that it leads to; or the page that it is answered with.
    async fn act(&self, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let fields = fields.iter().copied().chain([("token", self.token.as_str())]);
        let body: Vec<String> = fields.map(|(name, value)| format!("{name}={}", percent(value))).collect();
        let answer = self.post("/act", &body.join("&"), &[("origin", &self.url)]).await;
        let status = answer.status();
        if status != StatusCode::SEE_OTHER {
            return (status, answer.text().await.unwrap());
        }
        let header = |name| answer.headers()[name].to_str().unwrap().to_owned();
        let (place, cookie) = (header("location"), header("set-cookie"));
        let flash = cookie.split(';').next().unwrap();
        let next = self.request(Method::GET, place.strip_prefix('.').unwrap()).header("cookie", flash).send().await.unwrap();
        assert_eq!(next.status(), StatusCode::OK, "{place}");
        let page = next.text().await.unwrap();
        let said =
            page.split_once("class=\"flash").and_then(|(_, rest)| rest.split_once("<p>")).and_then(|(_, rest)| rest.split_once("</p>"));
        (status, said.map(|(said, _)| said.to_owned()).unwrap_or_default())
    }
}

/// Every route that the router is built of, from its source: method and path.
fn routes() -> Vec<(&'static str, String)> {
    let mut routes = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/dashboard/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let source = fs::read_to_string(entry).unwrap();
            for rest in source.split(".route(\"").skip(1) {
                let (path, rest) = rest.split_once('"').unwrap();
                let handlers = rest.split(".route(\"").next().unwrap();
                let handlers = handlers.split("\n        .").next().unwrap();
                let before = routes.len();
                for (method, call) in [("GET", "get("), ("POST", "post("), ("PUT", "put("), ("DELETE", "delete("), ("PATCH", "patch(")] {
                    if handlers.contains(&format!(" {call}")) || handlers.contains(&format!(".{call}")) {
                        routes.push((method, path.to_owned()));
                    }
                }
                assert!(routes.len() > before, "no method is found for {path}: {handlers}");
            }
        }
    }
    assert!(routes.len() >= 20, "{routes:?}");
    routes
}

/// The value of a hidden field of the page.
fn hidden(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    let value = rest.split('"').next()?;
    Some(value.replace("&#34;", "\"").replace("&#39;", "'").replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&"))
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// Everything there is in the audit, newest first.
async fn deeds(pool: &PgPool) -> Vec<AuditEntry> {
    list_audit(pool, &AuditFilter::new().limit(200)).await.unwrap().into_iter().filter(|deed| deed.who != "ana").collect()
}

async fn enqueue(pool: &PgPool, count: i64) -> Vec<JobId> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(Count { n }.with().enqueue(pool).await.unwrap().id());
    }
    ids
}

/// Behind the log-in, until the test's runtime ends.
async fn serve(pool: &PgPool) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app: Router = Auth::basic(CREDENTIALS).unwrap().protect(router(pool.clone()));
    tokio::spawn(async move { axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await });
    format!("http://{address}")
}
