//! Several worker processes work off one backlog.

use std::time::Duration;

use super::{
    drain::ROUNDS,
    measure::{Meter, peak_rss_mb},
    report::{Row, median},
    stage::Stage,
};

pub(crate) async fn run(stage: &Stage, jobs: u64) -> anyhow::Result<Vec<Row>> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let one = once(stage, jobs, 1).await?;
        let beside_one = |mut row: Row| {
            row.ratio_to_baseline = row.jobs_per_s.zip(one.jobs_per_s).map(|(rate, one)| rate / one);
            row
        };
        let (two, four) = (beside_one(once(stage, jobs, 2).await?), beside_one(once(stage, jobs, 4).await?));
        rounds.push([one, two, four]);
    }
    let column = |n: usize| rounds.iter().map(|round| round[n].clone()).collect::<Vec<_>>();
    let four = median(column(2), |row| row.ratio_to_baseline)?;
    let (ratio, shares) = (four.ratio_to_baseline, four.shares);
    let four = four
        .at_least("ratio to one process", ratio, 0.95)
        .at_least("the smallest share", shares.map(|shares| shares.0), 0.15)
        .at_most("the largest share", shares.map(|shares| shares.1), 0.35);
    Ok(vec![median(column(0), |row| row.jobs_per_s)?, median(column(1), |row| row.ratio_to_baseline)?, four])
}

async fn once(stage: &Stage, jobs: u64, processes: u32) -> anyhow::Result<Row> {
    let database = stage.database().await?;
    database.fill(jobs).await?;
    let mut workers = Vec::new();
    for _ in 0..processes {
        workers.push(stage.worker(&database, 1).await?);
    }
    let pids: Vec<u32> = workers.iter().map(super::process::Process::pid).collect();
    let meter = Meter::start(&database.pool, stage.server_pid, &pids).await?;
    for worker in &mut workers {
        worker.go().await?;
    }
    while workers.iter().map(super::process::Process::ran).sum::<u64>() < jobs {
        for worker in &mut workers {
            worker.check()?;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    database.settled().await?;
    let mut row = Row::new(format!("fleet of {processes}"), jobs, &meter.stop().await?, stage.config());
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    let shares: Vec<f64> = workers.iter().map(|worker| worker.ran() as f64 / jobs as f64).collect();
    row.shares = shares.iter().copied().reduce(f64::min).zip(shares.iter().copied().reduce(f64::max));
    row.peak_rss_mb = pids.iter().filter_map(|pid| peak_rss_mb(*pid)).reduce(f64::max);
    for worker in workers {
        worker.stop().await?;
    }
    stage.remove(database).await?;
    Ok(row)
}
