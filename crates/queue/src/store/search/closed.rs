//! The indexes of the history's closed days.

use sqlx::{Postgres, QueryBuilder};

use crate::JobFilter;

/// What matches more jobs than this in days that are over is not rare: a window over the newest finds enough of it. As a rule it is a kind
/// that is asked for which does, and then what was read up to here is for nothing.
pub(super) const MOST_HITS: i64 = 5_000;

/// Days of some parents that have rows, and whether each has the index of this name in all of them; and the newest stretch of those that
/// have: from `lower` to `upper`, both infinity if there is none. The tables come first, or the size of every relation might be asked for,
/// and the day of one that has none in its name.
pub(super) const CLOSED: [&str; 3] = [
    "tables AS MATERIALIZED (SELECT c.oid, c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent IN (",
    ") AND c.relname ~ '_\\d{8}$'), days AS MATERIALIZED (SELECT to_date(right(t.relname, 8), 'YYYYMMDD') AS day, bool_and(EXISTS (\
     SELECT FROM pg_index AS x WHERE x.indrelid = t.oid AND x.indexrelid = to_regclass(format('haulage.%I', t.relname || '_",
    "')) AND x.indisvalid)) AS indexed FROM tables AS t WHERE pg_relation_size(t.oid) > 0 GROUP BY 1), closed AS MATERIALIZED (\
     SELECT coalesce(min(d.day)::timestamp AT TIME ZONE 'UTC', 'infinity') AS lower, \
     coalesce((max(d.day) + 1)::timestamp AT TIME ZONE 'UTC', 'infinity') AS upper FROM days AS d WHERE d.indexed AND d.day > coalesce((\
     SELECT max(g.day) FROM days AS g WHERE NOT g.indexed AND g.day < (SELECT max(l.day) FROM days AS l WHERE l.indexed)), '-infinity')), ",
];

/// What of a filter the indexes of closed days answer: the one whose days are asked for, the choosiest first.
pub(super) fn indexed(filter: &JobFilter) -> Option<&'static str> {
    // A root's family has an index everywhere, and so has an error.
    if filter.root.is_some() || filter.parent.is_some() || filter.error_group.is_some() {
        return None;
    }
    let held = [
        ("trace", filter.trace.is_some()),
        ("args", filter.args.is_some()),
        ("tags", filter.tag.is_some()),
        ("kind", filter.kind.is_some()),
    ];
    held.into_iter().find(|(_, asked)| *asked).map(|(what, _)| what)
}

/// Whether the indexes of closed days have found all that there is.
pub(super) fn few_hits() -> String {
    format!("(SELECT count(*) FROM hits) <= {MOST_HITS}")
}

/// What the indexes of closed days hold.
pub(super) fn push_indexed(query: &mut QueryBuilder<Postgres>, filter: &JobFilter) {
    if let Some(kind) = &filter.kind {
        query.push(" AND j.kind = ").push_bind(kind.clone());
    }
    if let Some(tag) = &filter.tag {
        query.push(" AND j.tags @> ").push_bind(vec![tag.clone()]);
    }
    if let Some(part) = &filter.args {
        query.push(" AND j.args @> ").push_bind(part.to_string()).push("::text::jsonb");
    }
    if let Some(trace) = &filter.trace {
        query.push(" AND j.trace_id = ").push_bind(trace.clone()).push("::text::uuid");
    }
}
