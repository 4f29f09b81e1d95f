//! Where the time of a finished job went.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::facts::Past;
use crate::JobState;

/// A finished job, without what it was given.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FinishedFacts {
    pub(crate) state: JobState,
    pub(crate) queue: String,
    pub(crate) kind: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) eligible_at: DateTime<Utc>,
    pub(crate) claimed_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: DateTime<Utc>,
    pub(crate) attempt: i32,
    pub(crate) failures: i16,
    pub(crate) max_attempts: i16,
    pub(crate) crashes: i16,
    pub(crate) error: Option<String>,
    /// Those that did not simply succeed, newest first.
    pub(crate) attempts: Vec<Past>,
    pub(crate) p50_s: Option<f64>,
    pub(crate) p95_s: Option<f64>,
}

/// Its time, by what it was spent on, in seconds.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Story {
    pub(crate) finished_at: DateTime<Utc>,
    pub(crate) attempts: i32,
    pub(crate) total_s: f64,
    /// Until its first time came.
    pub(crate) scheduled_s: f64,
    /// From when it could run to when it was started, for all attempts.
    pub(crate) line_s: f64,
    /// After failures.
    pub(crate) backoff_s: f64,
    pub(crate) snoozed_s: f64,
    /// Dead or cancelled, until somebody retried it.
    pub(crate) ended_s: f64,
    /// With workers that died.
    pub(crate) lost_s: f64,
    /// In handlers.
    pub(crate) worked_s: f64,
    /// What the last failed attempt said.
    pub(crate) last_error: Option<String>,
    pub(crate) p50_s: Option<f64>,
    pub(crate) p95_s: Option<f64>,
}

impl Story {
    /// All that was not work.
    pub(crate) fn waited_s(&self) -> f64 {
        self.scheduled_s + self.line_s + self.backoff_s + self.snoozed_s + self.ended_s
    }

    pub(crate) fn of(job: &FinishedFacts) -> Self {
        let failed = job.attempts.iter().find(|past| !matches!(past.outcome.as_str(), "snoozed" | "cancelled"));
        let mut story = Self {
            finished_at: job.finished_at,
            attempts: job.attempt,
            total_s: seconds(job.finished_at - job.created_at),
            last_error: failed.map(|past| past.error_class.clone().unwrap_or_else(|| past.outcome.clone())),
            p50_s: job.p50_s,
            p95_s: job.p95_s,
            ..Self::default()
        };
        let mut reached = job.created_at;
        let mut before: Option<&Past> = None;
        for past in job.attempts.iter().rev() {
            let began = past.started_at.or(past.claimed_at).unwrap_or(past.ended_at);
            story.rest(before, reached, past.eligible_at.unwrap_or(reached).min(began));
            story.line_s += seconds(began - past.eligible_at.unwrap_or(reached).max(reached));
            match past.outcome.as_str() {
                "worker lost" => story.lost_s += seconds(past.ended_at - began),
                _ => story.worked_s += seconds(past.ended_at - began),
            }
            reached = past.ended_at;
            before = Some(past);
        }
        // The last one, unless it is among those already.
        if before.is_none_or(|last| last.attempt < job.attempt || last.ended_at < job.finished_at) {
            let began = job.claimed_at.filter(|claimed| *claimed >= reached).unwrap_or(job.finished_at);
            let eligible = job.eligible_at.clamp(reached, began.max(reached));
            story.rest(before, reached, eligible);
            story.line_s += seconds(began - eligible);
            story.worked_s += seconds(job.finished_at - began);
        }
        story
    }

    /// The time between two attempts.
    fn rest(&mut self, before: Option<&Past>, from: DateTime<Utc>, to: DateTime<Utc>) {
        let rested = seconds(to - from);
        match before {
            None => self.scheduled_s += rested,
            Some(past) if past.outcome == "snoozed" => self.snoozed_s += rested,
            Some(past) if past.outcome == "worker lost" => self.line_s += rested,
            Some(past) if past.next_run_at.is_none() => self.ended_s += rested,
            Some(_) => self.backoff_s += rested,
        }
    }
}

fn seconds(time: TimeDelta) -> f64 {
    time.num_milliseconds().max(0) as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_job_is_told_to_the_last_second() {
        let at = |s: i64| DateTime::UNIX_EPOCH + TimeDelta::seconds(s);
        let past = |attempt, outcome: &str, eligible, started, ended, next: Option<i64>| Past {
            attempt,
            outcome: outcome.into(),
            error_class: Some("SmtpTimeout".into()),
            message: None,
            eligible_at: Some(at(eligible)),
            claimed_at: Some(at(started)),
            started_at: Some(at(started)),
            ended_at: at(ended),
            next_run_at: next.map(at),
        };
        let job = FinishedFacts {
            state: JobState::Completed,
            queue: "q".into(),
            kind: "k".into(),
            created_at: at(0),
            run_at: at(1_000),
            eligible_at: at(1_000),
            claimed_at: Some(at(1_005)),
            finished_at: at(1_010),
            attempt: 4,
            failures: 1,
            max_attempts: 25,
            crashes: 1,
            error: None,
            attempts: vec![
                past(3, "worker lost", 900, 910, 940, None),
                past(2, "snoozed", 200, 201, 203, Some(900)),
                past(1, "failed", 60, 70, 100, Some(200)),
            ],
            p50_s: None,
            p95_s: None,
        };
        let story = Story::of(&job);
        assert_eq!((story.total_s, story.scheduled_s, story.backoff_s, story.snoozed_s), (1_010.0, 60.0, 100.0, 697.0));
        // 10 and 1 and 10 in line; after the worker died 60 until it was eligible again, and 5.
        assert_eq!((story.line_s, story.worked_s, story.lost_s), (86.0, 37.0, 30.0));
        let all = story.waited_s() + story.worked_s + story.lost_s;
        assert_eq!(all, story.total_s);
        assert_eq!(story.last_error.as_deref(), Some("SmtpTimeout"));
    }
}
