//! Entries of the audit.

use sqlx::{PgExecutor, Postgres, QueryBuilder, Row, postgres::PgRow};

use crate::{AuditEntry, AuditFilter, store::audit::entry};

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
    let entries: Vec<AuditEntry> = rows.iter().filter(is_entry).map(entry).collect::<Result<_, _>>()?;
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
