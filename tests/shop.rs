//! The example shop as a user runs it: real processes, HTTP, mail, and a partner that fails.

use std::{collections::HashSet, io::Cursor};

use anyhow::{Context, bail, ensure};
use haulage::{
    JobId, JobState, JobStatus, Operator,
    story::{self, StoryKey},
};
use image::{ImageFormat, RgbaImage};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    self,
    shop::{DEADLINE, Shop},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_order_gets_its_receipt_and_its_stock_message_although_the_partner_fails() -> anyhow::Result<()> {
    let database = support::database().await;
    let pool = database.pool();
    let mut shop = Shop::start(&database.url(), &["outside", "web", "worker", "worker"]).await?;

    let mut orders = HashSet::new();
    let mut mails = Vec::new();
    let mut syncs = Vec::new();
    let mut requests = Vec::new();
    for number in 0..50 {
        let order = json!({
            "email": format!("buyer{number}@example.com"),
            "lines": [{ "product": 1 + number % 12, "quantity": 1 + number % 3 }],
        });
        let placed = shop.post("/orders", &order, StatusCode::CREATED).await?;
        ensure!(orders.insert(number_in(&placed, "order")?), "two orders with one number: {placed}");
        mails.push(JobId(number_in(&placed, "receipt_job")?));
        syncs.push(JobId(number_in(&placed, "sync_job")?));
        requests.push(placed["request"].as_str().context("the order's request has no id")?.to_owned());
    }
    let signed_up = json!({ "name": "Zoë <Buyer>", "email": "buyer0@example.com" });
    let signed_up = shop.post("/signup", &signed_up, StatusCode::CREATED).await?;
    mails.push(JobId(number_in(&signed_up, "welcome_job")?));

    let months: Vec<String> = sqlx::query_scalar(
        "SELECT to_char(date_trunc('month', now()) - interval '1 month' * n, 'YYYY-MM') FROM generate_series(0, 2) AS n",
    )
    .fetch_all(&pool)
    .await?;
    let mut reports = Vec::new();
    for month in &months {
        let asked = shop.post("/reports", &json!({ "month": month }), StatusCode::ACCEPTED).await?;
        reports.push((month, JobId(number_in(&asked, "job")?)));
    }

    for id in &mails {
        completed(&pool, *id).await?;
    }
    let mut retried = 0;
    for id in &syncs {
        let sync = completed(&pool, *id).await?;
        retried += usize::from(sync.attempt > 1);
    }
    ensure!(retried > 0, "the partner refused nobody");
    // Each sync has a child.
    let notices: Vec<i64> = sqlx::query_scalar("SELECT id FROM haulage.jobs WHERE parent_id = ANY ($1)")
        .bind(syncs.iter().map(|id| id.0).collect::<Vec<_>>())
        .fetch_all(&pool)
        .await?;
    for id in notices {
        completed(&pool, JobId(id)).await?;
    }

    // The request's id leads to all of it: the request, both jobs, each attempt and what it waited for.
    for (id, request) in syncs.iter().zip(&requests) {
        let story = story::tell(&pool, &StoryKey::request(request)).await?.with_context(|| format!("no story of {request}"))?;
        let told = serde_json::to_value(&story)?;
        let [of_request] = told["spans"].as_array().context("no spans")?.as_slice() else { bail!("not one request: {told}") };
        ensure!(of_request["route"] == "POST /orders" && of_request["service"] == "shop-web", "{told}");
        let jobs = of_request["children"].as_array().context("no jobs")?;
        ensure!(jobs.len() == 2 && jobs[0]["kind"] == "receipt_mail", "{told}");
        let sync = jobs.iter().find(|job| job["job"] == id.0).context("the sync is missing")?;
        // A job that waited for a runner for too long was given back unharmed: nothing is stored of such an attempt, which the story says.
        let spans = || sync["children"].as_array().into_iter().flatten();
        let attempts = spans().filter(|span| span["span"] == "attempt").count();
        let notes = spans().filter_map(|span| span["notes"].as_array()).flatten().filter_map(|note| note.as_str());
        let given_back = notes.filter(|note| note.starts_with("Nothing is stored of attempt ")).count();
        ensure!(sync["attempts"] == attempts + given_back, "{sync}");
        let last = sync["children"].as_array().and_then(|spans| spans.last()).context("nothing in the sync")?;
        ensure!(last["children"][0]["kind"] == "dispatch_mail" && last["children"][0]["state"] == "completed", "{sync}");
    }

    // Each mail once, whatever was retried.
    let caught = shop.get(&format!("http://127.0.0.1:{}/mails.json", shop.mails_port)).await?;
    let caught = caught.as_array().context("the mails are no list")?;
    let ids: HashSet<&str> = caught.iter().filter_map(|mail| mail["message_id"].as_str()).collect();
    ensure!(caught.len() == 101 && ids.len() == 101, "{} mails with {} ids", caught.len(), ids.len());
    let welcome = caught.iter().find(|mail| mail["subject"] == "Welcome to the shop").context("no welcome mail")?;
    ensure!(
        welcome["to"] == json!(["buyer0@example.com"])
            && welcome["text"].as_str().is_some_and(|text| text.starts_with("Dear Zoë <Buyer>,")),
        "the welcome mail is {welcome}"
    );

    // The digest of the night, asked for by hand.
    let digest = Operator::new("ana").run_schedule(&pool, "nightly-digest").await?;
    completed(&pool, digest).await?;
    let caught = shop.get(&format!("http://127.0.0.1:{}/mails.json", shop.mails_port)).await?;
    let digest = caught.as_array().into_iter().flatten().find(|mail| mail["subject"] == "Yesterday in the shop").context("no digest")?;
    ensure!(digest["text"].as_str().is_some_and(|text| text.contains(" orders, EUR ")), "the digest is {digest}");

    // Each order once at the partner, however often it was sent.
    let stock = shop.get(&format!("http://127.0.0.1:{}/stock.json", shop.partner_port)).await?;
    let received = stock["received"].as_array().context("the stock is no list")?;
    let synced: HashSet<i64> = received.iter().filter_map(|message| message["order"].as_i64()).collect();
    ensure!(received.len() == 50 && synced == orders, "the partner knows {} messages for orders {synced:?}", received.len());
    ensure!(stock["refused"].as_u64() > Some(0), "the partner refused nothing: {stock}");

    for (month, id) in reports {
        let report = completed(&pool, id).await?;
        let output = report.output.context("a report without an output")?;
        let lines: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM shop.orders JOIN shop.order_lines ON order_id = orders.id WHERE to_char(placed_at AT TIME ZONE 'UTC', 'YYYY-MM') = $1",
        )
        .bind(month)
        .fetch_one(&pool)
        .await?;
        let csv = shop.client.get(format!("{}/reports/{id}/download", shop.url)).send().await?.error_for_status()?.text().await?;
        ensure!(csv.starts_with("placed_at,order,customer,"), "a report that begins {:?}", csv.lines().next());
        ensure!(csv.lines().count() as i64 == lines + 1, "{} lines in the report of {month}, {lines} in the shop", csv.lines().count());
        let pdf = shop.client.get(format!("{}/reports/{id}/pdf", shop.url)).send().await?.error_for_status()?;
        ensure!(pdf.headers()["content-type"] == "application/pdf", "the PDF comes as {:?}", pdf.headers());
        let pdf = pdf.bytes().await?;
        ensure!(pdf.starts_with(b"%PDF-") && pdf.trim_ascii_end().ends_with(b"%%EOF"), "the PDF of {month} is none");
        ensure!(
            output == json!({ "name": format!("sales-{month}.csv"), "bytes": csv.len(), "pdf_bytes": pdf.len(), "rows": lines }),
            "the report's output is {output}"
        );
    }

    shop.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_answered_with_a_sentence_and_enqueues_nothing() -> anyhow::Result<()> {
    let database = support::database().await;
    let pool = database.pool();
    let mut shop = Shop::start(&database.url(), &["web"]).await?;

    // The dashboard stands beside the shop's own pages, with a frame of its own.
    for path in ["/queue", "/queue/", "/queue/jobs"] {
        let page = reqwest::get(format!("{}{path}", shop.url)).await?.error_for_status()?.text().await?;
        ensure!(page.contains("· Haulage</title>") && !page.contains("Haulage shop"), "{path}: {page}");
    }
    for (path, body) in [
        ("/orders", json!({ "email": "nobody", "lines": [{ "product": 1, "quantity": 1 }] })),
        ("/orders", json!({ "email": "a@example.com", "lines": [] })),
        ("/orders", json!({ "email": "a@example.com", "lines": [{ "product": 99, "quantity": 1 }] })),
        ("/orders", json!({ "email": "a@example.com", "lines": [{ "product": 1, "quantity": 0 }] })),
        ("/orders", json!({ "email": "a@example.com" })),
        ("/signup", json!({ "name": " ", "email": "a@example.com" })),
        ("/reports", json!({ "month": "2026-13" })),
        ("/traffic", json!({ "per_second": 100_000 })),
    ] {
        let answer = shop.post(path, &body, StatusCode::BAD_REQUEST).await?;
        let sentence = answer["error"].as_str().context("no sentence")?;
        ensure!(sentence.ends_with('.'), "{path} {body} was answered {sentence:?}");
    }

    // The same for a browser, with nothing of the input taken for HTML.
    let page = shop
        .client
        .post(format!("{}/reports", shop.url))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("month=%3Cscript%3E")
        .send()
        .await?;
    ensure!(page.status() == StatusCode::BAD_REQUEST);
    let page = page.text().await?;
    ensure!(page.contains("&quot;&lt;script&gt;&quot; is not a month"), "the page is {page}");

    let jobs = haulage::list_jobs(&pool, &haulage::JobFilter::new()).await?;
    ensure!(jobs.is_empty(), "jobs came of bad input: {jobs:?}");
    shop.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_picture_gets_a_thumbnail_and_a_broken_one_is_not_tried_again() -> anyhow::Result<()> {
    let database = support::database().await;
    let pool = database.pool();
    let mut shop = Shop::start(&database.url(), &["web", "worker"]).await?;
    let mut png = Cursor::new(Vec::new());
    RgbaImage::from_fn(800, 400, |x, y| image::Rgba([(x / 4) as u8, (y / 2) as u8, 90, if x < 80 { 0 } else { 255 }]))
        .write_to(&mut png, ImageFormat::Png)?;
    let png = png.into_inner();

    let answer = shop.upload(3, "image/png", png.clone()).await?;
    ensure!(answer.status() == StatusCode::ACCEPTED, "the upload was answered {}", answer.status());
    let answer: Value = answer.json().await?;
    let picture = number_in(&answer, "picture")?;
    let made = completed(&pool, JobId(number_in(&answer, "job")?)).await?.output.context("a thumbnail without an output")?;
    let jpeg = shop.client.get(format!("{}/pictures/{picture}.jpg", shop.url)).send().await?.error_for_status()?.bytes().await?;
    ensure!(made == json!({ "width": 320, "height": 160, "bytes": jpeg.len() }), "the job made {made}");
    let small = image::load_from_memory_with_format(&jpeg, ImageFormat::Jpeg)?.to_rgb8();
    ensure!(small.dimensions() == (320, 160), "the thumbnail has {:?} pixels", small.dimensions());
    ensure!(small.get_pixel(0, 80).0.iter().all(|value| *value > 240), "what is transparent should be white: {:?}", small.get_pixel(0, 80));

    // As a browser sends it, and what it is shown then.
    let mut form =
        b"--edge\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n".to_vec();
    form.extend(&png);
    form.extend(b"\r\n--edge--\r\n");
    let page = shop
        .client
        .post(format!("{}/products/3/picture", shop.url))
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(form)
        .send()
        .await?
        .error_for_status()?;
    ensure!(page.url().path() == "/products/3", "the form leads to {}", page.url());
    let page = page.text().await?;
    ensure!(page.contains(&format!("src=\"/pictures/{}.jpg\"", picture + 1)), "the page is {page}");

    // It begins like a picture and ends too soon.
    let answer: Value = shop.upload(3, "image/png", png[..png.len() / 2].to_vec()).await?.error_for_status()?.json().await?;
    let broken = JobId(number_in(&answer, "job")?);
    support::wait_for_state(&pool, broken, JobState::Dead).await;
    let broken = haulage::job(&pool, broken).await?.context("the job is gone")?;
    ensure!(broken.attempt == 1, "a broken picture was tried {} times", broken.attempt);

    for (product, bytes, expected) in [(3, b"hello".to_vec(), StatusCode::BAD_REQUEST), (99, png, StatusCode::NOT_FOUND)] {
        let answer = shop.upload(product, "image/png", bytes).await?;
        ensure!(answer.status() == expected, "instead of {expected} the upload was answered {}", answer.status());
    }
    shop.stop().await
}

async fn completed(pool: &PgPool, id: JobId) -> anyhow::Result<JobStatus> {
    let job = async || haulage::job(pool, id).await.unwrap().unwrap_or_else(|| panic!("there is no job {id}"));
    let ended = async || job().await.state.is_final();
    support::within(DEADLINE, &format!("job {id} ends"), ended).await;
    let job = job().await;
    ensure!(job.state == JobState::Completed, "job {id} ended {}: {job:?}", job.state);
    Ok(job)
}

fn number_in(value: &Value, field: &str) -> anyhow::Result<i64> {
    value[field].as_i64().with_context(|| format!("no {field} in {value}"))
}
