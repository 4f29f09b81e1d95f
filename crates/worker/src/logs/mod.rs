//! What handlers say: the last lines that each attempt logs, and the span it is in.
//!
//! ```text
//!  handler ── tracing ──> layer ──> the attempt's record ──┬─ it failed ──> tails ──> the duties' connection ──> haulage.attempt_logs
//!                         (of the application's            └─ it runs for long ──> heartbeat ──> haulage.running_spans
//!                          subscriber)
//! ```
//! The layer finds an attempt by its span, so what a handler logs on other threads counts too, as long as that is inside the span. A
//! record holds little, and nobody looks at that of an attempt that succeeds: secrets are searched for when a tail is written.

mod layer;
mod record;
mod tails;

pub use layer::AttemptLogs;
pub(crate) use layer::recorded;
pub(crate) use record::Record;
pub use record::speaker;
pub(crate) use tails::{Tails, Written};

/// Of which attempts the last log lines are stored, if the application has added the layer [`AttemptLogs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeepLogs {
    /// None.
    Never,
    /// Those that failed, panicked, timed out or were cancelled.
    #[default]
    Failed,
    /// All that leave something in the history, those that succeeded or snoozed too.
    Always,
}
