//! The jobs that an operation does something to, batch by batch.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::{
    conditions::{LAST_ERROR, LIVE_ERROR, push_conditions},
    window::{Days, Parts, Window, push_rows, push_window},
};
use crate::JobFilter;

/// Rows that one batch of an operation looks at.
const BATCH_REACH: i64 = 10_000;
/// Jobs a batch: measured for enqueueing and settling, nothing is gained past about 1,000.
const BATCH: i64 = 1_000;

/// The next jobs of an operation.
#[derive(Debug)]
pub(crate) struct Picked {
    /// Those that match and are unfinished, in order.
    pub(crate) live: Vec<i64>,
    /// Those that match and are finished, in order; together at most 1,000.
    pub(crate) ended: Vec<i64>,
    /// When the first and the last of the finished ones did: so that no other day is looked at.
    pub(crate) finished: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// Everything up to this id has been looked at; `None`: nothing is left.
    pub(crate) reached: Option<i64>,
}

/// The jobs that match after the id `after` and up to `up_to`, of those that had not finished later than `finished_by`.
pub(crate) async fn pick_jobs(
    connection: &mut PgConnection,
    filter: &JobFilter,
    parts: Parts,
    (after, up_to): (i64, i64),
    finished_by: DateTime<Utc>,
) -> Result<Picked, sqlx::Error> {
    if parts.is_empty() {
        return Ok(Picked { live: Vec::new(), ended: Vec::new(), finished: (None, None), reached: None });
    }
    let up_to = filter.before.map_or(up_to, |id| up_to.min(id.0.saturating_sub(1)));
    let window = Window { after, up_to, newest_first: false, most: Some(BATCH_REACH), finished_by: Some(finished_by), days: Days::All };
    let mut query = QueryBuilder::new("WITH picked AS MATERIALIZED (SELECT j.id, j.finished_at FROM ");
    push_both(&mut query, filter, parts, &window);
    push_conditions(&mut query, filter, LAST_ERROR);
    query.push(format_args!(
        " ORDER BY j.id LIMIT {BATCH}) SELECT \
         coalesce(array_agg(id ORDER BY id) FILTER (WHERE finished_at IS NULL), '{{}}'), \
         coalesce(array_agg(id ORDER BY id) FILTER (WHERE finished_at IS NOT NULL), '{{}}'), min(finished_at), max(finished_at), \
         CASE WHEN count(*) >= {BATCH} THEN max(id) ELSE (SELECT max(j.id) FROM "
    ));
    push_both(&mut query, filter, parts, &window);
    query.push(") END FROM picked");
    let (live, ended, from, to, reached) = query.build_query_as().fetch_one(connection).await?;
    Ok(Picked { live, ended, finished: (from, to), reached })
}

/// Locks those of the unfinished jobs that match and that nobody else has locked: what was found by a look may have changed since,
/// what is locked can't.
pub(crate) async fn lock_jobs(connection: &mut PgConnection, filter: &JobFilter, ids: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT j.id FROM haulage.live_jobs AS j");
    push_conditions(&mut query, filter, LIVE_ERROR);
    query.push(" AND j.id = ANY (").push_bind(ids.to_vec()).push(") ORDER BY j.id FOR UPDATE OF j SKIP LOCKED");
    query.build_query_scalar().fetch_all(connection).await
}

/// The windows of all parts as one table `j`, which is a window itself.
fn push_both(query: &mut QueryBuilder<Postgres>, filter: &JobFilter, parts: Parts, window: &Window) {
    match (parts.live, parts.history) {
        (true, Some(table)) => {
            query.push("(SELECT w.id, w.kind, w.queue, w.state, w.failures, w.crashes, w.created_at, w.finished_at, w.error, w.tags, w.unique_key, w.parent_id, w.args, w.trace_id, w.fingerprint FROM (");
            push_rows(query, None, filter, window);
            query.push(" UNION ALL ");
            push_rows(query, Some(table), filter, window);
            query.push(format_args!(") AS w ORDER BY w.id LIMIT {BATCH_REACH}) AS j"));
        }
        (_, table) => push_window(query, table, filter, window),
    }
}
