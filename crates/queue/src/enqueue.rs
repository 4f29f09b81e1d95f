//! Describing a job and storing it.

use std::{borrow::Cow, sync::Arc, time::Duration};

use chrono::{DateTime, Datelike, Utc};
use sqlx::PgExecutor;

use crate::{
    Job, JobId, Origin, Priority, TraceCarrier, TraceRelation, Unique,
    args::{ArgsProblem, MAX_ARGS_BYTES, MAX_META_BYTES, check_json},
    limit::{LimitError, check_key},
    names::{NameError, check_name, valid_name},
    provenance::Context,
    store,
    trace::StoredRelation,
    unique::StoredKey,
};

/// The longest delay and unique window: 100 years.
const MAX_DELAY: Duration = Duration::from_secs(36_525 * 86_400);
const MAX_TAGS: usize = 32;
const MAX_TAG_CHARS: usize = 128;

/// A job about to be stored, with options. Does nothing until [`Enqueue::enqueue`] is awaited.
#[must_use = "a job is not stored until `.enqueue(executor).await`"]
#[derive(Debug, Clone)]
pub struct Enqueue<J> {
    job: J,
    queue: Cow<'static, str>,
    priority: Priority,
    max_attempts: u16,
    timeout: Option<Duration>,
    when: When,
    tags: Vec<String>,
    meta: Option<serde_json::Value>,
    unique: Option<Unique>,
    limit_key: Option<String>,
    pub(crate) context: Context,
    relation: Option<TraceRelation>,
}

#[derive(Debug, Clone, Copy)]
enum When {
    Now,
    At(DateTime<Utc>),
    After(Duration),
}

/// Whether the job was stored, or one with the same unique key was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// Stored under this id.
    New(JobId),
    /// Not stored: this job holds the unique key.
    Duplicate(JobId),
}

impl Enqueued {
    /// The job's id, new or found.
    pub const fn id(self) -> JobId {
        match self {
            Self::New(id) | Self::Duplicate(id) => id,
        }
    }

    /// Whether the job was stored by this call.
    pub const fn is_new(self) -> bool {
        matches!(self, Self::New(_))
    }
}

/// The running attempt that enqueues a child. Made by the worker's context; the child is stored only while the attempt still
/// holds its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parent {
    /// The job that is running.
    pub id: JobId,
    /// The first job of its family, if it is itself a child.
    pub root: Option<JobId>,
    /// The lease of the attempt.
    pub lease: i64,
    /// The trace the attempt belongs to.
    pub trace: TraceCarrier,
}

impl Parent {
    /// The attempt of this job under this lease; `root` is the first job of its family, if it is itself a child.
    pub fn new(id: JobId, root: Option<JobId>, lease: i64, trace: impl Into<TraceCarrier>) -> Self {
        Self { id, root, lease, trace: trace.into() }
    }
}

/// Why a job was not stored. Nothing else was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnqueueError {
    /// A kind or queue name is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The limit key is not valid.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The args did not serialise.
    #[error("the args of the kind \"{kind}\" did not serialise")]
    Serialize {
        /// The job's kind.
        kind: &'static str,
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
    /// The args, or the meta, can't be stored.
    #[error("the {what} of the kind \"{kind}\" can't be stored: {problem}")]
    Args {
        /// "args" or "meta".
        what: &'static str,
        /// The job's kind.
        kind: &'static str,
        /// What is wrong, and what to do.
        problem: ArgsProblem,
    },
    /// An option is out of its range.
    #[error("the {option} {value} of the kind \"{kind}\" is out of range: use {range}")]
    OutOfRange {
        /// The option.
        option: &'static str,
        /// The value as given.
        value: String,
        /// The job's kind.
        kind: &'static str,
        /// What is allowed.
        range: &'static str,
    },
    /// The unique key did not serialise.
    #[error("the unique key of the kind \"{kind}\" did not serialise: {message}")]
    UniqueKey {
        /// The job's kind.
        kind: &'static str,
        /// What serde said.
        message: String,
    },
    /// A job known by name that can't be stored as it is; see [`enqueue_named`](crate::enqueue_named).
    #[error("{reason}")]
    Refused {
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The attempt that enqueues this child has lost its lease; another attempt may run.
    #[error("the child \"{kind}\" was not stored: the running job {parent} has lost its lease")]
    LeaseLost {
        /// The child's kind.
        kind: &'static str,
        /// The running job.
        parent: JobId,
    },
    /// A concurrent transaction stored the same unique key, and the isolation level forbids looking at it.
    #[error("a concurrent transaction holds the same unique key or row: repeat the whole transaction")]
    Conflict(#[source] sqlx::Error),
    /// The database accepts no writes.
    #[error("the database is read-only: connect to the primary")]
    ReadOnly(#[source] sqlx::Error),
    /// The schema `haulage` is missing or older than this version.
    #[error("the schema \"haulage\" is missing or too old: run `haulage migrate` or call `haulage::migrate(&pool)`")]
    Schema(#[source] sqlx::Error),
    /// The database can't be reached, or the pool had no connection in time.
    #[error("no connection to the database: check that it runs, that the URL is right and that the pool is not exhausted")]
    Unavailable(#[source] sqlx::Error),
    /// Any other error of the database.
    #[error("the database refused the job")]
    Database(#[source] sqlx::Error),
}

#[cfg(feature = "otel")]
impl EnqueueError {
    /// A word for it, of few.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::LeaseLost { .. } => "lease lost",
            Self::Conflict(_) => "conflict",
            Self::ReadOnly(_) => "read-only",
            Self::Schema(_) => "schema",
            Self::Unavailable(_) => "unavailable",
            Self::Database(_) => "database",
            _ => "refused",
        }
    }
}

impl From<sqlx::Error> for EnqueueError {
    fn from(error: sqlx::Error) -> Self {
        match store::failure(&error) {
            store::Failure::Serialization => Self::Conflict(error),
            store::Failure::ReadOnly => Self::ReadOnly(error),
            store::Failure::Schema => Self::Schema(error),
            store::Failure::Unavailable => Self::Unavailable(error),
            _ => Self::Database(error),
        }
    }
}

/// A wrong KIND, QUEUE, MAX_ATTEMPTS or REVISION does not compile. (`cargo check` passes; `cargo build` and `cargo test` do not.)
struct Check<J>(std::marker::PhantomData<J>);

impl<J: Job> Check<J> {
    const CONSTANTS: () = {
        assert!(valid_name(J::KIND), "Job::KIND must be 1 to 128 of the characters A-Z a-z 0-9 _ . : / -");
        assert!(valid_name(J::QUEUE), "Job::QUEUE must be 1 to 128 of the characters A-Z a-z 0-9 _ . : / -");
        assert!(J::MAX_ATTEMPTS >= 1 && J::MAX_ATTEMPTS <= i16::MAX as u16, "Job::MAX_ATTEMPTS must be 1 to 32767");
        assert!(J::REVISION <= i16::MAX as u16, "Job::REVISION must be 0 to 32767");
    };
}

impl<J: Job> Enqueue<J> {
    pub(crate) fn new(job: J) -> Self {
        const { Check::<J>::CONSTANTS };
        Self {
            job,
            queue: Cow::Borrowed(J::QUEUE),
            priority: J::PRIORITY,
            max_attempts: J::MAX_ATTEMPTS,
            timeout: J::TIMEOUT,
            when: When::Now,
            tags: Vec::new(),
            meta: None,
            unique: None,
            limit_key: None,
            context: Context::default(),
            relation: None,
        }
    }

    /// The queue, instead of [`Job::QUEUE`].
    pub fn queue(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.queue = name.into();
        self
    }

    /// The priority, instead of [`Job::PRIORITY`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Not before this time on the database's clock; before the year 10000. Replaces a delay.
    pub fn run_at(mut self, time: DateTime<Utc>) -> Self {
        self.when = When::At(time);
        self
    }

    /// Not before this long from now on the database's clock; up to 36,525 days. Replaces a `run_at`.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.when = When::After(delay);
        self
    }

    /// How many attempts may fail, instead of [`Job::MAX_ATTEMPTS`]: 1 to 32,767.
    pub fn max_attempts(mut self, attempts: u16) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// How long an attempt may run, instead of [`Job::TIMEOUT`]: 1 ms to 24 days, `None` without limit.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Adds a tag of 1 to 128 characters, for people to find jobs by; up to 32.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Adds several tags.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Any JSON that belongs to the job but is not an argument; up to 64 KiB.
    pub fn meta(mut self, meta: serde_json::Value) -> Self {
        self.meta = Some(meta);
        self
    }

    /// The unique key, instead of [`Job::unique`].
    pub fn unique(mut self, unique: Unique) -> Self {
        self.unique = Some(unique);
        self
    }

    /// The key whose limits the job shares, instead of [`Job::limit_key`].
    pub fn limit_key(mut self, key: impl Into<String>) -> Self {
        self.limit_key = Some(key.into());
        self
    }

    /// The trace that the job belongs to, stored as it is: a [`TraceContext`](crate::TraceContext) or a [`TraceCarrier`]. Without it
    /// the job belongs to the trace in which it is enqueued: the current span's with the feature `otel`, else the running attempt's
    /// or the request's ([`Origin`]).
    pub fn trace(mut self, trace: impl Into<TraceCarrier>) -> Self {
        self.context.trace = Some(trace.into());
        self
    }

    /// How the attempts relate to that trace; outranks what the worker says.
    pub fn trace_relation(mut self, relation: TraceRelation) -> Self {
        self.relation = Some(relation);
        self
    }

    /// Where the job comes from, instead of the request in which it is enqueued.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.context.origin = Some(Arc::new(origin));
        self
    }

    /// Makes the job a child of a running attempt. Handlers write `ctx.child(job)` instead.
    pub fn parent(mut self, parent: Parent) -> Self {
        self.context.parent = Some(parent);
        self
    }

    /// Stores the job: on a `&PgPool`, a `&mut PgConnection`, or with the caller's own writes on `&mut *tx`.
    ///
    /// # Errors
    /// [`EnqueueError`]; nothing is stored then. Inside a transaction, an error that the database gave (not one of the checks
    /// before) has aborted the transaction, as any failed statement does.
    pub fn enqueue<'c>(self, executor: impl PgExecutor<'c> + 'c) -> impl Future<Output = Result<Enqueued, EnqueueError>> + Send + 'c {
        // Checked and serialised here, so that the future holds no job and is Send whatever the job is.
        let context = self.context.clone();
        let draft = self.draft();
        let opened = draft.as_ref().ok().map(|draft| context.open(Some(&draft.queue), draft.kind, None));
        async move {
            let draft = draft?;
            let (span, from) = opened.unwrap_or_default();
            let stored = span.run(async {
                let stored = if draft.unique.is_some() {
                    store::enqueue_unique_jobs(executor, &[&draft], &from).await?.pop()
                } else {
                    store::enqueue_job(executor, &draft, &from).await?.map(Enqueued::New)
                };
                stored.ok_or_else(|| from.lease_lost(draft.kind))
            });
            span.ended(stored.await)
        }
    }

    pub(crate) fn draft(self) -> Result<Draft, EnqueueError> {
        let kind = J::KIND;
        check_name("queue", &self.queue)?;
        let args = serde_json::to_string(&self.job).map_err(|source| EnqueueError::Serialize { kind, source })?;
        check_json(&args, MAX_ARGS_BYTES).map_err(|problem| EnqueueError::Args { what: "args", kind, problem })?;
        let meta = self.meta.map(|meta| meta.to_string());
        if let Some(meta) = &meta {
            check_json(meta, MAX_META_BYTES).map_err(|problem| EnqueueError::Args { what: "meta", kind, problem })?;
        }
        let out_of_range = |option, value: String, range| EnqueueError::OutOfRange { option, value, kind, range };
        let max_attempts = i16::try_from(self.max_attempts)
            .ok()
            .filter(|n| *n >= 1)
            .ok_or_else(|| out_of_range("max_attempts", self.max_attempts.to_string(), "1 to 32767"))?;
        let timeout_ms = match self.timeout {
            None => None,
            Some(timeout) => match i32::try_from(timeout.as_millis()) {
                Ok(ms) if ms >= 1 => Some(ms),
                _ => return Err(out_of_range("timeout", format!("{timeout:?}"), "1 ms to 24 days, or None")),
            },
        };
        let (run_at, delay_s) = match self.when {
            When::Now => (None, None),
            When::At(time) if (1..=9999).contains(&time.year()) => (Some(time), None),
            When::At(time) => return Err(out_of_range("run_at", time.to_string(), "a time between the years 1 and 9999")),
            When::After(delay) if delay <= MAX_DELAY => (None, Some(delay.as_secs_f64())),
            When::After(delay) => return Err(out_of_range("delay", format!("{delay:?}"), "0 to 36525 days")),
        };
        if self.tags.len() > MAX_TAGS {
            return Err(out_of_range("number of tags", self.tags.len().to_string(), "at most 32"));
        }
        if let Some(tag) = self.tags.iter().find(|tag| tag.is_empty() || tag.chars().count() > MAX_TAG_CHARS || tag.contains('\0')) {
            return Err(out_of_range("tag", format!("{tag:?}"), "1 to 128 characters, none of them NUL"));
        }
        let unique = match self.unique.or_else(|| self.job.unique()) {
            None => None,
            Some(unique) => Some(unique.stored(kind).map_err(|message| EnqueueError::UniqueKey { kind, message })?),
        };
        if let Some(window) = unique.as_ref().and_then(|unique| unique.window)
            && (window.is_zero() || window > MAX_DELAY)
        {
            return Err(out_of_range("unique window", format!("{window:?}"), "more than 0 and at most 36525 days"));
        }
        let limit_key = self.limit_key.or_else(|| self.job.limit_key());
        limit_key.as_deref().map(check_key).transpose()?;
        Ok(Draft {
            kind,
            queue: self.queue,
            args,
            priority: self.priority.code(),
            max_attempts,
            timeout_ms,
            run_at,
            delay_s,
            tags: (!self.tags.is_empty()).then(|| array_literal(&self.tags)),
            meta,
            relation: StoredRelation { asked: self.relation, apart: !matches!(self.when, When::Now), ..StoredRelation::default() },
            unique,
            limit_key,
            // In range, as checked above.
            revision: i16::try_from(J::REVISION).unwrap_or(i16::MAX),
        })
    }
}

impl<J: Job> From<J> for Enqueue<J> {
    fn from(job: J) -> Self {
        Self::new(job)
    }
}

/// A checked job in the form its row takes.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) kind: &'static str,
    pub(crate) queue: Cow<'static, str>,
    pub(crate) args: String,
    pub(crate) priority: i16,
    pub(crate) max_attempts: i16,
    pub(crate) timeout_ms: Option<i32>,
    pub(crate) run_at: Option<DateTime<Utc>>,
    pub(crate) delay_s: Option<f64>,
    /// As an array literal: Postgres has no arrays of arrays of different lengths, and a batch is made of arrays.
    pub(crate) tags: Option<String>,
    pub(crate) meta: Option<String>,
    pub(crate) relation: StoredRelation,
    pub(crate) unique: Option<StoredKey>,
    pub(crate) limit_key: Option<String>,
    pub(crate) revision: i16,
}

fn array_literal(items: &[String]) -> String {
    let mut literal = String::from("{");
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            literal.push(',');
        }
        literal.push('"');
        for c in item.chars() {
            if matches!(c, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(c);
        }
        literal.push('"');
    }
    literal.push('}');
    literal
}
