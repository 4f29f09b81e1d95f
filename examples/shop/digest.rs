//! A mail to the owner of the shop each night: what was sold the day before.
//!
//! Nobody enqueues it: the schedule does, once in the whole fleet, at half past two in Berlin, also in
//! the night in which there is no half past two.

use haulage::{Ctx, Job, JobError, Overlap, Schedule, State};
use serde::{Deserialize, Serialize};

use crate::mail::{Mailer, money};

const OWNER: &str = "owner@example.com";

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NightlyDigest {}

impl Job for NightlyDigest {
    const KIND: &'static str = "nightly_digest";
    const QUEUE: &'static str = "mail";
}

pub(crate) fn schedule() -> Schedule {
    Schedule::new("nightly-digest", "30 2 * * *", NightlyDigest {}).zone("Europe/Berlin").overlap(Overlap::Skip)
}

pub(crate) async fn send_digest(_: NightlyDigest, ctx: Ctx, State(mailer): State<Mailer>) -> Result<(), JobError> {
    let (orders, cents): (i64, i64) = sqlx::query_as(
        "SELECT count(DISTINCT orders.id), coalesce(sum(lines.quantity * lines.price_cents), 0)::bigint
         FROM shop.orders
         JOIN shop.order_lines AS lines ON lines.order_id = orders.id
         WHERE orders.placed_at >= now() - interval '1 day'",
    )
    .fetch_one(ctx.pool())
    .await?;
    mailer.send(OWNER, "Yesterday in the shop", format!("{orders} orders, {}.\n", money(cents)), &ctx).await
}
