//! The first page: the catalogue as one order form, the traffic switch, and the queue live.

use axum::{Json, extract::State};
use haulage::{JobFilter, JobId, JobState};
use serde::Serialize;

use super::jobs;
use crate::{
    frame::{Page, Text},
    mail::money,
    problem::Problem,
    web::App,
};

/// Live numbers stop counting here, so that a long queue does not make the page slow.
const MOST_COUNTED: u16 = 100;

/// `GET /`
pub(crate) async fn show(State(app): State<App>) -> Result<Page, Problem> {
    let products: Vec<(i32, String, String, i32, Option<i64>)> = sqlx::query_as(
        "SELECT id, name, blurb, price_cents,
                (SELECT max(pictures.id) FROM shop.pictures WHERE product_id = products.id AND thumbnail IS NOT NULL)
         FROM shop.products
         ORDER BY id",
    )
    .fetch_all(&app.pool)
    .await?;

    let mut body = String::from(
        "<p class=\"lead\">An order stores its rows and enqueues a receipt and a stock message in \
one transaction. You get your page at once; workers do the slow part.</p>
<div class=\"columns\">
<form method=\"post\" action=\"/orders\">
<div class=\"catalogue\">\n",
    );
    for (id, name, blurb, price_cents, picture) in &products {
        let picture =
            picture.map_or_else(String::new, |picture| format!("<img class=\"picture\" src=\"/pictures/{picture}.jpg\" alt=\"\">"));
        body += &format!(
            "<label class=\"product\">{picture}<b><a href=\"/products/{id}\">{}</a></b><span class=\"muted\">{}</span>\
<span class=\"row\"><span>{}</span><input name=\"product-{id}\" type=\"number\" min=\"0\" \
max=\"1000\" placeholder=\"0\" aria-label=\"Quantity\"></span></label>\n",
            Text(name),
            Text(blurb),
            money(i64::from(*price_cents)),
        );
    }
    body += "</div>
<div class=\"checkout\"><label>E-mail <input name=\"email\" type=\"email\" required \
value=\"you@example.com\" autocomplete=\"email\"></label><button>Place the order</button></div>
</form>
<aside>\n";
    body += &live_card();
    body += &traffic_card(*app.traffic.borrow());
    body += "</aside>\n</div>";
    Ok(Page { title: "Everything for the road".into(), body })
}

fn live_card() -> String {
    "<section class=\"card\" data-live>
<h2>The queue, live</h2>
<dl class=\"numbers\">
<div><dt>orders, last minute</dt><dd data-number=\"orders_last_minute\">–</dd></div>
<div><dt>jobs waiting</dt><dd data-number=\"waiting\">–</dd></div>
<div><dt>running</dt><dd data-number=\"running\">–</dd></div>
<div><dt>to be retried</dt><dd data-number=\"scheduled\">–</dd></div>
</dl>
<table><tbody data-latest></tbody></table>
</section>\n"
        .into()
}

fn traffic_card(now: u32) -> String {
    let buttons: String = [(0, "Off"), (1, "1 a second"), (10, "10 a second"), (50, "50 a second")]
        .iter()
        .map(|(rate, name)| {
            let pressed = *rate == now;
            format!("<button name=\"per_second\" value=\"{rate}\" aria-pressed=\"{pressed}\">{name}</button>")
        })
        .collect();
    format!(
        "<form class=\"card\" method=\"post\" action=\"/traffic\">
<h2>Traffic</h2>
<p class=\"muted\">Customers who order by themselves: {now} a second.</p>
<div class=\"switch\">{buttons}</div>
</form>\n"
    )
}

#[derive(Debug, Serialize)]
pub(crate) struct Live {
    orders_last_minute: i64,
    waiting: Count,
    running: Count,
    scheduled: Count,
    latest: Vec<Latest>,
}

/// `more` when the counting stopped.
#[derive(Debug, Serialize)]
struct Count {
    number: usize,
    more: bool,
}

#[derive(Debug, Serialize)]
struct Latest {
    id: JobId,
    kind: String,
    state: String,
}

/// `GET /live.json`
pub(crate) async fn live(State(app): State<App>) -> Result<Json<Live>, Problem> {
    let orders_last_minute: i64 =
        sqlx::query_scalar("SELECT count(*) FROM shop.orders WHERE placed_at > now() - interval '1 minute'").fetch_one(&app.pool).await?;
    let latest = haulage::list_jobs(&app.pool, &JobFilter::new().limit(8)).await?;
    Ok(Json(Live {
        orders_last_minute,
        waiting: count(&app, JobState::Available).await?,
        running: count(&app, JobState::Running).await?,
        scheduled: count(&app, JobState::Scheduled).await?,
        latest: latest.into_iter().map(|job| Latest { id: job.id, kind: job.kind, state: jobs::state(job.state, job.failures) }).collect(),
    }))
}

async fn count(app: &App, state: JobState) -> Result<Count, Problem> {
    let filter = JobFilter::new().state(state).limit(MOST_COUNTED);
    let number = haulage::list_jobs(&app.pool, &filter).await?.len();
    Ok(Count { number, more: number == usize::from(MOST_COUNTED) })
}
