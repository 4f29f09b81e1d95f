//! The dashboard beside ten million finished jobs and three hundred thousand unfinished ones: how long each of its pages and each read of
//! its API takes, what a browser loads, whether a job table is read from end to end, what fifty browsers cost.
//!
//! It is the program `haulage dashboard` that is asked, over HTTP, one request after the other. What is asked for is taken from its own
//! table of routes. A second one, whose connections go through a relay, tells how many statements a page has.

mod addresses;
mod relay;
mod site;
mod watchers;
mod world;

use std::time::{Duration, Instant};

use anyhow::Context;
use sqlx::PgPool;

use self::{addresses::addresses, relay::Relay, site::Site};
use super::{measure::peak_rss_mb, report::Row, stage::Stage};
use crate::cli::{dashboard::CONNECTIONS, output};

/// Requests of each address.
const ASKED: usize = 50;
/// What is shared by all pages is older than it may be after this long: the next page looks anew.
const REST: Duration = Duration::from_millis(5_200);
/// Requests after a rest.
const RESTED: usize = 12;
/// Statistics of a session are there after this long, and its next statement.
const TOLD: Duration = Duration::from_millis(1_100);
/// Goals.
const P95_MS: f64 = 60.0;
const FIRST_LOAD_KB: f64 = 120.0;
const RSS_MB: f64 = 60.0;
/// Of fifty viewers to one a page: what both do differs by a look.
const VIEWERS: f64 = 1.1;

/// Beside so many finished jobs.
pub(crate) async fn run(stage: &Stage, finished: u64) -> anyhow::Result<Vec<Row>> {
    let database = stage.database().await?;
    let world = world::build(&database, finished).await?;
    let relay = Relay::start(&database.url).await?;
    let site = Site::start(&database.url).await?;
    let counted = Site::start(relay.url()).await?;
    let mut rows = Vec::new();
    let mut places = Vec::new();
    for path in haulage::dashboard::read_paths() {
        places.extend(addresses(&path, &world).with_context(|| format!("the bench has no address for {path}"))?);
    }
    output::remark(&format!("  {} addresses, each asked {ASKED} times", places.len()));
    let mut scanned = scans(&database.pool, &site, &counted).await?;
    for place in &places {
        let row = page(stage, &site, &counted, &relay, place).await?;
        let now = scans(&database.pool, &site, &counted).await?;
        rows.push(row.at_most("job tables read from end to end", Some(now - scanned), 0.0));
        scanned = now;
    }
    rows.push(after_a_rest(stage, &site).await?);
    rows.push(all(stage, &site, &rows).await?);
    rows.push(watchers::row(stage, &counted, &relay).await?);
    site.stop().await?;
    counted.stop().await?;
    stage.remove(database).await?;
    Ok(rows)
}

/// How an address fares.
async fn page(stage: &Stage, site: &Site, counted: &Site, relay: &Relay, place: &str) -> anyhow::Result<Row> {
    // What is kept for a while is there, and statements are planned.
    for _ in 0..3 {
        site.get(place).await?;
        counted.get(place).await?;
    }
    let before = relay.statements();
    counted.get(place).await?;
    let statements = relay.statements() - before;
    let (mut times, mut bytes) = (Vec::new(), 0);
    for _ in 0..ASKED {
        let started = Instant::now();
        let answer = site.get(place).await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        bytes = answer.len();
    }
    let mut row = Row { scenario: format!("/{place}"), config: stage.config(), ..Row::default() }.times(&mut times);
    row.bytes = Some(bytes);
    row.statements = Some(statements);
    let p95 = row.p95_ms;
    Ok(row.at_most("p95 in ms", p95, P95_MS))
}

/// The overview for whoever comes when nobody was there for a while.
async fn after_a_rest(stage: &Stage, site: &Site) -> anyhow::Result<Row> {
    let mut times = Vec::new();
    for _ in 0..RESTED {
        tokio::time::sleep(REST).await;
        let started = Instant::now();
        site.get("").await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let row = Row { scenario: "/, the first for a while".into(), config: stage.config(), ..Row::default() }.times(&mut times);
    let p95 = row.p95_ms;
    Ok(row.at_most("p95 in ms", p95, P95_MS))
}

/// What is true of the dashboard as a whole.
async fn all(stage: &Stage, site: &Site, rows: &[Row]) -> anyhow::Result<Row> {
    let slowest = rows.iter().max_by(|a, b| a.p95_ms.unwrap_or_default().total_cmp(&b.p95_ms.unwrap_or_default()));
    let (p95, name) = slowest.map(|row| (row.p95_ms, row.scenario.as_str())).unwrap_or_default();
    output::remark(&format!("  the slowest is {name}"));
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let first_load = site.first_load().await? as f64 / 1e3;
    let mut row = Row { scenario: "dashboard".into(), config: stage.config(), ..Row::default() };
    row.peak_rss_mb = peak_rss_mb(site.pid());
    let rss = row.peak_rss_mb;
    Ok(row
        .at_most("p95 in ms of the slowest", p95, P95_MS)
        .at_most("first load in kB, compressed", Some(first_load), FIRST_LOAD_KB)
        .at_most("peak RSS in MB", rss, RSS_MB))
}

/// How often tables of jobs were read from end to end so far.
async fn scans(pool: &PgPool, site: &Site, counted: &Site) -> anyhow::Result<f64> {
    tokio::time::sleep(TOLD).await;
    for _ in 0..CONNECTIONS {
        site.get("health").await?;
        counted.get("health").await?;
    }
    Ok(sqlx::query_scalar(include_str!("scans.sql")).fetch_one(pool).await?)
}
