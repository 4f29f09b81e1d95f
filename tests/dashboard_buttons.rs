//! Buttons: what they say, and to whom; and that a deed is never without its row in the audit.
#![cfg(feature = "dashboard")]

use std::net::SocketAddr;

use axum::Router;
use haulage::{
    Job, JobId, JobState,
    dashboard::{Auth, router},
};
use reqwest::{Method, StatusCode};
use sqlx::PgPool;

use crate::support::{Count, PATIENCE, ana, database, jobs_in};

/// Who may operate.
const CREDENTIALS: &str = "ola operator:battery-staple";

/// The reason can't be kept without the deed, nor the deed without its row: both are one transaction.
#[tokio::test]
async fn a_deed_that_cannot_be_written_to_the_audit_is_not_done() {
    let database = database().await;
    let pool = database.pool();
    let url = serve(&pool).await;
    let id = enqueue(&pool, 1).await[0];
    sqlx::query("ALTER TABLE haulage.audit ADD CONSTRAINT refused CHECK (verb <> 'hold')").execute(&pool).await.unwrap();
    let (status, said) = Browser::open(&url, "ola").await.act(&[("of", "job"), ("act", "hold"), ("id", &id.to_string())]).await;
    assert!(status.is_server_error() || status.is_client_error(), "{status} {said}");
    assert_eq!(jobs_in(&pool, JobState::Available).await, 1);
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
