//! Many jobs by the bulk interface.

use std::time::Instant;

use super::{LIMIT, Play, STOPPED};
use crate::{measure::Meter, report::Measured};

pub(super) async fn run(play: &Play, jobs: u64) -> anyhow::Result<Measured> {
    let producer = play.own_producer().await?;
    let meter = Meter::start(&play.database.pool, play.server_pid, &[std::process::id()]).await?;
    let started = Instant::now();
    let mut stored = 0;
    while stored < jobs && started.elapsed() < LIMIT {
        let until = stored + producer.batch().min(jobs - stored);
        producer.enqueue_many(stored..until).await?;
        stored = until;
    }
    let mut measured = Measured::of(stored, &meter.stop().await?);
    measured.note = (stored < jobs).then_some(STOPPED);
    Ok(measured)
}
