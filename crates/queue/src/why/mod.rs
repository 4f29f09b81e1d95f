//! Why a job does not run, and what holds up jobs in the whole fleet.
//!
//! ```text
//!  sql/why_*.sql ──> facts ──> gates, in one order ──> findings ──> verdict: sentence (wording.rs), fixes (fix.rs), evidence
//!                              the same for one job and for the oldest of each group of jobs that are alike
//! ```
//!
//! Facts are gathered by a few statements, each bounded; judging them is a pure function. It only reads, beside the workers and never in
//! their way, and costs the same however many jobs wait.

mod causes;
mod code;
mod fix;
mod gates;
mod gather;
mod health;
mod judgement;
mod sample;
mod verdict;
mod wording;

pub(crate) mod facts;
pub(crate) mod finding;
pub(crate) mod finished;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use self::{
    facts::Fleet,
    finding::{Finding, GRACE},
    finished::{FinishedFacts, Story},
    gates::Case,
};
use crate::{JobId, JobState, Priority, ReadError, store};

pub use code::WhyCode;
pub use fix::{Fix, FixAct};
pub use health::{Health, health};
pub use sample::sample_fleet;
pub use verdict::{Cause, CauseGroup, CauseSubject, Causes, Mover, OtherCause, Severity, Verdict};

/// No statement of ours takes longer: none is better than one that is in the way.
const PATIENCE: Duration = Duration::from_secs(2);
/// Nor waits longer for a table that somebody has locked: that is the cause then.
const LOCKED: Duration = Duration::from_millis(500);

/// Why a job does not run: the first closed gate between it and its start, who opens it and when, and what can be done. Of a finished
/// job, where its time went. `None`: there never was such a job.
///
/// A few look-ups by index, some milliseconds; made for the primary, because locks can't be seen on a replica.
///
/// ```no_run
/// # async fn f(pool: sqlx::PgPool, id: haulage_queue::JobId) -> Result<(), Box<dyn std::error::Error>> {
/// if let Some(verdict) = haulage_queue::why(&mut *pool.acquire().await?, id).await? {
///     println!("{} {}", verdict.sentence, verdict.detail);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ReadError`].
pub async fn why(connection: &mut PgConnection, id: JobId) -> Result<Option<Verdict>, ReadError> {
    match look_at_job(connection, id).await {
        Err(error) if gave_up(&error) => {
            let server = gather::server(connection, store::lock_timed_out(&error)).await?;
            let mut found = causes::of_server(&server).into_iter().filter(|found| found.finding.mover() == Mover::Database);
            let cause = found.next().ok_or(error)?.finding;
            Ok(Some(verdict(cause, Vec::new(), Some(id), Some(id), server.now, json!({ "server": server }))))
        }
        looked => Ok(looked?),
    }
}

async fn look_at_job(connection: &mut PgConnection, id: JobId) -> Result<Option<Verdict>, sqlx::Error> {
    let mut tx = begin(connection).await?;
    let verdict = match gather::job(&mut tx, id).await? {
        Some((job, fleet)) => {
            let mut all = gates::findings(&Case { job: &job, fleet: &fleet }).into_iter();
            let evidence = json!({ "job": job, "fleet": fleet.about(&job.queue, &job.kind) });
            let mut verdict = all.next().map(|first| verdict(first, all.collect(), Some(id), Some(id), fleet.now, evidence));
            if let Some(verdict) = verdict.as_mut().filter(|_| job.priority == Priority::Urgent) {
                verdict.fixes.retain(|fix| fix.id != "first");
            }
            verdict
        }
        None => past(&mut tx, id).await?,
    };
    tx.rollback().await?;
    Ok(verdict)
}

/// What holds up jobs in the whole fleet, or will: causes, not jobs. What is well is not among them.
///
/// Takes time by queues, kinds and keys, not by jobs: it looks at the first 500 entries of each line, the first 500 keys that a job
/// waits for, the first 5,000 scheduled jobs; counts stop at 10,001.
///
/// # Errors
/// [`ReadError`].
pub async fn causes(connection: &mut PgConnection) -> Result<Causes, ReadError> {
    let began = Instant::now();
    let mut causes = match look_at_fleet(connection).await {
        Err(error) if gave_up(&error) => {
            let server = gather::server(connection, store::lock_timed_out(&error)).await?;
            Causes {
                at: server.now,
                took_ms: 0,
                causes: causes::causes(causes::of_server(&server), &Fleet::nothing(server.now)),
                gave_up: true,
                partial: vec![format!("the jobs could not be looked at in time, only the server: {error}")],
                oldest_ready_s: None,
                oldest_ready_queue: None,
            }
        }
        looked => looked?,
    };
    causes.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(causes)
}

async fn look_at_fleet(connection: &mut PgConnection) -> Result<Causes, sqlx::Error> {
    let mut tx = begin(connection).await?;
    store::plan_by_index(&mut tx).await?;
    let fleet = gather::fleet(&mut tx, None).await?;
    let wide = gather::wide(&mut tx).await?;
    let mut look = causes::look(&fleet, &wide);
    let queues = causes::queues_of(&look.found);
    if !queues.is_empty() {
        causes::count(&mut look.found, &fleet, store::why_depth(&mut tx, &queues).await?);
    }
    tx.rollback().await?;
    let (oldest_ready_s, oldest_ready_queue) = match look.oldest_ready {
        Some((since, queue)) => (Some(((fleet.now - since).num_milliseconds() as f64 / 1e3).max(0.0)), Some(queue)),
        None => (None, None),
    };
    Ok(Causes {
        at: fleet.now,
        took_ms: 0,
        causes: causes::causes(look.found, &fleet),
        gave_up: false,
        partial: gather::partial(&fleet, &wide),
        oldest_ready_s,
        oldest_ready_queue,
    })
}

async fn begin(connection: &mut PgConnection) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
    let mut tx = connection.begin().await?;
    store::limit_statement(&mut *tx, PATIENCE).await?;
    store::limit_lock(&mut *tx, LOCKED).await?;
    Ok(tx)
}

/// Whether a statement was given up because a table is locked against everybody, or took too long, as behind an old snapshot.
fn gave_up(error: &sqlx::Error) -> bool {
    store::lock_timed_out(error) || store::failure(error) == store::Failure::Cancelled
}

/// Of a job that is not unfinished.
async fn past(tx: &mut PgConnection, id: JobId) -> Result<Option<Verdict>, sqlx::Error> {
    let now = store::get_clock(&mut *tx).await?;
    let Some(job) = gather::finished(tx, id).await? else {
        let (handed_out, deleted_by) = store::why_gone(tx, id).await?;
        let evidence = json!({ "deleted": deleted_by });
        let gone = (handed_out || deleted_by.is_some()) && id.0 > 0;
        return Ok(gone.then(|| verdict(Finding::Gone { deleted_by }, Vec::new(), Some(id), Some(id), now, evidence)));
    };
    let evidence = json!({ "job": job });
    Ok(Some(verdict(ended(id, &job), Vec::new(), Some(id), Some(id), now, evidence)))
}

fn ended(id: JobId, job: &FinishedFacts) -> Finding {
    let (story, error) = (Story::of(job), job.error.clone());
    let class = job.attempts.first().filter(|last| last.attempt == job.attempt).and_then(|last| last.error_class.as_deref());
    let (queue, kind, since) = (job.queue.clone(), job.kind.clone(), job.finished_at);
    match job.state {
        JobState::Dead if class == Some("args") => Finding::BadArgs { queue, kind, job: Some(id), error, since },
        JobState::Dead if job.crashes >= 3 && class == Some("worker lost") => Finding::Quarantined { job: Some(id), queue, kind, since },
        JobState::Dead => Finding::Dead { story, error },
        JobState::Cancelled => Finding::Cancelled { story, error },
        _ => Finding::Completed { story },
    }
}

/// `job`: of whom it is said; `None`: of a cause. `example`: of a cause one of its jobs.
fn verdict(
    finding: Finding,
    also: Vec<Finding>,
    job: Option<JobId>,
    example: Option<JobId>,
    now: DateTime<Utc>,
    evidence: Value,
) -> Verdict {
    let (sentence, detail) = wording::say(&finding, now);
    let due = finding.due(now);
    let overdue = due.is_some_and(|due| now - due > GRACE) && finding.severity(now) != Severity::Ok;
    // What was to clear by itself and did not needs somebody.
    let severity = match finding.severity(now) {
        Severity::Heals if overdue => Severity::Stuck,
        severity => severity,
    };
    let subject = CauseSubject { job: example, ..finding.subject() };
    let also = also.iter().filter(|other| other.code() != finding.code());
    Verdict {
        code: finding.code(),
        severity,
        group: severity.group(),
        since: finding.since(),
        mover: if severity == Severity::Stuck && finding.mover() == Mover::Clock { Mover::Person } else { finding.mover() },
        due,
        overdue,
        sentence,
        detail,
        facts: finding.facts(),
        also: also.map(|other| OtherCause { code: other.code(), sentence: wording::say(other, now).0 }).collect(),
        fixes: fix::fixes(&finding, job, now),
        subject,
        evidence,
    }
}
