//! Schedules: jobs that are enqueued by the clock.
//!
//! A schedule is declared in code and lives as a row, owned by the service that declares it. Any worker may fire it: the row's
//! lock and the key (schedule, instant) let each instant fire once in the whole fleet.

mod cron;
mod declare;
mod fire;
mod operate;

use std::time::Duration;

use crate::{Enqueue, EnqueueError, Job, NameError, check_name, enqueue::Draft, store};

pub use cron::{Cron, CronError};
pub use declare::declare_schedules;
pub use fire::{Firing, fire_schedules};
pub use operate::{ScheduleStatus, list_schedules, schedule};

/// The longest jitter and the longest window of missed instants.
const MAX_JITTER: Duration = Duration::from_secs(86_400);
const MAX_WINDOW: Duration = Duration::from_secs(366 * 86_400);

/// A schedule to declare: a job and when it is enqueued.
///
/// ```
/// use std::time::Duration;
///
/// use haulage_queue::{Job, Missed, Overlap, Priority, Schedule};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct NightlyDigest {}
///
/// impl Job for NightlyDigest {
///     const KIND: &'static str = "nightly_digest";
/// }
///
/// let digest = Schedule::new("nightly-digest", "30 2 * * *", NightlyDigest {}.with().priority(Priority::Low))
///     .zone("Europe/Berlin")
///     .missed(Missed::One)
///     .overlap(Overlap::Skip)
///     .jitter(Duration::from_secs(60));
/// ```
#[derive(Debug)]
#[must_use = "a schedule does nothing until it is given to a worker or to `declare_schedules`"]
pub struct Schedule {
    name: String,
    cron: String,
    zone: String,
    missed: Missed,
    overlap: Overlap,
    jitter: Duration,
    draft: Result<Draft, EnqueueError>,
}

/// What becomes of instants at which nobody could fire: no worker ran, or the database was away. What an operator has paused is
/// not missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Missed {
    /// They are left out. An instant counts as missed after a minute.
    Skip,
    /// The last of them fires.
    #[default]
    One,
    /// Each of them fires that is not older than this: 1 s to 366 days.
    AllWithin(Duration),
}

/// What happens when the job of the instant before has not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overlap {
    /// It fires all the same.
    #[default]
    Allow,
    /// It does not fire.
    Skip,
    /// It fires unless one waits already: one that runs, and one behind it.
    QueueOne,
}

/// Why schedules were not declared. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// A name is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The expression or the zone is not valid.
    #[error("the schedule \"{schedule}\" can't be used: {source}")]
    Cron {
        /// The schedule.
        schedule: String,
        /// What is wrong with it.
        source: CronError,
    },
    /// The expression names no instant that is still to come.
    #[error("the schedule \"{schedule}\" never fires: \"{cron}\" names no time from now on")]
    Never {
        /// The schedule.
        schedule: String,
        /// Its expression.
        cron: String,
    },
    /// Its job can't be stored.
    #[error("the job of the schedule \"{schedule}\" can't be stored: {source}")]
    Job {
        /// The schedule.
        schedule: String,
        /// What is wrong with it.
        source: EnqueueError,
    },
    /// Its job has what only makes sense for a single enqueue.
    #[error("the job of the schedule \"{schedule}\" has {what}: a schedule decides that itself")]
    Refused {
        /// The schedule.
        schedule: String,
        /// "a time to run at" or "a delay".
        what: &'static str,
    },
    /// A setting is out of range.
    #[error("the {setting} {value:?} of the schedule \"{schedule}\" is out of range: use {range}")]
    OutOfRange {
        /// The schedule.
        schedule: String,
        /// The setting.
        setting: &'static str,
        /// The value as given.
        value: Duration,
        /// What is allowed.
        range: &'static str,
    },
    /// Two schedules of one name.
    #[error("the schedule \"{schedule}\" is declared twice: give one of them another name")]
    Duplicate {
        /// The schedule.
        schedule: String,
    },
    /// Another service owns the schedule of this name.
    #[error("the schedule \"{schedule}\" belongs to the service \"{owner}\": choose another name, or delete it there first")]
    Owned {
        /// The schedule.
        schedule: String,
        /// Its owner.
        owner: String,
    },
    /// No schedule has this name.
    #[error("no schedule is named \"{}\": `haulage schedules list` shows those there are", .schedule.escape_debug())]
    NotFound {
        /// The name as given.
        schedule: String,
    },
    /// The schema `haulage` is missing or older than this version.
    #[error("the schema \"haulage\" is missing or too old: run `haulage migrate` or call `haulage::migrate(&pool)`")]
    Schema(#[source] sqlx::Error),
    /// The database accepts no writes.
    #[error("the database is read-only: connect to the primary")]
    ReadOnly(#[source] sqlx::Error),
    /// The database can't be reached, or the pool had no connection in time.
    #[error("no connection to the database: check that it runs, that the URL is right and that the pool is not exhausted")]
    Unavailable(#[source] sqlx::Error),
    /// Any other error of the database.
    #[error("the database refused the schedules")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for ScheduleError {
    fn from(error: sqlx::Error) -> Self {
        match store::failure(&error) {
            store::Failure::Schema => Self::Schema(error),
            store::Failure::ReadOnly => Self::ReadOnly(error),
            store::Failure::Unavailable => Self::Unavailable(error),
            _ => Self::Database(error),
        }
    }
}

impl Schedule {
    /// A schedule of this name, unique in the database: 1 to 128 of `A-Z a-z 0-9 _ . : / -`. It fires when [`Cron`] says, in UTC
    /// unless [`Schedule::zone`] says otherwise. The job's unique key is not used: [`Overlap`] decides.
    pub fn new<J: Job>(name: impl Into<String>, cron: impl Into<String>, job: impl Into<Enqueue<J>>) -> Self {
        Self {
            name: name.into(),
            cron: cron.into(),
            zone: "UTC".to_owned(),
            missed: Missed::default(),
            overlap: Overlap::default(),
            jitter: Duration::ZERO,
            draft: job.into().draft(),
        }
    }

    /// The time zone by its IANA name; UTC unless set.
    pub fn zone(mut self, name: impl Into<String>) -> Self {
        self.zone = name.into();
        self
    }

    /// What becomes of missed instants; [`Missed::One`] unless set.
    pub fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// What happens when the job before has not finished; [`Overlap::Allow`] unless set.
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// Spreads the jobs over so long after each instant, up to a day: the delay differs by schedule and instant, and is the same
    /// in every process. None unless set.
    pub fn jitter(mut self, most: Duration) -> Self {
        self.jitter = most;
        self
    }

    fn check(self) -> Result<Checked, ScheduleError> {
        check_name("schedule", &self.name)?;
        let cron = Cron::new(&self.cron, &self.zone).map_err(|source| ScheduleError::Cron { schedule: self.name.clone(), source })?;
        let draft = self.draft.map_err(|source| ScheduleError::Job { schedule: self.name.clone(), source })?;
        let time = draft.run_at.map(|_| "a time to run at").or(draft.delay_s.map(|_| "a delay"));
        if let Some(what) = time {
            return Err(ScheduleError::Refused { schedule: self.name, what });
        }
        let out_of_range = |setting, value, range| ScheduleError::OutOfRange { schedule: self.name.clone(), setting, value, range };
        let jitter_ms = i32::try_from(self.jitter.as_millis()).ok().filter(|_| self.jitter <= MAX_JITTER);
        let jitter_ms = jitter_ms.ok_or_else(|| out_of_range("jitter", self.jitter, "up to 1 day"))?;
        let missed_for_s = match self.missed {
            Missed::AllWithin(window) if window < Duration::from_secs(1) || window > MAX_WINDOW => {
                return Err(out_of_range("window of missed instants", window, "1 s to 366 days"));
            }
            Missed::AllWithin(window) => i32::try_from(window.as_secs()).ok(),
            _ => None,
        };
        Ok(Checked { cron, missed: self.missed.code(), missed_for_s, overlap: self.overlap.code(), jitter_ms, draft, name: self.name })
    }
}

/// A schedule in the form its row takes.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) name: String,
    pub(crate) cron: Cron,
    pub(crate) missed: i16,
    pub(crate) missed_for_s: Option<i32>,
    pub(crate) overlap: i16,
    pub(crate) jitter_ms: i32,
    pub(crate) draft: Draft,
}

impl Missed {
    const fn code(self) -> i16 {
        match self {
            Self::Skip => 0,
            Self::One => 1,
            Self::AllWithin(_) => 2,
        }
    }
}

impl Overlap {
    const fn code(self) -> i16 {
        match self {
            Self::Allow => 0,
            Self::Skip => 1,
            Self::QueueOne => 2,
        }
    }
}
