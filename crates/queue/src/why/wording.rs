//! Every sentence. Present tense, no blame, the thing to act on by its name, numbers where there are any. Names of ours are in
//! backquotes; what other people wrote is cut, and put between quotes where it is a reason.
//!
//! Past 500 lines and not split: whoever reads, reviews or rewords what `why` says finds all of it in this one file, side by side, because
//! what is said of one thing has to fit what is said of another. A match over every finding leaves none without its sentence.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    facts::Session,
    finding::{Finding, GRACE},
    finished::Story,
    judgement::grows,
};
use crate::Limit;

/// Texts of others are cut after this many characters.
const TEXT: usize = 120;

/// The sentence, and what else there is to say.
pub(super) fn say(finding: &Finding, now: DateTime<Utc>) -> (String, String) {
    let words = Words { now };
    let (sentence, detail) = words.say(finding);
    // What was cut within needs no full stop.
    let sentence = sentence.replace("….", "…");
    let late = finding.due(now).filter(|due| now - *due > GRACE);
    match (finding, late) {
        // A promise that was not kept is said to be one.
        (Finding::Orphaned { live_workers, .. }, Some(due)) => {
            let why = match live_workers {
                0 => "no worker is alive to do it".to_owned(),
                n => format!("{} done it", none_has(*n)),
            };
            (format!("{} They were due to be rescued {}, but {why}.", sentence, words.ago(due)), String::new())
        }
        (Finding::Cancelling { .. }, Some(_)) => {
            (sentence, "It has had its minute: blocking code hears of a cancel only where it looks.".into())
        }
        _ => (sentence, detail),
    }
}

struct Words {
    now: DateTime<Utc>,
}

impl Words {
    fn say(&self, finding: &Finding) -> (String, String) {
        let none = String::new;
        match finding {
            Finding::Completed { story } => took(story),
            Finding::Cancelled { story, error } => {
                (format!("It was cancelled {}{}.", self.ago(story.finished_at), because(error.as_deref())), took(story).0)
            }
            Finding::Dead { story, error, .. } => {
                let attempts = count(story.attempts.into(), "attempt");
                (format!("It died {} after {attempts}{}.", self.ago(story.finished_at), colon(error.as_deref())), took(story).0)
            }
            Finding::BadArgs { kind, error, since, .. } => (
                // What is to be done is said below.
                format!(
                    "The handler of `{kind}` could not read the args{}.",
                    colon(error.as_deref().map(|error| error.trim_end_matches("; deploy a handler that reads them")))
                ),
                format!("Since {}. Deploy a handler that reads them, then retry.", self.moment(*since)),
            ),
            Finding::Quarantined { kind, since, .. } => (
                format!("Its process died three times while a job of `{kind}` ran, so it was quarantined {}.", self.ago(*since)),
                "Look for what kills the process, memory first. Retried, it comes back as a suspect and runs alone.".into(),
            ),
            Finding::Died { kind, queue, error_class, error, since, .. } => {
                let error = error.as_deref().or(error_class.as_deref());
                (
                    format!("Jobs of `{kind}` in `{queue}` die{}.", colon(error)),
                    format!("The first of the last hour died {}.", self.ago(*since)),
                )
            }
            Finding::Gone { deleted_by: Some(act) } => {
                let who = act.who.as_deref().unwrap_or("somebody");
                (format!("{} deleted it {}{}.", cut(who), self.ago(act.at), quoted(act.why.as_deref())), none())
            }
            Finding::Gone { deleted_by: None } => (
                "It is gone: it finished and its history is past its retention, or its enqueue was rolled back.".into(),
                "Completed jobs are kept for 7 days and failed ones for 30, unless the workers say otherwise.".into(),
            ),

            Finding::Orphaned { worker, silent_since, rescue_at, live_workers } => {
                let on = worker.as_deref().map_or_else(|| "a worker that is gone".to_owned(), |worker| format!("`{worker}`"));
                let silent = silent_since.map(|since| format!(", which has been silent for {}", self.since(since))).unwrap_or_default();
                let at = match rescue_at {
                    _ if *live_workers == 0 => "No worker is alive to take over.".to_owned(),
                    Some(at) => format!("Others take over {}.", self.at(*at)),
                    None => "Any live worker takes it over.".to_owned(),
                };
                (format!("Recorded as running on {on}{silent}."), at)
            }
            Finding::OverTimeout { job, worker, timeout_ms, deadline, .. } => (
                format!(
                    "Job {job} passed its timeout of {} {} ago and {} has not stopped it.",
                    length(f64::from(*timeout_ms) / 1e3),
                    self.since(*deadline),
                    named(worker.as_deref()),
                ),
                "Code that blocks can't be interrupted: only the end of its process ends it.".into(),
            ),
            Finding::Cancelling { job, asked_at, reason, .. } => (
                format!(
                    "Job {job} was asked to stop {}{}; its handler has not come to a point where it does.",
                    self.ago(*asked_at),
                    quoted(reason.as_deref())
                ),
                none(),
            ),
            Finding::LongRunning { job, kind, started_at, p50_s, p95_s, .. } => (
                format!(
                    "Job {job} has run for {}; `{kind}` usually takes {} (95 %: {}).",
                    self.since(*started_at),
                    length(*p50_s),
                    length(*p95_s)
                ),
                none(),
            ),
            Finding::Running { worker, started_at, percent } => (
                format!("It has run for {} on {}.", self.since(*started_at), named(worker.as_deref())),
                percent.map_or_else(none, |percent| format!("{percent} % done, as it says.")),
            ),

            Finding::Held { by: Some(act), .. } => {
                let who = act.who.as_deref().unwrap_or("Somebody");
                (
                    format!("{} put it on hold {}{}.", cut(who), self.ago(act.at), quoted(act.why.as_deref())),
                    "It stays so until somebody releases it.".into(),
                )
            }
            Finding::Held { queue, by: None } => {
                (format!("Held in `{queue}` by an operator."), "It stays so until somebody releases it.".into())
            }
            Finding::RetryLoop { kind, failures, max_attempts, error, first_at, next_at, .. } => (
                format!("`{kind}` has failed {failures} times with the same error since {}: {}.", self.moment(*first_at), cut(error)),
                format!("Retrying will probably not help. The next of {max_attempts} attempts starts {}.", self.at(*next_at)),
            ),
            Finding::Backoff { failures, max_attempts, error, next_at, .. } => (
                format!("Attempt {failures} of {max_attempts} failed{}.", colon(error.as_deref())),
                format!("The next try is {}.", self.at(*next_at)),
            ),
            Finding::Failing { queue, kind, error, next_at, .. } => (
                format!("Jobs of `{kind}` in `{queue}` fail and are tried again{}.", colon(error.as_deref())),
                format!("The next try is {}.", self.at(*next_at)),
            ),
            Finding::Snoozed { next_at } => (format!("Its handler asked to be called again {}.", self.at(*next_at)), none()),
            Finding::FarFuture { at, in_days } => {
                (format!("It is scheduled for {}, in {in_days} days.", self.moment(*at)), "Is that intended?".into())
            }
            Finding::Scheduled { at } => (format!("It is scheduled {}.", self.at(*at)), none()),
            Finding::DueNoWorker { due_at, last_beat } => (
                format!("It was due {} but no worker is alive to put it in line.", self.ago(*due_at)),
                last_beat.map_or_else(none, |beat| format!("The last heartbeat came {}.", self.ago(beat))),
            ),
            Finding::PromoteLate { due_at, live_workers } => (
                format!("It was due {} and {} put it in line.", self.ago(*due_at), none_has(*live_workers)),
                "A worker does so each second, unless it was built without that duty or somebody has locked the row.".into(),
            ),

            Finding::NoLiveWorkers { last_worker, last_beat } => (
                match last_beat {
                    Some(beat) => format!("No worker is alive anywhere; the last heartbeat came {}.", self.ago(*beat)),
                    None => "No worker is alive anywhere.".into(),
                },
                last_worker.as_deref().map_or_else(none, |worker| format!("It was that of `{}`.", cut(worker))),
            ),
            Finding::NoWorker { queue, last_worker, last_beat, nearest } => (
                match (last_worker, last_beat) {
                    (Some(worker), Some(beat)) => {
                        format!("No live worker serves queue `{queue}`; the last, `{}`, went silent {}.", cut(worker), self.ago(*beat))
                    }
                    _ => match nearest {
                        Some(nearest) => format!("No live worker serves queue `{queue}`; did you mean `{nearest}`?"),
                        None => format!("No live worker serves queue `{queue}`."),
                    },
                },
                format!("Jobs wait until a worker with `.queue(\"{queue}\", ..)` starts."),
            ),
            Finding::Paused { queue, by, reason, paused_at, until } => {
                let by = by.as_deref().map(|by| format!(" by {}", cut(by))).unwrap_or_default();
                let since = paused_at.map(|at| format!(" since {}", self.moment(at))).unwrap_or_default();
                (
                    format!("Queue `{queue}` is paused{by}{since}{}.", quoted(reason.as_deref())),
                    until.map_or_else(|| "No end was set.".to_owned(), |until| format!("It resumes {}.", self.at(until))),
                )
            }
            Finding::NoHandler { queue, kind, workers, last_worker, last_beat } => (
                match workers {
                    1 => format!("1 worker serves `{queue}` and has no handler for `{kind}`."),
                    n => format!("{n} workers serve `{queue}`, but none has a handler for `{kind}`."),
                },
                match (last_worker, last_beat) {
                    (Some(worker), Some(beat)) => format!("`{}` had it until {}.", cut(worker), self.moment(*beat)),
                    _ => "Jobs wait until a worker with that handler starts.".into(),
                },
            ),
            Finding::OldRevision { queue, kind, revision, known, .. } => (
                format!("The workers of `{queue}` know `{kind}` up to revision {known}, and it has revision {revision}."),
                "It waits for a worker of the newer code.".into(),
            ),

            Finding::WorkersQuiet { queue, kind, workers, name, by, reason, quiet_at, .. } => {
                let by = by.as_deref().map(|by| format!(" by {}", cut(by))).unwrap_or_default();
                let since = quiet_at.map(|at| format!(" since {}", self.moment(at))).unwrap_or_default();
                let (name, reason) = (cut(name), quoted(reason.as_deref()));
                (
                    match workers {
                        1 => format!("The only worker that takes `{kind}` from `{queue}`, `{name}`, is kept quiet{by}{since}{reason}."),
                        n => format!("All {n} workers that take `{kind}` from `{queue}` are kept quiet, `{name}`{by}{since}{reason}."),
                    },
                    "They finish what they run and claim nothing more, until they are resumed or started again.".into(),
                )
            }

            Finding::TableLock { session, waiters, workers, waiting_since, relation } => (
                format!(
                    "{} has locked {} against everybody{}.",
                    who(session),
                    relation.as_deref().map_or_else(|| "a table of Haulage".to_owned(), |table| format!("table `{table}`")),
                    if *waiters == 0 { String::new() } else { format!("; {} for it, {workers} of them of workers", wait(*waiters)) },
                ),
                format!("Since {}. {}", self.moment(*waiting_since), self.does(session)),
            ),
            Finding::DbLock { session, waiters, waiting_since, .. } => (
                format!("{} holds a lock that {} for.", who(session), wait(*waiters)),
                format!("Since {}. {}", self.moment(*waiting_since), self.does(session)),
            ),
            Finding::SlotBlocked { what, limit, ownerless, by } => (
                match limit {
                    1 => format!("The one slot of {what} is held by job {} of `{}`, which nobody runs.", by.id, by.kind),
                    n => format!(
                        "All {} slots of {what} are held by {} that nobody runs, such as {} of `{}`.",
                        thousands(*n),
                        count(*ownerless, "job"),
                        by.id,
                        by.kind
                    ),
                },
                "What was let in keeps its slot, and the others wait behind it.".into(),
            ),
            Finding::KeyFull { key, limit, before, holder, holder_since, .. } => {
                let held = match (holder, holder_since) {
                    (Some(holder), Some(since)) if *limit == 1 => format!("; job {holder} has held it for {}", self.since(*since)),
                    (Some(holder), Some(since)) => format!("; job {holder} has run for {}", self.since(*since)),
                    _ => String::new(),
                };
                (format!("Only {} of key `{key}` may run at once{held}.", count(*limit, "job")), ahead(*before))
            }
            Finding::KeyRate { key, rate: limit, next_at, before, .. } => {
                (format!("Key `{key}` may start {}; the next place is free {}.", rate(limit), self.at(*next_at)), ahead(*before))
            }
            Finding::QueueFull { queue, limit, held, before, eta_s, arriving, done, .. } => (
                format!("Queue `{queue}` is at its limit: {held} of {limit} are running or let in."),
                self.pace(*before, *eta_s, *arriving, *done),
            ),
            Finding::QueueRate { queue, rate: limit, next_at, before, .. } => {
                (format!("Queue `{queue}` may start {}; the next place is free {}.", rate(limit), self.at(*next_at)), ahead(*before))
            }
            Finding::RowLocked { session, locked_since } => (
                format!(
                    "{} holds this row{}, so workers skip it.",
                    who(session),
                    locked_since
                        .map(|since| format!(", in a transaction that has been open for {}", self.since(since)))
                        .unwrap_or_default()
                ),
                self.does(session),
            ),

            Finding::Suspect { crashes, .. } => (
                format!("Its process died {} while it ran, so a worker takes it alone, as soon as one can.", times(i64::from(*crashes))),
                "A third death makes it dead.".into(),
            ),
            Finding::HeadOfLine { queue, kind, holding, slots, longest_since, .. } => (
                match holding {
                    1 => format!(
                        "A job of `{kind}` has held 1 of {} of `{queue}` for {}.",
                        count(*slots, "slot"),
                        self.since(*longest_since)
                    ),
                    n => format!(
                        "{n} jobs of `{kind}` hold {n} of {slots} slots of `{queue}`, the longest for {}.",
                        self.since(*longest_since)
                    ),
                },
                format!("Give `{kind}` a queue of its own, or a limit."),
            ),
            Finding::Starved { queue, priority, waits_since } => (
                format!(
                    "Jobs of a higher priority that came later go first in `{queue}`, so priority {priority} has waited for {}.",
                    self.since(*waits_since)
                ),
                none(),
            ),
            Finding::SlotsFull { queue, slots, workers, before, eta_s, arriving, done, .. } => (
                match slots {
                    1 => format!("The one slot of `{queue}` is busy."),
                    n => format!("All {} slots of `{queue}` on {} are busy.", thousands(*n), count(*workers, "worker")),
                },
                self.pace(*before, *eta_s, *arriving, *done),
            ),
            Finding::InLine { queue, before, eta_s, .. } => {
                (format!("{} in the line of `{queue}`{}.", are_before(*before), about(*eta_s)), none())
            }
            Finding::Ready { .. } => ("It can run now and should start within a minute.".into(), none()),
            Finding::Unexplained { queue, waits_since, last_claim, workers, busy, .. } => (
                format!("Nothing we check explains this: it could have run for {}.", self.since(*waits_since)),
                format!(
                    "{}; {}.{}",
                    if *workers == 1 {
                        "1 live worker takes such jobs".to_owned()
                    } else {
                        format!("{workers} live workers take such jobs")
                    },
                    match last_claim {
                        Some(last) => format!("the last claim from `{queue}` was {}", self.ago(*last)),
                        None => format!("no claim from `{queue}` is known"),
                    },
                    match busy {
                        0 => String::new(),
                        n => format!(
                            " {} they may run: if its handler blocks, it may wait for one of their threads.",
                            capital(&count(*n, "job"))
                        ),
                    }
                ),
            ),

            Finding::ScheduleMissed { schedule, due_at, live_workers, .. } => (
                format!("Schedule `{}` should have fired {}, and has not.", cut(schedule), self.ago(*due_at)),
                match live_workers {
                    0 => "No worker is alive.".into(),
                    n => format!("{} fired it: built without schedules, or unable to read its expression.", capital(&none_has(*n))),
                },
            ),
            Finding::OldSnapshot { session, dead_rows } => (
                format!(
                    "{} has kept a transaction open{}; {dead_rows} dead rows stay for it, and claims slow down.",
                    who(session),
                    session.since.map(|since| format!(" for {}", self.since(since))).unwrap_or_default()
                ),
                self.does(session),
            ),
            Finding::Connections { used, most } => (
                format!("{used} of {most} connections of the server are in use."),
                "When none is left, workers that lose theirs don't come back.".into(),
            ),
            Finding::Clock { worker, offset_ms } => (
                format!(
                    "The clock of `{}` is {} {} that of the database.",
                    cut(worker),
                    length(offset_ms.unsigned_abs() as f64 / 1e3),
                    if *offset_ms > 0 { "ahead of" } else { "behind" }
                ),
                "Times that it computes are off by that; those of Haulage are the database's.".into(),
            ),
            Finding::Listener { worker, heard_at } => (
                format!("`{}` hears no notifications, so it finds jobs only when it polls.", cut(worker)),
                heard_at.map_or_else(none, |at| format!("It heard one last {}.", self.ago(at))),
            ),
        }
    }

    fn since(&self, time: DateTime<Utc>) -> String {
        length(seconds(self.now - time))
    }

    fn ago(&self, time: DateTime<Utc>) -> String {
        match self.now - time {
            passed if passed < TimeDelta::seconds(1) => "just now".into(),
            passed => format!("{} ago", length(seconds(passed))),
        }
    }

    /// `at 14:02:07Z, in 48 s`.
    fn at(&self, time: DateTime<Utc>) -> String {
        let rest = time - self.now;
        match rest < TimeDelta::seconds(1) {
            true if rest > -TimeDelta::seconds(2) => "now".into(),
            true => format!("{}, {}", self.moment_at(time), self.ago(time)),
            false => format!("{}, in {}", self.moment_at(time), length(seconds(rest))),
        }
    }

    fn moment_at(&self, time: DateTime<Utc>) -> String {
        let near = (time - self.now).abs() < TimeDelta::hours(12);
        if near { format!("at {}", self.moment(time)) } else { format!("on {}", self.moment(time)) }
    }

    /// A time of the day, with the day if that is another.
    fn moment(&self, time: DateTime<Utc>) -> String {
        let near = (time - self.now).abs() < TimeDelta::hours(12);
        time.format(if near { "%H:%M:%SZ" } else { "%Y-%m-%d %H:%MZ" }).to_string()
    }

    fn does(&self, session: &Session) -> String {
        match (session.state.as_deref(), session.query.as_deref()) {
            (Some("idle in transaction"), Some(query)) => format!("It is idle; its last statement was: {}", cut(query)),
            (_, Some(query)) if !query.is_empty() => format!("It runs: {}", cut(query)),
            _ if session.backend_start.is_none() => "What it does is not visible to this role.".into(),
            _ => String::new(),
        }
    }

    fn pace(&self, before: i64, eta_s: Option<f64>, arriving: f64, done: f64) -> String {
        let line = ahead(before);
        let pace = if grows(arriving, done) {
            let more = ((arriving - done) * 60.0).round().max(1.0);
            format!("Finishing {done:.1}/s and arriving {arriving:.1}/s, so the line grows by {more:.0} a minute.")
        } else if let Some(eta) = eta_s {
            format!("At {done:.1}/s it is its turn in about {}.", length(round(eta)))
        } else {
            String::new()
        };
        [line, pace].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

fn took(story: &Story) -> (String, String) {
    let parts = [
        (story.scheduled_s, "until it could run".to_owned()),
        (story.line_s, "in line".to_owned()),
        (
            story.backoff_s,
            match &story.last_error {
                Some(error) => format!("of backoff after {}", cut(error)),
                None => "of backoff".to_owned(),
            },
        ),
        (story.snoozed_s, "snoozed".to_owned()),
        (story.ended_s, "until somebody retried it".to_owned()),
    ];
    let mut parts: Vec<_> = parts.into_iter().filter(|(time, _)| *time >= 0.05).collect();
    parts.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let parts: Vec<String> = parts.into_iter().map(|(time, what)| format!("{} {what}", length(time))).collect();
    let sentence = match parts.is_empty() {
        true => format!("Took {}.", length(story.total_s)),
        false => format!("Took {}, of which {} was waiting: {}.", length(story.total_s), length(story.waited_s()), parts.join(", ")),
    };
    let mut detail = format!("The work itself took {}", length(story.worked_s));
    if story.attempts > 1 {
        detail += &format!(" in {} attempts", story.attempts);
    }
    if story.lost_s > 0.0 {
        detail += &format!(", and {} were lost with workers that died", length(story.lost_s));
    }
    detail += &match story.p50_s.zip(story.p95_s) {
        Some((p50, p95)) => format!("; usual for its kind: {} (95 %: {}).", length(p50), length(p95)),
        None => ".".into(),
    };
    (sentence, detail)
}

/// `780 ms`, `1.1 s`, `12 s`, `15 m 5 s`, `3 h 4 m`, `2 d 3 h`.
pub(crate) fn length(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as i64;
    let two =
        |big: i64, of: &str, small: i64, part: &str| if small == 0 { format!("{big} {of}") } else { format!("{big} {of} {small} {part}") };
    match seconds {
        s if s < 0.9995 => format!("{:.0} ms", (s.max(0.0)) * 1e3),
        s if s < 9.95 => format!("{s:.1} s").replace(".0 s", " s"),
        _ if whole < 60 => format!("{whole} s"),
        _ if whole < 3_600 => two(whole / 60, "m", whole % 60, "s"),
        _ if whole < 86_400 => two(whole / 3_600, "h", whole % 3_600 / 60, "m"),
        _ => two(whole / 86_400, "d", whole % 86_400 / 3_600, "h"),
    }
}

fn seconds(time: TimeDelta) -> f64 {
    time.num_milliseconds() as f64 / 1e3
}

/// In steps of 1, 2, 5: more would be a promise.
fn round(seconds: f64) -> f64 {
    let step = 10f64.powf(seconds.max(1.0).log10().floor());
    (seconds / step).round().clamp(1.0, 10.0) * step
}

fn about(eta_s: Option<f64>) -> String {
    eta_s.map(|eta| format!("; it should start in about {}", length(round(eta)))).unwrap_or_default()
}

fn ahead(before: i64) -> String {
    if before == 0 { String::new() } else { format!("{}.", are_before(before)) }
}

fn are_before(before: i64) -> String {
    match before {
        1 => "1 job is before it".into(),
        10_001.. => "More than 10,000 jobs are before it".into(),
        n => format!("{} jobs are before it", thousands(n)),
    }
}

fn count(n: i64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{} {what}s", thousands(n)) }
}

/// Somebody should have, and nobody has.
fn none_has(live_workers: i64) -> String {
    match live_workers {
        1 => "the one live worker has not".into(),
        n => format!("none of {n} live workers has"),
    }
}

fn wait(sessions: i64) -> String {
    if sessions == 1 { "1 session waits".into() } else { format!("{sessions} sessions wait") }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn times(n: i64) -> String {
    match n {
        1 => "once".into(),
        2 => "twice".into(),
        n => format!("{n} times"),
    }
}

/// `10,001` as people read it.
pub(crate) fn thousands(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if n < 0 { format!("-{text}") } else { text }
}

fn rate(limit: &Limit) -> String {
    limit.max_starts().map_or_else(
        || "no more".to_owned(),
        |(count, per, _)| match per.as_secs_f64() {
            1.0 => format!("{count} a second"),
            60.0 => format!("{count} a minute"),
            3_600.0 => format!("{count} an hour"),
            per => format!("{count} in {}", length(per)),
        },
    )
}

pub(super) fn who(session: &Session) -> String {
    let user = session.user.as_deref().map(|user| format!(" of {}", cut(user))).unwrap_or_default();
    match session.application.trim() {
        "" => format!("Session {}{user}", session.pid),
        application => format!("Session {} (`{}`){user}", session.pid, cut(application)),
    }
}

fn named(worker: Option<&str>) -> String {
    worker.map_or_else(|| "its worker".to_owned(), |worker| format!("`{}`", cut(worker)))
}

fn because(why: Option<&str>) -> String {
    colon(why)
}

fn colon(text: Option<&str>) -> String {
    text.map(cut).filter(|text| !text.is_empty()).map(|text| format!(": {}", text.trim_end_matches('.'))).unwrap_or_default()
}

fn quoted(text: Option<&str>) -> String {
    text.map(cut).filter(|text| !text.is_empty()).map(|text| format!(": “{text}”")).unwrap_or_default()
}

/// What others wrote, on one line and not too long. What would steer a terminal, or look like our own names, is left out.
fn cut(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c }).filter(|c| *c != '`').collect();
    let line = line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_said_in_two_parts() {
        for (seconds, text) in [
            (0.0, "0 ms"),
            (0.78, "780 ms"),
            (0.9999, "1 s"),
            (1.08, "1.1 s"),
            (2.0, "2 s"),
            (9.97, "10 s"),
            (59.6, "1 m"),
            (905.0, "15 m 5 s"),
            (11_040.0, "3 h 4 m"),
            (183_600.0, "2 d 3 h"),
            (-1.0, "0 ms"),
        ] {
            assert_eq!(length(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn what_others_wrote_is_one_line_that_can_steer_nothing() {
        assert_eq!(cut("a\u{1b}[31m\n\n `b`  c"), "a [31m b c");
        assert_eq!(cut(&"é".repeat(500)).chars().count(), TEXT + 1);
        assert_eq!(thousands(60_012), "60,012");
        assert_eq!((thousands(999), thousands(1_000_000)), ("999".into(), "1,000,000".into()));
        assert_eq!((round(47.0), round(951.0), round(0.2)), (50.0, 1_000.0, 1.0));
    }
}
