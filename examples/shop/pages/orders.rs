//! Placing an order, and the page that follows its two jobs.

use std::collections::HashMap;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use haulage::JobId;
use serde::{Deserialize, Serialize};

use super::{
    jobs,
    took::{Told, Took},
};
use crate::{
    frame::{Page, Text},
    input::{Input, request_id, wants_json},
    mail::money,
    order::{self, NewLine, NewOrder},
    problem::Problem,
    web::App,
};

/// `POST /orders`
pub(crate) async fn place(
    State(app): State<App>,
    headers: HeaderMap,
    Input(new, _): Input<NewOrder, OrderForm>,
) -> Result<Response, Problem> {
    let took = Took::start();
    let placed = order::place(&app.pool, &new).await?;
    if wants_json(&headers) {
        Ok((StatusCode::CREATED, Json(Answer { placed, request: request_id(&headers) })).into_response())
    } else {
        Ok(Redirect::to(&format!("/orders/{}?{took}", placed.order)).into_response())
    }
}

/// What a program is told.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    placed: order::Placed,
    /// The request's id, which leads to all that comes of it.
    request: Option<String>,
}

/// The catalogue's form: a quantity per product, most of them empty.
#[derive(Debug, Deserialize)]
pub(crate) struct OrderForm {
    email: String,
    #[serde(flatten)]
    quantities: HashMap<String, String>,
}

impl TryFrom<OrderForm> for NewOrder {
    type Error = Problem;

    fn try_from(form: OrderForm) -> Result<Self, Problem> {
        let mut lines = Vec::new();
        for (field, quantity) in &form.quantities {
            let quantity = quantity.trim();
            if quantity.is_empty() || quantity == "0" {
                continue;
            }
            let product = field.strip_prefix("product-").and_then(|id| id.parse().ok());
            let (Some(product), Ok(quantity)) = (product, quantity.parse()) else {
                return Err(Problem::bad("A quantity is a number from 1 to 1000."));
            };
            lines.push(NewLine { product, quantity });
        }
        lines.sort_by_key(|line| line.product);
        Ok(Self { email: form.email, lines })
    }
}

/// `GET /orders/{order}`
pub(crate) async fn show(State(app): State<App>, Path(order): Path<String>, Query(told): Query<Told>) -> Result<Page, Problem> {
    let unknown = || Problem::not_found("There is no such order.");
    let order: i64 = order.parse().map_err(|_| unknown())?;
    let (email, receipt_job, sync_job): (String, Option<i64>, Option<i64>) = sqlx::query_as(
        "SELECT customers.email, orders.receipt_job, orders.sync_job
         FROM shop.orders
         JOIN shop.customers ON customers.id = orders.customer_id
         WHERE orders.id = $1",
    )
    .bind(order)
    .fetch_optional(&app.pool)
    .await?
    .ok_or_else(unknown)?;

    let mut body = told.note("Your order and its two jobs were stored");
    body += &format!("<p class=\"lead\">For {}.</p>\n", Text(&email));
    body += &lines(&app, order).await?;
    body += "<div class=\"cards\">\n";
    for (title, job) in [("Receipt by mail", receipt_job), ("Stock partner", sync_job)] {
        // Finished jobs are deleted after a while, and past orders never had any.
        if let Some(job) = job
            && let Some(status) = haulage::job(&app.pool, JobId(job)).await?
        {
            body += &jobs::card(title, &status);
        }
    }
    body += "</div>\n";
    if let Some(request) = request_of(&app, receipt_job).await? {
        body += &format!("<p class=\"muted\">All that came of the order's request: <code>haulage trace {}</code></p>\n", Text(&request));
    }
    body += "<p class=\"muted\">The partner fails one time in three, on purpose: \
watch the attempts.</p>";
    Ok(Page { title: format!("Order {order}"), body })
}

/// The id of the request that enqueued a job, as the job's row has it.
async fn request_of(app: &App, job: Option<i64>) -> Result<Option<String>, Problem> {
    let Some(job) = job else { return Ok(None) };
    let origin = haulage::job_detail(&app.pool, JobId(job)).await?.and_then(|job| job.origin);
    Ok(origin.and_then(|origin| Some(origin.get("request_id")?.as_str()?.to_owned())))
}

async fn lines(app: &App, order: i64) -> Result<String, Problem> {
    let lines: Vec<(String, i32, i32)> = sqlx::query_as(
        "SELECT products.name, lines.quantity, lines.price_cents
         FROM shop.order_lines AS lines
         JOIN shop.products ON products.id = lines.product_id
         WHERE lines.order_id = $1
         ORDER BY lines.line",
    )
    .bind(order)
    .fetch_all(&app.pool)
    .await?;

    let mut total = 0;
    let mut table = String::from("<table>\n");
    for (product, quantity, price_cents) in &lines {
        let cents = i64::from(*quantity) * i64::from(*price_cents);
        total += cents;
        table += &format!("<tr><td>{quantity} × {}</td><td class=\"number\">{}</td></tr>\n", Text(product), money(cents));
    }
    table += &format!("<tr class=\"total\"><td>Total</td><td class=\"number\">{}</td></tr>\n</table>\n", money(total));
    Ok(table)
}
