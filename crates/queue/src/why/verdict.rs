//! What is said about one job, or about one cause that holds up many.

use std::{collections::BTreeMap, fmt::Display};

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{Fix, JobId, JobState, WhyCode};

/// Why a job does not run, or where the time of a finished one went.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// One word that stays.
    pub code: WhyCode,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands among the causes; `None`: all is well.
    pub group: Option<CauseGroup>,
    /// What to look at and act on.
    pub subject: CauseSubject,
    /// Since when it has been so.
    pub since: Option<DateTime<Utc>>,
    /// Who moves next.
    pub mover: Mover,
    /// When that is to happen.
    pub due: Option<DateTime<Utc>>,
    /// Whether it should have happened already.
    pub overdue: bool,
    /// One sentence. Names of queues, kinds, keys and workers are in backquotes.
    pub sentence: String,
    /// What else there is to say about it; may be empty.
    pub detail: String,
    /// The numbers and names in the sentence, under names that stay.
    pub facts: BTreeMap<String, Value>,
    /// What else would hold it up: mending the first alone would disappoint.
    pub also: Vec<OtherCause>,
    /// What can be done, the best first.
    pub fixes: Vec<Fix>,
    /// Every fact that was looked at, for whoever wants to look further. Never args.
    pub evidence: Value,
}

/// Something else that would hold it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OtherCause {
    /// One word that stays.
    pub code: WhyCode,
    /// One sentence.
    pub sentence: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// It goes its way.
    Ok,
    /// It will clear by itself.
    Heals,
    /// It moves, later than it should.
    Slow,
    /// It gets worse at the present rates.
    Worse,
    /// It needs a person.
    Stuck,
}

impl Severity {
    /// The name: lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Heals => "heals",
            Self::Slow => "slow",
            Self::Worse => "worse",
            Self::Stuck => "stuck",
        }
    }

    /// Where such a cause stands.
    pub const fn group(self) -> Option<CauseGroup> {
        match self {
            Self::Ok => None,
            Self::Heals => Some(CauseGroup::ClearsByItself),
            Self::Slow | Self::Worse => Some(CauseGroup::GettingWorse),
            Self::Stuck => Some(CauseGroup::NeedsYou),
        }
    }
}

/// Causes stand in three groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CauseGroup {
    /// A person has to do something.
    NeedsYou,
    /// It moves too slowly, or not at all at the present rates.
    GettingWorse,
    /// It will be over by itself.
    ClearsByItself,
}

impl CauseGroup {
    /// All, the worst first.
    pub const ALL: [Self; 3] = [Self::NeedsYou, Self::GettingWorse, Self::ClearsByItself];

    /// The name: lower case with underscores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeedsYou => "needs_you",
            Self::GettingWorse => "getting_worse",
            Self::ClearsByItself => "clears_by_itself",
        }
    }

    /// The heading: "Needs you".
    pub const fn title(self) -> &'static str {
        match self {
            Self::NeedsYou => "Needs you",
            Self::GettingWorse => "Getting worse",
            Self::ClearsByItself => "Clears by itself",
        }
    }
}

/// Who moves next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Mover {
    /// Its time comes.
    Clock,
    /// A worker.
    Worker,
    /// The worker that takes over a dead one's jobs.
    Rescuer,
    /// Somebody: you.
    Person,
    /// A session of the database.
    Database,
    /// Nobody: it is over, or nothing is known.
    Nobody,
}

impl Mover {
    /// The name: lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Worker => "worker",
            Self::Rescuer => "rescuer",
            Self::Person => "person",
            Self::Database => "database",
            Self::Nobody => "nobody",
        }
    }
}

/// What a verdict is about: whatever of these there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CauseSubject {
    /// One job; of a cause, one of its jobs. As text in JSON: it may not fit a JavaScript number.
    #[serde(serialize_with = "text_of_some", skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// A queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// A kind of that queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A limit key, or "word:*" for all that begin with the word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A worker, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// A schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// A session of the server, by its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The state of the jobs that are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
}

/// Something that holds up jobs, or will.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Cause {
    /// What is the matter. Its [`CauseSubject::job`] is one of the jobs.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How many jobs, as far as they were counted: up to 10,001 of a queue. 0: it is about no jobs.
    pub jobs: i64,
    /// Whether there may be more.
    pub at_least: bool,
    /// How long the oldest of them has waited, in seconds.
    pub oldest_s: Option<f64>,
}

/// Everything that holds up jobs in the whole fleet, the worst first.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Causes {
    /// When it was looked at, by the database's clock.
    pub at: DateTime<Utc>,
    /// How long that took, in ms.
    pub took_ms: u64,
    /// By group, and in it by how many jobs.
    pub causes: Vec<Cause>,
    /// The jobs could not be looked at, because a table is locked or the server too slow: these are only the causes that the server shows.
    pub gave_up: bool,
    /// What was not looked at, because there is too much of it; empty: all was.
    pub partial: Vec<String>,
    /// How long the oldest job that could run has waited, in seconds; `None`: there is none.
    pub oldest_ready_s: Option<f64>,
    /// Its queue.
    pub oldest_ready_queue: Option<String>,
}

impl Causes {
    /// Those of one group.
    pub fn of(&self, group: CauseGroup) -> impl Iterator<Item = &Cause> {
        self.causes.iter().filter(move |cause| cause.verdict.group == Some(group))
    }

    /// Whether a person has to do something.
    pub fn need_you(&self) -> bool {
        self.of(CauseGroup::NeedsYou).next().is_some()
    }
}

/// The id of a job or a worker as text: it does not fit a JavaScript number.
pub(super) fn text_of<T: Display, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// An id as text, if there is one.
pub(super) fn text_of_some<S: Serializer>(id: &Option<JobId>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}
