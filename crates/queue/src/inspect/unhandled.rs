//! What waits for a worker that is not there.

use serde::{Serialize, Serializer, ser::SerializeStruct};
use sqlx::PgExecutor;

use crate::{ReadError, store};

/// Jobs of one kind and revision that wait in a queue and that no live worker takes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UnhandledKind {
    /// Their queue.
    pub queue: String,
    /// Their kind.
    pub kind: String,
    /// The revision of the kind; see [`Job::REVISION`](crate::Job::REVISION).
    pub revision: i16,
    /// How many were seen.
    pub jobs: i64,
    /// Whether there may be more: not all jobs of the queue were looked at.
    pub at_least: bool,
    /// How long the oldest of them has waited, in seconds.
    pub oldest_s: f64,
    /// What they wait for.
    pub missing: MissingWorker,
}

/// What jobs that no live worker takes wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingWorker {
    /// A worker that serves their queue.
    Queue,
    /// A handler of their kind in a worker that serves their queue.
    Kind,
    /// A worker of newer code: those that handle the kind know it up to an earlier revision.
    Revision {
        /// The last revision that one of them knows.
        known: i16,
    },
}

impl MissingWorker {
    /// The name: "queue", "kind", "revision".
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Kind => "kind",
            Self::Revision { .. } => "revision",
        }
    }

    /// The last revision of the kind that a worker of the queue knows.
    pub const fn known_revision(self) -> Option<i16> {
        match self {
            Self::Revision { known } => Some(known),
            _ => None,
        }
    }
}

impl Serialize for UnhandledKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("UnhandledKind", 8)?;
        fields.serialize_field("queue", &self.queue)?;
        fields.serialize_field("kind", &self.kind)?;
        fields.serialize_field("revision", &self.revision)?;
        fields.serialize_field("jobs", &self.jobs)?;
        fields.serialize_field("at_least", &self.at_least)?;
        fields.serialize_field("oldest_s", &self.oldest_s)?;
        fields.serialize_field("missing", self.missing.as_str())?;
        fields.serialize_field("known_revision", &self.missing.known_revision())?;
        fields.end()
    }
}

/// Waiting jobs that no live worker takes, by queue and kind: their queue is served by none, or their kind is known to none of those
/// that serve it, or not in their revision. Cheap however many jobs wait: it looks at the oldest 2,500 of each of a queue's lines.
/// Scheduled and held jobs are not among them.
///
/// # Errors
/// [`ReadError`].
pub async fn unhandled_kinds<'c>(executor: impl PgExecutor<'c>) -> Result<Vec<UnhandledKind>, ReadError> {
    Ok(store::list_unhandled(executor, None).await?)
}
