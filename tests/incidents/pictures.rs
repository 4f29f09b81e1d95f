//! The pictures in `docs/images`, taken only when somebody asks for them, so that a run of the tests leaves the tree as it is.

use std::path::{Path, PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use sqlx::PgPool;

use crate::support::browser::Browser;

/// A folder for the pictures.
const FOLDER: &str = "HAULAGE_PICTURES";
/// Beyond this a picture is too much for a page of text.
const MOST_BYTES: usize = 150_000;

pub(crate) async fn take(browser: &Browser, dashboard: &str, pool: &PgPool) {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let retried: i64 = sqlx::query_scalar(
        "SELECT parent_id FROM haulage.finished_jobs AS child WHERE kind = 'dispatch_mail' AND state = 5
             AND EXISTS (SELECT FROM haulage.attempts WHERE job_id = child.parent_id AND outcome = 'failed')
         ORDER BY id LIMIT 1",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    let paused: i64 =
        sqlx::query_scalar("SELECT id FROM haulage.live_jobs WHERE queue = 'invoices' ORDER BY id LIMIT 1").fetch_one(pool).await.unwrap();
    for (name, path, theme, height) in [
        ("overview", "overview".to_owned(), "light", 960),
        ("stuck", "stuck".to_owned(), "light", 860),
        ("stuck-dark", "stuck".to_owned(), "dark", 860),
        ("job", format!("jobs/{paused}"), "light", 860),
        ("trace", format!("traces/{retried}"), "light", 860),
        ("errors", "errors".to_owned(), "light", 700),
    ] {
        browser.resize(1_280, height).await;
        browser.go(&format!("{dashboard}/{path}")).await;
        // Without the bars at its edges.
        let bars = "const root = document.documentElement; root.style.overflow = 'hidden'; root.style.scrollbarGutter = 'auto'; \
                    document.querySelector('.side').style.overflow = 'hidden'";
        browser.ask(bars).await;
        browser.dress(theme).await;
        let picture = picture(browser).await;
        assert!(picture.len() < MOST_BYTES, "{name}.png has {} bytes", picture.len());
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }
}

/// The window, as PNG.
async fn picture(browser: &Browser) -> Vec<u8> {
    let answer = browser.client.get(format!("{}/screenshot", browser.session)).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    BASE64_STANDARD.decode(answer["value"].as_str().unwrap()).unwrap()
}
