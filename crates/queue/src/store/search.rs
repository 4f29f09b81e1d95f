//! The one place where statements are put together at run time: lists whose shape depends on what somebody searches for. Every
//! value is a bind parameter; what is pushed as text is written here or is an integer of ours.
//!
//! A search never reads a table without bound. It looks at a window, the next so many rows in the order of the ids, which the
//! primary keys give one by one, and compares these with the filter:
//!
//! ```text
//!  live_jobs      window: id below ..., at most N ──> filter ──┐
//!                                                              ├──> merged by id, down to where both windows reach
//!  finished_jobs  window: id below ..., at most N ──> filter ──┘
//! ```
//!
//! A page also asks the indexes of the history's closed days, if the filter names what they hold: then the window is that of the other
//! days. What they find is bounded as well; a filter that matches more there is not rare, and finds enough in a window.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder, Row, postgres::PgRow};

use crate::{AuditEntry, AuditFilter, JobFilter, JobId, JobPage, JobState, JobSummary, ParkedFor, Priority};

/// Rows that a page looks at in each table: a look at this many takes tens of milliseconds.
pub(crate) const PAGE_REACH: i64 = 20_000;
/// Rows that one batch of an operation looks at.
const BATCH_REACH: i64 = 10_000;
/// Jobs a batch: measured for enqueueing and settling, nothing is gained past about 1,000.
const BATCH: i64 = 1_000;
/// Rows that a count looks at in each table.
const COUNT_REACH: i64 = 200_000;
/// A count stops here: nobody needs to know more exactly before they act.
const MOST_COUNTED: i64 = 10_000;

/// Columns of a list, and those that filters need. NULL stands for what only the other table has.
const LIVE: &str = "SELECT id, kind, queue, state, attempt, failures, max_attempts, priority, run_at, created_at, claimed_at, \
     NULL::timestamptz AS finished_at, crashes, NULL::text AS error, tags, unique_key, parent_id, parked_for, args, trace_id, fingerprint FROM haulage.live_jobs";
const FINISHED: &str = "SELECT id, kind, queue, state, attempt, failures, max_attempts, priority, run_at, created_at, claimed_at, finished_at, \
     crashes, error, tags, unique_key, parent_id, NULL::smallint AS parked_for, args, trace_id, fingerprint FROM ";
const COLUMNS: &str = "j.id, j.kind, j.queue, j.state, j.attempt, j.failures, j.max_attempts, j.priority, j.run_at, j.created_at, j.claimed_at, \
     j.finished_at, j.crashes, j.error, j.parked_for";
/// Of a job that is retried, what its last attempt said.
const LAST_ERROR: &str = "coalesce(j.error, CASE WHEN j.state <= 3 AND (j.failures > 0 OR j.crashes > 0) THEN \
     (SELECT a.message FROM haulage.attempts AS a WHERE a.job_id = j.id ORDER BY a.attempt DESC, a.ended_at DESC LIMIT 1) END)";
/// Days of some parents that have rows, and whether each has the index of this name in all of them; and the newest stretch of those that
/// have: from `lower` to `upper`, both infinity if there is none. The tables come first, or the size of every relation might be asked for,
/// and the day of one that has none in its name.
const CLOSED: [&str; 3] = [
    "tables AS MATERIALIZED (SELECT c.oid, c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent IN (",
    ") AND c.relname ~ '_\\d{8}$'), days AS MATERIALIZED (SELECT to_date(right(t.relname, 8), 'YYYYMMDD') AS day, bool_and(EXISTS (\
     SELECT FROM pg_index AS x WHERE x.indrelid = t.oid AND x.indexrelid = to_regclass(format('haulage.%I', t.relname || '_",
    "')) AND x.indisvalid)) AS indexed FROM tables AS t WHERE pg_relation_size(t.oid) > 0 GROUP BY 1), closed AS MATERIALIZED (\
     SELECT coalesce(min(d.day)::timestamp AT TIME ZONE 'UTC', 'infinity') AS lower, \
     coalesce((max(d.day) + 1)::timestamp AT TIME ZONE 'UTC', 'infinity') AS upper FROM days AS d WHERE d.indexed AND d.day > coalesce((\
     SELECT max(g.day) FROM days AS g WHERE NOT g.indexed AND g.day < (SELECT max(l.day) FROM days AS l WHERE l.indexed)), '-infinity')), ",
];
/// The same of a row of live_jobs, which has no error of its own.
const LIVE_ERROR: &str = "CASE WHEN j.failures > 0 OR j.crashes > 0 THEN \
     (SELECT a.message FROM haulage.attempts AS a WHERE a.job_id = j.id ORDER BY a.attempt DESC, a.ended_at DESC LIMIT 1) END";

/// The tables in which a filter can find something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    live: bool,
    history: Option<&'static str>,
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
    fn each(self) -> impl Iterator<Item = Option<&'static str>> {
        self.live.then_some(None).into_iter().chain(self.history.map(Some))
    }

    /// The tables whose partitions the history's days are.
    fn families(self) -> Option<&'static str> {
        self.history.map(|table| match table {
            "haulage.finished_completed" => "'haulage.finished_completed'::regclass",
            "haulage.finished_failed" => "'haulage.finished_failed'::regclass",
            _ => "'haulage.finished_completed'::regclass, 'haulage.finished_failed'::regclass",
        })
    }

    fn is_empty(self) -> bool {
        self == Self { live: false, history: None }
    }
}

/// Which days of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Days {
    All,
    /// Those whose index can't be asked.
    Open,
    /// The others, if the index finds too many there.
    Closed,
}

/// Which rows of a table a search looks at.
#[derive(Clone, Copy)]
struct Window {
    /// Ids after this one,
    after: i64,
    /// up to this one,
    up_to: i64,
    /// in this order,
    newest_first: bool,
    /// at most so many.
    most: Option<i64>,
    /// Not what finished later.
    finished_by: Option<DateTime<Utc>>,
    /// Of these days.
    days: Days,
}

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
    let up_to = filter.before.map_or(i64::MAX, |id| id.0.saturating_sub(1));
    let window = Window { after: i64::MIN, up_to, newest_first: true, most: reach, finished_by: None, days: Days::All };
    let limit = filter.limit;
    let mut query = QueryBuilder::new("WITH ");
    let index = indexed(filter).zip(parts.families());
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
        query.push_bind(up_to);
        push_indexed(&mut query, filter);
        query.push(format_args!(" LIMIT {}), ", PAGE_REACH + 1));
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
    // How far down each part has been searched; the page goes as far as all of them.
    let parts = hits + usize::from(index.is_some());
    query.push("reached AS MATERIALIZED (SELECT greatest(NULL");
    for number in 0..parts {
        query.push(format_args!(
            ", CASE WHEN (SELECT count(p.id) FROM part_{number} AS p) >= {limit} THEN (SELECT min(p.id) FROM part_{number} AS p)"
        ));
        // What the index has found is everything.
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
    }
    query.push(format_args!(") AS j ON j.id >= reached.id OR reached.id IS NULL ORDER BY j.id DESC LIMIT {limit}"));
    let rows = query.build().fetch_all(executor).await?;
    let reached: Option<i64> = rows.first().map(|row| row.try_get("reached")).transpose()?.flatten();
    let jobs: Vec<JobSummary> = rows.iter().map(summary).filter_map(Result::transpose).collect::<Result<_, _>>()?;
    let next = if jobs.len() >= usize::from(limit) { jobs.last().map(|job| job.id) } else { reached.map(JobId) };
    Ok(JobPage { jobs, next })
}

/// What of a filter the indexes of closed days answer: the one whose days are asked for, the choosiest first.
fn indexed(filter: &JobFilter) -> Option<&'static str> {
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
fn few_hits() -> String {
    format!("(SELECT count(*) FROM hits) <= {PAGE_REACH}")
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
        parked_for: row.try_get::<Option<i16>, _>("parked_for")?.map(ParkedFor::from_code).transpose()?,
        error: row.try_get("last_error")?,
    }))
}

/// How many jobs match, by state, up to 10,000 of them, and whether there may be more.
pub(crate) async fn count_jobs(
    connection: &mut PgConnection,
    filter: &JobFilter,
    parts: Parts,
) -> Result<(Vec<(JobState, i64)>, bool), sqlx::Error> {
    if parts.is_empty() {
        return Ok((Vec::new(), false));
    }
    let up_to = filter.before.map_or(i64::MAX, |id| id.0.saturating_sub(1));
    let window = Window { after: i64::MIN, up_to, newest_first: true, most: Some(COUNT_REACH), finished_by: None, days: Days::All };
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

/// A window as the table `j`.
fn push_window(query: &mut QueryBuilder<Postgres>, table: Option<&'static str>, filter: &JobFilter, window: &Window) {
    push_rows(query, table, filter, window);
    query.push(" AS j");
}

/// The rows of a window in parentheses. What an index answers is asked here, so that the window holds only such rows.
fn push_rows(query: &mut QueryBuilder<Postgres>, table: Option<&'static str>, filter: &JobFilter, window: &Window) {
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

/// What is compared row by row. The planner puts the dear ones, which look at the attempts, last.
fn push_conditions(query: &mut QueryBuilder<Postgres>, filter: &JobFilter, last_error: &'static str) {
    query.push(" WHERE true");
    if let Some(state) = filter.state {
        query.push(" AND j.state = ").push_bind(state.code());
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

/// What the indexes of closed days hold.
fn push_indexed(query: &mut QueryBuilder<Postgres>, filter: &JobFilter) {
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

/// Columns of an entry of the audit.
const ENTRY: &str = "a.id, a.at, a.who, a.verb, a.target, a.jobs, a.operation, a.reason, a.before::text AS before, a.after::text AS after";

/// Entries of the audit, newest first, and down to which one was looked, if there are more. The batches of an operation are told only to
/// who asks for the operation or for a job. Of a person, for whom there is no index, only the next `reach` entries are looked at.
pub(crate) async fn search_audit<'c>(
    executor: impl PgExecutor<'c>,
    filter: &AuditFilter,
    reach: Option<i64>,
) -> Result<(Vec<AuditEntry>, Option<i64>), sqlx::Error> {
    let mut query = QueryBuilder::new("WITH near AS ");
    match filter.job {
        // Found first and put in order then: for the newest few by id the planner would read the audit from its end.
        Some(job) => {
            query.push("MATERIALIZED (SELECT a.* FROM haulage.audit AS a WHERE a.jobs @> ").push_bind(vec![job.0]).push(")");
        }
        None => {
            query.push("(SELECT a.* FROM haulage.audit AS a)");
        }
    }
    let window = reach.filter(|_| filter.who.is_some() && filter.job.is_none());
    if let Some(most) = window {
        query.push(", seen AS MATERIALIZED (SELECT a.id, a.who");
        push_entries(&mut query, filter);
        query.push(format_args!(
            " ORDER BY a.id DESC LIMIT {most}), reached AS (SELECT CASE WHEN count(*) >= {most} THEN min(s.id) END AS id FROM seen AS s) \
             SELECT r.id AS reached, {ENTRY} FROM reached AS r LEFT JOIN (SELECT s.id FROM seen AS s WHERE s.who = "
        ));
        query.push_bind(filter.who.clone());
        query.push(format_args!(
            " ORDER BY s.id DESC LIMIT {}) AS m ON true LEFT JOIN haulage.audit AS a ON a.id = m.id ORDER BY a.id DESC NULLS LAST",
            filter.limit
        ));
    } else {
        query.push(format_args!(" SELECT NULL::bigint AS reached, {ENTRY}"));
        push_entries(&mut query, filter);
        if let Some(who) = &filter.who {
            query.push(" AND a.who = ").push_bind(who.clone());
        }
        query.push(format_args!(" ORDER BY a.id DESC LIMIT {}", filter.limit));
    }
    let rows = query.build().fetch_all(executor).await?;
    let reached: Option<i64> = rows.first().map(|row| row.try_get("reached")).transpose()?.flatten();
    let is_entry = |row: &&PgRow| row.try_get::<Option<i64>, _>("id").is_ok_and(|id| id.is_some());
    let entries: Vec<AuditEntry> = rows.iter().filter(is_entry).map(super::audit::entry).collect::<Result<_, _>>()?;
    let next = if entries.len() >= usize::from(filter.limit) { entries.last().map(|entry| entry.id) } else { reached };
    Ok((entries, next))
}

/// Where entries come from, and what of a filter an index answers.
fn push_entries(query: &mut QueryBuilder<Postgres>, filter: &AuditFilter) {
    query.push(" FROM near AS a WHERE a.id < ").push_bind(filter.before.unwrap_or(i64::MAX));
    if let Some(operation) = filter.operation {
        query.push(" AND a.operation = ").push_bind(operation.0);
    }
    if filter.job.is_none() && filter.operation.is_none() {
        query.push(" AND (a.operation IS NULL OR a.jobs IS NULL)");
    }
    if let Some(target) = &filter.target {
        query.push(" AND a.target = ").push_bind(target.clone());
    }
}
