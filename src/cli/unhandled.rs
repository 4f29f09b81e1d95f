//! Jobs that wait for a worker that is not there, as a table.

use std::time::Duration;

use haulage::{MissingWorker, UnhandledKind};

use super::{output::safe, table::table};

/// Lines of queue and kind, and what is missing.
pub(crate) fn shown(waiting: &[UnhandledKind]) -> String {
    let rows: Vec<_> = waiting.iter().map(row).collect();
    table(["QUEUE", "KIND", "REVISION", "JOBS", "OLDEST", "MISSING"], &rows)
}

fn row(jobs: &UnhandledKind) -> [String; 6] {
    let oldest = Duration::try_from_secs_f64(jobs.oldest_s.max(0.0).round()).unwrap_or_default();
    [
        safe(&jobs.queue),
        safe(&jobs.kind),
        jobs.revision.to_string(),
        if jobs.at_least { format!("at least {}", jobs.jobs) } else { jobs.jobs.to_string() },
        humantime::format_duration(oldest).to_string(),
        match jobs.missing {
            MissingWorker::Queue => "a worker of the queue".to_owned(),
            MissingWorker::Revision { known } => format!("the revision: workers know up to {known}"),
            _ => "a handler of the kind".to_owned(),
        },
    ]
}
