//! Ten things that go wrong at night, to see what the dashboard says of them: `shop demo --incidents`, then `/queue/stuck`.
//!
//! Each is real: a queue that nobody serves, a session that has forgotten its transaction, a worker that is killed. Only what would
//! take minutes to look bad is helped along, where it says so. They go on until this ends, or until somebody clicks what helps.

mod jobs;
mod plant;

use std::time::Duration;

use anyhow::Context;
use haulage::{Job, JobState, Worker};
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use crate::{
    database,
    options::Options,
    process::{Phase, Process, Role},
    stop,
};

/// From one death of the courier to the next: most of it he is there, and what he left is taken over.
const BETWEEN_DEATHS: Duration = Duration::from_secs(25);

/// `shop incidents`
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let stop = stop::requested(options.with_parent)?;
    let pool = database::open(&options).await?;
    // These two sessions have to be there first: of all snapshots the oldest is blamed, and a row is locked before somebody serves it.
    let _report = plant::forgotten_report(&pool).await?;
    let began = Instant::now();
    let _psql = plant::locked_row(&pool).await?;
    plant::full_limit(&pool).await?;
    plant::paused_queue(&pool).await?;
    let worker = worker(pool.clone())?;
    let rest = async {
        plant::no_worker(&pool).await?;
        plant::unknown_kind(&pool).await?;
        plant::bad_args(&pool).await?;
        plant::backoff_loop(&pool).await?;
        plant::dead_upstream(&pool).await?;
        plant::old_snapshot(&pool, began).await?;
        lose_couriers(&pool, &options).await
    };
    tokio::select! {
        served = worker.run_until(stop) => Ok(served?),
        failed = rest => failed,
    }
}

/// `shop courier`: takes parcels, and never brings the first try of one to its end.
pub(crate) async fn courier(options: Options) -> anyhow::Result<()> {
    let stop = stop::requested(options.with_parent)?;
    let pool = database::open(&options).await?;
    Ok(quick(pool).queue("deliveries", 1).handle(jobs::deliver_parcel).build()?.run_until(stop).await?)
}

fn worker(pool: PgPool) -> anyhow::Result<Worker> {
    let worker = quick(pool)
        .state(jobs::Carrier::that_is_down()?)
        .queue("invoices", 2)
        .queue("exports", 5)
        .queue("returns", 2)
        .queue("ledger", 1)
        .queue("parcels", 5)
        .handle(jobs::print_invoice)
        .handle(jobs::export_orders)
        .handle(jobs::take_back)
        .handle(jobs::book_payment)
        .handle(jobs::track_parcel)
        // Five failures in a row take days by the default.
        .backoff(|failures| Duration::from_secs(if failures < 5 { 0 } else { 600 }));
    Ok(worker.build()?)
}

/// As the shop's own workers, so that nobody waits long for what happens to them.
fn quick(pool: PgPool) -> haulage::Builder {
    Worker::builder(pool).heartbeat(Duration::from_secs(2)).lease(Duration::from_secs(10)).shutdown_grace(Duration::from_secs(1))
}

/// Again and again a courier dies with a parcel in his hands. Others take it over when his lease has ended, and the next one brings it.
async fn lose_couriers(pool: &PgPool, options: &Options) -> anyhow::Result<()> {
    let role = Role {
        name: "courier",
        args: vec!["courier".to_owned()],
        database_url: options.database_url.clone().unwrap_or_default(),
        stops_in: Phase::StopWorkers,
    };
    loop {
        let courier = Process::start(&role)?;
        let parcel = jobs::DeliverParcel { parcel: 4_711 }.enqueue(pool).await?.id();
        let is_running = async || {
            let job = haulage::job(pool, parcel).await?.context("the parcel is gone")?;
            Ok::<_, anyhow::Error>(job.state == JobState::Running)
        };
        while !is_running().await? {
            sleep(Duration::from_millis(100)).await;
        }
        courier.kill().await;
        plant::say("orphan");
        sleep(BETWEEN_DEATHS).await;
    }
}
