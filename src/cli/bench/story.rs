//! A story is looked up by its trace and by its request; and what an index for that would cost where there is none.

use std::time::Instant;

use anyhow::ensure;
use haulage::{find_jobs_by_request, find_jobs_by_trace, store};
use sqlx::{ConnectOptions, Executor};

use super::{
    depth::grow,
    drain::{ROUNDS, work_off},
    report::{Row, median},
    stage::{Database, Stage},
};
use crate::cli::output;

/// Look-ups of each sort.
const ASKED: i64 = 500;
/// Longer than any day of the scenario.
const KEEP_DAYS: i32 = 30;

/// Indexes that are not there, and why they would be wanted.
const FURTHER: [(&str, &str); 2] = [
    ("index on today's trace", "CREATE INDEX ON haulage.finished_completed (trace_id) WHERE trace_id IS NOT NULL"),
    ("index on live jobs' trace", "CREATE INDEX ON haulage.live_jobs (trace_id) WHERE trace_id IS NOT NULL"),
];

/// Among so many jobs that finished on ten days that are over.
pub(crate) async fn look_ups(stage: &Stage, finished: u64) -> anyhow::Result<Vec<Row>> {
    let database = stage.database().await?;
    database.pool.execute(include_str!("story_days.sql")).await?;
    grow(&database, include_str!("story.sql"), finished).await?;
    build(&database).await?;
    let asked: Vec<(String, String)> =
        sqlx::query_as(include_str!("story_asked.sql")).bind(i64::try_from(finished)?).bind(ASKED).fetch_all(&database.pool).await?;
    let (mut by_trace, mut by_request) = (Vec::new(), Vec::new());
    for (trace, request) in &asked {
        let trace = u128::from_str_radix(trace, 16)?;
        let started = Instant::now();
        let found = find_jobs_by_trace(&database.pool, trace).await?;
        by_trace.push(started.elapsed().as_secs_f64() * 1e3);
        ensure!(found.complete && !found.jobs.is_empty(), "the trace {trace:032x} was not found: {found:?}");
        let started = Instant::now();
        let found = find_jobs_by_request(&database.pool, request).await?;
        by_request.push(started.elapsed().as_secs_f64() * 1e3);
        ensure!(found.complete && found.jobs.len() == 1, "the request {request} was not found: {found:?}");
    }
    stage.remove(database).await?;
    Ok([("story by trace", by_trace), ("story by request", by_request)]
        .into_iter()
        .map(|(name, mut times)| {
            let row = Row { scenario: format!("{name}, {finished}"), jobs: finished, config: stage.config(), ..Row::default() };
            let row = row.times(&mut times);
            let p99 = row.p99_ms;
            row.at_most("p99 in ms", p99, 50.0)
        })
        .collect())
}

/// Builds the indexes of every closed day, as the duty of a worker does.
pub(crate) async fn build(database: &Database) -> anyhow::Result<()> {
    let mut connection = database.pool.connect_options().connect().await?;
    ensure!(store::arbitrate_indexing(&mut connection).await?, "somebody else builds");
    let (started, mut built) = (Instant::now(), 0);
    while let Some(index) = store::next_history_index(&mut connection, KEEP_DAYS, KEEP_DAYS, &[]).await? {
        ensure!(store::build_history_index(&mut connection, &index).await?, "{} is locked", index.name());
        built += 1;
    }
    output::remark(&format!("  {built} indexes of closed days built in {:.0} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// The drain of jobs that each have a trace, with a further index, beside the same without.
pub(crate) async fn further(stage: &Stage, jobs: u64) -> anyhow::Result<Vec<Row>> {
    let mut all = Vec::new();
    for (name, index) in FURTHER {
        let (mut rows, mut inserts) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (without, plain) = drained(stage, jobs, "without", None).await?;
            let (mut row, indexed) = drained(stage, jobs, name, Some(index)).await?;
            row.ratio_to_baseline = row.jobs_per_s.zip(without.jobs_per_s).map(|(rate, without)| rate / without);
            rows.push(row);
            inserts.push(plain / indexed);
        }
        let insert = median(inserts, |ratio| Some(*ratio))?;
        output::remark(&format!("  {name}: jobs are stored by one statement at {insert:.2} of the rate without"));
        all.push(median(rows, |row| row.ratio_to_baseline)?);
    }
    Ok(all)
}

/// The drain, and how many seconds the jobs took to be stored.
async fn drained(stage: &Stage, jobs: u64, name: &str, index: Option<&'static str>) -> anyhow::Result<(Row, f64)> {
    let database = stage.database().await?;
    if let Some(index) = index {
        database.pool.execute(index).await?;
    }
    let started = Instant::now();
    sqlx::query(include_str!("story_waiting.sql")).bind(i64::try_from(jobs)?).execute(&database.pool).await?;
    let stored = started.elapsed().as_secs_f64();
    database.settle_down().await?;
    let row = work_off(stage, &database, name, jobs, 1).await?;
    stage.remove(database).await?;
    Ok((row, stored))
}
