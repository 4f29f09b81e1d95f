//! Channels of `NOTIFY` and keys of advisory locks, in one place for both sides. The same numbers stand in
//! `migrations/0003_enqueue.sql` and `sql/enqueue_job.sql`; 1751217518 is for duties that one does at a time (4 in
//! `sql/arbitrate_depths.sql`), 1751217520 the lock of `sql/arbitrate_sample.sql`, 1751217521 the turns of large claims in
//! `migrations/0012_turns.sql`, 1751217522 those of two people who press one button.
//!
//! A worker about to sleep takes a shared lock; an enqueue tries the exclusive one and notifies only if that fails. So a
//! `NOTIFY`, which serialises commits, is sent only while somebody sleeps.

/// An available job: the payload is its queue.
pub const WAKE: &str = "haulage_wake";
/// A scheduled job that may be due before the promoter's next look; no payload.
pub const DUE: &str = "haulage_due";
/// The beginning of the channel on which a listening connection calls itself; a number of its own follows.
pub const ECHO: &str = "haulage_echo_";
/// A request to cancel a running job: the payload is its id.
pub const CANCEL: &str = "haulage_cancel";
