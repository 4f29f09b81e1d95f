//! Other args for a job that was given the wrong ones.

use std::time::Instant;

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    Operator, Standing, Target,
    act::{PATIENCE, PAUSE, look},
};
use crate::{
    JobId, JobState, ManageError,
    args::{MAX_ARGS_BYTES, check_json},
    store,
};

pub(crate) async fn edit_args(
    tx: &mut PgConnection,
    operator: &Operator,
    id: JobId,
    args: &str,
    seen: Option<&str>,
) -> Result<(), ManageError> {
    operator.check()?;
    let new = check(args)?;
    let started = Instant::now();
    let (before, old) = loop {
        let before = look(tx, id).await?;
        fits(&before)?;
        let old = store::get_args(&mut *tx, id).await?.ok_or(ManageError::NotFound { id })?;
        let refused = |why: &str| ManageError::Refused { verb: "edit-args", id, state: before.state, why: why.to_owned() };
        if seen.is_some_and(|seen| !same(seen, &old)) {
            return Err(refused("it has other args by now than those that were edited; load it again"));
        }
        if old.trim_start().starts_with('{') && !new.is_object() {
            return Err(ManageError::Args { problem: "they are no JSON object, and those that it has are one".to_owned() });
        }
        if store::edit_args(tx, id, &old, args).await? {
            break (before, old);
        }
        if started.elapsed() > PATIENCE {
            return Err(ManageError::Locked { id, waited: PATIENCE.as_secs() });
        }
        store::wait_a_moment(tx, PAUSE).await?;
    };
    // Args may hold what the audit should not keep for a year.
    let standing = |before: &Standing, length: usize| {
        let mut standing = json!(before);
        standing["args_bytes"] = json!(length);
        Some(standing)
    };
    operator
        .write_audit(tx, "edit-args", Target::Job(id), &[id.0], standing(&before, old.len()), standing(&before, args.trim().len()))
        .await?;
    Ok(())
}

fn check(args: &str) -> Result<Value, ManageError> {
    let bad = |problem: String| ManageError::Args { problem };
    let value = serde_json::from_str(args).map_err(|error| bad(format!("this is no JSON: {error}")))?;
    check_json(args, MAX_ARGS_BYTES).map_err(|problem| bad(format!("they are {problem}").replace("they are it holds", "they hold")))?;
    Ok(value)
}

fn fits(standing: &Standing) -> Result<(), ManageError> {
    use JobState::{Available, Cancelled, Completed, Dead, Parked, Running, Scheduled};
    let why = match standing.state {
        Scheduled | Available | Parked | Dead | Cancelled => return Ok(()),
        Running => "it is running with the args that it has; cancel it first, or wait until it is back in line",
        Completed => "it is completed, and its args say what it did",
    };
    Err(ManageError::Refused { verb: "edit-args", id: standing.id, state: standing.state, why: why.to_owned() })
}

/// As Postgres compares them: the order of names and blanks say nothing.
fn same(a: &str, b: &str) -> bool {
    a == b || serde_json::from_str::<Value>(a).ok().zip(serde_json::from_str::<Value>(b).ok()).is_some_and(|(a, b)| a == b)
}
