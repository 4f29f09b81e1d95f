//! A stretch of a story.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{JobId, JobState, LogLine, ParkedFor, TraceUrl, trace::LinkParts};

/// A stretch of a story. As JSON it is one object: `span` says which kind it is, and the names of the fields stay.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Span {
    /// What it is.
    #[serde(flatten)]
    pub what: SpanKind,
    /// When it begins, in ms from the beginning of the story.
    pub start_ms: f64,
    /// When it ends. `None`: it goes on.
    pub end_ms: Option<f64>,
    /// Its span in a tracing backend, as far as it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<SpanTrace>,
    /// What else is known of it, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What is within it or comes of it, in the order of time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Span>,
}

/// What a span is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "span", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SpanKind {
    /// A request that enqueued jobs. It is as long as its enqueues: when it began and ended is not stored.
    Request {
        /// Its id.
        request_id: Option<String>,
        /// "POST /orders".
        route: Option<String>,
        /// The program.
        service: Option<String>,
        /// Its version.
        version: Option<String>,
    },
    /// A job, from its enqueue to its end.
    Job {
        /// Its id.
        job: JobId,
        /// Its kind.
        kind: String,
        /// Its queue.
        queue: String,
        /// Where it stands.
        state: JobState,
        /// What a parked job waits for.
        parked_for: Option<ParkedFor>,
        /// Claims so far.
        attempts: i32,
        /// Failed attempts so far.
        failures: i16,
        /// How many may fail.
        max_attempts: i16,
        /// Why it is dead or cancelled.
        error: Option<String>,
        /// How long it has waited in all, in ms; without the stretch of earlier attempts, if not all are told.
        waited_ms: f64,
        /// How long its attempts have taken in all, in ms, as far as they are told; without those whose process died.
        worked_ms: f64,
        /// How long those have taken, from their start to the rescue of the job, in ms.
        lost_ms: f64,
        /// Whether it is the one that was asked for.
        asked: bool,
    },
    /// It was stored. Of no length.
    Enqueue {
        /// By this schedule.
        schedule: Option<String>,
        /// For this instant of the schedule.
        instant: Option<String>,
        /// As a repetition of this job.
        again_of: Option<JobId>,
        /// By this operator.
        by: Option<String>,
    },
    /// It waited.
    Wait {
        /// For what.
        reason: WaitReason,
        /// The key, who holds it and why, and the like.
        detail: Option<String>,
    },
    /// It ran.
    Attempt {
        /// Its number.
        attempt: i32,
        /// "completed", "running", "failed", "timed out", "panicked", "worker lost", "snoozed", "cancelled".
        outcome: String,
        /// What went wrong.
        error: Option<String>,
        /// Low-cardinality class of the error.
        error_class: Option<String>,
        /// Host and process id of the worker.
        worker: Option<String>,
        /// The last lines that it logged, if they are stored.
        log: Vec<LogLine>,
    },
    /// An operator did something to it. Of no length.
    Act {
        /// What: "hold", "run-now", ...
        verb: String,
        /// Who.
        who: String,
        /// Why.
        reason: Option<String>,
    },
}

/// For what a job waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitReason {
    /// It was enqueued for later.
    Scheduled,
    /// An attempt had failed.
    Backoff,
    /// Its handler had put it off.
    Snoozed,
    /// An operator held it.
    Held,
    /// Its queue was paused.
    Paused,
    /// Jobs of its limit key used up what the key may.
    Key,
    /// It was in the line of a queue that has a limit.
    Limit,
    /// It was in line: jobs before it, or no free slot.
    Line,
    /// Its process had died twice: a worker takes it alone.
    Suspect,
    /// Its process was not heard any more, and nobody had noticed yet.
    Rescue,
    /// No live worker takes it.
    NoWorker,
    /// A worker had it and its handler did not run: before it started, or after its end until that was written.
    Taken,
    /// It was dead or cancelled, until somebody retried it.
    Ended,
    /// Attempts that are not told, and the waits between them.
    Earlier,
    /// The tables don't tell.
    Unknown,
}

impl WaitReason {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled for later",
            Self::Backoff => "backoff",
            Self::Snoozed => "snoozed",
            Self::Held => "held",
            Self::Paused => "queue paused",
            Self::Key => "for its key",
            Self::Limit => "in line of a limited queue",
            Self::Line => "in line",
            Self::Suspect => "suspect, to run alone",
            Self::Rescue => "for its rescue",
            Self::NoWorker => "no worker takes it",
            Self::Taken => "taken but not running",
            Self::Ended => "ended, until retried",
            Self::Earlier => "earlier attempts",
            Self::Unknown => "reason not stored",
        }
    }
}

/// A span as a tracing backend knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SpanTrace {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// Whether it was sampled; `None`: that is not stored.
    pub sampled: Option<bool>,
    /// Its page, if it was asked for with [`Story::with_links`](crate::story::Story::with_links).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Span {
    /// How long it is so far: from its start to its end, or to `until_ms` while it goes on.
    pub fn length_ms(&self, until_ms: f64) -> f64 {
        self.end_ms.unwrap_or(until_ms) - self.start_ms
    }

    pub(super) fn link(&mut self, url: &TraceUrl, range: (DateTime<Utc>, DateTime<Utc>), job: Option<JobId>, request: Option<&str>) {
        let job = if let SpanKind::Job { job, .. } = &self.what { Some(*job) } else { job };
        let own_request = if let SpanKind::Request { request_id, .. } = &self.what { request_id.clone() } else { None };
        let request = own_request.as_deref().or(request);
        if let Some(trace) = &mut self.trace {
            trace.url =
                Some(url.of(&LinkParts { trace_id: &trace.trace_id, span_id: &trace.span_id, job, request, from: range.0, to: range.1 }));
        }
        self.children.iter_mut().for_each(|child| child.link(url, range, job, request));
    }
}
