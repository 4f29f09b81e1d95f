//! The next so many rows of a table.

use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder};

use super::closed::few_hits;
use crate::{JobFilter, JobState};

/// Columns of a list, and those that filters need. NULL stands for what only the other table has.
pub(super) const LIVE: &str = "SELECT id, kind, queue, state, attempt, failures, max_attempts, priority, run_at, created_at, claimed_at, \
     NULL::timestamptz AS finished_at, crashes, NULL::text AS error, tags, unique_key, parent_id, parked_for, args, trace_id, fingerprint FROM haulage.live_jobs";
pub(super) const FINISHED: &str = "SELECT id, kind, queue, state, attempt, failures, max_attempts, priority, run_at, created_at, claimed_at, finished_at, \
     crashes, error, tags, unique_key, parent_id, NULL::smallint AS parked_for, args, trace_id, fingerprint FROM ";

/// The tables in which a filter can find something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(super) live: bool,
    pub(super) history: Option<&'static str>,
}

impl Parts {
    /// By state and by whether a time of finishing is asked for.
    pub(crate) fn of(filter: &JobFilter) -> Self {
        let finished = filter.finished_from.is_some() || filter.finished_before.is_some();
        let history = match filter.state {
            // A job that completed has no error.
            None if filter.error_group.is_some() => Some("haulage.finished_failed"),
            Some(JobState::Completed) if filter.error_group.is_some() => None,
            None => Some("haulage.finished_jobs"),
            Some(JobState::Completed) => Some("haulage.finished_completed"),
            Some(state) if state.is_final() => Some("haulage.finished_failed"),
            Some(_) => None,
        };
        Self { live: !finished && filter.state.is_none_or(|state| !state.is_final()), history }
    }

    /// Only unfinished jobs.
    pub(crate) fn only_live(self) -> Self {
        Self { history: None, ..self }
    }

    /// The table, NULL for live_jobs.
    pub(super) fn each(self) -> impl Iterator<Item = Option<&'static str>> {
        self.live.then_some(None).into_iter().chain(self.history.map(Some))
    }

    /// The tables whose partitions the history's days are.
    pub(super) fn families(self) -> Option<&'static str> {
        self.history.map(|table| match table {
            "haulage.finished_completed" => "'haulage.finished_completed'::regclass",
            "haulage.finished_failed" => "'haulage.finished_failed'::regclass",
            _ => "'haulage.finished_completed'::regclass, 'haulage.finished_failed'::regclass",
        })
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self { live: false, history: None }
    }
}

/// Which days of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Days {
    All,
    /// Those whose index can't be asked.
    Open,
    /// The others, if the index finds too many there.
    Closed,
}

/// Which rows of a table a search looks at.
#[derive(Clone, Copy)]
pub(super) struct Window {
    /// Ids after this one,
    pub(super) after: i64,
    /// up to this one,
    pub(super) up_to: i64,
    /// in this order,
    pub(super) newest_first: bool,
    /// at most so many.
    pub(super) most: Option<i64>,
    /// Not what finished later.
    pub(super) finished_by: Option<DateTime<Utc>>,
    /// Of these days.
    pub(super) days: Days,
}

impl Window {
    /// From the newest job that is asked for.
    pub(super) fn newest(filter: &JobFilter, most: Option<i64>) -> Self {
        let up_to = filter.before.map_or(i64::MAX, |id| id.0.saturating_sub(1));
        Self { after: i64::MIN, up_to, newest_first: true, most, finished_by: None, days: Days::All }
    }
}

/// A window as the table `j`.
pub(super) fn push_window(query: &mut QueryBuilder<Postgres>, table: Option<&'static str>, filter: &JobFilter, window: &Window) {
    push_rows(query, table, filter, window);
    query.push(" AS j");
}

/// The rows of a window in parentheses. What an index answers is asked here, so that the window holds only such rows.
pub(super) fn push_rows(query: &mut QueryBuilder<Postgres>, table: Option<&'static str>, filter: &JobFilter, window: &Window) {
    query.push("(");
    match table {
        None => query.push(LIVE),
        Some(table) => query.push(FINISHED).push(table),
    };
    query.push(" WHERE id > ").push_bind(window.after).push(" AND id <= ").push_bind(window.up_to);
    if let Some(root) = filter.root {
        query.push(" AND root_id = ").push_bind(root.0);
    }
    if let Some(parent) = filter.parent {
        // Children have the root of their parent, which is the parent itself if it has none.
        query.push(" AND root_id = coalesce((SELECT p.root_id FROM haulage.live_jobs AS p WHERE p.id = ").push_bind(parent.0);
        query.push("), (SELECT p.root_id FROM haulage.finished_jobs AS p WHERE p.id = ").push_bind(parent.0);
        query.push("), ").push_bind(parent.0).push(")");
    }
    match (table, filter.state) {
        (None, Some(JobState::Running)) => {
            query.push(" AND id = ANY (ARRAY (SELECT unnest(l.ids) FROM haulage.leases AS l))");
        }
        (None, Some(JobState::Scheduled)) => {
            query.push(" AND place = 0");
        }
        (None, Some(JobState::Parked)) => {
            query.push(" AND place = 3");
        }
        _ => {}
    }
    if table.is_some() {
        if let Some(group) = &filter.error_group {
            query.push(" AND fingerprint = ").push_bind(group.clone());
        }
        if let Some(time) = filter.finished_from {
            query.push(" AND finished_at >= ").push_bind(time);
        }
        if let Some(time) = filter.finished_before {
            query.push(" AND finished_at < ").push_bind(time);
        }
        if let Some(time) = window.finished_by {
            query.push(" AND finished_at <= ").push_bind(time);
        }
        match window.days {
            Days::All => {}
            Days::Open => {
                query.push(" AND (finished_at < (SELECT c.lower FROM closed AS c) OR finished_at >= (SELECT c.upper FROM closed AS c))");
            }
            Days::Closed => {
                query.push(" AND finished_at >= (SELECT c.lower FROM closed AS c) AND finished_at < (SELECT c.upper FROM closed AS c)");
            }
        }
    }
    // A family is found by its index and put in order then: for the first by id the planner would read the table from its end.
    query.push(match (window.newest_first, filter.root.is_some() || filter.parent.is_some()) {
        (true, false) => " ORDER BY id DESC",
        (true, true) => " ORDER BY id + 0 DESC",
        (false, false) => " ORDER BY id",
        (false, true) => " ORDER BY id + 0",
    });
    match (window.days, window.most) {
        (Days::Closed, most) => {
            let most = most.map_or_else(|| "NULL".to_owned(), |most| most.to_string());
            query.push(format_args!(" LIMIT CASE WHEN {} THEN 0 ELSE {most} END", few_hits()));
        }
        (_, Some(most)) => {
            query.push(format_args!(" LIMIT {most}"));
        }
        (_, None) => {}
    }
    query.push(")");
}
