//! How each of them comes about.

use std::time::Duration;

use anyhow::Context;
use haulage::{Job, JobId, Limit, NamedJob, Operator, enqueue_all, enqueue_named};
use serde_json::json;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::{Instant, sleep, sleep_until};

use super::jobs::{BookPayment, ExportOrders, Newsletter, PrintInvoice, SendPostcard, TakeBack, TrackParcel};

/// Tells that an incident is there, by a name that stays.
#[expect(clippy::print_stdout, reason = "whoever started it wants to know")]
pub(super) fn say(incident: &str) {
    println!("incident: {incident}");
}

/// Nobody has a worker for newsletters.
pub(super) async fn no_worker(pool: &PgPool) -> anyhow::Result<()> {
    enqueue_all(pool, (1..=30).map(|customer| Newsletter { customer })).await?;
    say("no worker");
    Ok(())
}

pub(super) async fn paused_queue(pool: &PgPool) -> anyhow::Result<()> {
    let nina = Operator::new("nina").because("the printer is out of toner");
    nina.pause_queue(pool, PrintInvoice::QUEUE, None).await?;
    enqueue_all(pool, (1..=12).map(|order| PrintInvoice { order })).await?;
    say("paused queue");
    Ok(())
}

/// Exports are slow, and only two may run at once.
pub(super) async fn full_limit(pool: &PgPool) -> anyhow::Result<()> {
    let nina = Operator::new("nina").because("exports are heavy");
    nina.limit_queue(pool, ExportOrders::QUEUE, Limit::running(2)).await?;
    enqueue_all(pool, (1..=40).map(|part| ExportOrders { part })).await?;
    // Dated back: a minute in line is no incident.
    sqlx::query("UPDATE haulage.live_jobs SET eligible_at = now() - interval '10 minutes', created_at = now() - interval '10 minutes' WHERE queue = $1 AND state = 1")
        .bind(ExportOrders::QUEUE)
        .execute(pool)
        .await?;
    say("full limit");
    Ok(())
}

/// A kind that no worker of the queue knows: the code that enqueues it was deployed, the worker was not.
pub(super) async fn unknown_kind(pool: &PgPool) -> anyhow::Result<()> {
    enqueue_all(pool, (1..=6).map(|order| SendPostcard { order })).await?;
    say("unknown kind");
    Ok(())
}

pub(super) async fn bad_args(pool: &PgPool) -> anyhow::Result<()> {
    for order in ["forty-two", "forty-three"] {
        enqueue_named(pool, &NamedJob::new("receipt_mail", json!({ "order": order })).queue("mail")).await?;
    }
    say("bad args");
    Ok(())
}

/// Fails five times with one error.
pub(super) async fn backoff_loop(pool: &PgPool) -> anyhow::Result<()> {
    let payment = BookPayment { order: 1 }.enqueue(pool).await?.id();
    failed(pool, payment, 5).await?;
    say("backoff loop");
    Ok(())
}

pub(super) async fn dead_upstream(pool: &PgPool) -> anyhow::Result<()> {
    let parcels = enqueue_all(pool, (1..=8).map(|parcel| TrackParcel { parcel })).await?;
    for parcel in parcels {
        failed(pool, parcel.id(), 1).await?;
    }
    say("dead upstream");
    Ok(())
}

async fn failed(pool: &PgPool, id: JobId, times: i16) -> anyhow::Result<()> {
    while haulage::job(pool, id).await?.context("the job is gone")?.failures < times {
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Somebody looks at a row in psql, locks it and goes for lunch. In a queue that nobody serves yet: a worker would be quicker.
pub(super) async fn locked_row(pool: &PgPool) -> anyhow::Result<PgConnection> {
    let back = TakeBack { order: 1 }.enqueue(pool).await?.id();
    let mut psql = session(pool, "psql").await?;
    sqlx::raw_sql("BEGIN").execute(&mut psql).await?;
    sqlx::query("SELECT args FROM haulage.live_jobs WHERE id = $1 FOR UPDATE").bind(back.0).execute(&mut psql).await?;
    say("locked row");
    Ok(psql)
}

/// A report that reads in one transaction, and does not end it.
pub(super) async fn forgotten_report(pool: &PgPool) -> anyhow::Result<PgConnection> {
    let mut report = session(pool, "sales report").await?;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM shop.orders").execute(&mut report).await?;
    Ok(report)
}

/// What comes and goes meanwhile stays as dead rows. Here in one go: so many jobs take a shop like this one a day.
pub(super) async fn old_snapshot(pool: &PgPool, began: Instant) -> anyhow::Result<()> {
    sqlx::raw_sql(
        "INSERT INTO haulage.live_jobs (queue, kind, args, state, place, run_at)
         SELECT 'mail', 'receipt_mail', '{\"order\": 0}', 0, 0, now() + interval '1 day' FROM generate_series(1, 25000);
         DELETE FROM haulage.live_jobs WHERE queue = 'mail' AND kind = 'receipt_mail' AND args = '{\"order\": 0}'",
    )
    .execute(pool)
    .await?;
    // Reports that take seconds are everyday.
    sleep_until(began + Duration::from_secs(10)).await;
    say("old snapshot");
    Ok(())
}

async fn session(pool: &PgPool, name: &str) -> anyhow::Result<PgConnection> {
    Ok(PgConnection::connect_with(&pool.connect_options().as_ref().clone().application_name(name)).await?)
}
