//! Pages of jobs.

use sqlx::{PgExecutor, QueryBuilder, Row, postgres::PgRow};

use super::{
    closed::{CLOSED, MOST_HITS, few_hits, indexed, push_indexed},
    conditions::{LAST_ERROR, push_conditions},
    queued::{BY_QUEUE, push_queued, queued},
    window::{Days, FINISHED, Parts, Window, push_window},
};
use crate::{JobFilter, JobId, JobPage, JobState, JobSummary, Priority, store::inspect::parked_for};

/// Rows that a page looks at in each table: a look at this many takes tens of milliseconds.
pub(crate) const PAGE_REACH: i64 = 20_000;

/// What is told of a job, and what the last error is found by.
const COLUMNS: &str = "j.id, j.kind, j.queue, j.state, j.attempt, j.failures, j.max_attempts, j.priority, j.run_at, j.created_at, j.claimed_at, \
     j.finished_at, j.crashes, j.error, j.parked_for";

/// A page of jobs, newest id first. Looks at no more than the next `reach` rows of each table, if given.
pub(crate) async fn search_jobs<'c>(
    executor: impl PgExecutor<'c>,
    filter: &JobFilter,
    parts: Parts,
    reach: Option<i64>,
) -> Result<JobPage, sqlx::Error> {
    if parts.is_empty() || filter.limit == 0 {
        return Ok(JobPage { jobs: Vec::new(), next: None });
    }
    let window = Window::newest(filter, reach);
    let limit = filter.limit;
    let mut query = QueryBuilder::new("WITH ");
    let index = indexed(filter).zip(parts.families());
    let places = if parts.live && reach.is_some() { queued(filter) } else { &[] };
    let mut looks: Vec<(Option<&'static str>, Window)> = Vec::new();
    for table in parts.each() {
        match (table, index) {
            (Some(_), Some(_)) => looks.extend([Days::Open, Days::Closed].map(|days| (table, Window { days, ..window }))),
            _ => looks.push((table, window)),
        }
    }
    if let Some(((what, families), table)) = index.zip(parts.history) {
        let [tables, days, end] = CLOSED;
        query.push(format_args!("{tables}{families}{days}{what}{end}"));
        // Without an order, so that the index is asked whatever the planner thinks of it.
        query.push(format_args!("hits AS MATERIALIZED ({FINISHED}{table} AS j WHERE j.finished_at >= (SELECT c.lower FROM closed AS c) "));
        query.push("AND j.finished_at < (SELECT c.upper FROM closed AS c) AND j.id <= ");
        query.push_bind(window.up_to);
        push_indexed(&mut query, filter);
        query.push(format_args!(" LIMIT {}), ", MOST_HITS + 1));
    }
    for (number, (table, window)) in looks.iter().enumerate() {
        query.push(format_args!("part_{number} AS MATERIALIZED (SELECT {COLUMNS} FROM "));
        push_window(&mut query, *table, filter, window);
        push_conditions(&mut query, filter, LAST_ERROR);
        query.push(format_args!(" ORDER BY j.id DESC LIMIT {limit}), "));
    }
    let hits = looks.len();
    if index.is_some() {
        query.push(format_args!("part_{hits} AS MATERIALIZED (SELECT {COLUMNS} FROM hits AS j"));
        push_conditions(&mut query, filter, LAST_ERROR);
        if let Some(time) = filter.finished_from {
            query.push(" AND j.finished_at >= ").push_bind(time);
        }
        if let Some(time) = filter.finished_before {
            query.push(" AND j.finished_at < ").push_bind(time);
        }
        query.push(format_args!(" AND {} ORDER BY j.id DESC LIMIT {limit}), ", few_hits()));
    }
    let mut parts = hits + usize::from(index.is_some());
    if !places.is_empty() {
        push_queued(&mut query, filter, places);
        query.push(format_args!("part_{parts} AS MATERIALIZED (SELECT {COLUMNS} FROM queued AS j"));
        push_conditions(&mut query, filter, LAST_ERROR);
        query.push(" AND j.id <= ").push_bind(window.up_to);
        query.push(format_args!(" AND {BY_QUEUE} ORDER BY j.id DESC LIMIT {limit}), "));
        parts += 1;
    }
    // How far down each part has been searched; the page goes as far as all of them.
    query.push("reached AS MATERIALIZED (SELECT greatest(NULL");
    for number in 0..parts {
        query.push(format_args!(
            ", CASE WHEN (SELECT count(p.id) FROM part_{number} AS p) >= {limit} THEN (SELECT min(p.id) FROM part_{number} AS p)"
        ));
        // What an index has found is everything. The first part is that of the unfinished jobs.
        if number == 0 && !places.is_empty() {
            query.push(format_args!(" WHEN {BY_QUEUE} THEN NULL"));
        }
        if let (Some(most), Some((table, window))) = (reach, looks.get(number)) {
            query.push(" ELSE (SELECT j.id FROM ");
            push_window(&mut query, *table, filter, window);
            query.push(format_args!(" ORDER BY j.id DESC OFFSET {} LIMIT 1)", most - 1));
        }
        query.push(" END");
    }
    query.push(format_args!(") AS id) SELECT reached.id AS reached, {COLUMNS}, {LAST_ERROR} AS last_error FROM reached LEFT JOIN ("));
    for number in 0..parts {
        query.push(if number > 0 { " UNION ALL " } else { "" }).push(format_args!("SELECT {COLUMNS} FROM part_{number} AS j"));
        if number == 0 && !places.is_empty() {
            query.push(format_args!(" WHERE NOT {BY_QUEUE}"));
        }
    }
    query.push(format_args!(") AS j ON j.id >= reached.id OR reached.id IS NULL ORDER BY j.id DESC LIMIT {limit}"));
    // Planned anew each time: after five times Postgres takes a plan for any kind, tag or args, and that one reads days by their primary key.
    let rows = query.build().persistent(index.is_none()).fetch_all(executor).await?;
    let reached: Option<i64> = rows.first().map(|row| row.try_get("reached")).transpose()?.flatten();
    let jobs: Vec<JobSummary> = rows.iter().map(summary).filter_map(Result::transpose).collect::<Result<_, _>>()?;
    let next = if jobs.len() >= usize::from(limit) { jobs.last().map(|job| job.id) } else { reached.map(JobId) };
    Ok(JobPage { jobs, next })
}

/// A job of a list; `None` for the row that stands for none.
fn summary(row: &PgRow) -> Result<Option<JobSummary>, sqlx::Error> {
    let Some(id) = row.try_get::<Option<i64>, _>("id")? else { return Ok(None) };
    Ok(Some(JobSummary {
        id: JobId(id),
        kind: row.try_get("kind")?,
        queue: row.try_get("queue")?,
        state: JobState::from_code(row.try_get("state")?)?,
        attempt: row.try_get("attempt")?,
        failures: row.try_get("failures")?,
        max_attempts: row.try_get("max_attempts")?,
        priority: Priority::from_code(row.try_get("priority")?)?,
        run_at: row.try_get("run_at")?,
        created_at: row.try_get("created_at")?,
        claimed_at: row.try_get("claimed_at")?,
        finished_at: row.try_get("finished_at")?,
        parked_for: parked_for(row)?,
        error: row.try_get("last_error")?,
    }))
}
