//! The span of an attempt as `tracing` has it: a root, current while the handler runs.

use haulage_queue::telemetry::{ATTEMPT, TARGET};
use tracing::Span;

use crate::{KeepLogs, context::Attempt, logs::recorded, shared::Shared};

/// Opens it. Costs a load and a branch while nobody is interested.
pub(super) fn open(shared: &Shared, attempt: &Attempt) -> Span {
    gathering(shared, attempt, || {
        tracing::info_span!(
            target: TARGET,
            parent: None,
            ATTEMPT,
            otel.kind = "consumer",
            haulage.job.id = attempt.settled.id.0,
            messaging.destination.name = &*attempt.queue,
            haulage.job.kind = &*attempt.kind,
            haulage.job.attempt = attempt.number,
        )
    })
}

/// The same of an attempt whose span nobody records. Each field would be copied for OpenTelemetry; who writes log lines is the subscriber
/// of whoever has foretold it, and finds the attempt's names in its record.
#[cfg(feature = "otel")]
pub(super) fn open_bare(shared: &Shared, attempt: &Attempt) -> Span {
    gathering(shared, attempt, || tracing::info_span!(target: TARGET, parent: None, ATTEMPT))
}

fn gathering(shared: &Shared, attempt: &Attempt, open: impl FnOnce() -> Span) -> Span {
    let (span, record) = recorded(shared.settings.keep_logs != KeepLogs::Never, open);
    if let Some(record) = record {
        attempt.recorded(record);
    }
    span
}
