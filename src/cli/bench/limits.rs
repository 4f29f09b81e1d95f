//! What limits cost: where they are not used, and where ten thousand keys have one.

use anyhow::ensure;
use haulage::{Job, Limit, Operator, enqueue_all};

use super::{
    drain::{ROUNDS, work_off},
    jobs::Noop,
    report::{Row, median},
    stage::{Database, Stage},
};

const KEYS: u64 = 10_000;
const AT_ONCE: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limits {
    None,
    /// Of other queues and other keys.
    Elsewhere,
    /// Each job has one of `KEYS` keys, of which `AT_ONCE` jobs may run.
    Keys,
}

pub(crate) async fn run(stage: &Stage, jobs: u64) -> anyhow::Result<Vec<Row>> {
    let (mut elsewhere, mut keys) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let none = once(stage, jobs, Limits::None).await?.jobs_per_s;
        for (limits, rows) in [(Limits::Elsewhere, &mut elsewhere), (Limits::Keys, &mut keys)] {
            let mut row = once(stage, jobs, limits).await?;
            row.ratio_to_baseline = row.jobs_per_s.zip(none).map(|(rate, none)| rate / none);
            rows.push(row);
        }
    }
    let figure = |rows, goal| {
        let row = median(rows, |row: &Row| row.ratio_to_baseline)?;
        let ratio = row.ratio_to_baseline;
        anyhow::Ok(row.at_least("ratio to no limits", ratio, goal))
    };
    Ok(vec![figure(elsewhere, 0.97)?, figure(keys, 0.5)?])
}

async fn once(stage: &Stage, jobs: u64, limits: Limits) -> anyhow::Result<Row> {
    let database = stage.database().await?;
    let name = match limits {
        Limits::None => "no limits",
        Limits::Elsewhere => "limits elsewhere",
        Limits::Keys => "10000 keys, 2 at once",
    };
    let operator = Operator::new("bench");
    match limits {
        Limits::None => {}
        Limits::Elsewhere => {
            for n in 0..100 {
                operator.limit_queue(&database.pool, &format!("other-{n}"), Limit::running(1)).await?;
                operator.limit_key(&database.pool, &format!("other:{n}"), Limit::running(1)).await?;
            }
        }
        Limits::Keys => operator.limit_key(&database.pool, "key:*", Limit::running(AT_ONCE)).await?,
    }
    let job = |n| {
        let job = Noop::new(n).with();
        if limits == Limits::Keys { job.limit_key(format!("key:{}", n % KEYS)) } else { job }
    };
    enqueue_all(&database.pool, (0..jobs).map(job)).await?;
    database.settle_down().await?;
    let row = work_off(stage, &database, name, jobs, 1).await?;
    if limits == Limits::Keys {
        check(&database).await?;
    }
    stage.remove(database).await?;
    Ok(row)
}

/// No key had more at once than it may, by the history.
async fn check(database: &Database) -> anyhow::Result<()> {
    let most: i64 = sqlx::query_scalar(include_str!("most_at_once.sql")).fetch_one(&database.pool).await?;
    ensure!(most <= i64::from(AT_ONCE), "{most} jobs of a key ran at once, its limit is {AT_ONCE}");
    Ok(())
}
