//! The dashboard's charts and its pages of errors, traces and settings.
#![cfg(feature = "dashboard")]

use axum::{Extension, Router};
use haulage::{
    Job, JobId, JobState, Origin, SCHEMA_VERSION,
    dashboard::{Auth, Identity, Role, router},
    store,
};
use reqwest::StatusCode;
use sqlx::PgPool;

use crate::support::{
    Count, database, eventually,
    page::{get, page, serve},
    wait_for_state, worker,
};

/// A minute `ago` in which this many of the queue completed and died, in 8 to 16 ms each.
async fn count(pool: &PgPool, queue: &str, ago_s: f64, completed: u64, dead: u64) {
    let mut tally = store::Tally { outcomes: [completed, 0, dead, 0, 0], ..Default::default() };
    tally.waits[4] = completed + dead;
    tally.runs[4] = completed + dead;
    let one = store::Counted { queue: queue.into(), kind: "k".into(), tally };
    assert!(store::save_minutes(&mut pool.acquire().await.unwrap(), ago_s, &[one]).await.unwrap());
}

#[tokio::test]
async fn charts_tell_what_ended_in_numbers_too_with_gaps_where_nothing_did() {
    let pool = database().await.pool();
    // Workers serve both, or no page would know them.
    sqlx::raw_sql(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms) VALUES (1, 'w', '0', '{mail,sync}', '{1,1}', '{k}', 600000)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let url = serve(router(pool.clone())).await;
    for path in ["/overview", "/queues/mail", "/overview?range=7d"] {
        let page = page(&url, path).await;
        assert!(
            page.contains("Nothing has ended in this time, and nobody has looked at what waits") && !page.contains("<figure"),
            "{path}: {page}"
        );
    }
    count(&pool, "mail", 600.0, 1_234, 0).await;
    count(&pool, "mail", 2_400.0, 0, 3).await;
    count(&pool, "sync", 600.0, 7, 0).await;
    for (path, completed) in
        [("/overview", "1,241"), ("/queues/mail", "1,234"), ("/queues/sync?range=1h", "7"), ("/overview?range=24h", "1,241")]
    {
        let page = page(&url, path).await;
        assert_eq!(page.matches("<figure").count(), 4, "{path}");
        assert!(page.contains(&format!("Completed: {completed}</title>")), "{path}: {page}");
        assert!(page.contains(&format!("<td class=\"r\" data-l=\"completed\">{completed}</td>")), "{path}: as a table: {page}");
        assert!(page.contains("p95 "), "{path}");
    }
    let hour = page(&url, "/overview?range=1h").await;
    assert!(hour.contains("3 failed, 0.2 %") && hour.contains(": 3 dead</title>"), "{hour}");
    // Two minutes with something in them, half an hour apart: two pieces of line, each a step long.
    let line = hour.split("class=\"l-high\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(line.matches('M').count(), 2, "{line}");
    assert_eq!(hour.matches("aria-current=\"true\"").count(), 1);
    assert!(hour.contains("href=\"./overview?range=6h\""), "{hour}");
    // A range that there is not is an hour.
    assert_eq!(page(&url, "/overview?range=9y").await.matches("<figure").count(), 4);
    // The pace of each queue stands in the list.
    let queues = page(&url, "/queues").await;
    assert!(queues.contains("</svg>1,234</span>") && queues.contains("</svg>7</span>"), "{queues}");
}

#[tokio::test]
async fn a_chart_tells_how_many_wait_with_gaps_where_nobody_looked() {
    let pool = database().await.pool();
    sqlx::raw_sql(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms) VALUES (1, 'w', '0', '{mail,sync}', '{1,1}', '{k}', 600000);
         INSERT INTO haulage.depths (length, queue, start, available, parked, running, at_least)
         SELECT 1, q.queue, date_trunc('minute', now()) - make_interval(mins => q.ago), q.available, q.parked, q.running, q.more
         FROM (VALUES
             ('', 30, 1500, 20, 4, false), ('mail', 30, 1500, 20, 4, false),
             ('', 10, 100001, 0, 2, true), ('mail', 10, 100001, 0, 0, true), ('sync', 10, 0, 0, 2, false)
         ) AS q (queue, ago, available, parked, running, more)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let url = serve(router(pool.clone())).await;
    for path in ["/overview", "/queues/mail"] {
        let page = page(&url, path).await;
        assert_eq!(page.matches("<figure").count(), 1, "{path}: nothing has ended");
        assert!(page.contains("Depth: 100,001+ in line</title>"), "{path}: {page}");
        assert!(page.contains("4 running, 1,500 in line, 20 set aside</title>"), "{path}: {page}");
        assert!(
            page.contains("<td class=\"r\" data-l=\"in line\">1,500</td><td class=\"r\" data-l=\"set aside\">20</td>"),
            "{path}: {page}"
        );
        assert_eq!(page.matches("data-l=\"in line\"").count(), 2, "{path}: a step in which nobody looked is none");
    }
    // Somebody looked, and it was empty.
    let sync = page(&url, "/queues/sync").await;
    assert!(sync.contains("Depth: 0 in line</title>") && sync.contains("data-l=\"in line\">0</td>"), "{sync}");
}

#[tokio::test]
async fn an_error_is_listed_with_its_jobs_and_without_secrets() {
    let pool = database().await.pool();
    let failing = async |job: Count| Err::<(), _>(anyhow::anyhow!("login {} failed, password=hunter2", job.n));
    let worker = worker(&pool).handle(failing).build().unwrap().start().await.unwrap();
    let mut ids = Vec::new();
    for n in 0..2 {
        ids.push(Count { n }.with().max_attempts(1).enqueue(&pool).await.unwrap().id());
    }
    for id in &ids {
        wait_for_state(&pool, *id, JobState::Dead).await;
    }
    eventually("both are counted", async || {
        sqlx::query_scalar::<_, Option<i64>>("SELECT sum(attempts)::bigint FROM haulage.errors").fetch_one(&pool).await.unwrap() == Some(2)
    })
    .await;
    worker.shutdown().await;
    let url = serve(router(pool.clone())).await;
    let list = page(&url, "/errors").await;
    assert!(!list.contains("hunter2") && list.contains("failed, password="), "{list}");
    let path = list.split("<td class=\"name err\"><a href=\".").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let group = page(&url, &path).await;
    assert!(!group.contains("hunter2"), "{group}");
    for id in &ids {
        assert!(group.contains(&format!("../jobs/{id}")), "{group}");
    }
    let fingerprint = path.rsplit('/').next().unwrap();
    assert!(group.contains(&format!("haulage jobs retry --state dead --error-group {fingerprint}")), "{group}");
    let jobs = page(&url, &format!("/jobs?state=dead&q=error:{fingerprint}")).await;
    assert!(ids.iter().all(|id| jobs.contains(&format!("./jobs/{id}"))), "{jobs}");
    assert!(page(&url, "/errors?kind=other").await.contains("No attempt has failed"));
    for (path, status) in [
        ("/errors/ffffffffffffffff", StatusCode::NOT_FOUND),
        ("/errors/%00", StatusCode::NOT_FOUND),
        ("/errors?kind=%3Cb%3E", StatusCode::BAD_REQUEST),
        ("/errors?before=1.x", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(get(&url, path).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn errors_are_listed_page_by_page_to_the_last() {
    let pool = database().await.pool();
    sqlx::raw_sql(
        "INSERT INTO haulage.errors (fingerprint, kind, error_class, message, queues, attempts, first_at, last_at, first_version, first_job, last_job)
         SELECT lpad(to_hex(n), 16, '0'), 'k', 'E', 'm' || n, '{q}', 1, now(), now() - make_interval(mins => n / 10), '0', 1, 1
         FROM generate_series(1, 120) AS n",
    )
    .execute(&pool)
    .await
    .unwrap();
    let url = serve(router(pool)).await;
    let (mut path, mut found) = ("/errors".to_owned(), Vec::new());
    loop {
        let page = page(&url, &path).await;
        found.extend(page.split("<td class=\"name err\"><a href=\"./errors/").skip(1).map(|rest| rest[..16].to_owned()));
        let Some(next) = page.split("rel=\"next\" href=\".").nth(1) else { break };
        path = next.split('"').next().unwrap().replace("&#38;", "&");
    }
    assert_eq!(found.len(), 120);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 120);
}

#[tokio::test]
async fn a_trace_is_listed_by_its_route_and_opened_by_each_of_its_ids() {
    let pool = database().await.pool();
    let origin = Origin::new("shop").route("POST /orders").request_id("req/7");
    let id = Count { n: 1 }.with().origin(origin).max_attempts(1).enqueue(&pool).await.unwrap().id();
    let plain = Count { n: 2 }.enqueue(&pool).await.unwrap().id();
    let failing = async |job: Count| if job.n == 1 { Err(anyhow::anyhow!("no paper")) } else { Ok(()) };
    let worker = worker(&pool).handle(failing).build().unwrap().start().await.unwrap();
    wait_for_state(&pool, id, JobState::Dead).await;
    wait_for_state(&pool, plain, JobState::Completed).await;
    worker.shutdown().await;
    let waits = Count { n: 3 }.with().queue("nobody").enqueue(&pool).await.unwrap().id();
    let url = serve(router(pool.clone())).await;
    let list = page(&url, "/traces").await;
    assert!(list.contains("href=\"./traces/req%2F7\">POST /orders</a>"), "{list}");
    for (show, shown) in [("failed", [true, false, false]), ("unfinished", [false, false, true]), ("slow", [true, true, true])] {
        let page = page(&url, &format!("/traces?show={show}")).await;
        for (key, shown) in ["req%2F7".to_owned(), plain.to_string(), waits.to_string()].into_iter().zip(shown) {
            assert_eq!(page.contains(&format!("href=\"./traces/{key}\"")), shown, "{show}: {key}");
        }
    }
    for path in [format!("/traces/{id}"), "/traces/req%2F7".to_owned(), "/traces?q=req/7".to_owned()] {
        let page = page(&url, &path).await;
        assert!(page.contains("POST /orders · shop") && page.contains("no paper") && page.contains("What took the time"), "{path}: {page}");
    }
    let never_worked = page(&url, &format!("/traces/{waits}")).await;
    assert!(never_worked.contains("data-l=\"worked\">0 ms<"), "{never_worked}");
    sqlx::query("UPDATE haulage.finished_failed SET trace_id = '0af76519-16cd-43dd-8448-eb211c80319c'").execute(&pool).await.unwrap();
    let trace = page(&url, "/traces/0af7651916cd43dd8448eb211c80319c").await;
    assert!(trace.contains("no paper"), "{trace}");
    assert!(page(&url, "/traces").await.contains("href=\"./traces/0af7651916cd43dd8448eb211c80319c\""));
    for path in ["/traces/none", "/traces/%00", &format!("/traces/{}", "x".repeat(300))] {
        assert_eq!(get(&url, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(get(&url, "/traces?before=x").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn traces_are_listed_page_by_page_to_the_last() {
    let pool = database().await.pool();
    sqlx::raw_sql("INSERT INTO haulage.live_jobs (queue, kind, args) SELECT 'q', 'k', '{}' FROM generate_series(1, 120)")
        .execute(&pool)
        .await
        .unwrap();
    let url = serve(router(pool)).await;
    let (mut path, mut found) = ("/traces".to_owned(), Vec::new());
    loop {
        let page = page(&url, &path).await;
        found.extend(page.split("<td class=\"name\"><a href=\"./traces/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        let Some(next) = page.split("rel=\"next\" href=\".").nth(1) else { break };
        path = next.split('"').next().unwrap().replace("&#38;", "&");
    }
    let all = found.len();
    found.sort();
    found.dedup();
    assert_eq!((all, found.len()), (120, 120));
}

#[tokio::test]
async fn the_settings_tell_what_it_runs_with_and_no_secret() {
    let pool = database().await.pool();
    let settings = page(&serve(router(pool.clone())).await, "/settings").await;
    for part in [
        format!("version {SCHEMA_VERSION}, as this program knows it"),
        "none of its own: whoever reaches it".to_owned(),
        "the primary".to_owned(),
        "Dead and cancelled jobs".to_owned(),
    ] {
        assert!(settings.contains(&part), "{part}: {settings}");
    }
    let embedded: Router = router(pool.clone()).layer(Extension(Identity { name: "ana".to_owned(), role: Role::Operator }));
    let embedded = page(&serve(embedded).await, "/settings").await;
    assert!(embedded.contains("by the application around it") && embedded.contains("<dd>ana, operator</dd>"), "{embedded}");
    let url = serve(Auth::basic("ben:battery-staple").unwrap().protect(router(pool))).await;
    let client = reqwest::Client::new();
    let logged_in =
        client.get(format!("{url}/settings")).basic_auth("ben", Some("battery-staple")).send().await.unwrap().text().await.unwrap();
    assert!(logged_in.contains("name and password") && logged_in.contains("<dd>ben, viewer</dd>"), "{logged_in}");
    assert!(!logged_in.contains("battery"), "{logged_in}");
}

#[tokio::test]
async fn hostile_texts_on_these_pages_are_shown_and_never_taken_for_html() {
    let pool = database().await.pool();
    let hostile = "\"><script>alert('1')</script>\u{202e}";
    sqlx::query(
        "INSERT INTO haulage.errors (fingerprint, kind, error_class, message, queues, attempts, first_at, last_at, first_version, first_job, last_job)
         VALUES ('aaaaaaaaaaaaaaaa', $1, $1, $1, ARRAY[$1], 1, now(), now(), $1, 1, 1)",
    )
    .bind(hostile)
    .execute(&pool)
    .await
    .unwrap();
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO haulage.live_jobs (queue, kind, args, origin) VALUES ($1, $1, '{}', jsonb_build_object('route', $1::text, 'service', $1::text, 'request_id', $1::text)) RETURNING id",
    )
    .bind(hostile)
    .fetch_one(&pool)
    .await
    .unwrap();
    count(&pool, hostile, 600.0, 1, 1).await;
    let url = serve(router(pool)).await;
    let name: String = hostile.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for path in [
        "/errors".to_owned(),
        "/errors/aaaaaaaaaaaaaaaa".to_owned(),
        "/traces".to_owned(),
        format!("/traces/{}", JobId(id)),
        format!("/traces/{name}"),
        format!("/queues/{name}"),
        format!("/queues/{name}?range={name}"),
        format!("/errors/{name}"),
        format!("/errors?kind={name}"),
        format!("/errors?before={name}"),
        format!("/traces?show={name}&before={name}"),
        "/settings".to_owned(),
        "/overview".to_owned(),
    ] {
        let (status, page) = get(&url, &path).await;
        assert!(!status.is_server_error(), "{path}: {page}");
        assert!(!page.contains("<script>") && !page.contains('\u{202e}'), "{path}: {page}");
    }
}
