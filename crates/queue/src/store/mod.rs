//! The only door to the database: one function per file in `sql/`, named alike; but for searches, whose statements are put together
//! in `search/`. No promise of stability; use the crate's root.

mod audit;
mod claim;
mod depths;
mod duty;
mod enqueue;
mod errors;
mod fleet;
mod index;
mod inspect;
mod lease;
mod limit;
mod log;
mod manage;
mod minutes;
mod operation;
mod page;
mod quiet;
mod replica;
mod request;
#[cfg(feature = "schedules")]
mod schedule;
mod search;
mod server;
mod settle;
mod sleep;
mod story;
#[cfg(feature = "testing")]
mod testing;
mod traces;
mod why;

pub use claim::{Claim, Claimed, Kinds, Request, claim_jobs, claim_suspect, oldest_running};
pub use duty::{
    Missed, Promoted, Rescued, cancel_requested, drop_partition, make_partitions, mark_dead_workers, promote_jobs, prune_audit,
    prune_operations, prune_side_rows, rescue_jobs, save_progress, sweep_line,
};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};

pub use crate::trace::StoredRelation;
pub(crate) use audit::{AuditRow, write_audit};
pub(crate) use depths::list_depths;
pub use depths::{prune_depths, sample_depths};
pub(crate) use enqueue::{call_enqueue, enqueue_job, enqueue_jobs, enqueue_unique_jobs};
pub use errors::{NotedError, list_error_hours, prune_errors, save_errors};
pub(crate) use errors::{get_error, list_errors};
pub(crate) use fleet::get_clock;
pub use fleet::{CauseSample, FleetSample, QueueSample, arbitrate_sample, previous_attempts, sample_fleet};
pub use index::{HistoryIndex, arbitrate_indexing, build_history_index, may_lack_index, next_history_index};
pub use inspect::list_unhandled;
pub(crate) use inspect::{find_jobs_by_request, find_jobs_by_trace, get_job, get_job_detail, list_attempts, list_workers};
pub use lease::{
    Beat, Registration, Session, ask_session, beat_worker, delete_leases, limit_idle_transaction, limit_lock, limit_statement,
    register_worker, remove_worker, return_stranded, take_over_session, tell_worker,
};
pub use limit::{Admission, admit_keys, admit_queue, hold_rates, list_key_limits, list_queue_names, list_queues, waiting_keys};
pub(crate) use limit::{limit_key, limit_queue, list_class_keys, look_at_key_limit, look_at_queue, pause_queue, resume_queue, unlimit_key};
pub(crate) use log::list_attempt_logs;
pub use log::{LogTail, StoredLine, save_logs, save_spans};
pub(crate) use manage::{
    Finished, cancel_job, cancel_jobs, delete_jobs, discard_jobs, edit_args, hold_jobs, look_at_jobs, move_jobs, release_jobs,
    reprioritise_jobs, retry_jobs, run_job_again, run_jobs_now, wait_a_moment,
};
pub use manage::{get_args, take_turn};
pub(crate) use minutes::list_minutes;
pub use minutes::{Counted, Tally, list_paces, prune_minutes, save_minutes};
pub(crate) use operation::{
    advance_operation, cancel_operation, get_operation, list_operations, lock_operation, plan_by_index, reopen_operation, start_operation,
};
pub use page::{
    JobSheet, JsonText, RunningJob, StateCounts, Waiting, count_lines, count_states, count_workers, get_job_sheet, list_running,
    list_states, page_attempts, sample_kinds, start_reading,
};
pub(crate) use quiet::{look_at_worker, quiet_worker, resume_worker};
pub use replica::{ServerIdentity, Standing, conflicts_with_recovery, get_wal_position, identify_server, start_reading_replica};
pub use request::{Answered, answer_request, get_request, note_request, prune_requests};
#[cfg(feature = "schedules")]
pub use schedule::{Due, Fire, Fired, Instant, Unreadable, list_fires, list_schedules};
#[cfg(feature = "schedules")]
pub(crate) use schedule::{
    declare_schedules, delete_schedule, drop_schedules, fire_schedules, lock_due_schedules, lock_schedule, next_schedule, pause_schedule,
    resume_schedule, run_schedule, trace_jobs,
};
pub(crate) use search::{PAGE_REACH, Parts, count_jobs, lock_jobs, pick_jobs, search_audit, search_jobs};
pub use server::{HistoryDays, ServerFacts, describe_server, list_history_days};
pub use settle::{
    Burial, Reschedule, Settled, Unsettled, bury_jobs, complete_jobs, find_settled, forget_jobs, reschedule_jobs, return_jobs,
};
pub use sleep::{call_oneself, sleep_on_queues, sleep_until_due, stay_awake};
pub use story::{AttemptTrace, write_attempt_traces};
pub(crate) use story::{
    begin_reading, find_attempt_traces, list_attempt_traces, list_family, list_queue_acts, list_story_acts, list_story_attempts,
    list_story_jobs, list_story_queues,
};
#[cfg(feature = "testing")]
pub(crate) use testing::{Listed, list_jobs_with_args, list_left_databases};
#[cfg(feature = "testing")]
pub use testing::{bring_forward_job, claim_job};
pub use traces::{TraceLine, WhichTraces, list_traces};
pub use why::get_backend;
pub(crate) use why::{
    end_session, why_ahead, why_ahead_of_key, why_arrivals, why_attempts, why_backoffs, why_database, why_dead, why_depth, why_due,
    why_finished, why_fleet, why_gone, why_health, why_held, why_job, why_keys, why_lines, why_lock_waits, why_locker, why_lockers,
    why_orphans, why_queues, why_running, why_schedules, why_table_lockers, why_usual, why_waiting, why_workers,
};

use crate::JobId;

/// What kind of trouble an error is: it decides between retry, refusal and advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The connection is gone or could not be made.
    Unavailable,
    /// A concurrent transaction won; repeating helps.
    Serialization,
    /// The server accepts no writes.
    ReadOnly,
    /// A table or function is missing.
    Schema,
    /// The history has no partition for today.
    NoPartition,
    /// The statement was cancelled, or took longer than it may.
    Cancelled,
    /// A value that Postgres refuses.
    Data,
    /// Anything else.
    Other,
}

/// Sorts an error by its SQLSTATE.
pub fn failure(error: &sqlx::Error) -> Failure {
    let Some(database) = error.as_database_error() else {
        return match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Failure::Unavailable,
            _ => Failure::Other,
        };
    };
    match database.code().as_deref().unwrap_or_default() {
        "40001" | "40P01" => Failure::Serialization,
        "25006" => Failure::ReadOnly,
        "42P01" | "3F000" | "42883" | "42703" => Failure::Schema,
        // "no partition of relation found for row" is the only check violation with a table and without a constraint.
        "23514" if database.constraint().is_none() => Failure::NoPartition,
        "57014" => Failure::Cancelled,
        "57P01" | "57P02" | "57P03" | "53300" => Failure::Unavailable,
        code if code.starts_with("08") => Failure::Unavailable,
        code if code.starts_with("22") || code.starts_with("23") || code == "54000" => Failure::Data,
        _ => Failure::Other,
    }
}

/// Whether it helps to try the same again: what failed is not the statement nor a value of it.
pub fn passes(error: &sqlx::Error) -> bool {
    use Failure::{Cancelled, ReadOnly, Serialization, Unavailable};
    matches!(failure(error), Unavailable | ReadOnly | Serialization | Cancelled) || lock_timed_out(error)
}

/// Whether a statement gave up waiting for a lock.
pub fn lock_timed_out(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("55P03")
}

/// As an array.
fn ids(jobs: &[JobId]) -> Vec<i64> {
    jobs.iter().map(|job| job.0).collect()
}

/// The longest error text stored, in bytes: 8 KiB.
pub const MAX_TEXT_BYTES: usize = 8 << 10;

/// A text as Postgres can store it: no NUL, and cut to 8 KiB at a character's edge.
pub fn clean_text(text: &str) -> String {
    let mut clean = text.replace('\0', "\u{FFFD}");
    if clean.len() > MAX_TEXT_BYTES {
        let end = (0..=MAX_TEXT_BYTES - 3).rev().find(|end| clean.is_char_boundary(*end)).unwrap_or(0);
        clean.truncate(end);
        clean.push('…');
    }
    clean
}

/// The application's own options, plus a name for `pg_stat_activity` and what keeps hot plans: a statement prepared while the
/// tables are empty would keep a scan that is ruinous once they are full. These connections are the worker's alone, so the
/// application never meets the settings.
pub fn worker_options(from: &PgConnectOptions, name: &str) -> PgConnectOptions {
    from.clone()
        .application_name(&format!("haulage {name}").chars().take(63).collect::<String>())
        .options([
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("enable_bitmapscan", "off"),
            // A plan that can't avoid what is switched off looks dear enough to compile, which takes 0.7 s a statement.
            ("jit", "off"),
            // Planning a claim anew costs as much as taking some seventy jobs, and no plan depends on the values.
            ("plan_cache_mode", "force_generic_plan"),
            ("lock_timeout", "0"),
            // None of ours sits idle for long: a transaction whose connection is gone, without a word of it, must not hold its locks.
            ("idle_in_transaction_session_timeout", "30s"),
            ("idle_session_timeout", "0"),
            ("statement_timeout", "0"),
        ])
        .disable_statement_logging()
}
