//! The shop with ten things that go wrong, as `make demo ARGS=--incidents` plants them: each is on Stuck within ten seconds, with a
//! sentence that says what it is, and what is clicked there helps. In a process of its own, because seconds count; and it takes the
//! pictures in `docs/images` (`make screenshots`).
#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop where it is")]

#[expect(dead_code, unused_imports, reason = "the other binary uses the rest of it")]
mod support;

#[path = "incidents/pictures.rs"]
mod pictures;

use std::{
    collections::BTreeMap,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::ensure;
use haulage::JobState;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{
    browser::Browser,
    database,
    page::page,
    shop::{DEADLINE, Shop},
    text::{pattern, unescape},
    within,
};

/// From when it is there to when it is told.
const SOON: Duration = Duration::from_secs(10);

/// What the shop calls it, the code, and what is said of it.
const INCIDENTS: [(&str, &str, &str); 10] = [
    ("no worker", "no_worker", "No live worker serves queue newsletters."),
    ("paused queue", "paused", "Queue invoices is paused by nina since *: “the printer is out of toner”."),
    ("full limit", "queue_full", "Queue exports is at its limit: 2 of 2 are running or let in."),
    ("orphan", "orphaned", "Recorded as running on *, which has been silent for * s."),
    (
        "backoff loop",
        "retry_loop",
        "book_payment has failed * times with the same error since *: order 1 is paid to account 8400, which the ledger does not have.",
    ),
    ("unknown kind", "no_handler", "2 workers serve mail, but none has a handler for send_postcard."),
    (
        "bad args",
        "bad_args",
        "The handler of receipt_mail could not read the args: the args no longer parse as \"receipt_mail\": invalid type: string*",
    ),
    ("locked row", "row_locked", "Session * (psql) of * holds this row, in a transaction that has been open for * s, so workers skip it."),
    (
        "old snapshot",
        "old_snapshot",
        "Session * (sales report) of * has kept a transaction open for * s; * dead rows stay for it, and claims slow down.",
    ),
    (
        "dead upstream",
        "backoff",
        "Jobs of track_parcel in parcels fail and are tried again: the carrier does not answer: Connection refused (os error *).",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_of_ten_incidents_is_on_stuck_within_ten_seconds_and_what_is_clicked_there_helps() -> anyhow::Result<()> {
    let database = database().await;
    let pool = database.pool();
    let mut shop = Shop::start(&database.url(), &["outside", "web", "worker", "worker"]).await?;
    for number in 0..20 {
        let lines = json!([{ "product": 1 + number % 12, "quantity": 1 }]);
        let order = json!({ "email": format!("buyer{}@example.com", number % 7), "lines": lines });
        shop.post("/orders", &order, StatusCode::CREATED).await?;
    }
    let dashboard = format!("{}/queue", shop.url);
    let mut incidents = shop.command("incidents")?.stdout(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(incidents.stdout.take().expect("it can be read")).lines();
    shop.adopt("incidents", incidents);
    let mut planted = BTreeMap::new();
    let mut told = BTreeMap::new();
    while told.len() < INCIDENTS.len() {
        tokio::select! {
            line = said.next_line() => {
                let line = line?.expect("it goes on");
                let incident = line.strip_prefix("incident: ").expect("nothing else is said").to_owned();
                planted.entry(incident).or_insert_with(Instant::now);
            }
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                let asked = Instant::now();
                let stuck = page(&dashboard, "/stuck").await;
                let causes = causes(&stuck);
                for (incident, code, sentence) in INCIDENTS {
                    let Some(since) = planted.get(incident).filter(|_| !told.contains_key(incident)) else { continue };
                    if causes.iter().any(|(known, said)| known == code && pattern(sentence, said)) {
                        told.insert(incident, asked.saturating_duration_since(*since));
                    } else {
                        ensure!(asked.saturating_duration_since(*since) < SOON, "{incident} is not told of: {causes:#?}");
                    }
                }
            }
        }
    }
    ensure!(told.values().all(|after| *after < SOON), "{told:?}");
    // It goes on telling, whoever reads it.
    tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
    Browser::with(async |browser| {
        pictures::take(browser, &dashboard, &pool).await;
        // As it looks when all that can stand on it does.
        browser.go(&format!("{dashboard}/stuck")).await;
        browser.passes("Stuck").await;
        // What somebody who is on call would click.
        for (code, queue) in [("paused", "invoices"), ("row_locked", "returns")] {
            browser.go(&format!("{dashboard}/stuck")).await;
            browser.click(&format!("[data-code=\"{code}\"] .act > .btn:first-child")).await;
            if code == "row_locked" {
                browser.click("form.act .acts button").await;
            }
            // A row that was locked when the workers passed it is looked for each half minute.
            within(DEADLINE, &format!("all of {queue} have run"), async || waiting(&pool, queue).await == 0).await;
            let shows = format!("return document.querySelector('[data-code=\"{code}\"]') !== null");
            browser.go(&format!("{dashboard}/stuck")).await;
            within(SOON, &format!("{code} is gone while somebody looks"), async || browser.ask(&shows).await == json!(false)).await;
        }
    })
    .await;
    shop.stop().await
}

/// The causes on the page: code and sentence.
fn causes(stuck: &str) -> Vec<(String, String)> {
    let cards = stuck.split("<section class=\"card").skip(1);
    let cause = |card: &str| {
        let between = |from: &str, to: &str| card.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map(|(found, _)| found);
        Some((between("data-code=\"", "\"")?.to_owned(), read(between("<p class=\"why\">", "</p>")?)))
    };
    cards.filter_map(cause).collect()
}

/// What of some HTML is read: without its tags.
fn read(html: &str) -> String {
    let text: String = html
        .split('<')
        .enumerate()
        .map(|(n, part)| if n == 0 { part } else { part.split_once('>').map_or("", |(_, rest)| rest) })
        .collect();
    unescape(&text)
}

async fn waiting(pool: &PgPool, queue: &str) -> i64 {
    let unfinished = "SELECT count(*) FROM haulage.jobs WHERE queue = $1 AND state <> $2";
    sqlx::query_scalar(unfinished).bind(queue).bind(JobState::Completed.as_str()).fetch_one(pool).await.unwrap()
}
