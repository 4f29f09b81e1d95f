//! The shop's side of the database: schema `shop`, its catalogue and its past.
//!
//! Haulage keeps to its own schema and migrates itself; the shop's tables are the shop's business.
//! Here that is one file of `IF NOT EXISTS`, because a sample has one version. A real application
//! uses its own migrations, side by side with `haulage::migrate`.

use std::time::Duration;

use anyhow::Context;
use haulage::{Limit, Operator};
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::{options::Options, stock};

/// Connects, and brings the database up to date. Any process may come first.
pub(crate) async fn open(options: &Options) -> anyhow::Result<PgPool> {
    let url =
        options.database_url.as_deref().context("no database: set DATABASE_URL or pass --database-url; `shop demo` brings its own")?;
    let pool = PgPoolOptions::new()
        .max_connections(10)
        .acquire_timeout(Duration::from_secs(10))
        .connect(url)
        .await
        .context("could not connect to the database")?;
    haulage::migrate(&pool).await?;
    prepare(&pool, options.orders).await.context("could not prepare the schema \"shop\"")?;
    // Once: whoever changes it with `haulage keys limit` keeps the change.
    if haulage::key_limits(&pool).await?.iter().all(|limit| limit.key != stock::CUSTOMERS) {
        let shop = Operator::new("shop").because("the partner takes one at a time");
        shop.limit_key(&pool, stock::CUSTOMERS, Limit::running(stock::AT_ONCE)).await?;
    }
    Ok(pool)
}

/// Creates the tables, the catalogue and, in an empty shop, `orders` past orders.
async fn prepare(pool: &PgPool, orders: i32) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    // Processes start together. IF NOT EXISTS alone fails when two of them create a table at once.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('shop'))").execute(&mut *tx).await?;
    sqlx::raw_sql(include_str!("sql/schema.sql")).execute(&mut *tx).await?;
    sqlx::raw_sql(include_str!("sql/catalogue.sql")).execute(&mut *tx).await?;
    let empty: bool = sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM shop.orders)").fetch_one(&mut *tx).await?;
    let seeded = empty && orders > 0;
    if seeded {
        tracing::info!("making up {orders} past orders, once");
        sqlx::query(include_str!("sql/past_orders.sql")).bind(orders).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    if seeded {
        sqlx::query("ANALYZE shop.orders, shop.order_lines, shop.customers").execute(pool).await?;
    }
    Ok(())
}
