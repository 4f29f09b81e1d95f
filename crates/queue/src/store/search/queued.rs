//! The indexes of the unfinished jobs of a queue. They answer where the newest jobs are all of other queues.

use sqlx::{Postgres, QueryBuilder};

use super::{page::PAGE_REACH, window::LIVE};
use crate::{JobFilter, JobState};

/// The rows of a place in the order of an index, so that the planner reads no more than it takes, whatever it thinks of the queue.
pub(super) struct Place {
    rows: &'static str,
    /// Whether the index begins with the queue.
    by_queue: bool,
    order: &'static str,
}

const IN_LINE: Place = Place { rows: "place = 1", by_queue: true, order: "queue, priority, pos" };
const RETURNED: Place = Place { rows: "place = 2", by_queue: true, order: "queue, priority, pos" };
const PARKED: Place = Place { rows: "place = 3", by_queue: true, order: "queue, limit_key, pos" };
/// No index knows the queue of these: all are looked at, if they are few.
const TIMED: Place = Place { rows: "place = 0", by_queue: false, order: "run_at" };

/// Where a filter's jobs stand in the line of their queue; nothing, if the indexes of queues don't help. Running ones keep their place.
pub(super) fn queued(filter: &JobFilter) -> &'static [Place] {
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
pub(super) fn push_queued(query: &mut QueryBuilder<Postgres>, filter: &JobFilter, places: &[Place]) {
    for (number, Place { rows, by_queue, order }) in places.iter().enumerate() {
        query.push(format_args!("place_{number} AS MATERIALIZED ({LIVE} WHERE {rows}"));
        if *by_queue {
            query.push(" AND queue = ").push_bind(filter.queue.clone());
        }
        query.push(format_args!(" ORDER BY {order} LIMIT {}), ", PAGE_REACH + 1));
    }
    let rows: Vec<String> = (0..places.len()).map(|number| format!("SELECT * FROM place_{number}")).collect();
    let few: Vec<String> = (0..places.len()).map(|number| format!("(SELECT count(*) FROM place_{number}) <= {PAGE_REACH}")).collect();
    query.push(format_args!(
        "queued AS MATERIALIZED ({}), by_queue AS MATERIALIZED (SELECT (SELECT count(*) FROM part_0) < {} AND {} AS yes), ",
        rows.join(" UNION ALL "),
        filter.limit,
        few.join(" AND ")
    ));
}

/// Whether it is.
pub(super) const BY_QUEUE: &str = "(SELECT b.yes FROM by_queue AS b)";
