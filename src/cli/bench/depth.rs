//! What the size of the tables costs: jobs that wait, jobs that are finished.

use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::query::Query;

use super::{
    drain::{ROUNDS, stretch},
    report::{Row, median},
    stage::{Database, Stage},
};
use crate::cli::output;

/// Rows a statement while a table is filled.
const CHUNK: u64 = 1_000_000;

/// Statements at once while a table is filled.
const FILLERS: usize = 2;

/// Jobs that wait, up to so many.
pub(crate) async fn backlog(stage: &Stage, most: u64, jobs: u64) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for waiting in [0, 10_000, 1_000_000, 10_000_000].into_iter().filter(|waiting| *waiting <= most) {
        let database = stage.database().await?;
        grow(&database, include_str!("waiting.sql"), waiting).await?;
        rows.push(compared(stage, &database, &format!("backlog {waiting}"), jobs).await?);
        stage.remove(database).await?;
    }
    Ok(rows)
}

/// Jobs that are finished, up to so many, over the seven days that they are kept.
pub(crate) async fn history(stage: &Stage, most: u64, jobs: u64) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for finished in [0, 1_000_000, 50_000_000].into_iter().filter(|finished| *finished <= most) {
        let database = stage.database().await?;
        sqlx::raw_sql(include_str!("past_days.sql")).execute(&database.pool).await?;
        grow(&database, include_str!("finished.sql"), finished).await?;
        // As the days before have long been.
        sqlx::raw_sql("VACUUM (ANALYZE) haulage.finished_completed").execute(&database.pool).await?;
        rows.push(compared(stage, &database, &format!("history {finished}"), jobs).await?);
        stage.remove(database).await?;
    }
    Ok(rows)
}

/// Works off so many jobs several times, each time beside the same on an empty database.
async fn compared(stage: &Stage, database: &Database, name: &str, jobs: u64) -> anyhow::Result<Row> {
    let mut rows = Vec::new();
    for round in 0..ROUNDS {
        let empty = stage.database().await?;
        add(&empty, jobs).await?;
        let beside = stretch(stage, &empty, "empty", jobs, round).await?;
        stage.remove(empty).await?;
        add(database, jobs).await?;
        let mut row = stretch(stage, database, name, jobs, round).await?;
        row.ratio_to_baseline = row.jobs_per_s.zip(beside.jobs_per_s).map(|(rate, empty)| rate / empty);
        rows.push(row);
    }
    let row = median(rows, |row| row.ratio_to_baseline)?;
    let ratio = row.ratio_to_baseline;
    Ok(row.at_least("ratio to empty", ratio, 0.95))
}

/// Stores what a stretch takes: the jobs, what a worker claims ahead of them, and the claims that are timed.
async fn add(database: &Database, jobs: u64) -> anyhow::Result<()> {
    grow(database, include_str!("waiting.sql"), jobs + 50_000).await
}

/// Runs a statement that inserts rows numbered from $1 to $2, until there are so many.
pub(crate) async fn grow(database: &Database, statement: &'static str, rows: u64) -> anyhow::Result<()> {
    fill(database, statement, rows, None).await
}

/// The same with a statement that is told as $3 how many rows of another sort there are.
pub(crate) async fn grow_beside(database: &Database, statement: &'static str, rows: u64, others: u64) -> anyhow::Result<()> {
    fill(database, statement, rows, Some(i64::try_from(others)?)).await
}

async fn fill(database: &Database, statement: &'static str, rows: u64, others: Option<i64>) -> anyhow::Result<()> {
    let chunks: Vec<u64> = (0..rows).step_by(usize::try_from(CHUNK)?).collect();
    let mut stored = stream::iter(chunks)
        .map(|first| async move {
            let last = (first + CHUNK).min(rows);
            let insert = sqlx::query(statement).bind(i64::try_from(first + 1)?).bind(i64::try_from(last)?);
            others.into_iter().fold(insert, Query::bind).execute(&database.pool).await?;
            anyhow::Ok(last)
        })
        .buffered(FILLERS);
    while let Some(last) = stored.try_next().await? {
        if rows > 2 * CHUNK && last.is_multiple_of(10 * CHUNK) {
            output::remark(&format!("  {last} of {rows} rows stored"));
        }
    }
    database.settle_down().await
}
