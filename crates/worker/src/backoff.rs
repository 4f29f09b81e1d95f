//! How long a failed job waits.

use std::time::Duration;

/// The longest wait: a day.
const CAP: Duration = Duration::from_secs(86_400);

/// `failures^4 + 15 s`, give or take a tenth, at most a day: 16 s, 31 s, 96 s, 271 s, ...; 25 failures take about eleven days.
/// The curve of Sidekiq and Oban, with a cap; the jitter spreads the retry storm after an outage.
pub fn default_backoff(failures: u16) -> Duration {
    let base = u64::from(failures).saturating_pow(4).saturating_add(15);
    let base = Duration::from_secs(base).min(CAP).as_secs_f64();
    Duration::from_secs_f64(base * rand::random_range(0.9..=1.1)).min(CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_with_jitter_and_never_passes_a_day() {
        for (failures, seconds) in [(1, 16.0), (2, 31.0), (5, 640.0), (17, 83_536.0)] {
            for _ in 0..100 {
                let wait = default_backoff(failures).as_secs_f64();
                assert!((seconds * 0.9..=seconds * 1.1).contains(&wait), "{failures}: {wait}");
            }
        }
        assert!(default_backoff(u16::MAX) <= CAP && default_backoff(u16::MAX).as_secs_f64() >= 0.9 * CAP.as_secs_f64());
    }

    #[test]
    fn twenty_five_failures_take_about_eleven_days() {
        let days: f64 = (1..25).map(|n| default_backoff(n).as_secs_f64()).sum::<f64>() / 86_400.0;
        assert!((10.0..12.0).contains(&days), "{days}");
    }
}
