//! Enqueueing a job whose kind is known only by name, as the command line and bridges from other systems do. Code that has the
//! type uses [`Job::enqueue`](crate::Job::enqueue): it can't misspell the kind and is quicker.
//!
//! The job goes through the SQL function `haulage.enqueue()`, so the rules and the words of its errors are those that psql gets.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{Acquire, PgExecutor, Postgres};

use crate::{
    EnqueueError, Enqueued, ManageError, OnConflict, Operator, Priority,
    args::{MAX_ARGS_BYTES, MAX_META_BYTES, check_json},
    manage::Target,
    provenance::Context,
    store,
};

/// A job without a type: a kind, its args, options. The defaults are those of a [`Job`](crate::Job). Does nothing until it is
/// passed to [`enqueue_named`].
///
/// ```no_run
/// # async fn example(pool: sqlx::PgPool) -> Result<(), haulage_queue::EnqueueError> {
/// use haulage_queue::{NamedJob, enqueue_named};
///
/// let job = NamedJob::new("send_email", serde_json::json!({ "to": "a@example.org" })).queue("mail").tag("welcome");
/// enqueue_named(&pool, &job).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a job is not stored until `enqueue_named(executor, &job).await`"]
pub struct NamedJob {
    pub(crate) kind: String,
    /// JSON text, or what serde said against it.
    args: Result<String, String>,
    pub(crate) queue: String,
    pub(crate) priority: Priority,
    pub(crate) run_at: Option<DateTime<Utc>>,
    pub(crate) delay: Option<Duration>,
    pub(crate) max_attempts: u16,
    pub(crate) timeout: Option<Duration>,
    pub(crate) tags: Vec<String>,
    meta: Option<serde_json::Value>,
    pub(crate) unique_key: Option<String>,
    pub(crate) unique_for: Option<Duration>,
    pub(crate) on_conflict: OnConflict,
    pub(crate) limit_key: Option<String>,
    pub(crate) revision: u16,
}

impl NamedJob {
    /// A job of this kind with these args, which become JSON.
    pub fn new(kind: impl Into<String>, args: impl Serialize) -> Self {
        Self {
            kind: kind.into(),
            args: serde_json::to_string(&args).map_err(|error| error.to_string()),
            queue: "default".to_owned(),
            priority: Priority::default(),
            run_at: None,
            delay: None,
            max_attempts: 25,
            timeout: Some(Duration::from_secs(15 * 60)),
            tags: Vec::new(),
            meta: None,
            unique_key: None,
            unique_for: None,
            on_conflict: OnConflict::default(),
            limit_key: None,
            revision: 0,
        }
    }

    /// The queue; "default" unless set.
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.queue = name.into();
        self
    }

    /// The priority.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Not before this time on the database's clock; before the year 10000. Replaces a delay.
    pub fn run_at(mut self, time: DateTime<Utc>) -> Self {
        (self.run_at, self.delay) = (Some(time), None);
        self
    }

    /// Not before this long from now on the database's clock; up to 36,525 days. Replaces a `run_at`.
    pub fn delay(mut self, delay: Duration) -> Self {
        (self.run_at, self.delay) = (None, Some(delay));
        self
    }

    /// How many attempts may fail: 1 to 32,767; 25 unless set.
    pub fn max_attempts(mut self, attempts: u16) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// How long an attempt may run: 1 ms to 24 days, `None` without limit; 15 minutes unless set.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Adds a tag of 1 to 128 characters; up to 32.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Any JSON that belongs to the job but is not an argument; up to 64 KiB.
    pub fn meta(mut self, meta: serde_json::Value) -> Self {
        self.meta = Some(meta);
        self
    }

    /// Jobs of one kind with equal keys are stored once while one is unfinished. To share keys with
    /// [`Unique::by`](crate::Unique::by), pass the compact JSON text of its fields.
    pub fn unique_key(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }

    /// Holds the unique key for this long from the enqueue, even when the job finishes sooner; up to 36,525 days.
    pub fn unique_for(mut self, window: Duration) -> Self {
        self.unique_for = Some(window);
        self
    }

    /// What to do when the key is held; [`OnConflict::Keep`] unless set.
    pub fn on_conflict(mut self, action: OnConflict) -> Self {
        self.on_conflict = action;
        self
    }

    /// The key whose limits the job shares; see [`Job::limit_key`](crate::Job::limit_key).
    pub fn limit_key(mut self, key: impl Into<String>) -> Self {
        self.limit_key = Some(key.into());
        self
    }

    /// The revision of the kind that the args are of: 0 to 32,767; 0 unless set. See [`Job::REVISION`](crate::Job::REVISION).
    pub fn revision(mut self, revision: u16) -> Self {
        self.revision = revision;
        self
    }

    /// The JSON texts of args and meta. Checked here because Postgres does not say which of the two it can't read.
    fn json(&self) -> Result<(&str, Option<String>), EnqueueError> {
        let refused = |what: &str, problem: &dyn std::fmt::Display| EnqueueError::Refused {
            reason: format!("the {what} of the kind \"{}\" can't be stored: {problem}", self.kind.escape_debug()),
        };
        let args = self.args.as_ref().map_err(|message| refused("args", message))?;
        check_json(args, MAX_ARGS_BYTES).map_err(|problem| refused("args", &problem))?;
        let meta = self.meta.as_ref().map(ToString::to_string);
        if let Some(meta) = &meta {
            check_json(meta, MAX_META_BYTES).map_err(|problem| refused("meta", &problem))?;
        }
        Ok((args, meta))
    }
}

/// Stores a job known by name: on a `&PgPool`, a `&mut PgConnection`, or with the caller's own writes on `&mut *tx`.
///
/// # Errors
/// [`EnqueueError`]; nothing is stored then. [`EnqueueError::Refused`] says what is wrong with the job.
pub async fn enqueue_named<'c>(executor: impl PgExecutor<'c>, job: &NamedJob) -> Result<Enqueued, EnqueueError> {
    let (args, meta) = job.json()?;
    let (span, from) = Context::default().open(Some(&job.queue), &job.kind, None);
    let stored = span.run(store::call_enqueue(executor, job, args, meta.as_deref(), &from)).await;
    span.ended(stored.map_err(|error| refusal(&error).unwrap_or_else(|| error.into())))
}

impl Operator {
    /// Stores a job known by name, for somebody who asks for it; as [`enqueue_named`]. The audit shows who, and no args.
    ///
    /// # Errors
    /// [`ManageError::Enqueue`] says what is wrong with the job; and the others.
    pub async fn enqueue<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        job: &'c NamedJob,
    ) -> Result<Enqueued, ManageError> {
        self.check()?;
        let mut tx = database.begin().await?;
        let stored = enqueue_named(&mut *tx, job).await?;
        let after = json!({ "job": stored.id(), "kind": job.kind, "queue": job.queue, "new": stored.is_new() });
        self.write_audit(&mut tx, "enqueue", Target::Job(stored.id()), &[stored.id().0], None, Some(after)).await?;
        tx.commit().await?;
        Ok(stored)
    }
}

/// What the function says about a bad value, as one sentence: what is wrong, and its hint.
fn refusal(error: &sqlx::Error) -> Option<EnqueueError> {
    let error = error.as_database_error()?.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?;
    // Class 22 is "data exception": a value that Postgres or the function does not take.
    if !error.code().starts_with("22") {
        return None;
    }
    let problem = error.message();
    Some(EnqueueError::Refused { reason: error.hint().map_or_else(|| problem.to_owned(), |hint| format!("{problem}: {hint}")) })
}
