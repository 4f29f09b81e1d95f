//! The dashboard with a real streaming replica: what is read from it, what is not, and what happens when it is behind, gone, or in the way
//! of its own replay.
#![cfg(all(feature = "dashboard", feature = "dev", unix))]

use axum::{Extension, Router};
use haulage::{
    Job, JobId, Schedule,
    dashboard::{Dashboard, Identity, Role, router},
    declare_schedules,
};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use crate::{
    live::Events,
    support::{
        Count, ana, database, eventually,
        page::serve,
        replica::{Replicated, caught_up, pause, resume},
        visitor::Visitor,
    },
};

const READ_FROM: &str = "haulage-read-from";

/// As an operator has it, under a prefix.
async fn serve_with(primary: &PgPool, replica: PgPool) -> String {
    let router = Dashboard::new(primary.clone()).replica(replica).router();
    let ana = Identity { name: "ana".to_owned(), role: Role::Admin };
    format!("{}/admin", serve(Router::new().nest("/admin", router.layer(Extension(ana)))).await)
}

async fn get(url: &str, path: &str, cookie: &str) -> Response {
    reqwest::Client::new().get(format!("{url}/{path}")).header("cookie", cookie).send().await.unwrap()
}

/// Where it was read, and what it says.
async fn read(url: &str, path: &str, cookie: &str) -> (String, String) {
    let answer = get(url, path, cookie).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    let from = answer.headers().get(READ_FROM).map_or("", |from| from.to_str().unwrap()).to_owned();
    (from, answer.text().await.unwrap())
}

async fn enqueue(pool: &PgPool, n: i64) -> JobId {
    Count { n }.enqueue(pool).await.unwrap().id()
}

/// A job in a list.
fn lists(page: &str, id: JobId) -> bool {
    page.contains(&format!("jobs/{id}\""))
}

#[tokio::test]
async fn lists_come_from_the_replica_and_who_did_something_sees_it_all_the_same() {
    let servers = Replicated::start().await;
    let (primary, replica) = (servers.primary().await, servers.replica());
    let old = enqueue(&primary, 1).await;
    caught_up(&primary, &replica).await;
    let url = serve_with(&primary, replica.clone()).await;

    let (from, page) = read(&url, "jobs", "").await;
    assert!(from.starts_with("replica; lag=") && page.contains("· replica, ") && lists(&page, old), "{from} {page}");
    let (from, page) = read(&url, &format!("jobs/{old}"), "").await;
    assert!(from.is_empty() && page.contains("Available"), "{from} {page}");

    // What is enqueued now is on the primary alone.
    pause(&replica).await;
    let new = enqueue(&primary, 2).await;
    let (from, page) = read(&url, "jobs", "").await;
    assert!(from.starts_with("replica") && lists(&page, old) && !lists(&page, new), "{from} {page}");
    let (_, body) = read(&url, "api/v1/jobs", "").await;
    let items = serde_json::from_str::<Value>(&body).unwrap()["items"].as_array().unwrap().len();
    assert_eq!(items, 1, "{body}");

    // By a form.
    let browser = Visitor::at(&url);
    browser.press(&format!("jobs/{new}"), "Hold", &[]).await;
    assert!(browser.cookie().contains("haulage_wrote="), "{}", browser.cookie());
    let (from, page) = read(&url, "jobs", &browser.cookie()).await;
    assert_eq!(from, "primary; because=behind");
    assert!(lists(&page, new) && page.contains("may not have reached the replica yet"), "{page}");
    let (from, page) = read(&url, "jobs", "").await;
    assert!(from.starts_with("replica") && !lists(&page, new), "{from} {page}");
    assert!(read(&url, &format!("jobs/{new}"), "").await.1.contains("Held"), "the page of a job is exact");

    // By the API; its cookie is for all below the mount.
    let hold = reqwest::Client::new().post(format!("{url}/api/v1/jobs/{old}/hold")).json(&json!({})).send().await.unwrap();
    let cookie = hold.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("; Path=/admin; ") && cookie.contains("HttpOnly") && cookie.contains("SameSite"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let (from, body) = read(&url, "api/v1/jobs?state=parked", cookie).await;
    assert!(from.starts_with("primary") && body.contains(&old.to_string()), "{from} {body}");

    // Who watches sees what they did, too.
    let at = "live?at=jobs&base=.%2F";
    assert!(lists(&first_event(&url, at, cookie).await, new));
    let without = first_event(&url, at, "").await;
    assert!(lists(&without, old) && !lists(&without, new), "{without}");

    // What only the primary has is found there.
    haulage::Operator::new("ana").pause_queue(&primary, "fresh", None).await.unwrap();
    let (from, page) = read(&url, "queues/fresh", "").await;
    assert!(from == "primary; because=missing" && page.contains("fresh"), "{from} {page}");
    let missing = get(&url, "queues/none", "").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);

    // After a while the lag is a warning, with its reason.
    eventually("the lag is warned of", async || read(&url, "jobs", "").await.1.contains("somebody has paused its replay")).await;
    assert!(read(&url, "settings", "").await.1.contains("somebody has paused its replay"));

    resume(&replica).await;
    eventually("the replica has it", async || read(&url, "jobs", &browser.cookie()).await.0.starts_with("replica")).await;
    let (_, page) = read(&url, "jobs", &browser.cookie()).await;
    assert!(lists(&page, new) && !page.contains("paused its replay"), "{page}");
    assert!(read(&url, "settings", "").await.1.contains("from a replica, "));
}

/// The first content of a stream, without what is escaped in JSON.
async fn first_event(url: &str, at: &str, cookie: &str) -> String {
    let answer = get(url, at, cookie).await;
    assert_eq!(answer.status(), StatusCode::OK);
    Events::of(answer).until(|_| true).await.to_string().replace("\\\"", "\"")
}

#[tokio::test]
async fn every_list_can_be_read_on_a_replica_and_what_is_exact_is_not() {
    let servers = Replicated::start().await;
    let (primary, replica) = (servers.primary().await, servers.replica());
    let id = enqueue(&primary, 1).await;
    ana().pause_queue(&primary, "default", None).await.unwrap();
    ana().start(&primary, haulage::Verb::Cancel, &haulage::JobFilter::new().queue("none")).await.unwrap();
    declare_schedules(&primary, "tests", vec![Schedule::new("nightly", "0 3 * * *", Count { n: 1 })]).await.unwrap();
    caught_up(&primary, &replica).await;
    let url = serve_with(&primary, replica).await;
    for path in [
        "overview?range=7d",
        "jobs",
        "jobs?q=error%3Anone%20kind%3Acount",
        "queues",
        "queues/default",
        "schedules",
        "schedules/nightly",
        "traces",
        "errors",
        "operations",
        "audit",
        "api/v1/overview",
        "api/v1/jobs",
        "api/v1/queues",
        "api/v1/queues/default",
        "api/v1/keys",
        "api/v1/schedules",
        "api/v1/schedules/nightly",
        "api/v1/schedules/nightly/runs",
        "api/v1/operations",
        "api/v1/audit",
    ] {
        let (from, body) = read(&url, path, "").await;
        assert!(from.starts_with("replica; lag="), "{path}: {from} {body}");
    }
    for path in [
        "stuck".to_owned(),
        "workers".to_owned(),
        "operations/1".to_owned(),
        "health".to_owned(),
        format!("jobs/{id}"),
        format!("traces/{id}"),
        format!("api/v1/jobs/{id}"),
        format!("api/v1/jobs/{id}/why"),
        "api/v1/causes".to_owned(),
        "api/v1/workers".to_owned(),
    ] {
        assert_eq!(read(&url, &path, "").await.0, "", "{path}");
    }
}

#[tokio::test]
async fn without_its_replica_the_primary_is_read_and_the_page_says_so() {
    let mut servers = Replicated::start().await;
    let (primary, replica) = (servers.primary().await, servers.replica());
    let id = enqueue(&primary, 1).await;
    caught_up(&primary, &replica).await;
    let url = serve_with(&primary, replica).await;
    assert!(read(&url, "jobs", "").await.0.starts_with("replica"));

    servers.stop_replica().await;
    for path in ["jobs", "queues", "api/v1/jobs", "jobs"] {
        let (from, page) = read(&url, path, "").await;
        assert_eq!(from, "primary; because=unreachable", "{path}");
        assert!(page.contains("the replica can&#39;t be reached") || path.starts_with("api"), "{path}: {page}");
    }
    assert!(lists(&read(&url, "jobs", "").await.1, id));
    assert!(read(&url, "settings", "").await.1.contains("from the primary: the replica can&#39;t be reached"));
    assert_eq!(get(&url, "health", "").await.status(), StatusCode::OK);

    servers.start_replica().await;
    eventually("the replica is read again", async || read(&url, "jobs", "").await.0.starts_with("replica")).await;
}

/// A transaction of the primary that locks a table, also against readers, on the replica too.
async fn lock(pool: &PgPool, table: &str) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut tx = pool.begin().await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("LOCK TABLE haulage.{table} IN ACCESS EXCLUSIVE MODE"))).execute(&mut *tx).await.unwrap();
    flush(pool).await;
    tx
}

/// What was logged goes to the replica with the next commit that waits for the disk.
async fn flush(pool: &PgPool) {
    sqlx::query("SELECT pg_logical_emit_message(true, 'test', 'flush')").execute(pool).await.unwrap();
}

/// Waits until somebody on that server has the lock of a table, or waits for it.
async fn wait_for_lock(connection: &mut PgConnection, table: &str, granted: bool) {
    eventually(&format!("{table} is locked: {granted}"), async || {
        let found = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = ('haulage.' || $1)::regclass AND granted = $2 AND (mode = 'AccessExclusiveLock' OR NOT $2))",
        );
        found.bind(table).bind(granted).fetch_one(&mut *connection).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_look_that_the_replay_breaks_off_is_made_again_and_then_on_the_primary() {
    let servers = Replicated::start().await;
    let (primary, replica) = (servers.primary().await, servers.replica());
    let id = enqueue(&primary, 1).await;
    caught_up(&primary, &replica).await;
    let url = serve_with(&primary, replica.clone()).await;
    let mut there = PgPool::connect(&servers.replica_url()).await.unwrap().acquire().await.unwrap();
    let mut here = primary.acquire().await.unwrap();
    // Read once before, so that what stands beside a page is known for some seconds.
    read(&url, "queues/default", "").await;

    for twice in [false, true] {
        // The page of a queue reads the jobs, and then waits for the audit with a lock on the jobs in its hands.
        let audit = lock(&primary, "audit").await;
        wait_for_lock(&mut there, "audit", true).await;
        let asked = tokio::spawn({
            let url = url.clone();
            async move { read(&url, "queues/default", "").await }
        });
        wait_for_lock(&mut there, "audit", false).await;
        // The replay wants that lock, and waits for no reader: it cancels it. The page comes again, and waits behind the replay.
        let jobs = lock(&primary, "live_jobs").await;
        wait_for_lock(&mut there, "live_jobs", false).await;
        jobs.rollback().await.unwrap();
        flush(&primary).await;
        if twice {
            wait_for_lock(&mut there, "audit", false).await;
            let jobs = lock(&primary, "live_jobs").await;
            wait_for_lock(&mut here, "live_jobs", false).await;
            jobs.rollback().await.unwrap();
        }
        audit.rollback().await.unwrap();
        flush(&primary).await;
        let (from, page) = asked.await.unwrap();
        assert!(lists(&page, id), "{page}");
        match twice {
            false => assert!(from.starts_with("replica; lag="), "{from}"),
            true => {
                assert_eq!(from, "primary; because=broken-off");
                assert!(page.contains("the replica broke this off twice"), "{page}");
            }
        }
    }
    eventually("the replica has counted what it broke off", async || {
        let broken = sqlx::query_scalar("SELECT sum(confl_lock + confl_deadlock) >= 3 FROM pg_stat_database_conflicts");
        broken.fetch_one(&mut *there).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_follows_nobody_is_read_as_it_is_but_not_after_an_act() {
    let database = database().await;
    let pool = database.pool();
    let id = enqueue(&pool, 1).await;
    let url = serve_with(&pool, PgPool::connect(&database.url()).await.unwrap()).await;
    let (from, page) = read(&url, "jobs", "").await;
    assert!(from == "replica" && page.contains("follows no other server"), "{from} {page}");
    let browser = Visitor::at(&url);
    browser.press(&format!("jobs/{id}"), "Hold", &[]).await;
    assert_eq!(read(&url, "jobs", &browser.cookie()).await.0, "primary; because=behind");
}

#[tokio::test]
async fn without_a_replica_nothing_is_said_of_one() {
    let pool = database().await.pool();
    let id = enqueue(&pool, 1).await;
    let ana = Identity { name: "ana".to_owned(), role: Role::Admin };
    let url = serve(router(pool).layer(Extension(ana))).await;
    let browser = Visitor::at(&url);
    browser.press(&format!("jobs/{id}"), "Hold", &[]).await;
    assert!(!browser.cookie().contains("haulage_wrote"), "{}", browser.cookie());
    for cookie in ["", "haulage_wrote=42"] {
        let (from, page) = read(&url, "jobs", cookie).await;
        assert!(from.is_empty() && !page.contains("replica"), "{from} {page}");
    }
}
