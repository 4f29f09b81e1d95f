//! The names of what can be said about a job or the fleet. They stay: alerts, scripts and metrics hold on to them.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::UnknownWord;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What is the matter, as one word that stays. `docs/why.md` has them all.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum WhyCode {
            $($(#[$doc])* $name,)*
        }

        impl WhyCode {
            /// All of them, in the order in which they are looked at.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As it is stored, shown and put on a metric: lower case with underscores.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// It did what it was for.
    Completed = "completed",
    /// It was cancelled.
    Cancelled = "cancelled",
    /// It was given up.
    Dead = "dead",
    /// Its handler could not read its args.
    BadArgs = "bad_args",
    /// Its process died three times while it ran.
    Quarantined = "quarantined",
    /// There was such a job, and there is not any more.
    Gone = "gone",
    /// It is recorded as running on a worker that is dead.
    Orphaned = "orphaned",
    /// It has run for longer than its timeout.
    OverTimeout = "over_timeout",
    /// It was asked to stop.
    Cancelling = "cancelling",
    /// It runs for longer than its kind usually does.
    LongRunning = "long_running",
    /// It runs.
    Running = "running",
    /// An operator has set it aside.
    Held = "held",
    /// It keeps failing in the same way.
    RetryLoop = "retry_loop",
    /// It failed and waits for its next attempt.
    Backoff = "backoff",
    /// Its handler asked to be called again later.
    Snoozed = "snoozed",
    /// It is scheduled for a time far away.
    FarFuture = "far_future",
    /// It is scheduled for later.
    Scheduled = "scheduled",
    /// Its time has come, and no worker is alive to see it.
    DueNoWorker = "due_no_worker",
    /// Its time has come, and nobody has put it in line.
    PromoteLate = "promote_late",
    /// No worker is alive anywhere.
    NoLiveWorkers = "no_live_workers",
    /// No live worker serves its queue.
    NoWorker = "no_worker",
    /// Its queue is paused.
    Paused = "paused",
    /// No live worker of its queue handles its kind.
    NoHandler = "no_handler",
    /// The live workers of its queue know its kind only up to an earlier revision.
    OldRevision = "old_revision",
    /// All workers that would take it are told to claim nothing.
    WorkersQuiet = "workers_quiet",
    /// Something has locked a table of ours against everybody.
    TableLock = "table_lock",
    /// A session holds a lock that workers wait for.
    DbLock = "db_lock",
    /// All slots of its key or queue are taken, by jobs that nobody runs.
    SlotBlocked = "slot_blocked",
    /// As many jobs of its key run as may.
    KeyFull = "key_full",
    /// The rate of its key is used up.
    KeyRate = "key_rate",
    /// As many jobs of its queue run as may.
    QueueFull = "queue_full",
    /// The rate of its queue is used up.
    QueueRate = "queue_rate",
    /// A session that is no worker holds its row.
    RowLocked = "row_locked",
    /// Its process died twice while it ran, so a worker takes it alone.
    Suspect = "suspect",
    /// Long jobs of another kind hold the slots of its queue.
    HeadOfLine = "head_of_line",
    /// Jobs of a higher priority that came later go first.
    Starved = "starved",
    /// All slots of the workers are busy.
    SlotsFull = "slots_full",
    /// Others are before it, and the line moves.
    InLine = "in_line",
    /// It can start now.
    Ready = "ready",
    /// It could have started, and nothing that is looked at says why it has not.
    Unexplained = "unexplained",
    /// A schedule should have fired and has not.
    ScheduleMissed = "schedule_missed",
    /// An old snapshot keeps dead rows.
    OldSnapshot = "old_snapshot",
    /// Nearly all connections of the server are in use.
    Connections = "connections",
    /// The clock of a worker's machine is off.
    Clock = "clock",
    /// A worker hears no notifications.
    Listener = "listener",
}

impl WhyCode {
    /// Whether every gate is open: a claim with enough room would take the job.
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Suspect | Self::HeadOfLine | Self::Starved | Self::SlotsFull | Self::InLine | Self::Ready | Self::Unexplained)
    }
}

impl fmt::Display for WhyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for WhyCode {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = Self::ALL.iter().map(|code| code.as_str()).collect();
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or_else(|| UnknownWord::new("code", text, &words))
    }
}

impl Serialize for WhyCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
