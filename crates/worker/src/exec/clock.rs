//! The time of day, for what leaves this process: a receiver checks a signature's age against its own clock. No statement sees it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[expect(clippy::disallowed_methods, reason = "another program reads it, which has no connection to our database")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

/// Seconds since 1970.
pub(super) fn unix(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
