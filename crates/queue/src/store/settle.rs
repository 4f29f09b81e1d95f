//! Ending attempts. Every function names (id, lease) pairs and returns the ids that went; the rest was locked or is not ours.

use sqlx::{PgConnection, PgExecutor, Row};

use crate::{JobId, TraceContext};

/// An attempt to settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settled {
    /// The job.
    pub id: JobId,
    /// The lease it was claimed under.
    pub lease: i64,
}

/// What became of an attempt whose settling brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsettled {
    /// Still ours: its row was locked, or the statement never ran.
    Ours,
    /// It did finish under our lease; the answer was lost.
    Finished,
    /// No job has its id, unfinished or finished. Of a job that leaves no history: it is completed, or deleted.
    Gone,
    /// Its lease is lost.
    Lost,
}

/// How an attempt did not simply succeed; stored in `attempts`.
#[derive(Debug, Clone)]
pub struct Reschedule {
    /// The attempt.
    pub settled: Settled,
    /// Seconds until it may run again.
    pub delay_s: f64,
    /// "failed", "timed out", "panicked", "snoozed".
    pub outcome: &'static str,
    /// Low-cardinality class of the error.
    pub error_class: Option<String>,
    /// What went wrong.
    pub message: Option<String>,
    /// How long the handler ran.
    pub ran_ms: Option<i32>,
    /// Whether it counts as a failure.
    pub failed: bool,
    /// The attempt's own span, if it was sampled.
    pub span: Option<TraceContext>,
    /// Of the error, if it failed.
    pub fingerprint: Option<String>,
}

/// An attempt that ends its job as dead or cancelled.
#[derive(Debug, Clone)]
pub struct Burial {
    /// The attempt.
    pub settled: Settled,
    /// Dead, or cancelled.
    pub cancelled: bool,
    /// "failed", "timed out", "panicked", "cancelled".
    pub outcome: &'static str,
    /// Low-cardinality class of the error.
    pub error_class: Option<String>,
    /// What went wrong.
    pub message: Option<String>,
    /// How long the handler ran.
    pub ran_ms: Option<i32>,
    /// Whether it counts as a failure.
    pub failed: bool,
    /// The attempt's own span, if it was sampled.
    pub span: Option<TraceContext>,
    /// Of the error, if it failed.
    pub fingerprint: Option<String>,
}

/// Completes attempts; `emptied` are the leases this empties, `outputs` the recorded outputs as JSON texts.
pub async fn complete_jobs<'c>(
    executor: impl PgExecutor<'c>,
    worker: i64,
    attempts: &[Settled],
    emptied: &[i64],
    outputs: &[(JobId, &str)],
) -> Result<Vec<JobId>, sqlx::Error> {
    let (ids, leases) = pairs(attempts.iter());
    let rows = sqlx::query(include_str!("../sql/complete_jobs.sql"))
        .bind(ids)
        .bind(leases)
        .bind(worker)
        .bind(emptied)
        .bind(outputs.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind(outputs.iter().map(|(_, output)| *output).collect::<Vec<_>>())
        .fetch_all(executor)
        .await?;
    rows.iter().map(|row| row.try_get(0).map(JobId)).collect()
}

/// Completes attempts of jobs that leave no history; `emptied` are the leases this empties.
pub async fn forget_jobs<'c>(executor: impl PgExecutor<'c>, attempts: &[Settled], emptied: &[i64]) -> Result<Vec<JobId>, sqlx::Error> {
    let (ids, leases) = pairs(attempts.iter());
    let rows = sqlx::query(include_str!("../sql/forget_jobs.sql")).bind(ids).bind(leases).bind(emptied).fetch_all(executor).await?;
    rows.iter().map(|row| row.try_get(0).map(JobId)).collect()
}

/// Sends attempts back to run later.
pub async fn reschedule_jobs(
    connection: &mut PgConnection,
    worker: i64,
    worker_name: &str,
    attempts: &[Reschedule],
) -> Result<Vec<JobId>, sqlx::Error> {
    let (ids, leases) = pairs(attempts.iter().map(|attempt| &attempt.settled));
    let rows = sqlx::query(include_str!("../sql/reschedule_jobs.sql"))
        .bind(ids)
        .bind(leases)
        .bind(attempts.iter().map(|attempt| attempt.delay_s).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.outcome).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.error_class.as_deref()).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.message.as_deref()).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.ran_ms).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.failed).collect::<Vec<_>>())
        .bind(worker)
        .bind(worker_name)
        .bind(attempts.iter().map(|attempt| attempt.span.map(|span| span.stored().0)).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.span.map(|span| span.stored().1)).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.fingerprint.as_deref()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row.try_get(0).map(JobId)).collect()
}

/// Ends attempts as dead or cancelled.
pub async fn bury_jobs(
    connection: &mut PgConnection,
    worker: i64,
    worker_name: &str,
    attempts: &[Burial],
) -> Result<Vec<JobId>, sqlx::Error> {
    let (ids, leases) = pairs(attempts.iter().map(|attempt| &attempt.settled));
    let rows = sqlx::query(include_str!("../sql/bury_jobs.sql"))
        .bind(ids)
        .bind(leases)
        .bind(attempts.iter().map(|attempt| if attempt.cancelled { 7_i16 } else { 6 }).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.outcome).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.error_class.as_deref()).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.message.as_deref()).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.ran_ms).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.failed).collect::<Vec<_>>())
        .bind(worker)
        .bind(worker_name)
        .bind(attempts.iter().map(|attempt| attempt.span.map(|span| span.stored().0)).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.span.map(|span| span.stored().1)).collect::<Vec<_>>())
        .bind(attempts.iter().map(|attempt| attempt.fingerprint.as_deref()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row.try_get(0).map(JobId)).collect()
}

/// Gives attempts back unharmed.
pub async fn return_jobs(connection: &mut PgConnection, attempts: &[Settled]) -> Result<Vec<JobId>, sqlx::Error> {
    let (ids, leases) = pairs(attempts.iter());
    let rows = sqlx::query(include_str!("../sql/return_jobs.sql")).bind(ids).bind(leases).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get(0).map(JobId)).collect()
}

/// Tells what became of attempts whose settling brought no answer.
pub async fn find_settled<'c>(executor: impl PgExecutor<'c>, attempts: &[Settled]) -> Result<Vec<(Settled, Unsettled)>, sqlx::Error> {
    let (ids, leases) = pairs(attempts.iter());
    let rows = sqlx::query(include_str!("../sql/find_settled.sql")).bind(ids).bind(leases).fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            let what = match (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?) {
                (true, ..) => Unsettled::Ours,
                (_, true, _) => Unsettled::Finished,
                (.., true) => Unsettled::Gone,
                _ => Unsettled::Lost,
            };
            Ok((Settled { id: JobId(row.try_get(0)?), lease: row.try_get(1)? }, what))
        })
        .collect()
}

fn pairs<'a>(attempts: impl Iterator<Item = &'a Settled>) -> (Vec<i64>, Vec<i64>) {
    attempts.map(|attempt| (attempt.id.0, attempt.lease)).unzip()
}
