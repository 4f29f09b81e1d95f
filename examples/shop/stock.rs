//! Telling the stock partner what was sold.
//!
//! The partner is somebody else's server: it fails, it is slow, and sometimes it does the work and
//! loses the answer. So the call carries an idempotency key, the same on every attempt, and the
//! partner's own word on when to come back decides the next try. It takes one message of a customer
//! at a time, so the jobs of a customer share a key with a limit of one. When it has taken the message,
//! a child job tells the customer.

use std::time::Duration;

use haulage::{Ctx, Job, JobError, Outcome, State};
use reqwest::{Client, Response, StatusCode, header::RETRY_AFTER};
use serde::{Deserialize, Serialize};

use crate::mail::DispatchMail;

/// Sent for every order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StockSync {
    pub(crate) order: i64,
    /// 0 in jobs from before this field was there.
    #[serde(default)]
    pub(crate) customer: i64,
}

/// The class of the keys, and what the partner bears: see `database.rs`.
pub(crate) const CUSTOMERS: &str = "customer:*";
pub(crate) const AT_ONCE: u32 = 1;

impl Job for StockSync {
    const KIND: &'static str = "stock_sync";
    const QUEUE: &'static str = "partner";
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(30));

    fn limit_key(&self) -> Option<String> {
        (self.customer != 0).then(|| format!("customer:{}", self.customer))
    }
}

pub(crate) async fn sync_stock(job: StockSync, ctx: Ctx, State(partner): State<Partner>) -> Result<Outcome, JobError> {
    let lines: Vec<(i32, i32)> = sqlx::query_as("SELECT product_id, quantity FROM shop.order_lines WHERE order_id = $1 ORDER BY line")
        .bind(job.order)
        .fetch_all(ctx.pool())
        .await?;
    let sold = Sold { order: job.order, lines: lines.into_iter().map(|(product, quantity)| Line { product, quantity }).collect() };

    let answer = partner.client.post(&partner.url).header("Idempotency-Key", ctx.idempotency_key()).json(&sold).send().await?;

    match answer.status() {
        // The next job and this one's completion commit together: one notice, however often this ran.
        status if status.is_success() => {
            let mut tx = ctx.begin().await?;
            ctx.child(DispatchMail { order: job.order }).enqueue(&mut *tx).await?;
            ctx.complete(tx).await
        }
        // "Not now": the partner says when, and we believe it within reason.
        status @ (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => {
            Err(JobError::retry_after(wait(&answer), format!("the partner answered {status}")))
        }
        // "Never": the same request would be refused again.
        status if status.is_client_error() => Err(JobError::fatal(format!("the partner refused the order with {status}"))),
        status => Err(JobError::from(format!("the partner answered {status}"))),
    }
}

fn wait(answer: &Response) -> Duration {
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok()).unwrap_or(2);
    Duration::from_secs(seconds).clamp(Duration::from_secs(1), Duration::from_secs(3600))
}

/// What goes over the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sold {
    pub(crate) order: i64,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) product: i32,
    pub(crate) quantity: i32,
}

/// Where the partner is.
#[derive(Debug, Clone)]
pub(crate) struct Partner {
    client: Client,
    url: String,
}

impl Partner {
    pub(crate) fn new(port: u16) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { client, url: format!("http://127.0.0.1:{port}/stock") })
    }
}
