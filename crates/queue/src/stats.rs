//! What ended in a time, step by step, and how long it waited and ran: what charts are drawn from.
//!
//! Workers add it up in their memory and write it about once a minute (see `haulage.save_minutes`), so reading it costs as much as there are
//! queues and kinds, not jobs. What operators cancel or discard while it waits is not among it: no worker saw it end.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::{ReadError, store};

/// How far back, and in which steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatsRange {
    /// An hour by minutes.
    Hour,
    /// Six hours by tens of minutes.
    SixHours,
    /// A day by half hours.
    Day,
    /// A week by three hours.
    Week,
}

impl StatsRange {
    /// All, the shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::SixHours, Self::Day, Self::Week];

    /// As in a URL: "1h", "6h", "24h", "7d".
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::SixHours => "6h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    /// Minutes a step.
    pub const fn step(self) -> i32 {
        match self {
            Self::Hour => 1,
            Self::SixHours => 10,
            Self::Day => 30,
            Self::Week => 180,
        }
    }

    /// How many steps.
    pub const fn steps(self) -> i32 {
        match self {
            Self::Hour => 60,
            Self::SixHours => 36,
            Self::Day => 48,
            Self::Week => 56,
        }
    }

    /// How long the rows are that it is read from, in minutes.
    pub(crate) const fn length(self) -> i16 {
        match self {
            Self::Hour => 1,
            Self::SixHours | Self::Day => 10,
            Self::Week => 60,
        }
    }
}

/// What ended in one step.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Stat {
    /// When the step begins.
    pub start: DateTime<Utc>,
    /// Jobs that completed.
    pub completed: i64,
    /// Attempts that failed and were not the last.
    pub retried: i64,
    /// Jobs that died.
    pub dead: i64,
    /// Jobs that were cancelled while they ran.
    pub cancelled: i64,
    /// Attempts that put their job off.
    pub snoozed: i64,
    /// How long attempts waited: from when only the queue made them wait until their handler started.
    pub wait: Lengths,
    /// How long handlers ran.
    pub run: Lengths,
}

/// How long something took, of many: counted by length, so that steps and processes add up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Lengths {
    /// Of all together, in ms.
    pub total_ms: i64,
    /// The first counts those below 1 ms, the next below 2, 4, 8, ... ms.
    pub counts: Vec<i64>,
}

/// Lengths are told apart up to 2^26 ms, which is 18 hours.
#[doc(hidden)]
pub const LENGTHS: usize = 28;

impl Lengths {
    /// Which of the counts a length belongs to.
    #[doc(hidden)]
    pub fn place(length: Duration) -> usize {
        let ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        usize::try_from(u64::BITS - ms.leading_zeros()).unwrap_or(LENGTHS).min(LENGTHS - 1)
    }

    /// Adds others.
    pub fn add(&mut self, others: &Self) {
        self.total_ms += others.total_ms;
        if self.counts.len() < others.counts.len() {
            self.counts.resize(others.counts.len(), 0);
        }
        self.counts.iter_mut().zip(&others.counts).for_each(|(own, other)| *own += other);
    }

    /// How many.
    pub fn count(&self) -> i64 {
        self.counts.iter().sum()
    }

    /// What this share of them took at most, about, in seconds: 0.95 for the p95. `None`: there is none.
    pub fn quantile_s(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count <= 0 {
            return None;
        }
        let wanted = share.clamp(0.0, 1.0) * count as f64;
        let mut below = 0.0;
        for (place, own) in self.counts.iter().enumerate().filter(|(_, own)| **own > 0) {
            let own = *own as f64;
            if below + own >= wanted {
                // Taken for evenly spread between the ends of its stretch.
                let upper = (place as f64).exp2();
                let lower = if place == 0 { 0.0 } else { upper / 2.0 };
                return Some((lower + (upper - lower) * ((wanted - below) / own).clamp(0.0, 1.0)) / 1e3);
            }
            below += own;
        }
        None
    }
}

/// What ended in the fleet, or in one queue, step by step, the oldest first; steps in which nothing ended are there too. The last step
/// goes on.
///
/// # Errors
/// [`ReadError`].
pub async fn stats<'c>(executor: impl PgExecutor<'c>, range: StatsRange, queue: Option<&str>) -> Result<Vec<Stat>, ReadError> {
    Ok(store::list_minutes(executor, range.length(), range.step(), range.steps(), queue).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_counted_with_those_like_it() {
        for (us, place) in [(0, 0), (999, 0), (1_000, 1), (1_999, 1), (2_000, 2), (3_999, 2), (4_000, 3), (1_000_000, 10)] {
            assert_eq!(Lengths::place(Duration::from_micros(us)), place, "{us} us");
        }
        assert_eq!(Lengths::place(Duration::MAX), LENGTHS - 1);
    }

    #[test]
    fn a_quantile_lies_where_its_share_ends() {
        let lengths = |counts: &[i64]| Lengths { total_ms: 0, counts: counts.to_vec() };
        assert_eq!(lengths(&[]).quantile_s(0.95), None);
        assert_eq!(lengths(&[0, 0]).quantile_s(0.5), None);
        // A hundred between 4 and 8 ms.
        assert_eq!(lengths(&[0, 0, 0, 100]).quantile_s(0.5), Some(0.006));
        // 90 below 1 ms, 10 between 512 and 1,024 ms.
        let two = lengths(&[90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10]);
        assert!(two.quantile_s(0.5).unwrap() < 0.001);
        assert_eq!(two.quantile_s(0.95), Some(0.768));
        assert_eq!(two.quantile_s(1.0), Some(1.024));
    }

    #[test]
    fn a_range_is_made_of_whole_rows() {
        for range in StatsRange::ALL {
            assert_eq!(range.step() % i32::from(range.length()), 0);
        }
    }
}
