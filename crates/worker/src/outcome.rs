//! What a handler decides.

use std::{fmt, time::Duration};

use haulage_queue::JobId;

use crate::BoxError;

/// What a handler decided.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The job is completed.
    Done,
    /// Run again after this long. Counts as no failure.
    Snooze(Duration),
    /// Stop for good; recorded as cancelled, with this reason.
    Cancel(String),
}

/// Why an attempt failed. `?` makes it from any error, `anyhow` and `eyre` included; then the job is retried with backoff.
#[derive(Debug)]
pub struct JobError {
    error: BoxError,
    class: &'static str,
    retry: Retry,
}

/// Whether and when a failed attempt is followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// After the worker's backoff.
    Backoff,
    /// After this long, and so are other jobs of its key and queue if these have a rate. Counts as a failure all the same.
    After(Duration),
    /// Never: the job is dead.
    Never,
}

impl JobError {
    /// No retry: the job is dead at once.
    pub fn fatal<E: Into<BoxError>>(error: E) -> Self {
        Self { error: error.into(), class: class::<E>(), retry: Retry::Never }
    }

    /// Retry after `delay` instead of the backoff: the other side has said "not before". Counts as a failure. If the job's limit key or
    /// its queue has a rate, that lets nothing in before either, for an hour at most. To wait without a failure, for a reason that
    /// concerns this job alone, return [`Outcome::Snooze`].
    pub fn retry_after<E: Into<BoxError>>(delay: Duration, error: E) -> Self {
        Self { error: error.into(), class: class::<E>(), retry: Retry::After(delay) }
    }

    /// Whether and when another attempt follows.
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// The error and its sources, joined by colons.
    pub fn message(&self) -> String {
        let mut message = self.error.to_string();
        let mut source = self.error.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Some errors repeat their source in their own text.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = error.source();
        }
        message
    }

    pub(crate) fn class(&self) -> &'static str {
        self.class
    }

    pub(crate) fn with_class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl<E: Into<BoxError>> From<E> for JobError {
    fn from(error: E) -> Self {
        Self { error: error.into(), class: class::<E>(), retry: Retry::Backoff }
    }
}

/// The error's type, which says something; of a plain text it would not.
fn class<E>() -> &'static str {
    match std::any::type_name::<E>() {
        "alloc::string::String" | "&str" => "error",
        name => name,
    }
}

/// What a handler may return. Sealed.
#[diagnostic::on_unimplemented(
    message = "a job handler cannot return `{Self}`",
    note = "return `()`, `Outcome`, or `Result<(), E>` / `Result<Outcome, E>` for any error `E` (anyhow, eyre, sqlx, your own)"
)]
pub trait IntoOutcome: sealed::Sealed {
    #[doc(hidden)]
    fn into_outcome(self) -> Result<Outcome, JobError>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<Outcome, JobError> {
        Ok(Outcome::Done)
    }
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Result<Outcome, JobError> {
        Ok(self)
    }
}

impl<T: IntoOutcome, E: Into<JobError>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Result<Outcome, JobError> {
        match self {
            Ok(value) => value.into_outcome(),
            Err(error) => Err(error.into()),
        }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for super::Outcome {}
    impl<T, E> Sealed for Result<T, E> {}
}

/// A job that died, as the `on_dead` hook sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadJob {
    /// Its id.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// The last attempt's number.
    pub attempt: i32,
    /// How many attempts failed.
    pub failures: i16,
    /// Why it died.
    pub error: String,
}
