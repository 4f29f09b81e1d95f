//! Single enqueues, each in a transaction of its own.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::Play;
use crate::{measure::Meter, participants::Producer, report::Measured};

/// Enqueues before the clock starts: connections are open and statements prepared.
const WARM: u64 = 100;

pub(super) async fn run(play: &Play, clients: u32, time: Duration) -> anyhow::Result<Measured> {
    let producer = play.own_producer().await?;
    for n in 0..WARM {
        producer.enqueue(n).await?;
    }
    // All connections of the pool, not only the first.
    repeat(&*producer, clients, time / 10).await?;
    let meter = Meter::start(&play.database.pool, play.server_pid, &[std::process::id()]).await?;
    let jobs = repeat(&*producer, clients, time).await?;
    Ok(Measured::of(jobs, &meter.stop().await?))
}

/// Enqueues by so many clients for a time; returns how often.
async fn repeat(producer: &dyn Producer, clients: u32, time: Duration) -> anyhow::Result<u64> {
    let started = Instant::now();
    let counts = try_join_all((0..clients).map(|_| async {
        let mut count = 0;
        while started.elapsed() < time {
            producer.enqueue(count).await?;
            count += 1;
        }
        anyhow::Ok(count)
    }))
    .await?;
    Ok(counts.into_iter().sum())
}
