//! The dashboard in a real browser.
#![cfg(feature = "dashboard")]

use haulage::{Job, dashboard::router};
use serde_json::{Value, json};

use crate::{
    dashboard::{furnish, plant},
    live::watch,
    support::{Count, browser::Browser, database, eventually, page::serve, text::percent},
};

/// Texts that try to get out of an element, an attribute, a script, a style, an address or a line.
fn hostile_texts() -> Vec<String> {
    let acts = ["window.hacked=1", "alert(1)"];
    let ways = [
        "<script>ACT</script>",
        "<img src=x onerror=ACT>",
        "<svg onload=ACT>",
        "<svg><script>ACT</script></svg>",
        "<body onload=ACT>",
        "<iframe srcdoc='<script>parent.ACT</script>'>",
        "<details open ontoggle=ACT>",
        "<input autofocus onfocus=ACT>",
        "<a href=\"javascript:ACT\">x</a>",
        "javascript:ACT",
        "<style>@import 'javascript:ACT'</style>",
        "<math><mtext><script>ACT</script></mtext></math>",
        "<template><script>ACT</script></template>",
        "<meta http-equiv=refresh content='0;url=javascript:ACT'>",
        "<base href='//evil.example/'>",
        "<form action='javascript:ACT'><button autofocus>x",
        "<object data='javascript:ACT'>",
        "<video><source onerror=ACT>",
    ];
    let breaks = ["", "\">", "'>", "</title>", "-->", "\u{202e}\u{1b}[31m"];
    let mut texts: Vec<String> = acts
        .iter()
        .flat_map(|act| ways.iter().map(move |way| way.replace("ACT", act)))
        .flat_map(|way| breaks.iter().map(move |before| format!("{before}{way}")))
        .collect();
    texts.extend(
        ["..", "a/b", "%2f%2e%2e", "?x=1#y", "{{7*7}}", "${7*7}", "' OR 1=1--", "\\", "  ", "😀", "\u{feff}x"].map(ToOwned::to_owned),
    );
    texts.sort();
    texts.dedup();
    texts
}

#[tokio::test]
async fn no_text_of_a_job_runs_or_becomes_an_element_in_a_browser() {
    let database = database().await;
    let pool = database.pool();
    let texts = hostile_texts();
    assert!(texts.len() >= 200, "{}", texts.len());
    let mut ids = Vec::new();
    for text in &texts {
        ids.push(plant(&pool, text).await);
    }
    let url = serve(router(pool.clone())).await;
    let lists = ["", "stuck", "jobs", "jobs?state=dead", "queues", "workers", "schedules", "operations", "audit"].map(ToOwned::to_owned);
    let own = ids.iter().map(|id| format!("jobs/{id}"));
    // The other pages say the same of each, so a part of them will do.
    let few = ids.iter().zip(&texts).step_by(8);
    let others = few.flat_map(|(id, text)| {
        let name = percent(text);
        [format!("jobs/{}", id.0 + 1), format!("workers/{id}"), format!("queues/{name}"), format!("schedules/{name}")]
    });
    Browser::with(async |browser| {
        for path in lists.into_iter().chain(own).chain(others) {
            browser.go(&format!("{url}/{path}")).await;
            // What came in by a text: nothing of ours is of these kinds.
            let found = browser
                .ask(
                    "return [window.hacked ?? null, document.querySelectorAll('script:not([src]), style, img, iframe, object, base, template, \
                     math, video, meta[http-equiv], [onerror], [onload], [onfocus], [ontoggle], [href^=\"javascript:\" i], \
                     [action^=\"javascript:\" i]').length, document.querySelector('main') !== null]",
                )
                .await;
            assert_eq!(found, json!([null, 0, true]), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_page_passes_axe_and_fits_in_light_and_dark_at_three_widths() {
    let database = database().await;
    let pool = database.pool();
    let furnished = furnish(&pool).await;
    let url = serve(router(pool.clone())).await;
    let (dead, child) = (furnished.dead, furnished.child);
    let pages = [
        "overview".to_owned(),
        "stuck".to_owned(),
        "jobs".to_owned(),
        format!("jobs/{dead}"),
        format!("jobs/{child}"),
        "queues".to_owned(),
        "queues/mail".to_owned(),
        "workers".to_owned(),
        "schedules".to_owned(),
        "schedules/nightly".to_owned(),
        "operations".to_owned(),
        "operations/1".to_owned(),
        "audit".to_owned(),
        "nowhere".to_owned(),
    ];
    Browser::with(async |browser| {
        for page in &pages {
            browser.go(&format!("{url}/{page}")).await;
            browser.passes(page).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_changes_under_the_reader_who_loses_nothing() {
    let database = database().await;
    let pool = database.pool();
    for n in 0..40 {
        Count { n }.enqueue(&pool).await.unwrap();
    }
    let url = serve(router(pool.clone())).await;
    Browser::with(async |browser| {
        browser.resize(1_280, 600).await;
        browser.go(&format!("{url}/jobs")).await;
        browser.write("#q", "kind:co").await;
        browser.ask("window.scrollTo(0, 200); window.same = document.querySelector('table.rows')").await;
        let id = Count { n: 41 }.enqueue(&pool).await.unwrap().id();
        let shows = format!("return [...document.querySelectorAll('table.rows .id')].some((row) => row.textContent === '{id}')");
        eventually("the new job is shown", async || browser.ask(&shows).await == Value::Bool(true)).await;
        let kept = browser
            .ask(
                "return [document.activeElement.id, document.querySelector('#q').value, window.scrollY, \
                 window.same === document.querySelector('table.rows'), document.querySelector('#live').dataset.state !== 'off']",
            )
            .await;
        assert_eq!(kept, json!(["q", "kind:co", 200, true, true]));

        // Whoever has paused it reads what was there.
        browser.click("#live").await;
        let id = Count { n: 42 }.enqueue(&pool).await.unwrap().id();
        let mut other = watch(&url, "/live?at=jobs&base=.%2F", None).await;
        other.until(|parts| parts["main"].as_str().unwrap().contains(&format!("jobs/{id}\""))).await;
        let shows = format!("return [...document.querySelectorAll('table.rows .id')].some((row) => row.textContent === '{id}')");
        assert_eq!(browser.ask(&shows).await, Value::Bool(false));
        browser.click("#live").await;
        eventually("the page goes on", async || browser.ask(&shows).await == Value::Bool(true)).await;
    })
    .await;
}
