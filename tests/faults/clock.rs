//! The clock that all processes of a run share: the machine's uptime. A process under libfaketime has another wall clock, not another uptime.

use std::fs;

/// Seconds since the machine was started, to the hundredth.
pub(crate) fn uptime() -> f64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace().next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default()
}
