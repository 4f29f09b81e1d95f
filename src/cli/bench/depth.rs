//! What the size of the tables costs: jobs that wait, jobs that are finished.

use super::{
    drain::stretch,
    report::Row,
    stage::{Database, Stage},
};
use crate::cli::output;

/// Rows a statement while a table is filled.
const CHUNK: u64 = 1_000_000;

/// Jobs that wait, up to so many.
pub(crate) async fn backlog(stage: &Stage, most: u64, jobs: u64) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for waiting in [0, 10_000, 1_000_000, 10_000_000].into_iter().filter(|waiting| *waiting <= most) {
        let database = stage.database().await?;
        // Those that are worked off come first: the claims that are timed afterwards meet the rest.
        grow(&database, include_str!("waiting.sql"), waiting + spare(jobs)).await?;
        rows.push(compared(stretch(stage, &database, &format!("backlog {waiting}"), jobs).await?, rows.first()));
        stage.remove(database).await?;
    }
    Ok(rows)
}

/// Jobs that are finished, up to so many, over the seven days that they are kept.
pub(crate) async fn history(stage: &Stage, most: u64, jobs: u64) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for finished in [0, 1_000_000, 50_000_000].into_iter().filter(|finished| *finished <= most) {
        let database = stage.database().await?;
        sqlx::raw_sql(include_str!("past_days.sql")).execute(&database.pool).await?;
        grow(&database, include_str!("finished.sql"), finished).await?;
        grow(&database, include_str!("waiting.sql"), spare(jobs)).await?;
        rows.push(compared(stretch(stage, &database, &format!("history {finished}"), jobs).await?, rows.first()));
        stage.remove(database).await?;
    }
    Ok(rows)
}

/// What a worker has claimed ahead, and the claims that are timed, come on top.
fn spare(jobs: u64) -> u64 {
    jobs + 50_000
}

fn compared(mut row: Row, empty: Option<&Row>) -> Row {
    let Some(empty) = empty else { return row };
    row.ratio_to_empty = row.jobs_per_s.zip(empty.jobs_per_s).map(|(rate, empty)| rate / empty);
    let ratio = row.ratio_to_empty;
    row.at_least("ratio to empty", ratio, 0.95)
}

/// Runs a statement that inserts rows numbered from $1 to $2, until there are so many.
async fn grow(database: &Database, statement: &'static str, rows: u64) -> anyhow::Result<()> {
    for first in (0..rows).step_by(usize::try_from(CHUNK)?) {
        let last = (first + CHUNK).min(rows);
        sqlx::query(statement).bind(i64::try_from(first + 1)?).bind(i64::try_from(last)?).execute(&database.pool).await?;
        if rows > 2 * CHUNK && last.is_multiple_of(10 * CHUNK) {
            output::remark(&format!("  {last} of {rows} rows stored"));
        }
    }
    database.settle_down().await
}
