//! The month's sales as a CSV file of every line and a PDF of one page: a long job with progress and
//! a result.
//!
//! The files are stored in the transaction that completes the job. If the worker dies halfway, there
//! is no half file; if it loses its lease, its files never become visible. Nobody can end up with two
//! reports or none.

use std::{fmt::Write as _, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use haulage::{Ctx, Job, JobError, Outcome, Unique};
use serde::{Deserialize, Serialize};

use crate::{month::Month, summary::Summary};

/// Lines between two looks at the clock: progress and cancellation.
const CHUNK: i64 = 1_000;

/// A report on one month.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SalesReport {
    pub(crate) month: Month,
}

impl Job for SalesReport {
    const KIND: &'static str = "sales_report";
    const QUEUE: &'static str = "reports";
    const MAX_ATTEMPTS: u16 = 5;

    /// Two people who ask for the same month while it is being made get the same job.
    fn unique(&self) -> Option<Unique> {
        Some(Unique::by(self.month))
    }
}

/// The job's output: what the page shows; the files themselves are in `shop.reports`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReportFile {
    /// Of the CSV file; that of the PDF differs in its end.
    pub(crate) name: String,
    pub(crate) bytes: usize,
    /// Of a job from before there were any: 0.
    #[serde(default)]
    pub(crate) pdf_bytes: usize,
    pub(crate) rows: i64,
}

type Line = (DateTime<Utc>, i64, String, i64, String, i32, i32);

pub(crate) async fn make_report(job: SalesReport, ctx: Ctx) -> Result<Outcome, JobError> {
    let month = job.month;
    let total: i64 = sqlx::query_scalar(
        "SELECT count(*)
         FROM shop.orders
         JOIN shop.order_lines AS lines ON lines.order_id = orders.id
         WHERE orders.placed_at >= $1::date AND orders.placed_at < $2::date",
    )
    .bind(month.first_day())
    .bind(month.end())
    .fetch_one(ctx.pool())
    .await?;

    let mut csv = String::from("placed_at,order,customer,earlier_orders,product,quantity,price_cents\n");
    let mut summary = Summary::default();
    let mut rows = 0;
    {
        // `fetch` streams: the month is one query, and no list of its lines is built here. The work
        // is in counting, for each line, what the customer had ordered before.
        let mut lines = sqlx::query_as::<_, Line>(
            "SELECT orders.placed_at, orders.id, customers.email,
                    (SELECT count(*)
                     FROM shop.orders AS earlier
                     WHERE earlier.customer_id = orders.customer_id
                       AND earlier.placed_at < orders.placed_at),
                    products.name, lines.quantity, lines.price_cents
             FROM shop.orders
             JOIN shop.customers ON customers.id = orders.customer_id
             JOIN shop.order_lines AS lines ON lines.order_id = orders.id
             JOIN shop.products ON products.id = lines.product_id
             WHERE orders.placed_at >= $1::date AND orders.placed_at < $2::date
             ORDER BY orders.placed_at, orders.id, lines.line",
        )
        .bind(month.first_day())
        .bind(month.end())
        .fetch(ctx.pool());

        while let Some(line) = lines.try_next().await? {
            write_line(&mut csv, &line)?;
            let (placed_at, _, _, _, product, quantity, price_cents) = &line;
            summary.add(placed_at.date_naive(), product, *quantity, *price_cents);
            rows += 1;
            if rows % CHUNK == 0 {
                if ctx.is_cancelled() {
                    // Cancelled, out of time, or the worker stops: whoever asked knows which, and
                    // decides what becomes of the job. It is enough to return soon; should the
                    // job run again, nothing of this attempt is in its way.
                    return Ok(Outcome::Snooze(Duration::ZERO));
                }
                let percent = (rows * 99 / total.max(1)).min(99) as u8;
                ctx.progress(percent, format!("{} of {} lines", grouped(rows), grouped(total)));
            }
        }
    }

    let pdf = summary.pdf(month);
    let file = ReportFile { name: format!("sales-{month}.csv"), bytes: csv.len(), pdf_bytes: pdf.len(), rows };
    let mut tx = ctx.begin().await?;
    sqlx::query("INSERT INTO shop.reports (job, month, name, rows, csv, pdf) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(ctx.id().0)
        .bind(month.first_day())
        .bind(&file.name)
        .bind(rows)
        .bind(csv)
        .bind(pdf)
        .execute(&mut *tx)
        .await?;
    ctx.set_output(&file)?;
    ctx.complete(tx).await
}

fn write_line(csv: &mut String, line: &Line) -> std::fmt::Result {
    let (placed_at, order, customer, earlier_orders, product, quantity, price_cents) = line;
    writeln!(
        csv,
        "{},{order},{},{earlier_orders},{},{quantity},{price_cents}",
        placed_at.format("%Y-%m-%dT%H:%M:%SZ"),
        field(customer),
        field(product),
    )
}

/// A CSV field, quoted if it has to be. A leading `=`, `+`, `-` or `@` is defused, because
/// spreadsheets take it for a formula and customers choose their own addresses.
fn field(text: &str) -> String {
    let defused = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{defused}{}\"", text.replace('"', "\"\"")) } else { format!("{defused}{text}") }
}

/// 12000 as `12,000`.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
