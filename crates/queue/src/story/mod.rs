//! The story of a job, a trace or a request: what happened from the request to the last child job, as a tree of spans that a terminal
//! or a page draws as a waterfall. It is told from Haulage's tables alone, so it is there without a tracing backend and for what
//! nobody sampled.
//!
//! ```text
//!  key ──find──> ids of jobs ──read──> rows ──build──> spans
//!                (bounded)             (one moment)    (pure; life.rs tells each job, wait.rs cuts its waits by their reason)
//! ```
//!
//! The spans of a job stand end to end: its waits and attempts add up to its time. What the tables don't know is said so and not
//! guessed.

mod axis;
mod build;
mod find;
mod key;
mod life;
mod rows;
mod span;
mod wait;
mod window;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;

use crate::{JobId, ReadError, TraceUrl, store};

#[doc(hidden)]
pub use axis::Axis;
pub use key::{StoryKey, StoryKeyError};
pub(crate) use rows::{QueueAct, QueueNow, StoryAct, StoryAttempt, StoryJob};
pub use span::{Span, SpanKind, SpanTrace, WaitReason};

/// Jobs in a story; the others are only counted.
pub(crate) const MOST_JOBS: usize = 200;
/// Attempts of a job; of the earlier ones only the time is told.
pub(crate) const MOST_ATTEMPTS: i64 = 50;

/// No statement of a story takes longer: none is better than one that is in the way.
const PATIENCE: Duration = Duration::from_secs(2);

/// What happened, as a tree of spans.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Story {
    /// What led to it.
    pub found: Found,
    /// When it was read, by the database's clock.
    pub read_at: DateTime<Utc>,
    /// When it begins: offsets in spans count from here.
    pub started_at: DateTime<Utc>,
    /// When the last of it ended. `None`: something still waits or runs.
    pub ended_at: Option<DateTime<Utc>>,
    /// Requests, and jobs that came from none.
    pub spans: Vec<Span>,
    /// What is not told, in sentences.
    pub notes: Vec<String>,
}

/// What the key turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Found {
    /// The id of a job: its story is that of its family.
    Job(JobId),
    /// The id of a trace, in hex.
    Trace(String),
    /// The id of a request.
    Request(String),
}

/// The story that a job id, a trace id or a request id leads to. `None`: no job is known by it.
///
/// A trace is that of the enqueue, or of an attempt. Reads what is there at one moment, at most 200 jobs and of each the last 50 attempts
/// that did not simply succeed; what it leaves out is in the notes.
///
/// ```no_run
/// # async fn f(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
/// let Some(story) = haulage_queue::story::tell(&pool, &"0af7651916cd43dd8448eb211c80319c".parse()?).await? else { return Ok(()) };
/// for span in &story.spans {
///     println!("{:?} from {} ms", span.what, span.start_ms);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ReadError`].
pub async fn tell(pool: &PgPool, key: &StoryKey) -> Result<Option<Story>, ReadError> {
    let mut tx = store::begin_reading(pool).await?;
    store::limit_statement(&mut *tx, PATIENCE).await?;
    store::plan_by_index(&mut tx).await?;
    let Some(found) = find::find(&mut tx, key).await? else { return Ok(None) };
    let rows = rows::read(&mut tx, &found.1).await?;
    tx.commit().await?;
    Ok(build::build(found, &rows))
}

impl Story {
    /// How long it is so far, in ms: to its end, or to when it was read.
    pub fn length_ms(&self) -> f64 {
        ms(self.started_at, self.ended_at.unwrap_or(self.read_at))
    }

    /// Gives each span that is known to a tracing backend the URL of its page there.
    #[must_use]
    pub fn with_links(mut self, url: &TraceUrl) -> Self {
        let range = (self.started_at, self.ended_at.unwrap_or(self.read_at));
        let Self { found, spans, .. } = &mut self;
        let request = if let Found::Request(id) = found { Some(id.as_str()) } else { None };
        spans.iter_mut().for_each(|span| span.link(url, range, None, request));
        self
    }
}

/// From one time to another.
fn ms(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).num_microseconds().unwrap_or(i64::MAX) as f64 / 1000.0
}
