//! Indexes of the history's closed days. The one place where a statement with a day in its name is put together outside the server:
//! `CREATE INDEX CONCURRENTLY` can't run in a function. Names and definitions are constants from here, the day is a date.
//!
//! Only a table's owner can build one. A worker that does not own the tables calls a function of the schema's owner, which locks the
//! partition against writes meanwhile.

use std::time::Duration;

use chrono::NaiveDate;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::{limit_lock, lock_timed_out};

/// A concurrent build waits this long for transactions that are older than it. It takes no snapshot with it into the wait.
const PATIENCE: Duration = Duration::from_secs(600);
/// A build that takes longer is not worth its time.
const LONGEST: Duration = Duration::from_secs(3_600);

/// A look that must not hold up anything waits for a lock no longer than this.
const GLANCE: Duration = Duration::from_millis(50);

/// Parts of the history.
const FAMILIES: [&str; 3] = ["finished_completed", "finished_failed", "attempts"];
/// What is indexed, as in `haulage.history_indexes()`.
const DEFINITIONS: [(&str, &str); 5] = [
    ("trace", "(trace_id) WHERE trace_id IS NOT NULL"),
    ("request", "(left(origin ->> 'request_id', 256)) WHERE (origin ->> 'request_id') IS NOT NULL"),
    ("kind", "(kind, id)"),
    ("tags", "USING gin (tags) WHERE tags IS NOT NULL"),
    ("args", "USING gin (args jsonb_path_ops)"),
];

/// An index that a closed day lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryIndex {
    family: &'static str,
    day: NaiveDate,
    what: &'static str,
    definition: &'static str,
    /// One that was not finished stands in its place.
    leftover: bool,
    /// Whether this role owns the table.
    owned: bool,
}

impl HistoryIndex {
    fn table(&self) -> String {
        format!("{}_{}", self.family, self.day.format("%Y%m%d"))
    }

    /// Its name.
    pub fn name(&self) -> String {
        format!("{}_{}", self.table(), self.what)
    }
}

/// Whether this session is the one of the fleet that builds indexes, for as long as it lives. If so each of its statements ends in bounded
/// time.
pub async fn arbitrate_indexing(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let won: bool = sqlx::query_scalar(include_str!("../sql/arbitrate_indexing.sql")).fetch_one(&mut *connection).await?;
    if won {
        limit_indexing(connection).await?;
    }
    Ok(won)
}

async fn limit_indexing(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../sql/limit_indexing.sql"))
        .bind(PATIENCE.as_millis().to_string())
        .bind(LONGEST.as_millis().to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether a closed day may lack an index. Where a partition is locked, which its size waits for, it may.
pub async fn may_lack_index(connection: &mut PgConnection, keep_completed: i32, keep_failed: i32) -> Result<bool, sqlx::Error> {
    let mut tx = connection.begin().await?;
    limit_lock(&mut *tx, GLANCE).await?;
    match next_history_index(&mut tx, keep_completed, keep_failed, &[]).await {
        Err(error) if lock_timed_out(&error) => Ok(true),
        found => {
            let found = found?.is_some();
            tx.commit().await?;
            Ok(found)
        }
    }
}

/// The next index that is lacking, but for those of these names; `None`: every closed day has its indexes. The days are those that jobs are
/// kept.
pub async fn next_history_index(
    connection: &mut PgConnection,
    keep_completed: i32,
    keep_failed: i32,
    without: &[String],
) -> Result<Option<HistoryIndex>, sqlx::Error> {
    let sql = include_str!("../sql/next_history_index.sql");
    let query = sqlx::query(sql).bind(keep_completed).bind(keep_failed).bind(without);
    let Some(row) = query.fetch_optional(connection).await? else { return Ok(None) };
    let (family, what): (String, String) = (row.try_get("family")?, row.try_get("what")?);
    // A later version may have others.
    let family = FAMILIES.into_iter().find(|known| *known == family);
    let Some(((what, definition), family)) = DEFINITIONS.into_iter().find(|(known, _)| *known == what).zip(family) else {
        return Ok(None);
    };
    Ok(Some(HistoryIndex {
        family,
        day: row.try_get("day")?,
        what,
        definition,
        leftover: row.try_get("leftover")?,
        owned: row.try_get("owned")?,
    }))
}

/// Builds an index; returns false when somebody had the partition locked. Killed at any point it leaves at most an index that is not
/// valid, which the next build removes first.
pub async fn build_history_index(connection: &mut PgConnection, index: &HistoryIndex) -> Result<bool, sqlx::Error> {
    if !index.owned {
        return sqlx::query_scalar(include_str!("../sql/build_history_index.sql"))
            .bind(index.family)
            .bind(index.day)
            .bind(index.what)
            .fetch_one(connection)
            .await;
    }
    let (name, table, definition) = (index.name(), index.table(), index.definition);
    if index.leftover {
        run(connection, format!("DROP INDEX CONCURRENTLY IF EXISTS haulage.{name}")).await?;
    }
    run(connection, format!("CREATE INDEX CONCURRENTLY {name} ON haulage.{table} {definition}")).await?;
    Ok(true)
}

async fn run(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    #[expect(clippy::disallowed_methods, reason = "made of constants and a date, above; this can't run in a function")]
    let statement = AssertSqlSafe(statement);
    sqlx::raw_sql(statement).execute(connection).await?;
    Ok(())
}
