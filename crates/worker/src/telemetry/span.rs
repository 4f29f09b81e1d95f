//! The span of an attempt as `tracing` has it: a root, current while the handler runs.

#[cfg(feature = "otel")]
use haulage_queue::telemetry::UNRECORDED;
use haulage_queue::telemetry::{ATTEMPT, TARGET};
use tracing::Span;

use crate::{KeepLogs, context::Attempt, logs::recorded, shared::Shared};

/// A target is a part of a span's place in the program.
macro_rules! process {
    ($target:expr, $attempt:expr) => {
        tracing::info_span!(
            target: $target,
            parent: None,
            ATTEMPT,
            otel.kind = "consumer",
            haulage.job.id = $attempt.settled.id.0,
            messaging.destination.name = $attempt.queue,
            haulage.job.kind = $attempt.kind,
            haulage.job.attempt = $attempt.number,
        )
    };
}

/// Opens it. Costs a load and a branch while nobody is interested.
pub(super) fn open(shared: &Shared, attempt: &Attempt) -> Span {
    gathering(shared, attempt, || process!(TARGET, attempt))
}

/// The same of an attempt whose span nobody records: for logs alone.
#[cfg(feature = "otel")]
pub(super) fn open_unrecorded(shared: &Shared, attempt: &Attempt) -> Span {
    gathering(shared, attempt, || process!(UNRECORDED, attempt))
}

fn gathering(shared: &Shared, attempt: &Attempt, open: impl FnOnce() -> Span) -> Span {
    let (span, record) = recorded(shared.settings.keep_logs != KeepLogs::Never, open);
    if let Some(record) = record {
        attempt.recorded(record);
    }
    span
}
