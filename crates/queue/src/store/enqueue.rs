//! Storing jobs.

use std::time::Duration;

use sqlx::{
    PgExecutor, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use crate::{Enqueued, JobId, NamedJob, OnConflict, enqueue::Draft, provenance::Provenance};

type PgQuery<'q> = Query<'q, sqlx::Postgres, PgArguments>;

/// Stores one job without a unique key; `None` when the parent's lease is lost.
pub(crate) async fn enqueue_job<'c>(executor: impl PgExecutor<'c>, draft: &Draft, from: &Provenance) -> Result<Option<JobId>, sqlx::Error> {
    let trace = from.trace.context.map(|trace| trace.stored());
    let row = sqlx::query(include_str!("../sql/enqueue_job.sql"))
        .bind(draft.kind)
        .bind(draft.queue.as_ref())
        .bind(draft.args.as_str())
        .bind(draft.priority)
        .bind(draft.max_attempts)
        .bind(draft.timeout_ms)
        .bind(draft.run_at)
        .bind(draft.delay_s)
        .bind(draft.tags.as_deref())
        .bind(draft.meta.as_deref())
        .bind(from.parent.as_ref().map(|parent| parent.id.0))
        .bind(from.parent.as_ref().map(|parent| parent.root.unwrap_or(parent.id).0))
        .bind(from.parent.as_ref().map(|parent| parent.lease))
        .bind(draft.revision)
        .bind(trace.map(|trace| trace.0))
        .bind(trace.map(|trace| trace.1))
        .bind(trace.map(|trace| trace.2))
        .bind(from.trace.tracestate())
        .bind(from.trace.baggage())
        .bind(from.relation(draft))
        .bind(from.origin.as_deref())
        .bind(draft.limit_key.as_deref())
        .fetch_optional(executor)
        .await?;
    row.map(|row| row.try_get("id").map(JobId)).transpose()
}

/// Stores a batch of jobs without unique keys, in order; empty when the parent's lease is lost.
pub(crate) async fn enqueue_jobs<'c>(
    executor: impl PgExecutor<'c>,
    drafts: &[&Draft],
    from: &Provenance,
) -> Result<Vec<JobId>, sqlx::Error> {
    let mut awake: Vec<&str> = drafts.iter().map(|draft| draft.queue.as_ref()).collect();
    awake.sort_unstable();
    awake.dedup();
    let keys: Vec<Option<&str>> = if drafts.iter().all(|draft| draft.limit_key.is_none()) {
        vec![None]
    } else {
        drafts.iter().map(|draft| draft.limit_key.as_deref()).collect()
    };
    let query = bind_batch(sqlx::query(include_str!("../sql/enqueue_jobs.sql")), drafts, from, true).bind(awake).bind(keys);
    let row = query.fetch_one(executor).await?;
    let ids: Option<Vec<i64>> = row.try_get(0)?;
    Ok(ids.unwrap_or_default().into_iter().map(JobId).collect())
}

/// Stores a batch of jobs with unique keys, sorted by key; empty when the parent's lease is lost.
pub(crate) async fn enqueue_unique_jobs<'c>(
    executor: impl PgExecutor<'c>,
    drafts: &[&Draft],
    from: &Provenance,
) -> Result<Vec<Enqueued>, sqlx::Error> {
    let query = bind_batch(sqlx::query(include_str!("../sql/enqueue_unique_jobs.sql")), drafts, from, false)
        .bind(drafts.iter().map(|draft| draft.unique.map(|unique| unique.key)).collect::<Vec<_>>())
        .bind(
            drafts.iter().map(|draft| draft.unique.and_then(|unique| unique.window).map(|window| window.as_secs_f64())).collect::<Vec<_>>(),
        )
        .bind(drafts.iter().map(|draft| draft.unique.map_or(0, |unique| unique.on_conflict)).collect::<Vec<_>>())
        .bind(drafts.iter().map(|draft| draft.limit_key.as_deref()).collect::<Vec<_>>());
    query.fetch_all(executor).await?.iter().map(|row| enqueued(row, "id")).collect()
}

/// What an interval of Postgres surely holds, in seconds: about 30,000 years. More is far outside every range that the function
/// checks, and would be refused without saying which value is meant.
const LONGEST_INTERVAL: f64 = 1e12;

/// Stores one job through `haulage.enqueue()`; `args` and `meta` are JSON texts.
pub(crate) async fn call_enqueue<'c>(
    executor: impl PgExecutor<'c>,
    job: &NamedJob,
    args: &str,
    meta: Option<&str>,
    from: &Provenance,
) -> Result<Enqueued, sqlx::Error> {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64().min(LONGEST_INTERVAL));
    let row = sqlx::query(include_str!("../sql/call_enqueue.sql"))
        .bind(job.kind.as_str())
        .bind(args)
        .bind(job.queue.as_str())
        .bind(i32::from(job.priority.code()))
        .bind(job.run_at)
        .bind(seconds(job.delay))
        .bind(i32::from(job.max_attempts))
        .bind(seconds(job.timeout))
        .bind((!job.tags.is_empty()).then_some(job.tags.as_slice()))
        .bind(meta)
        .bind(job.unique_key.as_deref())
        .bind(seconds(job.unique_for))
        .bind(match job.on_conflict {
            OnConflict::Keep => "keep",
            OnConflict::ReplaceArgs => "replace args",
            OnConflict::Reschedule => "reschedule",
        })
        .bind(job.limit_key.as_deref())
        .bind(from.trace.context().map(|context| context.traceparent()))
        .bind(from.trace.tracestate())
        .bind(from.trace.baggage())
        .bind(from.origin.as_deref())
        .bind(i32::from(job.revision))
        .fetch_one(executor)
        .await?;
    enqueued(&row, "job_id")
}

fn enqueued(row: &PgRow, id: &str) -> Result<Enqueued, sqlx::Error> {
    let id = JobId(row.try_get(id)?);
    Ok(if row.try_get("duplicate")? { Enqueued::Duplicate(id) } else { Enqueued::New(id) })
}

/// Parameters 1 to 21 of the two batch statements. With `fold`, a column whose values are all alike is sent as one value; of the
/// columns that may hold NULL only the timeout, or a column of nothing but NULL.
fn bind_batch<'q>(query: PgQuery<'q>, drafts: &[&'q Draft], from: &Provenance, fold: bool) -> PgQuery<'q> {
    fn column<'q, T>(drafts: &[&'q Draft], get: impl Fn(&'q Draft) -> T) -> Vec<T> {
        drafts.iter().map(|draft| get(draft)).collect()
    }
    fn folded<'q, T: PartialEq>(drafts: &[&'q Draft], fold: bool, get: impl Fn(&'q Draft) -> T) -> Vec<T> {
        match drafts.split_first() {
            Some((first, others)) if fold && others.iter().all(|draft| get(draft) == get(first)) => vec![get(first)],
            _ => column(drafts, get),
        }
    }
    fn sparse<'q, T>(drafts: &[&'q Draft], fold: bool, get: impl Fn(&'q Draft) -> Option<T>) -> Vec<Option<T>> {
        if fold && drafts.iter().all(|draft| get(draft).is_none()) { vec![None] } else { column(drafts, get) }
    }
    let trace = from.trace.context.map(|trace| trace.stored());
    query
        .bind(folded(drafts, fold, |draft| draft.kind))
        .bind(folded(drafts, fold, |draft| draft.queue.as_ref()))
        .bind(column(drafts, |draft| draft.args.as_str()))
        .bind(folded(drafts, fold, |draft| draft.priority))
        .bind(folded(drafts, fold, |draft| draft.max_attempts))
        .bind(folded(drafts, fold, |draft| draft.timeout_ms))
        .bind(sparse(drafts, fold, |draft| draft.run_at))
        .bind(sparse(drafts, fold, |draft| draft.delay_s))
        .bind(sparse(drafts, fold, |draft| draft.tags.as_deref()))
        .bind(sparse(drafts, fold, |draft| draft.meta.as_deref()))
        .bind(from.parent.as_ref().map(|parent| parent.id.0))
        .bind(from.parent.as_ref().map(|parent| parent.root.unwrap_or(parent.id).0))
        .bind(from.parent.as_ref().map(|parent| parent.lease))
        .bind(folded(drafts, fold, |draft| draft.revision))
        .bind(trace.map(|trace| trace.0))
        .bind(trace.map(|trace| trace.1))
        .bind(trace.map(|trace| trace.2))
        .bind(from.trace.tracestate().map(ToOwned::to_owned))
        .bind(from.trace.baggage().map(ToOwned::to_owned))
        .bind(sparse(drafts, fold, |draft| from.relation(draft)))
        .bind(from.origin.clone())
}
