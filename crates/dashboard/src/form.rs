//! What a form says, as an [`Action`], and back.
//!
//! One route takes all forms (`/act`), so that a name with a slash in it never has to be a part of a path. With GET it shows what would
//! happen and asks for what is missing; with POST it is done.

use std::time::Duration;

use axum::extract::Query;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use haulage_queue::{JobFilter, JobId, JobState, Limit, OperationId, Priority, Verb};
use serde::Deserialize;

use crate::{
    actions::{Action, Refusal},
    search::{self, Search},
    show::encode,
};

/// The fields. Texts, so that a bad one gets our sentence; which of them count depends on `of` and `act`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Form {
    /// To what: job, jobs, queue, key, schedule, operation, worker, session.
    pub(crate) of: String,
    /// What is done: a verb, or pause, resume, limit, run-now, end.
    pub(crate) act: String,
    /// Of a job, an operation or a worker.
    pub(crate) id: String,
    /// Of a queue, a key, a schedule.
    pub(crate) name: String,
    /// Which jobs, as stored; or as somebody searched for them: `state` and `q`.
    pub(crate) filter: String,
    pub(crate) state: String,
    pub(crate) q: String,
    /// To which queue.
    pub(crate) to: String,
    pub(crate) priority: String,
    /// For how long; nothing: until somebody resumes it.
    pub(crate) length: String,
    pub(crate) args: String,
    /// A limit: so many at once; so many starts in so many seconds, so many of them together.
    pub(crate) most: String,
    pub(crate) starts: String,
    pub(crate) per: String,
    pub(crate) burst: String,
    /// A session's process, and when it began.
    pub(crate) pid: String,
    pub(crate) since: String,
    /// What whoever asks knew of.
    pub(crate) seen: String,
    pub(crate) reason: String,
    /// Where to go back to, from our root.
    pub(crate) here: String,
    pub(crate) token: String,
    /// All of the others as one text: what a button says that stands apart from its form, as the query of a link would have it.
    #[serde(rename = "do")]
    pub(crate) pressed: String,
}

fn bad(sentence: impl Into<String>) -> Refusal {
    Refusal::Unreadable(sentence.into())
}

impl Form {
    /// What it asks for. `clock` is the database's.
    pub(crate) fn action(&self, clock: &DateTime<Utc>) -> Result<Action, Refusal> {
        let name = || if self.name.is_empty() { Err(bad("A name is missing.")) } else { Ok(self.name.clone()) };
        Ok(match (self.of.as_str(), self.act.as_str()) {
            ("job", "run-again") => Action::RunAgain { id: self.job()?, seen: self.seen_number()? },
            ("job", "edit-args") => {
                Action::EditArgs { id: self.job()?, args: self.args.clone(), seen: (!self.seen.is_empty()).then(|| self.seen.clone()) }
            }
            ("job", _) => Action::Job { id: self.job()?, verb: self.verb()? },
            ("jobs", _) => {
                Action::Jobs { verb: self.verb()?, filter: Box::new(self.jobs(clock)?), seen: self.seen_number()?.map(OperationId) }
            }
            ("operation", "cancel") => Action::CancelOperation { id: self.operation()? },
            ("operation", "resume") => Action::ResumeOperation { id: self.operation()? },
            ("queue", "pause") => Action::PauseQueue { queue: name()?, length: self.length()? },
            ("queue", "resume") => Action::ResumeQueue { queue: name()? },
            ("worker", "quiet") => Action::QuietWorker { worker: self.worker()? },
            ("worker", "resume") => Action::ResumeWorker { worker: self.worker()? },
            ("queue", "limit") => Action::LimitQueue { queue: name()?, limit: self.limit()? },
            ("key", "limit") => Action::LimitKey { key: name()?, limit: self.limit()? },
            ("schedule", "pause") => Action::PauseSchedule { schedule: name()?, length: self.length()? },
            ("schedule", "resume") => Action::ResumeSchedule { schedule: name()? },
            ("schedule", "run-now") => Action::RunSchedule { schedule: name()?, seen: self.seen_number()? },
            ("session", "end") => Action::EndSession {
                pid: self.pid.parse().map_err(|_| bad("The process of a session is a whole number."))?,
                backend_start: DateTime::parse_from_rfc3339(&self.since).map_err(|_| bad("When the session began is missing."))?.to_utc(),
            },
            _ => return Err(bad("Nobody knows how to do this.")),
        })
    }

    /// The verb on jobs. Where a queue or a priority is still to be chosen, one that fits the same jobs.
    pub(crate) fn counted_verb(&self) -> Result<Verb, Refusal> {
        match self.act.as_str() {
            "move" | "reprioritise" => Ok(Verb::Hold),
            _ => self.verb(),
        }
    }

    fn verb(&self) -> Result<Verb, Refusal> {
        Ok(match self.act.as_str() {
            "retry" => Verb::Retry,
            "run-now" => Verb::RunNow,
            "cancel" => Verb::Cancel,
            "discard" => Verb::Discard,
            "hold" => Verb::Hold,
            "release" => Verb::Release,
            "delete" => Verb::Delete,
            "move" => Verb::Move { queue: self.to.trim().to_owned() },
            "reprioritise" => Verb::Reprioritise { priority: self.priority()? },
            _ => return Err(bad("Nobody knows how to do this to a job.")),
        })
    }

    fn priority(&self) -> Result<Priority, Refusal> {
        self.priority.parse().map_err(|error: haulage_queue::UnknownWord| bad(format!("{error}.")))
    }

    fn job(&self) -> Result<JobId, Refusal> {
        self.id.parse().map_err(|error: haulage_queue::ParseJobIdError| bad(format!("{error}.")))
    }

    fn operation(&self) -> Result<OperationId, Refusal> {
        self.id.parse().map_err(|_| bad("The number of an operation is a whole number."))
    }

    fn worker(&self) -> Result<i64, Refusal> {
        self.id.parse().map_err(|_| bad("The id of a worker is a whole number."))
    }

    fn seen_number(&self) -> Result<Option<i64>, Refusal> {
        let seen = (!self.seen.is_empty()).then(|| self.seen.parse()).transpose();
        seen.map_err(|_| bad("What was seen is a whole number; load the page again."))
    }

    /// Which jobs. Those that were enqueued after `clock` are never meant: nobody has seen them.
    pub(crate) fn jobs(&self, clock: &DateTime<Utc>) -> Result<JobFilter, Refusal> {
        if !self.filter.is_empty() {
            return serde_json::from_str(&self.filter).map_err(|error| bad(format!("Which jobs are meant can't be read: {error}.")));
        }
        match search::parse(&self.q, clock) {
            Ok(Search::Filter(filter)) => {
                let state: Option<JobState> = (!self.state.is_empty())
                    .then(|| self.state.parse())
                    .transpose()
                    .map_err(|error: haulage_queue::UnknownWord| bad(format!("{error}.")))?;
                Ok(state.into_iter().fold(*filter, JobFilter::state))
            }
            Ok(Search::Job(id)) => Err(bad(format!("This is one job; act on it on its own page, jobs/{id}."))),
            Err(refused) => Err(bad(format!("{}.", refused.sentence))),
        }
    }

    fn length(&self) -> Result<Option<Duration>, Refusal> {
        let text = self.length.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let length = search::length(text).filter(|length| *length > TimeDelta::zero()).and_then(|length| length.to_std().ok());
        length.map(Some).ok_or_else(|| bad("For how long: a number with a unit, such as 90s, 15m, 2h or 1d."))
    }

    fn limit(&self) -> Result<Option<Limit>, Refusal> {
        let number = |what: &str, text: &str| -> Result<Option<u32>, Refusal> {
            let text = text.trim();
            let number = (!text.is_empty()).then(|| text.parse()).transpose();
            number.map_err(|_| bad(format!("The {what} of a limit is a whole number from 1 on.")))
        };
        let (most, starts) = (number("number at once", &self.most)?, number("number of starts", &self.starts)?);
        let (per, burst) = (self.per.trim(), number("number together", &self.burst)?);
        let seconds: f64 =
            if per.is_empty() { 60.0 } else { per.parse().map_err(|_| bad("The time of a rate is a number of seconds."))? };
        let per = Duration::try_from_secs_f64(seconds).map_err(|_| bad("The time of a rate is a number of seconds."))?;
        let limit = match (most, starts) {
            (None, None) => return Ok(None),
            (Some(most), None) => Limit::running(most),
            (None, Some(starts)) => Limit::starts(starts, per),
            (Some(most), Some(starts)) => Limit::running(most).rate(starts, per),
        };
        Ok(Some(burst.filter(|_| starts.is_some()).into_iter().fold(limit, Limit::burst)))
    }

    /// The form that asks for this.
    pub(crate) fn of(action: &Action) -> Self {
        let text = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        let length = |length: &Option<Duration>| length.map(|length| format!("{}s", length.as_secs())).unwrap_or_default();
        let form = |of: &str, act: &str| Self { of: of.to_owned(), act: act.to_owned(), ..Self::default() };
        let with_verb = |of: &str, verb: &Verb| {
            let form = form(of, verb.as_str());
            match verb {
                Verb::Move { queue } => Self { to: queue.clone(), ..form },
                Verb::Reprioritise { priority } => Self { priority: priority.to_string(), ..form },
                _ => form,
            }
        };
        match action {
            Action::Job { id, verb } => Self { id: id.to_string(), ..with_verb("job", verb) },
            Action::RunAgain { id, seen } => Self { id: id.to_string(), seen: text(*seen), ..form("job", "run-again") },
            Action::EditArgs { id, args, seen } => {
                Self { id: id.to_string(), args: args.clone(), seen: seen.clone().unwrap_or_default(), ..form("job", "edit-args") }
            }
            Action::Jobs { verb, filter, seen } => Self {
                filter: serde_json::to_string(filter).unwrap_or_default(),
                seen: text(seen.map(|seen| seen.0)),
                ..with_verb("jobs", verb)
            },
            Action::CancelOperation { id } => Self { id: id.to_string(), ..form("operation", "cancel") },
            Action::ResumeOperation { id } => Self { id: id.to_string(), ..form("operation", "resume") },
            Action::PauseQueue { queue, length: time } => Self { name: queue.clone(), length: length(time), ..form("queue", "pause") },
            Action::ResumeQueue { queue } => Self { name: queue.clone(), ..form("queue", "resume") },
            Action::QuietWorker { worker } => Self { id: worker.to_string(), ..form("worker", "quiet") },
            Action::ResumeWorker { worker } => Self { id: worker.to_string(), ..form("worker", "resume") },
            Action::LimitQueue { queue, limit } => Self { name: queue.clone(), ..form("queue", "limit") }.with_limit(*limit),
            Action::LimitKey { key, limit } => Self { name: key.clone(), ..form("key", "limit") }.with_limit(*limit),
            Action::PauseSchedule { schedule, length: time } => {
                Self { name: schedule.clone(), length: length(time), ..form("schedule", "pause") }
            }
            Action::ResumeSchedule { schedule } => Self { name: schedule.clone(), ..form("schedule", "resume") },
            Action::RunSchedule { schedule, seen } => Self { name: schedule.clone(), seen: text(*seen), ..form("schedule", "run-now") },
            Action::EndSession { pid, backend_start } => {
                Self { pid: pid.to_string(), since: backend_start.to_rfc3339_opts(SecondsFormat::Micros, true), ..form("session", "end") }
            }
        }
    }

    fn with_limit(self, limit: Option<Limit>) -> Self {
        let Some(limit) = limit else { return self };
        let most = limit.max_running().map(|most| most.to_string()).unwrap_or_default();
        match limit.max_starts() {
            None => Self { most, ..self },
            Some((count, per, burst)) => {
                Self { most, starts: count.to_string(), per: per.as_secs_f64().to_string(), burst: burst.to_string(), ..self }
            }
        }
    }

    /// The fields that say something, but for the token: for hidden fields and links.
    pub(crate) fn fields(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("of", &self.of),
            ("act", &self.act),
            ("id", &self.id),
            ("name", &self.name),
            ("filter", &self.filter),
            ("state", &self.state),
            ("q", &self.q),
            ("to", &self.to),
            ("priority", &self.priority),
            ("length", &self.length),
            ("args", &self.args),
            ("most", &self.most),
            ("starts", &self.starts),
            ("per", &self.per),
            ("burst", &self.burst),
            ("pid", &self.pid),
            ("since", &self.since),
            ("seen", &self.seen),
            ("here", &self.here),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.as_str())).collect()
    }

    /// The page that shows what it would do, from our root.
    pub(crate) fn link(&self) -> String {
        format!("act?{}", self.query())
    }

    /// The fields as the query of a link, and as what a button says.
    pub(crate) fn query(&self) -> String {
        let parts: Vec<String> = self.fields().into_iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        parts.join("&")
    }

    /// What it says, wherever it says it; the token stands beside.
    pub(crate) fn spelled_out(self) -> Result<Self, Refusal> {
        if self.pressed.is_empty() {
            return Ok(self);
        }
        let pressed = format!("/?{}", self.pressed).parse().ok().and_then(|uri| Query::<Self>::try_from_uri(&uri).ok());
        let Some(Query(pressed)) = pressed else { return Err(bad("What the button says can't be read; load the page again.")) };
        Ok(Self { token: self.token, pressed: String::new(), ..pressed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> DateTime<Utc> {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn what_a_form_says_is_what_it_was_made_of() {
        let limit = Limit::running(3).rate(100, Duration::from_millis(1_500)).burst(20);
        let filter = Box::new(JobFilter::new().state(JobState::Dead).queue("mail").error("no \"paper\""));
        for action in [
            Action::Job { id: JobId(42), verb: Verb::Retry },
            Action::Job { id: JobId(42), verb: Verb::Move { queue: "a/b".into() } },
            Action::Job { id: JobId(42), verb: Verb::Reprioritise { priority: Priority::Low } },
            Action::RunAgain { id: JobId(42), seen: Some(7) },
            Action::EditArgs { id: JobId(42), args: "{\"a\": 1}".into(), seen: Some("ab".into()) },
            Action::Jobs { verb: Verb::Delete, filter, seen: Some(OperationId(3)) },
            Action::CancelOperation { id: OperationId(3) },
            Action::ResumeOperation { id: OperationId(3) },
            Action::PauseQueue { queue: "mail".into(), length: Some(Duration::from_secs(3_600)) },
            Action::PauseQueue { queue: "mail".into(), length: None },
            Action::ResumeQueue { queue: "mail".into() },
            Action::QuietWorker { worker: 77 },
            Action::ResumeWorker { worker: i64::MAX },
            Action::LimitQueue { queue: "mail".into(), limit: Some(limit) },
            Action::LimitQueue { queue: "mail".into(), limit: None },
            Action::LimitKey { key: "tenant:*".into(), limit: Some(Limit::running(2)) },
            Action::PauseSchedule { schedule: "nightly".into(), length: None },
            Action::ResumeSchedule { schedule: "nightly".into() },
            Action::RunSchedule { schedule: "nightly".into(), seen: None },
            Action::EndSession { pid: 7, backend_start: "2026-11-23T12:00:00.123456Z".parse().unwrap() },
        ] {
            assert_eq!(Form::of(&action).action(&clock()).unwrap(), action);
            let button = Form { pressed: Form::of(&action).query(), token: "t".into(), ..Form::default() };
            let form = button.spelled_out().unwrap();
            assert_eq!((form.action(&clock()).unwrap(), form.token.as_str()), (action, "t"));
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_a_sentence() {
        let form = |of: &str, act: &str| Form { of: of.into(), act: act.into(), id: "1".into(), name: "n".into(), ..Form::default() };
        for (form, part) in [
            (form("job", "explode"), "Nobody knows"),
            (form("door", "open"), "Nobody knows"),
            (Form { id: "x".into(), ..form("job", "retry") }, "whole number"),
            (Form { priority: "top".into(), ..form("job", "reprioritise") }, "top"),
            (Form { length: "soon".into(), ..form("queue", "pause") }, "90s"),
            (Form { length: "0s".into(), ..form("queue", "pause") }, "90s"),
            (Form { name: String::new(), ..form("queue", "pause") }, "name is missing"),
            (Form { most: "many".into(), ..form("queue", "limit") }, "whole number"),
            (Form { starts: "5".into(), per: "-1".into(), ..form("queue", "limit") }, "seconds"),
            (Form { filter: "{\"colour\": 1}".into(), ..form("jobs", "retry") }, "can't be read"),
            (Form { q: "42".into(), ..form("jobs", "retry") }, "one job"),
            (Form { q: "colour:red".into(), ..form("jobs", "retry") }, "colour"),
            (Form { seen: "x".into(), ..form("job", "run-again") }, "load the page again"),
        ] {
            let refusal = form.action(&clock()).unwrap_err().sentence();
            assert!(refusal.contains(part), "{form:?}: {refusal}");
        }
    }
}
