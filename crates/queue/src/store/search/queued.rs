//! The indexes of the unfinished jobs of a queue. They answer where the newest jobs are all of other queues.

use sqlx::{Postgres, QueryBuilder};

use super::{page::PAGE_REACH, window::LIVE};
use crate::{JobFilter, JobState};

/// The rows of a place in the order of an index, so that the planner reads no more than it takes, whatever it thinks of the queue.
const IN_LINE: (&str, &str) = ("place = 1 AND queue = ", "queue, priority, pos");
const RETURNED: (&str, &str) = ("place = 2 AND queue = ", "queue, priority, pos");
const PARKED: (&str, &str) = ("place = 3 AND queue = ", "queue, limit_key, pos");
/// No index knows the queue of these: all are looked at, if they are few.
const TIMED: (&str, &str) = ("place = 0", "run_at");

/// Where a filter's jobs stand in the line of their queue; nothing, if the indexes of queues don't help. Running ones keep their place.
pub(super) fn queued(filter: &JobFilter) -> &'static [(&'static str, &'static str)] {
    if filter.queue.is_none() || filter.root.is_some() || filter.parent.is_some() {
        return &[];
    }
    match filter.state {
        None => &[IN_LINE, RETURNED, PARKED, TIMED],
        Some(JobState::Available) => &[IN_LINE, RETURNED],
        Some(JobState::Parked) => &[PARKED],
        Some(JobState::Scheduled) => &[TIMED],
        // The leases name them.
        Some(_) => &[],
    }
}

/// What the indexes find as `queued`, and as `by_queue` whether that is the answer: if the window, which is `part_0`, has not found
/// enough, and the indexes have found all that there is.
pub(super) fn push_queued(query: &mut QueryBuilder<Postgres>, filter: &JobFilter, places: &[(&str, &str)]) {
    for (number, (place, order)) in places.iter().enumerate() {
        query.push(format_args!("place_{number} AS MATERIALIZED ({LIVE} WHERE {place}"));
        if place.ends_with("= ") {
            query.push_bind(filter.queue.clone());
        }
        query.push(format_args!(" ORDER BY {order} LIMIT {}), ", PAGE_REACH + 1));
    }
    let all = |join: &str, each: &dyn Fn(usize) -> String| (0..places.len()).map(each).collect::<Vec<_>>().join(join);
    let rows = all(" UNION ALL ", &|n| format!("SELECT * FROM place_{n}"));
    let few = all(" AND ", &|n| format!("(SELECT count(*) FROM place_{n}) <= {PAGE_REACH}"));
    query.push(format_args!(
        "queued AS MATERIALIZED ({rows}), by_queue AS MATERIALIZED (SELECT (SELECT count(*) FROM part_0) < {} AND {few} AS yes), ",
        filter.limit
    ));
}

/// Whether it is.
pub(super) const BY_QUEUE: &str = "(SELECT b.yes FROM by_queue AS b)";
