//! The span of an attempt as `tracing` has it: a root, current while the handler runs.

use haulage_queue::telemetry::TARGET;
use tracing::Span;

use crate::{KeepLogs, context::Attempt, logs::recorded, shared::Shared};

/// Opens it. Costs a load and a branch while nobody is interested.
pub(super) fn open(shared: &Shared, attempt: &Attempt) -> Span {
    let (span, record) = recorded(shared.settings.keep_logs != KeepLogs::Never, || {
        tracing::info_span!(
            target: TARGET,
            parent: None,
            "process",
            otel.kind = "consumer",
            haulage.job.id = attempt.settled.id.0,
            messaging.destination.name = attempt.queue,
            haulage.job.kind = attempt.kind,
            haulage.job.attempt = attempt.number,
        )
    });
    if let Some(record) = record {
        attempt.recorded(record);
    }
    span
}
