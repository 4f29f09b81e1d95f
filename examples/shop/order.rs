//! An order, and the transaction that places it.
//!
//! The order's row and the jobs that follow from it commit together: there is no order without its
//! receipt, and no receipt for an order that was rolled back.

use haulage::{Job, JobId};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::{mail, mail::ReceiptMail, problem::Problem, stock::StockSync};

/// What a customer wants.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NewOrder {
    pub(crate) email: String,
    pub(crate) lines: Vec<NewLine>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NewLine {
    pub(crate) product: i32,
    pub(crate) quantity: i32,
}

/// What the customer gets at once: the rest happens in the jobs.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Placed {
    pub(crate) order: i64,
    pub(crate) receipt_job: JobId,
    pub(crate) sync_job: JobId,
}

/// Places an order and enqueues its work, all or nothing.
pub(crate) async fn place(pool: &PgPool, new: &NewOrder) -> Result<Placed, Problem> {
    check(new)?;
    let mut tx = pool.begin().await?;

    let customer: i64 = sqlx::query_scalar(
        "INSERT INTO shop.customers (email)
         VALUES ($1)
         ON CONFLICT (email) DO UPDATE SET email = excluded.email
         RETURNING id",
    )
    .bind(&new.email)
    .fetch_one(&mut *tx)
    .await?;

    let order: i64 =
        sqlx::query_scalar("INSERT INTO shop.orders (customer_id) VALUES ($1) RETURNING id").bind(customer).fetch_one(&mut *tx).await?;

    let (products, quantities): (Vec<i32>, Vec<i32>) = new.lines.iter().map(|line| (line.product, line.quantity)).unzip();
    let known = sqlx::query(
        "INSERT INTO shop.order_lines (order_id, line, product_id, quantity, price_cents)
         SELECT $1, wanted.line, products.id, wanted.quantity, products.price_cents
         FROM unnest($2::int[], $3::int[]) WITH ORDINALITY AS wanted (product, quantity, line)
         JOIN shop.products ON products.id = wanted.product",
    )
    .bind(order)
    .bind(products)
    .bind(quantities)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if known != new.lines.len() as u64 {
        return Err(Problem::bad("The order names a product that the shop does not have."));
    }

    let receipt_job = ReceiptMail { order }.enqueue(&mut *tx).await?.id();
    let sync_job = StockSync { order, customer }.enqueue(&mut *tx).await?.id();

    sqlx::query("UPDATE shop.orders SET receipt_job = $2, sync_job = $3 WHERE id = $1")
        .bind(order)
        .bind(receipt_job.0)
        .bind(sync_job.0)
        .execute(&mut *tx)
        .await?;

    tx.commit().await?;
    Ok(Placed { order, receipt_job, sync_job })
}

fn check(new: &NewOrder) -> Result<(), Problem> {
    mail::check_address(&new.email)?;
    if new.lines.is_empty() {
        return Err(Problem::bad("The order is empty; choose at least one product."));
    }
    if new.lines.len() > 100 {
        return Err(Problem::bad("An order has at most 100 lines."));
    }
    if new.lines.iter().any(|line| !(1..=1000).contains(&line.quantity)) {
        return Err(Problem::bad("A quantity is a number from 1 to 1000."));
    }
    Ok(())
}
