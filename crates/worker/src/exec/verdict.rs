//! What a program's end means for its job.
//!
//! | exit code | the job |
//! |---|---|
//! | 0 | completed; JSON on standard output is its output |
//! | 65 (`EX_DATAERR`) | dead |
//! | 75 (`EX_TEMPFAIL`) | failed; runs again after the seconds on standard output, else after the backoff |
//! | 80 | snoozed for the seconds on standard output, else for a minute; no failure |
//! | any other, or a signal | failed; runs again after the backoff |

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use serde_json::value::RawValue;

use super::capture::{Head, Tail};
use crate::{Ctx, JobError, Outcome};

/// The class of errors that a program's end is.
pub(super) const CLASS: &str = "program";

/// Codes of `sysexits.h`, which mail programs have used for this since the eighties.
const DO_NOT_TRY_AGAIN: i32 = 65;
const TRY_AGAIN: i32 = 75;
/// Free in `sysexits.h`.
const SNOOZE: i32 = 80;
/// A snooze that does not say for how long.
const SNOOZE_FOR: Duration = Duration::from_secs(60);
/// More than the runtime takes; numbers beyond it would not fit a `Duration`.
const FOR_EVER: f64 = 1e10;

const SIGKILL: i32 = 9;

pub(super) fn of(status: ExitStatus, stdout: &Head, stderr: &Tail, ctx: &Ctx) -> Result<Outcome, JobError> {
    match status.code() {
        Some(0) => {
            keep_output(stdout, ctx);
            return Ok(Outcome::Done);
        }
        Some(SNOOZE) => return Ok(Outcome::Snooze(seconds(stdout).unwrap_or(SNOOZE_FOR))),
        _ => {}
    }
    let hint = if status.signal() == Some(SIGKILL) { "; perhaps the system ran out of memory" } else { "" };
    let text = with_stderr(format!("{status}{hint}"), stderr);
    let error = match status.code() {
        Some(DO_NOT_TRY_AGAIN) => JobError::fatal(text),
        Some(TRY_AGAIN) => match seconds(stdout) {
            Some(wait) => JobError::retry_after(wait, text),
            None => JobError::from(text),
        },
        _ => JobError::from(text),
    };
    Err(error.with_class(CLASS))
}

/// The text and what the program said last on standard error.
pub(super) fn with_stderr(text: String, stderr: &Tail) -> String {
    match stderr.text().as_str() {
        "" => text,
        said => format!("{text}: {said}"),
    }
}

/// What is not JSON is a program's chat, and no fault: its exit code is the verdict.
fn keep_output(stdout: &Head, ctx: &Ctx) {
    let job = ctx.id();
    let Some(text) = stdout.text() else {
        tracing::debug!(%job, "standard output is too long or no text, so it is not kept");
        return;
    };
    if text.is_empty() {
        return;
    }
    let Ok(json) = serde_json::from_str::<&RawValue>(text) else {
        tracing::debug!(%job, "standard output is not JSON, so it is not kept");
        return;
    };
    if let Err(error) = ctx.set_output(&json) {
        // It was meant to be kept.
        tracing::warn!(%job, %error, "the JSON on standard output is not kept");
    }
}

/// How long to wait, as the program printed it: a number of seconds and nothing else.
fn seconds(stdout: &Head) -> Option<Duration> {
    let seconds: f64 = stdout.text()?.parse().ok()?;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(FOR_EVER)))
}
