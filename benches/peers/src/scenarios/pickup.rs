//! From the enqueue to the handler's start, on an idle worker.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::timeout;

use super::{LIMIT, Play, stop};
use crate::{
    participants::Aim,
    process::now_us,
    report::{Measured, percentile},
};

const TIMES: u32 = 100;
const EVERY: Duration = Duration::from_millis(50);
/// Until the worker is idle: it is connected, its polls have backed off, a leader is elected, and so on.
const SETTLE: Duration = Duration::from_secs(3);

/// The enqueue is here, the handler in a child process; both read the machine's clock.
pub(super) async fn run(play: &Play) -> anyhow::Result<Measured> {
    let producer = play.producer().await?;
    let mut worker = play.worker(Aim::Pickup).await?;
    worker.go().await?;
    tokio::time::sleep(SETTLE).await;
    let begun = Instant::now();
    // From when the enqueue was called, and from when it answered: 0 if the handler had started by then.
    let (mut from_call, mut from_answer) = (Vec::new(), Vec::new());
    for n in 0..u64::from(TIMES) {
        tokio::time::sleep(EVERY).await;
        let called = now_us();
        producer.enqueue(n).await?;
        let answered = now_us();
        let Ok(start) = timeout(LIMIT.saturating_sub(begun.elapsed()), worker.start()).await else { break };
        let (job, at) = start?;
        ensure!(job == n, "job {job} was started instead of job {n}");
        from_call.push(milliseconds(called, at));
        from_answer.push(milliseconds(answered, at));
    }
    stop(worker).await;
    let note = match from_call.len() {
        0 => Some("none picked up in 20 s"),
        count if count < TIMES as usize => Some("fewer than 100 picked up in 20 s"),
        _ => None,
    };
    from_call.sort_by(f64::total_cmp);
    from_answer.sort_by(f64::total_cmp);
    Ok(Measured {
        jobs: from_call.len() as u64,
        p50_ms: percentile(&from_answer, 50),
        p99_ms: percentile(&from_answer, 99),
        from_call_p50_ms: percentile(&from_call, 50),
        from_call_p99_ms: percentile(&from_call, 99),
        note,
        ..Measured::default()
    })
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn milliseconds(from_us: u64, to_us: u64) -> f64 {
    to_us.saturating_sub(from_us) as f64 / 1e3
}
