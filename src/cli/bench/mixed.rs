//! What options of jobs cost: several queues, priorities, unique keys, retries, scheduled times.

use std::time::Duration;

use haulage::{Job, Priority, Unique, enqueue_all};

use super::{
    drain::{ROUNDS, floor, work_off},
    jobs::{Flaky, Noop},
    report::{Row, median},
    stage::{Database, Stage},
    worker::queues,
};

/// A mix of jobs.
#[derive(Debug, Clone, Copy)]
struct Mix {
    name: &'static str,
    queues: u32,
    priorities: bool,
    /// Of a hundred jobs so many.
    retried: u64,
    scheduled: u64,
    unique: u64,
}

const PLAIN: Mix = Mix { name: "", queues: 1, priorities: false, retried: 0, scheduled: 0, unique: 0 };

const MIXES: [Mix; 9] = [
    Mix { name: "mixed, nothing special", ..PLAIN },
    Mix { name: "mixed, 4 priorities", priorities: true, ..PLAIN },
    Mix { name: "mixed, 4 queues", queues: 4, ..PLAIN },
    Mix { name: "mixed, 16 queues", queues: 16, ..PLAIN },
    Mix { name: "mixed, 64 queues", queues: 64, ..PLAIN },
    Mix { name: "mixed, 10% unique", unique: 10, ..PLAIN },
    Mix { name: "mixed, 10% retried", retried: 10, ..PLAIN },
    Mix { name: "mixed, 50% scheduled", scheduled: 50, ..PLAIN },
    Mix { name: "mixed, all of it, 8 queues", queues: 8, priorities: true, retried: 10, scheduled: 25, unique: 10 },
];

/// Scheduled jobs are due so long after they were stored, so that all of them are due when the worker starts.
const SCHEDULED: Duration = Duration::from_secs(1);

pub(crate) async fn run(stage: &Stage, jobs: u64) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for mix in MIXES {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS.min(3) {
            let floor = floor(stage, jobs).await?;
            rounds.push(once(stage, jobs, mix).await?.beside(floor));
        }
        let mut row = median(rounds, |row| row.ratio_to_floor)?;
        row.ratio_to_baseline = rows.first().and_then(|first| Some(row.ratio_to_floor? / first.ratio_to_floor?));
        rows.push(row);
    }
    Ok(rows)
}

async fn once(stage: &Stage, jobs: u64, mix: Mix) -> anyhow::Result<Row> {
    let database = stage.database().await?;
    store(&database, jobs, mix).await?;
    tokio::time::sleep(SCHEDULED).await;
    let row = work_off(stage, &database, mix.name, jobs, mix.queues).await?;
    stage.remove(database).await?;
    Ok(row)
}

async fn store(database: &Database, jobs: u64, mix: Mix) -> anyhow::Result<()> {
    let names = queues(mix.queues);
    let of = |n: u64| usize::try_from(n).unwrap_or_default();
    let options = |n: u64| {
        let priority = if mix.priorities { Priority::ALL[of(n / 100) % 4] } else { Priority::Normal };
        (names[of(n) % names.len()].clone(), priority, n % 100 >= 100 - mix.scheduled, n / 100 % 100 < mix.unique)
    };
    let (flaky, noop): (Vec<u64>, Vec<u64>) = (0..jobs).partition(|n| n % 100 < mix.retried);
    // Twice the same code: the jobs differ in type.
    let noop = noop.into_iter().map(|n| with(Noop::new(n), options(n), n));
    enqueue_all(&database.pool, noop).await?;
    let flaky = flaky.into_iter().map(|n| with(Flaky { n, text: "x".repeat(120) }, options(n), n));
    enqueue_all(&database.pool, flaky).await?;
    database.settle_down().await
}

fn with<J: Job>(job: J, (queue, priority, scheduled, unique): (String, Priority, bool, bool), n: u64) -> haulage::Enqueue<J> {
    let mut job = job.with().queue(queue).priority(priority);
    if scheduled {
        job = job.delay(SCHEDULED);
    }
    if unique {
        job = job.unique(Unique::by(n));
    }
    job
}
