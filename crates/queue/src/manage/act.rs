//! One act on one job, in a transaction: lock, look, do it under the guard of the state, look again, write it down.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgConnection;

use super::{Acted, Operator, Standing, Target};
use crate::{
    JobFilter, JobId, ManageError, Verb,
    store::{self, Finished},
};

/// How long a row may be locked by somebody else. A claim or a settle holds it for milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn act(tx: &mut PgConnection, operator: &Operator, id: JobId, verb: &Verb) -> Result<Acted, ManageError> {
    operator.check()?;
    verb.check()?;
    let started = Instant::now();
    let before = loop {
        // Once locked it stays as it is seen; and a finished one stays as it is, but for what other operators do.
        let locked = !store::lock_jobs(tx, &JobFilter::new(), &[id.0]).await?.is_empty();
        let before = look(tx, id).await?;
        if locked || before.state.is_final() {
            before.fits(verb).map_err(|misfit| ManageError::Refused { verb: verb.as_str(), id, state: before.state, why: misfit.why })?;
            if !apply(tx, operator, verb, &[id.0], Finished::default(), true).await?.is_empty() {
                break before;
            }
        }
        if started.elapsed() > PATIENCE {
            return Err(ManageError::Locked { id, waited: PATIENCE.as_secs() });
        }
        store::wait_a_moment(tx, PAUSE).await?;
    };
    let after = store::look_at_jobs(tx, &[id.0]).await?.pop();
    operator
        .write_audit(tx, verb.as_str(), Target::Job(id), &[id.0], Some(json!(before)), after.as_ref().map(|after| json!(after)))
        .await?;
    Ok(Acted { id, was: before.state, now: after.map(|after| after.state) })
}

pub(crate) async fn run_again(tx: &mut PgConnection, operator: &Operator, id: JobId) -> Result<JobId, ManageError> {
    operator.check()?;
    let before = look(tx, id).await?;
    let refused = |why: String| ManageError::Refused { verb: "run-again", id, state: before.state, why };
    if !before.state.is_final() {
        return Err(refused(format!("it is {}; only a finished job can be repeated", before.state)));
    }
    let new = match store::run_job_again(tx, id, &operator.who).await? {
        Some(new) => new.ok_or_else(|| {
            let holder = before.key_holder.map_or_else(|| "it, or another job, still".to_owned(), |holder| format!("job {holder}"));
            refused(format!("{holder} holds its unique key; wait until that is free, or retry the job itself if it is dead"))
        })?,
        None => return Err(ManageError::NotFound { id }),
    };
    operator.write_audit(tx, "run-again", Target::Job(id), &[id.0, new.0], Some(json!(before)), Some(json!({ "job": new }))).await?;
    Ok(new)
}

/// Does it to as many of the jobs as their states and locks allow, and returns these.
pub(crate) async fn apply(
    tx: &mut PgConnection,
    operator: &Operator,
    verb: &Verb,
    ids: &[i64],
    finished: Finished,
    alone: bool,
) -> Result<Vec<i64>, sqlx::Error> {
    match verb {
        Verb::Retry => store::retry_jobs(tx, ids, finished).await,
        Verb::RunNow => store::run_jobs_now(tx, ids, alone).await,
        Verb::Cancel => store::cancel_jobs(tx, ids, &operator.told(verb)).await,
        Verb::Discard => store::discard_jobs(tx, ids, &operator.told(verb)).await,
        Verb::Hold => store::hold_jobs(tx, ids).await,
        Verb::Release => store::release_jobs(tx, ids).await,
        Verb::Delete => store::delete_jobs(tx, ids, finished).await,
        Verb::Move { queue } => store::move_jobs(tx, ids, queue).await,
        Verb::Reprioritise { priority } => store::reprioritise_jobs(tx, ids, *priority).await,
    }
}

pub(super) async fn look(tx: &mut PgConnection, id: JobId) -> Result<Standing, ManageError> {
    store::look_at_jobs(tx, &[id.0]).await?.pop().ok_or(ManageError::NotFound { id })
}
