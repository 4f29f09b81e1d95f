//! What people do by the dashboard: over HTTP, as a browser does it and as somebody does it who should not.
#![cfg(feature = "dashboard")]

use std::collections::BTreeSet;

use axum::{Extension, Router};
use haulage::{
    AuditFilter, Job, JobFilter, JobId, JobState, ManageError, OperationState, Operator, Priority, Schedule, Verb,
    dashboard::{Auth, Identity, Role, read_only, read_paths, router},
    declare_schedules, job, job_detail, list_audit, list_operations, operation, queues, schedule,
};
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::PgPool;

use crate::support::{
    Count, ana, database, eventually,
    page::serve,
    text::unescape,
    visitor::{FORM, Visitor, encoded, with},
    wait_for_state, worker,
};

fn as_role(pool: &PgPool, role: Role) -> Router {
    router(pool.clone()).layer(Extension(Identity { name: "ana".to_owned(), role }))
}

async fn admin(pool: &PgPool) -> Visitor {
    Visitor::at(&serve(as_role(pool, Role::Admin)).await)
}

async fn state(pool: &PgPool, id: JobId) -> JobState {
    job(pool, id).await.unwrap().unwrap().state
}

/// The newest entry of the audit: who, verb, target, reason.
async fn newest(pool: &PgPool) -> (String, String, String, Option<String>) {
    let deed = list_audit(pool, &AuditFilter::new().limit(1)).await.unwrap().remove(0);
    (deed.who, deed.verb, deed.target, deed.reason)
}

async fn deeds(pool: &PgPool) -> usize {
    list_audit(pool, &AuditFilter::new()).await.unwrap().len()
}

async fn enqueue(pool: &PgPool) -> JobId {
    Count { n: 1 }.with().queue("mail").enqueue(pool).await.unwrap().id()
}

async fn dead(pool: &PgPool) -> JobId {
    let id = enqueue(pool).await;
    ana().discard(pool, id).await.unwrap();
    id
}

/// A button, what is typed, the verb in the audit, a part of the message.
type Step<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);

#[tokio::test]
async fn every_button_of_a_job_changes_it_and_is_written_down() {
    let pool = database().await.pool();
    let browser = admin(&pool).await;
    let id = Count { n: 1 }.with().queue("mail").delay(std::time::Duration::from_secs(3_600)).enqueue(&pool).await.unwrap().id();
    let page = format!("jobs/{id}");
    let why = [("reason", "INC-7")];
    let steps: [Step<'_>; 11] = [
        ("Run now", &[], "run-now", "is available"),
        ("Hold", &why, "hold", "is held"),
        ("Release", &[], "release", "is available"),
        ("Move", &[("to", "a/b"), ("reason", "INC-7")], "move", "queue a/b"),
        ("Priority", &[("priority", "low"), ("reason", "INC-7")], "reprioritise", "priority low"),
        ("Edit args", &[("args", "{\"n\": 2}"), ("reason", "INC-7")], "edit-args", "new args"),
        ("Discard", &why, "discard", "is dead"),
        ("Retry", &[], "retry", "is available"),
        ("Cancel", &why, "cancel", "is cancelled"),
        ("Retry", &[], "retry", "is available"),
        ("Delete", &why, "delete", "is deleted"),
    ];
    for (label, typed, verb, part) in steps {
        let answer = browser.press(&page, label, typed).await;
        let back = if verb == "delete" { "./jobs".to_owned() } else { format!("./{page}") };
        assert_eq!(answer.to, Some(back), "{label}");
        let told = browser.told(&answer).await;
        assert!(told.contains(part), "{label}: {told}");
        let reason = typed.iter().any(|(name, _)| *name == "reason").then(|| "INC-7".to_owned());
        assert_eq!(newest(&pool).await, ("ana".to_owned(), verb.to_owned(), format!("job {id}"), reason), "{label}");
        match verb {
            "move" => assert_eq!(job(&pool, id).await.unwrap().unwrap().queue, "a/b"),
            "reprioritise" => assert_eq!(job_detail(&pool, id).await.unwrap().unwrap().priority, Priority::Low),
            "edit-args" => assert_eq!(job_detail(&pool, id).await.unwrap().unwrap().args, json!({ "n": 2 })),
            "delete" => assert!(job(&pool, id).await.unwrap().is_none()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_job_that_is_run_again_twice_by_one_form_is_run_again_once() {
    let pool = database().await.pool();
    let browser = admin(&pool).await;
    let id = dead(&pool).await;
    let form = browser.form(&format!("jobs/{id}"), "Run again").await;
    let (first, second) = tokio::join!(browser.post(&form), browser.post(&form));
    let to = [first.to.unwrap(), second.to.unwrap()];
    let new = format!("./jobs/{}", id.0 + 1);
    assert!(to.contains(&new) && to.contains(&format!("./jobs/{id}")), "{to:?}");
    assert_eq!(state(&pool, JobId(id.0 + 1)).await, JobState::Available);
    assert!(job(&pool, JobId(id.0 + 2)).await.unwrap().is_none());
    // A page that was loaded since means it.
    let answer = browser.press(&format!("jobs/{id}"), "Run again", &[]).await;
    assert!(browser.told(&answer).await.contains("runs again"));
}

#[tokio::test]
async fn a_form_that_no_longer_fits_says_so_and_changes_nothing() {
    let pool = database().await.pool();
    let browser = admin(&pool).await;
    let id = dead(&pool).await;
    let retry = browser.form(&format!("jobs/{id}"), "Retry").await;
    let done = browser.post(&retry).await;
    assert!(browser.told(&done).await.contains("is available"));
    let before = deeds(&pool).await;
    let again = browser.post(&retry).await;
    let told = browser.told(&again).await;
    assert!(told.contains("no longer applies") && told.contains("waits for a worker already"), "{told}");

    let cancel = browser.form(&format!("jobs/{id}"), "Cancel").await;
    sqlx::query("DELETE FROM haulage.live_jobs WHERE id = $1").bind(id.0).execute(&pool).await.unwrap();
    assert_eq!(browser.post(&cancel).await.status, StatusCode::NOT_FOUND);
    assert_eq!(deeds(&pool).await, before);
}

#[tokio::test]
async fn args_are_edited_without_their_secrets_being_seen_or_lost() {
    let pool = database().await.pool();
    let browser = admin(&pool).await;
    let id = enqueue(&pool).await;
    let args = json!({ "to": "x", "api_key": "hunter2", "n": 9_007_199_254_740_993_i64 });
    sqlx::query("UPDATE haulage.live_jobs SET args = $1").bind(&args).execute(&pool).await.unwrap();
    let form = browser.form(&format!("jobs/{id}"), "Edit args").await;
    let shown = form.iter().find(|(name, _)| name == "args").unwrap().1.clone();
    assert!(!shown.contains("hunter2") && shown.contains("9007199254740993"), "{shown}");
    let edited = shown.replace("\"x\"", "\"y\"");

    for (args, part) in [("{\"to\": ", "no JSON"), ("[1]", "no JSON object"), ("{\"to\": \"••••••\"}", "$.to"), ("{\"a\": 1e999}", "args")]
    {
        let page = browser.post(&with(form.clone(), &[("args", args)])).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{args}");
        let text = unescape(&page.body);
        assert!(text.contains(part) && text.contains(&format!("\n{args}</textarea>")), "what was typed is kept: {text}");
    }
    let answer = browser.post(&with(form.clone(), &[("args", &edited)])).await;
    assert!(browser.told(&answer).await.contains("new args"));
    let now = job_detail(&pool, id).await.unwrap().unwrap().args;
    assert_eq!(now, json!({ "to": "y", "api_key": "hunter2", "n": 9_007_199_254_740_993_i64 }));

    // Edited from what it was before.
    let page = browser.post(&with(form, &[("args", "{\"to\": \"z\"}")])).await;
    assert!(page.status == StatusCode::CONFLICT && page.body.contains("other args by now"), "{}", page.body);
    assert_eq!(job_detail(&pool, id).await.unwrap().unwrap().args, now);
    let deed = list_audit(&pool, &AuditFilter::new().job(id)).await.unwrap().remove(0);
    assert!(!format!("{deed:?}").contains("hunter2") && deed.after.unwrap()["args_bytes"].is_number());
}

/// And not under its old position in a line, which the bound of a claim may have passed.
#[tokio::test]
async fn a_job_whose_args_were_edited_is_run_with_them() {
    let pool = database().await.pool();
    let (first, second) = (enqueue(&pool).await, enqueue(&pool).await);
    ana().edit_args(&pool, first, "{\"n\": 41}", None).await.unwrap();
    let lines: Vec<i64> = sqlx::query_scalar("SELECT id FROM haulage.live_jobs ORDER BY pos").fetch_all(&pool).await.unwrap();
    assert_eq!(lines, [second.0, first.0]);
    let gone = dead(&pool).await;
    ana().edit_args(&pool, gone, "{\"n\": 42}", None).await.unwrap();
    ana().retry(&pool, gone).await.unwrap();
    let worker = worker(&pool)
        .queue("mail", 2)
        .handle(|count: Count| async move {
            assert!(count.n > 40);
            Ok::<_, anyhow::Error>(())
        })
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    for (id, n) in [(first, 41), (gone, 42)] {
        wait_for_state(&pool, id, JobState::Completed).await;
        assert_eq!(job_detail(&pool, id).await.unwrap().unwrap().args, json!({ "n": n }));
    }
    worker.shutdown().await;
    let refused = ana().edit_args(&pool, first, "{}", None).await.unwrap_err();
    assert!(matches!(refused, ManageError::Refused { state: JobState::Completed, .. }), "{refused}");
}

#[tokio::test]
async fn queues_and_schedules_are_paused_with_a_reason_and_an_end_and_go_on() {
    let pool = database().await.pool();
    let browser = admin(&pool).await;
    enqueue(&pool).await;
    declare_schedules(&pool, "shop", vec![Schedule::new("nightly", "30 2 * * *", Count { n: 7 })]).await.unwrap();
    for (path, label, typed, target, verb) in [
        ("queues", "Pause", &[("length", "1h"), ("reason", "INC-7")][..], "queue mail", "pause"),
        ("queues/mail", "Change", &[("length", ""), ("reason", "INC-8")], "queue mail", "pause"),
        ("queues/mail", "Resume", &[], "queue mail", "resume"),
        ("queues/mail", "Limits", &[("most", "3"), ("starts", "100"), ("per", "60"), ("burst", "20")], "queue mail", "limit"),
        ("queues/mail", "Limits", &[("most", ""), ("starts", ""), ("per", ""), ("burst", "")], "queue mail", "unlimit"),
        ("schedules", "Pause", &[("length", "1d"), ("reason", "INC-7")], "schedule nightly", "pause"),
        ("schedules/nightly", "Resume", &[], "schedule nightly", "resume"),
        ("schedules/nightly", "Run now", &[], "schedule nightly", "run-now"),
    ] {
        let answer = browser.press(path, label, typed).await;
        browser.told(&answer).await;
        let (who, did, what, _) = newest(&pool).await;
        assert_eq!((&*who, &*did, &*what), ("ana", verb, target), "{path} {label}");
        let queue = queues(&pool).await.unwrap().into_iter().find(|queue| queue.name == "mail").unwrap();
        let schedule = schedule(&pool, "nightly").await.unwrap();
        match (path, label) {
            ("queues", _) => assert!(queue.paused_until.is_some() && queue.paused_why.as_deref() == Some("INC-7")),
            (_, "Change") => assert!(queue.paused_until.is_none() && queue.paused_why.as_deref() == Some("INC-8")),
            ("queues/mail", "Resume") => assert!(queue.paused_at.is_none()),
            (_, "Limits") => assert_eq!(queue.limit.max_running(), (verb == "limit").then_some(3)),
            ("schedules", _) => assert!(schedule.paused_until.is_some()),
            (_, "Resume") => assert!(schedule.paused_at.is_none()),
            _ => assert!(schedule.last_job.is_some()),
        }
    }
    // Twice is once.
    let run = browser.form("schedules/nightly", "Run now").await;
    let resume: Vec<_> = run.iter().map(|(name, value)| (name.clone(), value.replace("act=run-now", "act=resume"))).collect();
    let jobs = haulage::list_jobs(&pool, &JobFilter::new().kind("count")).await.unwrap().len();
    browser.post(&run).await;
    let again = browser.post(&run).await;
    assert!(browser.told(&again).await.contains("has done it"));
    let none = browser.post(&resume).await;
    assert!(browser.told(&none).await.contains("not paused"));
    assert_eq!(haulage::list_jobs(&pool, &JobFilter::new().kind("count")).await.unwrap().len(), jobs + 1);
}

#[tokio::test]
async fn the_first_fix_beside_a_cause_does_it() {
    let pool = database().await.pool();
    let browser = admin(&pool).await;
    ana().pause_queue(&pool, "mail", None).await.unwrap();
    let id = enqueue(&pool).await;
    let worker =
        worker(&pool).queue("mail", 2).handle(|_: Count| async { Ok::<_, anyhow::Error>(()) }).build().unwrap().start().await.unwrap();
    eventually("the pause is a cause", async || browser.get("stuck").await.body.contains("is paused by ana")).await;
    let answer = browser.press("stuck", "Resume mail", &[]).await;
    assert_eq!(browser.told(&answer).await, "Queue mail goes on.");
    // What was known of causes is forgotten at once.
    assert!(!browser.get("stuck").await.body.contains("is paused"));
    wait_for_state(&pool, id, JobState::Completed).await;

    ana().pause_queue(&pool, "mail", None).await.unwrap();
    let held = enqueue(&pool).await;
    ana().hold(&pool, held).await.unwrap();
    let answer = browser.press(&format!("jobs/{held}"), "Release it", &[]).await;
    assert!(browser.told(&answer).await.contains("is available"));
    worker.shutdown().await;
}

#[tokio::test]
async fn all_that_match_are_shown_before_and_done_by_an_operation_that_can_be_watched() {
    let pool = database().await.pool();
    let browser = admin(&pool).await;
    let ids = [dead(&pool).await, dead(&pool).await, dead(&pool).await];
    let other = enqueue(&pool).await;
    let form = browser.form("jobs?state=dead&q=queue:mail", "Retry all").await;
    let asks = browser.get("act?of=jobs&act=retry&state=dead&q=queue:mail").await.body;
    assert!(asks.contains("Retry 3 jobs?") && asks.contains(&format!("<span class=\"id\">{}</span>", ids[2])), "{asks}");
    // Nobody has seen this one.
    let later = dead(&pool).await;
    let first = browser.post(&with(form.clone(), &[("reason", "INC-7")])).await;
    let second = browser.post(&with(form, &[("reason", "INC-7")])).await;
    assert_eq!(first.to, second.to, "twice is once");
    assert!(browser.told(&second).await.contains("started already"));
    let started = list_operations(&pool, None, 10).await.unwrap();
    assert_eq!((started.len(), started[0].who.as_str(), started[0].reason.as_deref()), (1, "ana", Some("INC-7")));
    let id = started[0].id;
    eventually("the operation is done", async || operation(&pool, id).await.unwrap().unwrap().state == OperationState::Done).await;
    for id in ids {
        assert_eq!(state(&pool, id).await, JobState::Available);
    }
    assert_eq!((state(&pool, later).await, state(&pool, other).await), (JobState::Dead, JobState::Available));
    let page = browser.get(&format!("operations/{id}")).await.body;
    assert!(page.contains("<b>3</b> done") && !page.contains("Look again"), "{page}");

    for (path, part) in [
        ("act?of=jobs&act=delete", "every job there is"),
        ("act?of=jobs&act=retry&state=running", "does not fit jobs that are running"),
        ("act?of=jobs&act=retry&q=colour:red", "colour"),
    ] {
        let page = browser.get(path).await;
        assert!(page.status == StatusCode::BAD_REQUEST && page.body.contains(part), "{path}: {}", page.body);
    }
    let nothing = browser.get("act?of=jobs&act=retry&state=dead&q=queue:none").await.body;
    assert!(nothing.contains("nothing to do") && !nothing.contains("<form class=\"act\""), "{nothing}");
}

#[tokio::test]
async fn an_operation_that_nobody_drives_is_stopped_and_gone_on_with() {
    let pool = database().await.pool();
    let browser = admin(&pool).await;
    let id = dead(&pool).await;
    let left = ana().start(&pool, Verb::Retry, &JobFilter::new().state(JobState::Dead).queue("mail")).await.unwrap().id;
    sqlx::query("UPDATE haulage.operations SET started_at = now() - interval '1 minute'").execute(&pool).await.unwrap();
    // A job that died after it was started is not meant; this one did before.
    sqlx::query("UPDATE haulage.finished_jobs SET finished_at = now() - interval '2 minutes'").execute(&pool).await.ok();
    let path = format!("operations/{left}");
    assert!(browser.get(&path).await.body.contains("nobody has gone on with it"));
    let answer = browser.press(&path, "Stop", &[]).await;
    assert!(browser.told(&answer).await.contains("is cancelled"));
    let answer = browser.press(&path, "Go on", &[]).await;
    assert!(browser.told(&answer).await.contains("goes on"));
    eventually("the operation is done", async || operation(&pool, left).await.unwrap().unwrap().state == OperationState::Done).await;
    assert_eq!(state(&pool, id).await, JobState::Available);
}

#[tokio::test]
async fn a_form_that_no_page_of_ours_sent_is_refused() {
    let pool = database().await.pool();
    let browser = admin(&pool).await;
    let id = dead(&pool).await;
    let form = browser.form(&format!("jobs/{id}"), "Retry").await;
    let foreign = Visitor::at(&browser.url);
    let token = foreign.form(&format!("jobs/{id}"), "Retry").await.into_iter().find(|(name, _)| name == "token").unwrap().1;
    let before = deeds(&pool).await;
    let host = browser.url.strip_prefix("http://").unwrap().to_owned();
    let wrong_port = format!("http://{}:1", host.split(':').next().unwrap());
    for (headers, typed, cookie) in [
        (&[("sec-fetch-site", "cross-site")][..], &[][..], true),
        (&[("sec-fetch-site", "same-site")], &[], true),
        (&[("sec-fetch-site", "none")], &[], true),
        (&[("sec-fetch-site", "cross-site"), ("origin", &browser.url)], &[], true),
        (&[("origin", "http://evil.example")], &[], true),
        (&[("origin", &wrong_port)], &[], true),
        (&[("origin", "null")], &[], true),
        (&[("referer", "http://evil.example/")], &[], true),
        (&[], &[], true),
        (&[("sec-fetch-site", "same-origin")], &[("token", "")], true),
        (&[("sec-fetch-site", "same-origin")], &[("token", "0123456789abcdef0123456789abcdef")], true),
        (&[("sec-fetch-site", "same-origin")], &[("token", &token)], true),
        (&[("sec-fetch-site", "same-origin")], &[], false),
    ] {
        let request = browser.client.post(format!("{}/act", browser.url)).header(FORM.0, FORM.1).body(encoded(&with(form.clone(), typed)));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = if cookie { request.header("cookie", browser.cookie()) } else { request }.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{headers:?} {typed:?} {cookie}");
    }
    assert_eq!((state(&pool, id).await, deeds(&pool).await), (JobState::Dead, before));
    // Where a browser says nothing of the site, over plain HTTP to another machine, it says where the form comes from.
    for header in ["origin", "referer"] {
        let id = dead(&pool).await;
        let form = browser.form(&format!("jobs/{id}"), "Retry").await;
        let request =
            browser.client.post(format!("{}/act", browser.url)).header(FORM.0, FORM.1).body(encoded(&form)).header(header, &browser.url);
        assert_eq!(browser.send(request).await.status, StatusCode::SEE_OTHER, "{header}");
    }
}

#[tokio::test]
async fn a_read_only_dashboard_changes_nothing_and_it_is_the_database_that_refuses() {
    let pool = database().await.pool();
    let id = dead(&pool).await;
    let only = read_only(&pool);
    let refused = ana().retry(&only, id).await.unwrap_err();
    assert!(matches!(refused, ManageError::ReadOnly(_)), "{refused}");
    let free = admin(&pool).await;
    let form = free.form(&format!("jobs/{id}"), "Retry").await;
    let browser = free.at_another(&serve(as_role(&only, Role::Admin)).await);
    for path in ["overview", "stuck", "jobs?state=dead", &format!("jobs/{id}"), "queues", "schedules", "audit"] {
        let page = browser.get(path).await;
        assert!(page.status == StatusCode::OK && !page.body.contains("/act"), "{path}: {}", page.body);
    }
    let page = browser.get(&format!("act?of=job&act=delete&id={id}")).await;
    assert!(page.status == StatusCode::FORBIDDEN && page.body.contains("only reads"), "{}", page.body);
    let page = browser.post(&form).await;
    assert!(page.status == StatusCode::FORBIDDEN && page.body.contains("only reads"), "{}", page.body);
    assert_eq!(state(&pool, id).await, JobState::Dead);
}

#[tokio::test]
async fn a_form_that_is_too_large_is_not_read() {
    let pool = database().await.pool();
    let browser = admin(&pool).await;
    let id = enqueue(&pool).await;
    let form = browser.form(&format!("jobs/{id}"), "Edit args").await;
    let page = browser.post(&with(form.clone(), &[("args", &"x".repeat(5 << 20))])).await;
    assert!(page.status.is_client_error(), "{}", page.status);
    let long = format!("{{\"x\": \"{}\"}}", "x".repeat(2 << 20));
    let page = browser.post(&with(form, &[("args", &long)])).await;
    assert!(page.status == StatusCode::BAD_REQUEST && page.body.contains("over the limit"), "{}", page.status);
}

#[tokio::test]
async fn who_changes_things_without_end_is_told_when_to_go_on_and_nobody_else_is() {
    let pool = database().await.pool();
    let lines = "ana operator:battery-staple\nben operator:correct-horse";
    let url = serve(Auth::bearer(lines).unwrap().protect(router(pool.clone()))).await;
    let client = reqwest::Client::new();
    let resume = async |token: &str| {
        let request = client.post(format!("{url}/api/v1/queues/mail/resume")).bearer_auth(token).json(&json!({}));
        request.send().await.unwrap()
    };
    let mut done = 0;
    let refused = loop {
        let answer = resume("battery-staple").await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        done += 1;
        assert!(done < 500, "there is no end to it");
    };
    assert!(done >= 60, "{done} is few");
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!((refused.status(), wait), (StatusCode::TOO_MANY_REQUESTS, 1));
    let said: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(said["type"], "urn:haulage:problem:too-fast");
    assert!(said["detail"].as_str().unwrap().contains("Try again in 1 s"), "{said}");
    let before = deeds_of(&pool).await;
    while resume("battery-staple").await.status() == StatusCode::OK {}
    assert!(deeds_of(&pool).await <= before, "resuming what is not paused is no deed");
    assert_eq!(resume("correct-horse").await.status(), StatusCode::OK, "another has a pace of their own");
    // What is only looked at is not counted.
    let looked = client.get(format!("{url}/queues")).bearer_auth("battery-staple").send().await.unwrap();
    assert_eq!(looked.status(), StatusCode::OK);
    let browser = admin(&pool).await;
    let form = browser.form(&format!("jobs/{}", enqueue(&pool).await), "Hold").await;
    let mut page = browser.post(&form).await;
    for _ in 0..500 {
        if page.status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        page = browser.post(&form).await;
    }
    assert!(page.status == StatusCode::TOO_MANY_REQUESTS && page.body.contains("Too fast"), "{}", page.body);
}

/// What each role gets: nobody with a log-in in front, somebody without a name, viewer, operator, admin.
type Expected = [u16; 5];

/// Whoever sees something sees it.
const SEEN: Expected = [401, 200, 200, 200, 200];
const OPEN: Expected = [200; 5];
/// What an operator may do, and what an administrator.
const OPERATOR: Expected = [401, 403, 403, 303, 303];
const ADMIN: Expected = [401, 403, 403, 403, 303];
const ASKS_OPERATOR: Expected = [401, 403, 403, 200, 200];
const ASKS_ADMIN: Expected = [401, 403, 403, 403, 200];

/// Every route with every role. A route that is not in the table fails, and so does an act.
#[tokio::test]
async fn every_route_answers_every_role_as_it_should() {
    let pool = database().await.pool();
    let source = include_str!("../crates/dashboard/src/lib.rs");
    // The paths that are read, and those that are written or streamed.
    let read = read_paths();
    let written = source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let routes: BTreeSet<&str> = read.iter().map(String::as_str).filter(|path| !path.starts_with("/api/")).chain(written).collect();
    let asset = Visitor::at(&serve(as_role(&pool, Role::Viewer)).await).get("overview").await.body;
    let asset = asset.split("href=\"./assets/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    declare_schedules(&pool, "shop", vec![Schedule::new("nightly", "30 2 * * *", Count { n: 7 })]).await.unwrap();
    let job_id = enqueue(&pool).await;
    let operation = ana().start(&pool, Verb::Hold, &JobFilter::new().queue("none")).await.unwrap().id;
    sqlx::query("INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms) VALUES (77, 'w', '1', '{q}', '{1}', '{k}', 600000)")
        .execute(&pool)
        .await
        .unwrap();
    let pages: Vec<(&str, String, Expected)> = vec![
        ("/", String::new(), SEEN),
        ("/overview", "overview".into(), SEEN),
        ("/stuck", "stuck".into(), SEEN),
        ("/jobs", "jobs".into(), SEEN),
        ("/jobs/{id}", format!("jobs/{job_id}"), SEEN),
        ("/queues", "queues".into(), SEEN),
        ("/queues/{*name}", "queues/mail".into(), SEEN),
        ("/workers", "workers".into(), SEEN),
        ("/workers/{id}", "workers/77".into(), SEEN),
        ("/schedules", "schedules".into(), SEEN),
        ("/schedules/{*name}", "schedules/nightly".into(), SEEN),
        ("/traces", "traces".into(), SEEN),
        ("/traces/{*key}", format!("traces/{job_id}"), SEEN),
        ("/errors", "errors".into(), SEEN),
        ("/errors/{fingerprint}", "errors/3f9a0c5e7b21d864".into(), [401, 404, 404, 404, 404]),
        ("/settings", "settings".into(), SEEN),
        // Not the path of a page: the stream of one would not end.
        ("/live", "live?at=nowhere&base=.%2F".into(), [401, 400, 400, 400, 400]),
        ("/operations", "operations".into(), SEEN),
        ("/operations/{id}", format!("operations/{operation}"), SEEN),
        ("/audit", "audit".into(), SEEN),
        ("/metrics", "metrics".into(), SEEN),
        ("/health", "health".into(), OPEN),
        ("/assets/{name}", format!("assets/{asset}"), OPEN),
        ("/act", format!("act?of=job&act=cancel&id={job_id}"), ASKS_OPERATOR),
        ("/act", format!("act?of=job&act=delete&id={job_id}"), ASKS_ADMIN),
        ("/act", format!("act?of=job&act=edit-args&id={job_id}"), ASKS_ADMIN),
        ("/act", "act?of=jobs&act=hold&q=queue:mail".into(), ASKS_OPERATOR),
        ("/act", "act?of=jobs&act=delete&q=queue:mail".into(), ASKS_ADMIN),
        ("/act", "act?of=queue&act=pause&name=mail".into(), ASKS_OPERATOR),
        ("/act", "act?of=queue&act=limit&name=mail".into(), ASKS_ADMIN),
    ];
    // Changes but the cookie of whoever asks.
    let posts = BTreeSet::from(["/theme"]);
    let known: BTreeSet<&str> = pages.iter().map(|(route, ..)| *route).chain(posts.iter().copied()).collect();
    assert_eq!(routes, known, "a route is missing from the table, or is no more");

    let who = |role| Identity { name: "ana".to_owned(), role };
    let nobody = Auth::basic("ana:correct-horse").unwrap().protect(router(pool.clone()));
    let mut apps = vec![nobody, router(pool.clone())];
    apps.extend(Role::ALL.map(|role| router(pool.clone()).layer(Extension(who(role)))));
    let mut browsers = Vec::new();
    for app in apps {
        browsers.push(Visitor::at(&serve(app).await));
    }
    for (index, browser) in browsers.iter().enumerate() {
        for (_, path, expected) in &pages {
            let mut page = browser.get(path).await;
            // A busy machine may take longer than a page lets its database take.
            for _ in 0..10 {
                if page.status == StatusCode::GATEWAY_TIMEOUT {
                    page = browser.get(path).await;
                }
            }
            assert_eq!(page.status.as_u16(), expected[index], "{path} as {index}: {}", page.body);
            // Nothing is offered that would be refused.
            if index < 3 {
                assert!(!page.body.contains("/act"), "{path} as {index}: {}", page.body);
            }
        }
        for (method, path) in [(Method::POST, "jobs/1"), (Method::DELETE, "jobs/1"), (Method::PUT, "act"), (Method::PATCH, "queues/mail")] {
            let page = browser.send(browser.client.request(method.clone(), format!("{}/{path}", browser.url))).await;
            assert!([401, 405].contains(&page.status.as_u16()), "{method} {path} as {index}: {}", page.status);
        }
    }

    // Each act, by a form with the cookie and the token that an administrator was given, so that only the role refuses it.
    let acts: Vec<(&str, &str, Expected)> = vec![
        ("job", "retry", OPERATOR),
        ("job", "run-now", OPERATOR),
        ("job", "cancel", OPERATOR),
        ("job", "discard", OPERATOR),
        ("job", "hold", OPERATOR),
        ("job", "release", OPERATOR),
        ("job", "move", OPERATOR),
        ("job", "reprioritise", OPERATOR),
        ("job", "run-again", OPERATOR),
        ("job", "edit-args", ADMIN),
        ("job", "delete", ADMIN),
        ("jobs", "retry", OPERATOR),
        ("jobs", "delete", ADMIN),
        ("operation", "cancel", OPERATOR),
        ("operation", "resume", OPERATOR),
        ("queue", "pause", OPERATOR),
        ("queue", "resume", OPERATOR),
        ("queue", "limit", ADMIN),
        ("worker", "quiet", OPERATOR),
        ("worker", "resume", OPERATOR),
        ("key", "limit", ADMIN),
        ("schedule", "pause", OPERATOR),
        ("schedule", "resume", OPERATOR),
        ("schedule", "run-now", OPERATOR),
        ("session", "end", ADMIN),
    ];
    let form_rs = include_str!("../crates/dashboard/src/form.rs");
    let known: BTreeSet<String> = form_rs
        .split("form(\"")
        .chain(form_rs.split("with_verb(\""))
        .skip(1)
        .filter_map(|rest| rest.split('"').next().map(ToOwned::to_owned))
        .filter(|of| of.bytes().all(|byte| byte.is_ascii_lowercase()) && of != "door")
        .collect();
    let told: BTreeSet<String> = acts.iter().map(|(of, ..)| (*of).to_owned()).collect();
    assert_eq!(known, told, "something that is acted on is missing from the table");
    for (of, act, expected) in acts {
        for (index, browser) in browsers.iter().enumerate() {
            let id = match (of, act) {
                ("job", "retry" | "run-again") | ("jobs", "retry") => dead(&pool).await.0,
                ("job", "run-now") => {
                    Count { n: 1 }.with().queue("mail").delay(std::time::Duration::from_secs(60)).enqueue(&pool).await.unwrap().id().0
                }
                ("job", "release") => {
                    let id = enqueue(&pool).await;
                    ana().hold(&pool, id).await.unwrap();
                    id.0
                }
                ("operation", _) => {
                    let id = ana().start(&pool, Verb::Hold, &JobFilter::new().queue("none")).await.unwrap().id;
                    if act == "resume" {
                        ana().cancel_operation(&pool, id).await.unwrap();
                    }
                    id.0
                }
                ("worker", _) => {
                    let id = sqlx::query_scalar(
                        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms)
                         SELECT count(*) + 1, 'w', '1', '{mail}', '{1}', '{count}', 86400000 FROM haulage.workers RETURNING id",
                    );
                    let id = id.fetch_one(&pool).await.unwrap();
                    if act == "resume" {
                        ana().quiet_worker(&pool, id).await.unwrap();
                    }
                    id
                }
                _ => enqueue(&pool).await.0,
            };
            let before = deeds_of(&pool).await;
            let name = if of == "schedule" { "nightly" } else { "mail" };
            let token = browser.get("act?of=queue&act=pause&name=mail").await.body;
            let token = token.split("name=\"token\" value=\"").nth(1).map_or("", |rest| rest.split('"').next().unwrap()).to_owned();
            let fields = [
                ("of", of),
                ("act", act),
                ("id", &id.to_string()),
                ("name", name),
                ("to", "other"),
                ("priority", "low"),
                ("args", "{}"),
                ("most", "5"),
                ("pid", "1"),
                ("since", "2026-01-01T00:00:00Z"),
                ("filter", &format!("{{\"queue\": \"mail\", \"root\": {id}}}")),
                ("token", &token),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
            let answer = browser.post(&fields).await;
            assert_eq!(answer.status.as_u16(), expected[index], "{of} {act} as {index}: {}", answer.body);
            if expected[index] != 303 {
                assert_eq!(deeds_of(&pool).await, before, "{of} {act} as {index} did something");
            }
        }
    }
}

/// Entries of the audit but for the batches and ends of operations, which come when their driver comes to it.
async fn deeds_of(pool: &PgPool) -> i64 {
    let sql = "SELECT count(*) FROM haulage.audit WHERE operation IS NULL OR verb LIKE 'start %' OR verb IN ('cancel', 'resume')";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_log_in_says_which_role_somebody_has() {
    let pool = database().await.pool();
    let id = enqueue(&pool).await;
    let path = format!("jobs/{id}");
    let lines = "ana:correct-horse\nben operator:battery-staple\nzoe admin:unguessable-1";
    let basic = serve(Auth::basic(lines).unwrap().protect(router(pool.clone()))).await;
    let bearer = serve(Auth::bearer(lines).unwrap().protect(router(pool.clone()))).await;
    let roles = [("sre".to_owned(), Role::Operator), ("leads".to_owned(), Role::Admin)];
    let proxy = Auth::proxy(vec!["127.0.0.0/8".parse().unwrap()], "X-Forwarded-User").unwrap();
    let proxy = proxy.with_groups("X-Forwarded-Groups", roles).unwrap().protect(router(pool));
    let proxy = serve(proxy).await;
    for (url, headers, sees) in [
        (&basic, &[("authorization", "Basic YW5hOmNvcnJlY3QtaG9yc2U=")][..], &[][..]),
        (&basic, &[("authorization", "Basic YmVuOmJhdHRlcnktc3RhcGxl")], &["Hold"]),
        (&bearer, &[("authorization", "Bearer correct-horse")], &[]),
        (&bearer, &[("authorization", "Bearer unguessable-1")], &["Hold", "Delete"]),
        (&proxy, &[("x-forwarded-user", "ana")], &[]),
        (&proxy, &[("x-forwarded-user", "ana"), ("x-forwarded-groups", "staff,sres")], &[]),
        (&proxy, &[("x-forwarded-user", "ana"), ("x-forwarded-groups", "staff, sre")], &["Hold"]),
        (&proxy, &[("x-forwarded-user", "ana"), ("x-forwarded-groups", "sre,leads")], &["Hold", "Delete"]),
    ] {
        let browser = Visitor::at(url);
        let request =
            headers.iter().fold(browser.client.get(format!("{url}/{path}")), |request, (name, value)| request.header(*name, *value));
        let page = browser.send(request).await;
        assert_eq!(page.status, StatusCode::OK, "{headers:?}");
        for label in ["Hold", "Delete"] {
            assert_eq!(page.body.contains(&format!(">{label}…</a>")), sees.contains(&label), "{label} {headers:?}: {}", page.body);
        }
    }
    // Two of them: one may be what the client sent.
    let browser = Visitor::at(&proxy);
    let request = browser.client.get(format!("{proxy}/{path}")).header("x-forwarded-user", "ana");
    let request = request.header("x-forwarded-groups", "leads").header("x-forwarded-groups", "staff");
    assert_eq!(browser.send(request).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_a_form_could_not_send_back_as_it_is_has_no_button() {
    let pool = database().await.pool();
    let browser = admin(&pool).await;
    for (name, sql) in [
        ("a\u{202e}b", "INSERT INTO haulage.queues (name, paused_at, paused_by) VALUES ($1, now(), 'ana')"),
        ("postgres://app:hunter2@db/x", "INSERT INTO haulage.queues (name, paused_at, paused_by) VALUES ($1, now(), 'ana')"),
    ] {
        sqlx::query(sql).bind(name).execute(&pool).await.unwrap();
        let page = browser.get("queues").await.body;
        assert!(!page.contains("/act?") && !page.contains("name=\"do\""), "{page}");
        sqlx::query("DELETE FROM haulage.queues").execute(&pool).await.unwrap();
    }
    let operator = Operator::new("ana");
    operator.pause_queue(&pool, "a/b:c", None).await.unwrap();
    let answer = browser.press("queues/a%2Fb:c", "Resume", &[]).await;
    assert!(browser.told(&answer).await.contains("a/b:c goes on"));
}
