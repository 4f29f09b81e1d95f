//! What the why engine asks, in files by what is asked about.

mod fleet;
mod job;
mod line;
mod queue;
mod server;

use chrono::TimeDelta;
pub(crate) use fleet::{why_arrivals, why_fleet, why_health, why_orphans, why_running, why_usual, why_workers};
pub(crate) use job::{why_attempts, why_finished, why_gone, why_held, why_job, why_locker, why_lockers};
pub(crate) use line::{why_ahead, why_ahead_of_key, why_backoffs, why_dead, why_depth, why_due, why_lines, why_waiting};
pub(crate) use queue::{why_keys, why_queues};
pub use server::get_backend;
pub(crate) use server::{end_session, why_database, why_lock_waits, why_schedules, why_table_lockers};

type Result<T> = std::result::Result<T, sqlx::Error>;

fn seconds(time: TimeDelta) -> f64 {
    time.num_milliseconds() as f64 / 1e3
}
