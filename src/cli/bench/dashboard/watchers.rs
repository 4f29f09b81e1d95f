//! What browsers cost the database that keep pages open: fifty of them beside one a page.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use http_body_util::BodyExt;

use super::{Relay, Row, Site, Stage, VIEWERS};

/// Pages that are watched.
const PAGES: [&str; 10] = ["overview", "stuck", "jobs", "queues", "workers", "schedules", "traces", "errors", "operations", "audit"];
/// Browsers.
const MANY: usize = 50;
/// They look for so long; a stream ends after 15 s.
const LONG: Duration = Duration::from_secs(12);

/// Statements a second of many viewers, beside those of one a page.
pub(super) async fn row(stage: &Stage, site: &Site, relay: &Relay) -> anyhow::Result<Row> {
    let few = watched(site, relay, PAGES.len()).await?;
    // Nobody looks at a page that nobody watches.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let many = watched(site, relay, MANY).await?;
    let mut row = Row { scenario: format!("{MANY} browsers on {} live pages", PAGES.len()), config: stage.config(), ..Row::default() };
    row.statements_per_s = Some(many);
    Ok(row.at_most("statements a second to those of one a page", Some(many / few), VIEWERS))
}

/// Statements a second while so many watch.
async fn watched(site: &Site, relay: &Relay, viewers: usize) -> anyhow::Result<f64> {
    let opened = try_join_all((0..viewers).map(|viewer| site.watch(PAGES[viewer % PAGES.len()]))).await?;
    let reading = opened.into_iter().map(|mut stream| async move { while let Some(Ok(_)) = stream.frame().await {} });
    let (before, started) = (relay.statements(), Instant::now());
    tokio::time::timeout(LONG, futures_util::future::join_all(reading)).await.ok();
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let statements = (relay.statements() - before) as f64;
    Ok(statements / started.elapsed().as_secs_f64())
}
