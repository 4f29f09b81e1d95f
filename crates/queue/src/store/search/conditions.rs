//! What a filter says of a row.

use sqlx::{Postgres, QueryBuilder};

use super::closed::push_indexed;
use crate::JobFilter;

/// Of a job that is retried, what its last attempt said.
pub(super) const LAST_ERROR: &str = "coalesce(j.error, CASE WHEN j.state <= 3 AND (j.failures > 0 OR j.crashes > 0) THEN \
     (SELECT a.message FROM haulage.attempts AS a WHERE a.job_id = j.id ORDER BY a.attempt DESC, a.ended_at DESC LIMIT 1) END)";
/// The same of a row of live_jobs, which has no error of its own.
pub(super) const LIVE_ERROR: &str = "CASE WHEN j.failures > 0 OR j.crashes > 0 THEN \
     (SELECT a.message FROM haulage.attempts AS a WHERE a.job_id = j.id ORDER BY a.attempt DESC, a.ended_at DESC LIMIT 1) END";

/// What is compared row by row. The planner puts the dear ones, which look at the attempts, last.
pub(super) fn push_conditions(query: &mut QueryBuilder<Postgres>, filter: &JobFilter, last_error: &'static str) {
    query.push(" WHERE true");
    if let Some(state) = filter.state {
        query.push(" AND j.state = ").push_bind(state.code());
    }
    if let Some(what) = filter.parked_for {
        query.push(" AND j.parked_for = ").push_bind(what.code());
    }
    if let Some(queue) = &filter.queue {
        query.push(" AND j.queue = ").push_bind(queue.clone());
    }
    push_indexed(query, filter);
    if let Some(time) = filter.created_from {
        query.push(" AND j.created_at >= ").push_bind(time);
    }
    if let Some(time) = filter.created_before {
        query.push(" AND j.created_at < ").push_bind(time);
    }
    if let Some(key) = &filter.unique_key {
        query.push(" AND j.unique_key = ").push_bind(key.clone()).push("::text::uuid");
    }
    if let Some(parent) = filter.parent {
        query.push(" AND j.parent_id = ").push_bind(parent.0);
    }
    if let Some(group) = &filter.error_group {
        query.push(" AND j.fingerprint = ").push_bind(group.clone());
    }
    if let Some(text) = &filter.error {
        query.push(format_args!(" AND strpos(lower({last_error}), lower(")).push_bind(text.clone()).push(")) > 0");
    }
    if let Some(class) = &filter.error_class {
        query
            .push(
                " AND (j.failures > 0 OR j.crashes > 0 OR j.state >= 6) AND (SELECT a.error_class FROM haulage.attempts AS a \
                 WHERE a.job_id = j.id ORDER BY a.attempt DESC, a.ended_at DESC LIMIT 1) = ",
            )
            .push_bind(class.clone());
    }
}
