//! `haulage doctor`.

use std::{process::ExitCode, time::Duration};

use chrono::{TimeDelta, Utc};
use haulage::{Cause, CauseGroup, Causes, Health, ReadError, SCHEMA_VERSION, SchemaError, causes, check_schema, health, notify, store};
use serde::Serialize;
use sqlx::{PgPool, postgres::PgListener};

use super::{
    connect::DatabaseUrl,
    output::{print, print_json, safe},
};

/// A notification that takes longer does not come.
const HEARD: Duration = Duration::from_secs(3);
/// Questions by which a pooler gives itself away.
const QUESTIONS: usize = 5;
/// A clock that is off by more misleads people.
const CLOCK_OFF: TimeDelta = TimeDelta::seconds(1);
/// An open transaction is worth a word after this long, in seconds.
const OLD_S: f64 = 600.0;

/// Says what holds up jobs in the whole fleet, and whether schema, clocks, connections and server are in order
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage doctor
  haulage doctor --json | jq -r '.causes[].sentence'

Each cause comes with the command that mends it; the codes are in docs/why.md. The exit code is 1 when
something needs a person, so it can stand in a script or a probe.")]
pub(crate) struct Doctor {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    sentence: String,
    /// What mends it.
    fix: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Look,
    Bad,
}

#[derive(Debug, Serialize)]
struct Report {
    /// `None`: the schema does not let anything be asked.
    #[serde(flatten)]
    causes: Option<Causes>,
    checks: Vec<Check>,
}

impl Doctor {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<ExitCode> {
        let pool = database.connect().await?;
        let report = look(&pool).await?;
        match self.json {
            true => print_json(&report)?,
            false => print(&shown(&report))?,
        }
        let bad = report.checks.iter().any(|check| check.state == State::Bad) || report.causes.is_some_and(|causes| causes.need_you());
        Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

async fn look(pool: &PgPool) -> anyhow::Result<Report> {
    let mut connection = pool.acquire().await?;
    let schema = match check_schema(&mut connection).await {
        Ok(()) => check("schema", State::Ok, format!("the schema fits version {SCHEMA_VERSION}"), None),
        Err(error @ SchemaError::Database(_)) => return Err(error.into()),
        Err(error) => {
            let fix = if matches!(error, SchemaError::TooNew { .. }) { None } else { Some("haulage migrate".to_owned()) };
            let schema = check("schema", State::Bad, error.to_string(), fix);
            return Ok(Report { causes: None, checks: vec![schema] });
        }
    };
    // First: behind such a pooler the other answers may be odd.
    let mut checks = vec![schema, of_sessions(pool).await?];
    let found = causes(&mut connection).await?;
    let state = if found.gave_up { State::Bad } else { State::Look };
    checks.extend(found.partial.iter().map(|partial| check("look", state, partial.clone(), None)));
    match health(&mut connection).await {
        Ok(standing) => checks.extend(of_server(&standing)),
        Err(error) => {
            checks.push(check(
                "server",
                State::Bad,
                format!("the server and the workers could not be looked at: {}", reason(&error)),
                None,
            ));
        }
    }
    checks.push(of_notifications(pool).await?);
    Ok(Report { causes: Some(found), checks })
}

/// What the database said.
fn reason(error: &ReadError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn check(name: &'static str, state: State, sentence: String, fix: Option<String>) -> Check {
    Check { name, state, sentence, fix }
}

fn of_server(standing: &Health) -> Vec<Check> {
    let off = (Utc::now() - standing.clock).abs();
    let workers = match (standing.workers, standing.listening, standing.polling) {
        (0, ..) => "no worker is alive".to_owned(),
        (alive, listening, polling) => format!("{alive} alive, {listening} of them listen, {polling} only poll"),
    };
    let clocks = match standing.clock_off_ms {
        Some(ms) => {
            format!("the clocks of the workers are within {ms} ms of the database's, this machine's within {} ms", off.num_milliseconds())
        }
        None => format!("the clock of this machine is within {} ms of the database's", off.num_milliseconds()),
    };
    let worst = standing.clock_off_ms.unwrap_or(0).max(off.num_milliseconds());
    let partitions = "SELECT haulage.make_partitions((now() AT TIME ZONE 'UTC')::date, 5)".to_owned();
    let snapshot = match (&standing.oldest_session, standing.oldest_s) {
        (Some(session), Some(age)) => format!("{session} has the oldest transaction, open for {age:.0} s"),
        _ if !standing.sees_sessions => "what the sessions of others do is not visible to this role: grant it pg_read_all_stats".to_owned(),
        _ => "no other transaction is open".to_owned(),
    };
    let old = standing.oldest_s.is_some_and(|age| age > OLD_S);
    let end = standing.oldest_pid.map(|pid| format!("SELECT pg_terminate_backend({pid})"));
    let dead = standing.dead_rows > 100_000;
    vec![
        check("workers", if standing.workers == 0 { State::Look } else { State::Ok }, workers, None),
        check(
            "clocks",
            if worst > CLOCK_OFF.num_milliseconds() { State::Look } else { State::Ok },
            clocks,
            (worst > CLOCK_OFF.num_milliseconds()).then(|| "timedatectl set-ntp true".to_owned()),
        ),
        check("snapshot", if old { State::Look } else { State::Ok }, snapshot, end.filter(|_| old)),
        check(
            "dead rows",
            if dead { State::Look } else { State::Ok },
            format!("{} dead rows in haulage.live_jobs", standing.dead_rows),
            dead.then(|| "VACUUM haulage.live_jobs".to_owned()),
        ),
        check("connections", State::Ok, format!("{} of {} in use", standing.connections, standing.most_connections), None),
        match (standing.partition_today, standing.partition_tomorrow) {
            (true, true) => check("partitions", State::Ok, "the history has partitions for today and tomorrow".into(), None),
            (true, false) => {
                check("partitions", State::Look, "the history has no partition for tomorrow; a worker makes it".into(), Some(partitions))
            }
            (false, _) => {
                check("partitions", State::Bad, "the history has no partition for today, so no job can finish".into(), Some(partitions))
            }
        },
    ]
}

/// Whether one connection stays with one session of the server.
async fn of_sessions(pool: &PgPool) -> anyhow::Result<Check> {
    let mut connection = pool.acquire().await?;
    let first = store::get_backend(&mut connection).await?;
    let mut others = 0;
    for _ in 0..QUESTIONS {
        others += usize::from(store::get_backend(&mut connection).await? != first);
    }
    Ok(match others {
        0 => check("sessions", State::Ok, "a connection stays with its session".into(), None),
        _ => check(
            "sessions",
            State::Look,
            "a connection changes its session: a pooler in transaction mode, which workers can't run through".into(),
            Some("give the workers a URL that leads to the server itself".into()),
        ),
    })
}

/// Whether a notification from one connection reaches another.
async fn of_notifications(pool: &PgPool) -> anyhow::Result<Check> {
    let channel = format!("{}doctor_{}", notify::ECHO, std::process::id());
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(&channel).await?;
    store::call_oneself(pool, &channel).await?;
    Ok(match tokio::time::timeout(HEARD, listener.recv()).await {
        Ok(Ok(_)) => check("notifications", State::Ok, "notifications arrive".into(), None),
        _ => check(
            "notifications",
            State::Look,
            "notifications do not arrive: workers on this URL find jobs only when they poll".into(),
            Some("give the workers a URL that leads to the server itself, or build them with .poll_only(interval)".into()),
        ),
    })
}

fn shown(report: &Report) -> String {
    let mut text = String::new();
    if let Some(causes) = &report.causes {
        for group in CauseGroup::ALL {
            let of: Vec<&Cause> = causes.of(group).collect();
            if !of.is_empty() {
                text += &format!("{}\n", group.title());
                of.iter().for_each(|cause| text += &described(cause));
                text.push('\n');
            }
        }
        if causes.causes.is_empty() && causes.partial.is_empty() {
            text += match (causes.oldest_ready_s, &causes.oldest_ready_queue) {
                (Some(age), Some(queue)) => format!("Nothing is stuck. The oldest job that could run has waited {age:.0} s ({queue}).\n\n"),
                _ => "Nothing is stuck.\n\n".to_owned(),
            }
            .as_str();
        }
    }
    for check in &report.checks {
        let state = match check.state {
            State::Ok => "ok",
            State::Look => "look",
            State::Bad => "BAD",
        };
        text += &format!("{state:5} {:14} {}\n", check.name, safe(&check.sentence));
        if let Some(fix) = &check.fix {
            text += &format!("{:21}{}\n", "", safe(fix));
        }
    }
    text
}

fn described(cause: &Cause) -> String {
    let verdict = &cause.verdict;
    let jobs = match (cause.jobs, cause.at_least) {
        (0, _) => String::new(),
        (1, false) => ", 1 job".to_owned(),
        (jobs, false) => format!(", {jobs} jobs"),
        (jobs @ 1_000.., true) => format!(", {}+ jobs", jobs / 1_000 * 1_000),
        (jobs, true) => format!(", {jobs}+ jobs"),
    };
    let mut text = format!("  {}{jobs}: {}\n", verdict.code, safe(&verdict.sentence));
    if !verdict.detail.is_empty() {
        text += &format!("      {}\n", safe(&verdict.detail));
    }
    for fix in &verdict.fixes {
        text += &format!("      > {}: {}\n", safe(&fix.label), safe(&fix.command));
    }
    text
}
