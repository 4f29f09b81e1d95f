//! `haulage schedules`.

use chrono::{DateTime, Utc};
use haulage::{ManageError, ScheduleError, ScheduleStatus, list_schedules, schedule};
use serde::Serialize;

use super::{
    NotFound,
    connect::DatabaseUrl,
    operator::By,
    output::{print, print_json, time},
    pause::{self, PauseOptions},
    table::table,
};

/// Instants that `show` tells.
const UPCOMING: usize = 5;

/// Lists schedules, shows, pauses, resumes, runs or deletes one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage schedules list
  haulage schedules show nightly-digest
  haulage schedules pause nightly-digest --reason 'the mail server is down' --for 2h
  haulage schedules run-now nightly-digest")]
pub(crate) struct Schedules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists schedules by name
    #[command(after_help = "\
Examples:
  haulage schedules list
  haulage schedules list --json | jq '.[] | select(.paused_at != null) | .name'")]
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Shows one schedule and when it fires next
    #[command(after_help = "\
Examples:
  haulage schedules show nightly-digest
  haulage schedules show nightly-digest --json | jq -r '.upcoming[]'")]
    Show {
        name: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Stops a schedule from firing; what comes meanwhile is not made up
    #[command(after_help = "\
Examples:
  haulage schedules pause nightly-digest --reason 'the mail server is down' --for 2h")]
    Pause {
        name: String,
        #[command(flatten)]
        options: PauseOptions,
    },
    /// Lets a schedule fire again, from its next instant after now
    #[command(after_help = "\
Examples:
  haulage schedules resume nightly-digest --reason 'the mail server is back'")]
    Resume {
        name: String,
        #[command(flatten)]
        by: By,
    },
    /// Enqueues a schedule's job now, beside its times, and prints its id
    #[command(after_help = "\
Examples:
  haulage schedules run-now nightly-digest
  haulage schedules run-now nightly-digest --reason 'to see the new template'")]
    RunNow {
        name: String,
        #[command(flatten)]
        by: By,
    },
    /// Removes a schedule; a service that still declares it makes it anew when it starts
    #[command(after_help = "\
Examples:
  haulage schedules delete nightly-digest --reason 'its service is gone'")]
    Delete {
        name: String,
        #[command(flatten)]
        by: By,
    },
}

/// What `show --json` prints.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    schedule: &'a ScheduleStatus,
    upcoming: &'a [DateTime<Utc>],
}

impl Schedules {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let pool = database.connect().await?;
        match self.command {
            Command::List { json } => {
                let schedules = list_schedules(&pool).await?;
                if json {
                    return print_json(&schedules);
                }
                if schedules.is_empty() {
                    return print("no schedules\n");
                }
                let rows: Vec<_> = schedules.iter().map(row).collect();
                print(&table(["NAME", "SERVICE", "CRON", "ZONE", "KIND", "QUEUE", "NEXT", "LAST", "PAUSED"], &rows))
            }
            Command::Show { name, json } => {
                let schedule = schedule(&pool, &name).await.map_err(found)?;
                let upcoming = schedule.upcoming(UPCOMING);
                if json {
                    return print_json(&Shown { schedule: &schedule, upcoming: &upcoming });
                }
                print(&shown(&schedule, &upcoming))
            }
            Command::Pause { name, options } => {
                let length = options.length;
                let until = options.operator()?.pause_schedule(&pool, &name, length).await.map_err(acted)?;
                print(&pause::begun(&name, until, "schedules"))
            }
            Command::Resume { name, by } => {
                if !by.operator()?.resume_schedule(&pool, &name).await.map_err(acted)? {
                    return Err(NotFound(format!("the schedule \"{name}\" is not paused")).into());
                }
                let next = schedule(&pool, &name).await.map_err(found)?.next_at;
                print(&format!("{name} fires next at {}\n", next.map_or_else(|| "no time".to_owned(), time)))
            }
            Command::RunNow { name, by } => {
                let id = by.operator()?.run_schedule(&pool, &name).await.map_err(acted)?;
                print(&format!("{id}\n"))
            }
            Command::Delete { name, by } => {
                by.operator()?.delete_schedule(&pool, &name).await.map_err(acted)?;
                print(&format!("{name} is deleted\n"))
            }
        }
    }
}

fn row(schedule: &ScheduleStatus) -> [String; 9] {
    [
        schedule.name.clone(),
        schedule.owner.clone(),
        schedule.cron.clone(),
        schedule.zone.clone(),
        schedule.kind.clone(),
        schedule.queue.clone(),
        schedule.next_at.map(time).unwrap_or_default(),
        schedule.last_at.map(time).unwrap_or_default(),
        paused(schedule).unwrap_or_default(),
    ]
}

fn paused(schedule: &ScheduleStatus) -> Option<String> {
    pause::shown(schedule.paused_at, schedule.paused_until, schedule.paused_by.as_deref(), schedule.paused_why.as_deref())
}

fn shown(schedule: &ScheduleStatus, upcoming: &[DateTime<Utc>]) -> String {
    let mut lines = vec![
        ("schedule", schedule.name.clone()),
        ("service", schedule.owner.clone()),
        ("cron", format!("{} in {}", schedule.cron, schedule.zone)),
        ("job", format!("{} in the queue {}", schedule.kind, schedule.queue)),
        ("missed", schedule.missed.clone()),
        ("overlap", schedule.overlap.clone()),
    ];
    lines.extend(paused(schedule).map(|paused| ("paused", paused)));
    if let Some(last) = schedule.last_at {
        let job = schedule.last_job.map_or_else(String::new, |job| format!(", job {job}"));
        lines.push(("last", format!("{}{job}", time(last))));
    }
    let zone: Option<chrono_tz::Tz> = schedule.zone.parse().ok();
    for (n, instant) in upcoming.iter().enumerate() {
        let there = zone.map_or_else(String::new, |zone| format!("   {}", instant.with_timezone(&zone).format("%a %Y-%m-%d %H:%M:%S %:z")));
        lines.push((if n == 0 { "next" } else { "" }, format!("{}{there}", time(*instant))));
    }
    lines.into_iter().map(|(name, value)| format!("{name:9}{value}\n")).collect()
}

fn acted(error: ManageError) -> anyhow::Error {
    match error {
        ManageError::Schedule(error) => found(error),
        other => other.into(),
    }
}

/// A schedule that is not there has an exit code of its own.
fn found(error: ScheduleError) -> anyhow::Error {
    match error {
        ScheduleError::NotFound { .. } => NotFound(error.to_string()).into(),
        other => other.into(),
    }
}
