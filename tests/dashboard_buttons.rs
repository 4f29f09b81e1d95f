//! Buttons: what they say, and to whom; and that a deed is never without its row in the audit.
#![cfg(feature = "dashboard")]

use axum::Router;
use haulage::{
    Job, JobId, JobState,
    dashboard::{Auth, router},
};
use reqwest::StatusCode;
use sqlx::PgPool;

use crate::support::{Count, ana, database, jobs_in, page::serve, text::unescape, visitor::Visitor};

/// The reason can't be kept without the deed, nor the deed without its row: both are one transaction.
#[tokio::test]
async fn a_deed_that_cannot_be_written_to_the_audit_is_not_done() {
    let pool = database().await.pool();
    let ola = ola(&pool).await;
    let id = enqueue(&pool).await;
    sqlx::query("ALTER TABLE haulage.audit ADD CONSTRAINT refused CHECK (verb <> 'hold')").execute(&pool).await.unwrap();
    let page = ola.press(&format!("jobs/{id}"), "Hold", &[("reason", "INC-7")]).await;
    assert!(page.status.is_server_error() || page.status.is_client_error(), "{page:?}");
    assert_eq!(jobs_in(&pool, JobState::Available).await, 1);
}

/// What stands in `<main>` is the same for all who may do the same, so that a live page can be made once for all of them.
#[tokio::test]
async fn a_button_says_what_it_does_and_nothing_of_who_presses_it() {
    let pool = database().await.pool();
    let ola = ola(&pool).await;
    let job = enqueue(&pool).await;
    ana().discard(&pool, job).await.unwrap();
    let path = format!("jobs/{job}");
    let retry = ola.form(&path, "Retry").await;
    let token = retry.iter().find(|(name, _)| name == "token").expect("a form has a token").1.clone();
    let page = ola.get(&path).await.body;
    let main = page.split_once("<main").and_then(|(_, rest)| rest.split_once("</main>")).unwrap().0;
    assert!(unescape(&page).contains(&token) && !unescape(main).contains(&token) && !main.contains("ola"), "{page}");
    let answer = ola.post(&retry).await;
    assert!(ola.told(&answer).await.contains("is available"));
    // What it led to is said outside of it, too.
    let answer = ola.post(&retry).await;
    assert_eq!((answer.status, answer.to), (StatusCode::SEE_OTHER, Some(format!("./{path}"))));
    let page = ola.get(&path).await.body;
    assert!(page.split("<main").next().unwrap().contains("no longer applies"), "{page}");
}

/// Who may operate, and is logged in.
async fn ola(pool: &PgPool) -> Visitor {
    let app: Router = Auth::basic("ola operator:battery-staple").unwrap().protect(router(pool.clone()));
    Visitor::known(&serve(app).await, "ola", "battery-staple")
}

async fn enqueue(pool: &PgPool) -> JobId {
    Count { n: 1 }.enqueue(pool).await.unwrap().id()
}
