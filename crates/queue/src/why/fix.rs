//! What can be done about it: for a person a label and the exact command, for a program the act behind it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{Acquire, PgPool, Postgres};

use super::{finding::Finding, judgement::grows, verdict::text_of};
use crate::{JobFilter, JobId, JobState, Limit, ManageError, Operator, Priority, Verb, manage::Target, run_operation, store};

/// Something that can be done about it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Fix {
    /// One word that stays.
    pub id: &'static str,
    /// What a button says.
    pub label: String,
    /// The command that does it, or what a person has to do where no command can.
    pub command: String,
    /// What [`Operator::apply`] does; `None`: nothing in the database would help.
    pub act: Option<FixAct>,
    /// Whether it can be undone.
    pub reversible: bool,
}

/// What an operator can do about it: data, so that it can be shown before it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FixAct {
    /// A verb on one job.
    Job {
        /// The job.
        #[serde(serialize_with = "text_of")]
        id: JobId,
        /// What is done to it.
        #[serde(flatten)]
        verb: Verb,
    },
    /// A verb on all jobs that match.
    Jobs {
        /// Which.
        filter: Box<JobFilter>,
        /// What is done to them.
        #[serde(flatten)]
        verb: Verb,
    },
    /// A paused queue goes on.
    ResumeQueue {
        /// The queue.
        queue: String,
    },
    /// A quiet worker claims again.
    ResumeWorker {
        /// Its id.
        #[serde(serialize_with = "text_of")]
        worker: i64,
    },
    /// A queue gets other limits.
    LimitQueue {
        /// The queue.
        queue: String,
        /// All of its limits.
        limit: Limit,
    },
    /// A key, or a class of keys, gets other limits.
    LimitKey {
        /// The key, or "word:*".
        key: String,
        /// All of its limits.
        limit: Limit,
    },
    /// A schedule's job is enqueued now.
    RunSchedule {
        /// The schedule.
        schedule: String,
    },
    /// A session of the server is ended, and its transaction rolled back. Nothing happens if it is another one by now.
    EndSession {
        /// Its process.
        pid: i32,
        /// When it began.
        backend_start: DateTime<Utc>,
    },
}

impl Operator {
    /// Does what a [`Fix`] proposes; returns whether that changed anything. What is done to many jobs is done when this returns.
    ///
    /// # Errors
    /// As the act itself; nothing is changed then.
    pub async fn apply(&self, pool: &PgPool, act: &FixAct) -> Result<bool, ManageError> {
        match act {
            FixAct::Job { id, verb } => self.act(pool, *id, verb.clone()).await.map(|_| true),
            FixAct::Jobs { filter, verb } => {
                let operation = self.start(pool, verb.clone(), filter).await?;
                Ok(run_operation(pool, operation.id).await?.done > 0)
            }
            FixAct::ResumeQueue { queue } => self.resume_queue(pool, queue).await,
            FixAct::ResumeWorker { worker } => self.resume_worker(pool, *worker).await,
            FixAct::LimitQueue { queue, limit } => self.limit_queue(pool, queue, *limit).await.map(|()| true),
            FixAct::LimitKey { key, limit } => self.limit_key(pool, key, *limit).await.map(|()| true),
            #[cfg(feature = "schedules")]
            FixAct::RunSchedule { schedule } => self.run_schedule(pool, schedule).await.map(|_| true),
            #[cfg(not(feature = "schedules"))]
            FixAct::RunSchedule { .. } => Ok(false),
            FixAct::EndSession { pid, backend_start } => self.end_session(pool, *pid, *backend_start).await,
        }
    }

    /// Ends a session of the server, whose transaction is rolled back; returns whether there was one of this process that began then.
    ///
    /// # Errors
    /// [`ManageError`]; a role that may not end this session gets one from the database.
    pub async fn end_session<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        pid: i32,
        backend_start: DateTime<Utc>,
    ) -> Result<bool, ManageError> {
        self.check()?;
        let mut tx = database.begin().await?;
        // Written first: once the session has ended there is nothing to roll back.
        self.write_audit(&mut tx, "end", Target::Session(pid), &[], Some(json!({ "backend_start": backend_start })), None).await?;
        let ended = store::end_session(&mut tx, pid, backend_start).await?;
        if ended {
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        Ok(ended)
    }
}

/// Fewer jobs a second than this are too few to reckon with: thirty in five minutes.
const SAMPLE: f64 = 0.1;

/// What to do about one job's verdict (`job`), or about a cause (`None`).
pub(super) fn fixes(finding: &Finding, job: Option<JobId>, now: DateTime<Utc>) -> Vec<Fix> {
    let queue_of = |queue: &str, kind: Option<&str>, state: JobState| {
        let filter = JobFilter::new().state(state).queue(queue);
        match kind {
            Some(kind) => filter.kind(kind),
            None => filter,
        }
    };
    match finding {
        Finding::Dead { .. } | Finding::BadArgs { .. } | Finding::Quarantined { .. } if job.is_some() => {
            vec![on(job, "retry", "Retry it", Verb::Retry)].into_iter().flatten().collect()
        }
        Finding::Dead { .. } => Vec::new(),
        Finding::BadArgs { queue, kind, .. } => {
            vec![all("retry", "Retry those of the last hour", Verb::Retry, dead(queue, kind, Some("args"), now))]
        }
        // Without a class the jobs that are meant can't be told from the others that died.
        Finding::Died { queue, kind, error_class: Some(class), .. } => {
            vec![all("retry", "Retry those of the last hour", Verb::Retry, dead(queue, kind, Some(class), now))]
        }
        Finding::Died { error_class: None, .. } => Vec::new(),
        Finding::Quarantined { queue, kind, .. } => {
            vec![all("retry", "Retry them, alone", Verb::Retry, dead(queue, kind, None, now).error("quarantined"))]
        }
        Finding::Orphaned { live_workers: 0, .. } | Finding::NoLiveWorkers { .. } | Finding::DueNoWorker { .. } => vec![start_any()],
        Finding::OverTimeout { job, .. } | Finding::LongRunning { job, .. } => {
            on(Some(*job), "cancel", "Ask it to stop", Verb::Cancel).into_iter().collect()
        }
        Finding::Held { queue, .. } => match job {
            Some(_) => on(job, "release", "Release it", Verb::Release).into_iter().collect(),
            None => vec![all("release", "Release them", Verb::Release, queue_of(queue, None, JobState::Parked))],
        },
        Finding::RetryLoop { queue, kind, error_class, .. } => match job {
            Some(_) => [
                on(job, "hold", "Hold it", Verb::Hold),
                on(job, "run-now", "Try it now", Verb::RunNow),
                on(job, "discard", "Discard it", Verb::Discard),
            ]
            .into_iter()
            .flatten()
            .collect(),
            // A class is wider than the one error that is spoken of: what can't be undone is not offered for it.
            None => failed(queue, kind, error_class.as_deref()).map_or_else(Vec::new, |filter| {
                let class = error_class.as_deref().unwrap_or_default();
                vec![
                    all("hold", &format!("Hold all that failed with {class}"), Verb::Hold, filter.clone()),
                    all("run-now", &format!("Try all that failed with {class}"), Verb::RunNow, filter),
                ]
            }),
        },
        Finding::Backoff { .. } => on(job, "run-now", "Try it now", Verb::RunNow).into_iter().collect(),
        Finding::Failing { queue, kind, error_class, .. } => {
            let filter = failed(queue, kind, error_class.as_deref());
            filter.map(|filter| all("run-now", "Try them now", Verb::RunNow, filter)).into_iter().collect()
        }
        Finding::Snoozed { .. } | Finding::FarFuture { .. } | Finding::Scheduled { .. } | Finding::PromoteLate { .. } => {
            on(job, "run-now", "Run it now", Verb::RunNow).into_iter().collect()
        }
        Finding::NoWorker { queue, nearest, .. } => {
            let mut fixes = vec![start(queue, None)];
            if let Some(nearest) = nearest {
                let verb = Verb::Move { queue: nearest.clone() };
                let fix = match job {
                    Some(_) => on(job, "move", &format!("Move it to {nearest}"), verb),
                    None => Some(all("move", &format!("Move them to {nearest}"), verb, queue_of(queue, None, JobState::Available))),
                };
                fixes.extend(fix);
            }
            fixes
        }
        Finding::NoHandler { queue, kind, .. } | Finding::OldRevision { queue, kind, .. } => {
            let hold = match job {
                Some(_) => on(job, "hold", "Hold it", Verb::Hold),
                // Nothing tells jobs of one revision from those that run.
                None if matches!(finding, Finding::OldRevision { .. }) => None,
                None => Some(all("hold", "Hold them", Verb::Hold, queue_of(queue, Some(kind), JobState::Available))),
            };
            [Some(start(queue, Some(kind))), hold].into_iter().flatten().collect()
        }
        Finding::Paused { queue, .. } => vec![Fix {
            id: "resume",
            label: format!("Resume {queue}"),
            command: named("haulage queues resume", queue, ""),
            act: Some(FixAct::ResumeQueue { queue: queue.clone() }),
            reversible: true,
        }],
        Finding::WorkersQuiet { worker, name, .. } => vec![Fix {
            id: "resume-worker",
            label: format!("Resume worker {name}"),
            command: format!("haulage workers resume {worker}"),
            act: Some(FixAct::ResumeWorker { worker: *worker }),
            reversible: true,
        }],
        Finding::TableLock { session, .. }
        | Finding::DbLock { session, .. }
        | Finding::RowLocked { session, .. }
        | Finding::OldSnapshot { session, .. } => {
            // Who may not see a session can't say that it should end.
            let end = session.backend_start.map(|backend_start| Fix {
                id: "end-session",
                label: format!("End session {}", session.pid),
                command: format!("psql \"$DATABASE_URL\" -c 'SELECT pg_terminate_backend({})'", session.pid),
                act: Some(FixAct::EndSession { pid: session.pid, backend_start }),
                reversible: false,
            });
            end.into_iter().collect()
        }
        Finding::SlotBlocked { by, .. } => on(Some(by.id), "hold", "Hold the job that has the slot", Verb::Hold).into_iter().collect(),
        Finding::KeyFull { key, limit, limits, holder, holder_overdue, .. } => {
            // One at a time is a lock.
            let raise = if *limit == 1 { None } else { raise_key(key, Limit { running: Some(double(*limit)), ..*limits }) };
            // One that has its turn as the others had is left to end.
            let cancel = on(holder.filter(|_| *holder_overdue), "cancel", "Ask the job that holds it to stop", Verb::Cancel);
            [raise, cancel].into_iter().flatten().collect()
        }
        Finding::KeyRate { key, rate, .. } => raise_key(key, quicker(*rate)).into_iter().collect(),
        // One at a time is a lock.
        Finding::QueueFull { limit: 1, .. } => Vec::new(),
        Finding::QueueFull { queue, limit, limits, before, arriving, done, .. } => {
            // As many as it takes to be through in six hours, if more slots mean more work; from too few jobs nothing can be reckoned.
            let most = double(*limit).saturating_mul(2);
            let wanted = match grows(*arriving, *done) && *done >= SAMPLE {
                true => (*limit as f64 * (arriving + *before as f64 / 21_600.0) / done).ceil().clamp(*limit as f64 + 1.0, most.into()) as u32,
                false => double(*limit),
            };
            vec![limit_queue(queue, Limit { running: Some(wanted), ..*limits })]
        }
        Finding::QueueRate { queue, rate, .. } => vec![limit_queue(queue, quicker(*rate))],
        Finding::SlotsFull { queue, .. } | Finding::HeadOfLine { queue, .. } => {
            let first = on(job, "first", "Run it next", Verb::Reprioritise { priority: Priority::Urgent });
            [Some(start(queue, None)), first].into_iter().flatten().collect()
        }
        Finding::Starved { queue, .. } => {
            let first = on(job, "first", "Run it next", Verb::Reprioritise { priority: Priority::Urgent });
            first.into_iter().chain([start(queue, None)]).collect()
        }
        Finding::InLine { .. } => {
            on(job, "first", "Run it next", Verb::Reprioritise { priority: Priority::Urgent }).into_iter().collect()
        }
        Finding::Suspect { .. } => on(job, "hold", "Hold it", Verb::Hold).into_iter().collect(),
        Finding::Unexplained { .. } => vec![Fix {
            id: "evidence",
            label: "Copy the evidence".into(),
            command: job.map_or_else(|| "haulage doctor --json".to_owned(), |id| format!("haulage why {id} --json")),
            act: None,
            reversible: true,
        }],
        Finding::ScheduleMissed { schedule, live_workers, .. } => {
            let run = Fix {
                id: "run-schedule",
                label: "Run it now".into(),
                command: named("haulage schedules run-now", schedule, ""),
                act: Some(FixAct::RunSchedule { schedule: schedule.clone() }),
                reversible: false,
            };
            if *live_workers == 0 { vec![start_any(), run] } else { vec![run] }
        }
        Finding::Connections { .. } => vec![Fix {
            id: "connections",
            label: "See who has them".into(),
            command: "psql \"$DATABASE_URL\" -c \"SELECT application_name, usename, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC\"".into(),
            act: None,
            reversible: true,
        }],
        Finding::Clock { .. } => vec![advice("clock", "Set the machine's clock by NTP", "timedatectl set-ntp true")],
        Finding::Listener { .. } => vec![advice(
            "listener",
            "Connect workers to the server itself",
            "a pooler in transaction mode passes no notifications: give the workers a URL that leads past it, or build them with .poll_only(interval)",
        )],
        Finding::Completed { .. }
        | Finding::Cancelled { .. }
        | Finding::Gone { .. }
        | Finding::Orphaned { .. }
        | Finding::Cancelling { .. }
        | Finding::Running { .. }
        | Finding::Ready { .. } => Vec::new(),
    }
}

fn advice(id: &'static str, label: &str, command: &str) -> Fix {
    Fix { id, label: label.to_owned(), command: command.to_owned(), act: None, reversible: true }
}

fn start(queue: &str, kind: Option<&str>) -> Fix {
    let handles = kind.map(|kind| format!(" and handles {kind}")).unwrap_or_default();
    Fix {
        id: "start-worker",
        label: format!("Start a worker that serves {queue}{handles}"),
        command: "haulage work --config worker.toml".into(),
        act: None,
        reversible: true,
    }
}

fn start_any() -> Fix {
    advice("start-worker", "Start a worker", "haulage work --config worker.toml")
}

/// A verb on one job, if there is one.
fn on(job: Option<JobId>, id: &'static str, label: &str, verb: Verb) -> Option<Fix> {
    let job = job?;
    let to = target(&verb);
    Some(Fix {
        id,
        label: label.to_owned(),
        command: format!("haulage jobs {} {job}{to}", verb.as_str()),
        reversible: !matches!(verb, Verb::Cancel | Verb::Discard | Verb::Delete),
        act: Some(FixAct::Job { id: job, verb }),
    })
}

/// A verb on all jobs that match.
fn all(id: &'static str, label: &str, verb: Verb, filter: JobFilter) -> Fix {
    let to = target(&verb);
    Fix {
        id,
        label: label.to_owned(),
        command: format!("haulage jobs {}{}{to}", verb.as_str(), options(&filter)),
        reversible: !matches!(verb, Verb::Cancel | Verb::Discard | Verb::Delete),
        act: Some(FixAct::Jobs { filter: Box::new(filter), verb }),
    }
}

fn target(verb: &Verb) -> String {
    match verb {
        Verb::Move { queue } => option("to", Some(queue.clone())),
        Verb::Reprioritise { priority } => option("to", Some(priority.to_string())),
        _ => String::new(),
    }
}

/// A command about a thing with this name. One that looks like an option comes last, behind `--`.
fn named(command: &str, name: &str, options: &str) -> String {
    match name.starts_with('-') {
        true => format!("{command}{options} -- {}", quoted(name)),
        false => format!("{command} {}{options}", quoted(name)),
    }
}

fn option(name: &str, value: Option<String>) -> String {
    value.map_or_else(String::new, |value| {
        let between = if value.starts_with('-') { "=" } else { " " };
        format!(" --{name}{between}{}", quoted(&value))
    })
}

/// The filter as the command's options.
fn options(filter: &JobFilter) -> String {
    [
        option("state", filter.state.map(|state| state.to_string())),
        option("queue", filter.queue.clone()),
        option("kind", filter.kind.clone()),
        option("error", filter.error.clone()),
        option("error-class", filter.error_class.clone()),
        option("finished-after", filter.finished_from.map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())),
    ]
    .concat()
}

/// As a shell takes it for one word, on one line.
fn quoted(text: &str) -> String {
    if text.chars().any(char::is_control) {
        let escaped: String = text
            .chars()
            .map(|c| match c {
                '\'' | '\\' => format!("\\{c}"),
                c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
                c => c.to_string(),
            })
            .collect();
        return format!("$'{escaped}'");
    }
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.:/@-".contains(c));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// What died of a kind in the last hour.
fn dead(queue: &str, kind: &str, class: Option<&str>, now: DateTime<Utc>) -> JobFilter {
    let filter = JobFilter::new().state(JobState::Dead).queue(queue).kind(kind).finished_from(now - TimeDelta::hours(1));
    match class {
        Some(class) => filter.error_class(class),
        None => filter,
    }
}

/// What backs off of a kind with the same class of error. Without one, the scheduled jobs that have not failed would be meant too.
fn failed(queue: &str, kind: &str, class: Option<&str>) -> Option<JobFilter> {
    Some(JobFilter::new().state(JobState::Scheduled).queue(queue).kind(kind).error_class(class?))
}

fn double(limit: i64) -> u32 {
    u32::try_from(limit.saturating_mul(2).clamp(1, 1_000_000_000)).unwrap_or(u32::MAX)
}

/// Twice as many starts in the same time; how many run at once stays.
fn quicker(limit: Limit) -> Limit {
    match limit.max_starts() {
        Some((count, per, burst)) => limit.rate(count.saturating_mul(2).min(1_000_000_000), per).burst(burst),
        None => limit,
    }
}

/// The options of `haulage queues limit` and `haulage keys limit`.
fn limits(limit: Limit) -> String {
    let most = limit.max_running().map(|most| format!(" --max {most}")).unwrap_or_default();
    let rate = limit.max_starts().map(|(count, per, burst)| {
        let burst = if burst == count { String::new() } else { format!(" --burst {burst}") };
        format!(" --rate {count}/{}ms{burst}", per.as_millis())
    });
    most + &rate.unwrap_or_default()
}

fn limit_queue(queue: &str, limit: Limit) -> Fix {
    Fix {
        id: "raise-limit",
        label: format!("Raise the limit of {queue}"),
        command: named("haulage queues limit", queue, &limits(limit)),
        act: Some(FixAct::LimitQueue { queue: queue.to_owned(), limit }),
        reversible: true,
    }
}

/// Only of the key itself: its class is others' business. Those of Haulage itself stay as they are.
fn raise_key(key: &str, limit: Limit) -> Option<Fix> {
    (!key.starts_with("haulage-") && !key.ends_with(":*")).then(|| Fix {
        id: "raise-limit",
        label: format!("Raise the limit of {key}"),
        command: named("haulage keys limit", key, &limits(limit)),
        act: Some(FixAct::LimitKey { key: key.to_owned(), limit }),
        reversible: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_what_a_shell_takes_whatever_stands_in_an_error() {
        let filter = JobFilter::new().state(JobState::Dead).queue("mail").error("can't; rm -rf /").error_class("reqwest::Error");
        let fix = all("retry", "Retry them", Verb::Retry, filter);
        assert_eq!(fix.command, r"haulage jobs retry --state dead --queue mail --error 'can'\''t; rm -rf /' --error-class reqwest::Error");
        assert_eq!(quoted("tenant:*"), "'tenant:*'");
        assert_eq!(quoted("a\nb'c"), r"$'a\u000ab\'c'");
        assert_eq!(limit_queue("-f", Limit::running(2)).command, "haulage queues limit --max 2 -- -f");
        let verb = Verb::Move { queue: "-f x".into() };
        assert_eq!(on(Some(JobId(1)), "move", "Move it", verb).unwrap().command, "haulage jobs move 1 --to='-f x'");
    }
}
