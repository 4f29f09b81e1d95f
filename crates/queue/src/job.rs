//! The trait that makes a type a job.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use sqlx::PgExecutor;

use crate::{Enqueue, EnqueueError, Enqueued, Priority, Unique};

/// A unit of work: serialisable arguments, plus the kind that names its handler.
///
/// ```
/// use haulage_queue::{Job, Unique};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Invoice {
///     customer: i64,
///     month: String,
/// }
///
/// impl Job for Invoice {
///     const KIND: &'static str = "invoice";
///     const QUEUE: &'static str = "billing";
///
///     // One invoice per customer and month at a time. Rename a field and this stops compiling.
///     fn unique(&self) -> Option<Unique> {
///         Some(Unique::by((self.customer, &self.month)))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job",
    label = "the trait `Job` is not implemented for this type",
    note = "add `impl Job for {Self} {{ const KIND: &'static str = \"...\"; }}`"
)]
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The stable name stored with each job: 1 to 128 of `A-Z a-z 0-9 _ . : / -`. Never derive it from a Rust path.
    const KIND: &'static str;
    /// Former kinds that the handler still takes, for renames.
    const KIND_ALIASES: &'static [&'static str] = &[];
    /// Raise it when the args change so that the code before can't read them any more: 0 to 32,767. It is stored with each job, and a
    /// worker leaves jobs alone whose revision is higher than that of its own code. So in a rolling deploy the old workers leave new
    /// args to the new ones. Jobs of an equal or lower revision are taken: the type must still read what is stored, so give new
    /// fields `#[serde(default)]`.
    const REVISION: u16 = 0;
    /// The queue; it exists on first use.
    const QUEUE: &'static str = "default";
    /// Which jobs of the queue go first.
    const PRIORITY: Priority = Priority::Normal;
    /// How many attempts may fail before the job is dead: 1 to 32,767. With the default backoff 25 take about eleven days.
    const MAX_ATTEMPTS: u16 = 25;
    /// How long one attempt may run: 1 ms to 24 days, `None` without limit.
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(15 * 60));

    /// Whether a completed job is kept in the history. With `false` its row goes when it completes: it can't be looked up any more,
    /// and its output is not kept. Jobs that die or are cancelled are kept all the same.
    const KEEP_COMPLETED: bool = true;

    /// The unique key: jobs with equal keys are stored once while one is unfinished, or for a window.
    fn unique(&self) -> Option<Unique> {
        None
    }

    /// The key whose limits the job shares with all others that have it, such as `tenant:42`: 1 to 128 of
    /// `A-Z a-z 0-9 _ . : / @ -`. A key without a limit (see [`Operator::limit_key`](crate::Operator::limit_key)) holds nothing up.
    fn limit_key(&self) -> Option<String> {
        None
    }

    /// Starts an enqueue with options.
    fn with(self) -> Enqueue<Self>
    where
        Self: Sized,
    {
        Enqueue::new(self)
    }

    /// Stores the job: on a `&PgPool`, a `&mut PgConnection`, or with the caller's own writes on `&mut *tx`.
    ///
    /// # Errors
    /// [`EnqueueError`]; nothing is stored then.
    fn enqueue<'c>(self, executor: impl PgExecutor<'c> + 'c) -> impl Future<Output = Result<Enqueued, EnqueueError>> + Send + 'c
    where
        Self: Sized,
    {
        Enqueue::new(self).enqueue(executor)
    }
}
