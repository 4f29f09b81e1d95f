//! How many jobs match.

use sqlx::{PgConnection, QueryBuilder};

use super::{
    conditions::{LAST_ERROR, push_conditions},
    window::{Parts, Window, push_window},
};
use crate::{JobFilter, JobState};

/// Rows that a count looks at in each table.
const COUNT_REACH: i64 = 200_000;
/// A count stops here: nobody needs to know more exactly before they act.
const MOST_COUNTED: i64 = 10_000;

/// How many jobs match, by state, up to 10,000 of them, and whether there may be more.
pub(crate) async fn count_jobs(
    connection: &mut PgConnection,
    filter: &JobFilter,
    parts: Parts,
) -> Result<(Vec<(JobState, i64)>, bool), sqlx::Error> {
    if parts.is_empty() {
        return Ok((Vec::new(), false));
    }
    let window = Window::newest(filter, Some(COUNT_REACH));
    let (mut counts, mut more, mut left) = (Vec::new(), false, MOST_COUNTED);
    for table in parts.each() {
        let mut query = QueryBuilder::new("SELECT h.state, count(*) FROM (SELECT j.state FROM ");
        push_window(&mut query, table, filter, &window);
        push_conditions(&mut query, filter, LAST_ERROR);
        query.push(format_args!(" LIMIT {}) AS h GROUP BY h.state ORDER BY h.state", left + 1));
        let rows: Vec<(i16, i64)> = query.build_query_as().fetch_all(&mut *connection).await?;
        for (state, count) in rows {
            let told = count.min(left);
            if told > 0 {
                counts.push((JobState::from_code(state)?, told));
            }
            if told < count {
                // One more than is told was asked for: there are more.
                return Ok((counts, true));
            }
            left -= told;
        }
        let mut query = QueryBuilder::new("SELECT count(*) FROM ");
        push_window(&mut query, table, filter, &window);
        more |= query.build_query_scalar::<i64>().fetch_one(&mut *connection).await? >= COUNT_REACH;
    }
    Ok((counts, more))
}
