//! Where an axis ends and what stands at it: round numbers, so that a height can be read.

use crate::show::{number, span};

/// The axis of a chart.
#[derive(Debug)]
pub(super) struct Scale {
    /// The value at its end.
    pub(super) top: f64,
    /// What is marked, from the top.
    pub(super) levels: Vec<(f64, String)>,
}

/// Ends of an axis of time, in seconds; halves of them are round, too.
const SECONDS: [f64; 26] = [
    0.002, 0.004, 0.01, 0.02, 0.04, 0.1, 0.2, 0.4, 1.0, 2.0, 4.0, 10.0, 20.0, 60.0, 120.0, 240.0, 600.0, 1_200.0, 3_600.0, 7_200.0,
    14_400.0, 43_200.0, 86_400.0, 172_800.0, 345_600.0, 864_000.0,
];

impl Scale {
    /// Up to this count.
    pub(super) fn of_counts(most: f64) -> Self {
        let mut power = 1.0;
        while power * 10.0 < most {
            power *= 10.0;
        }
        let top = [2.0, 4.0, 6.0, 8.0, 10.0].into_iter().map(|step| step * power).find(|top| *top >= most).unwrap_or(power * 10.0);
        Self::new(top, count)
    }

    /// Up to this many seconds.
    pub(super) fn of_seconds(most: f64) -> Self {
        let top = SECONDS.into_iter().find(|top| *top >= most).unwrap_or(most);
        Self::new(top, |seconds| if seconds == 0.0 { "0".to_owned() } else { span(seconds) })
    }

    fn new(top: f64, word: impl Fn(f64) -> String) -> Self {
        Self { top, levels: [top, top / 2.0, 0.0].map(|value| (value, word(value))).to_vec() }
    }
}

/// A whole number.
pub(super) fn count(value: f64) -> String {
    // Far below 2^63; the cast saturates.
    number(value.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_that_holds_everything() {
        for (most, top) in
            [(0.0, 2.0), (1.0, 2.0), (3.0, 4.0), (7.0, 8.0), (10.0, 10.0), (11.0, 20.0), (950.0, 1_000.0), (1_001.0, 2_000.0)]
        {
            assert_eq!(Scale::of_counts(most).top, top, "{most}");
        }
        for (most, word) in [(0.0, "2 ms"), (0.3, "400 ms"), (3.0, "4.00 s"), (50.0, "1 min"), (5_000.0, "2 h"), (1e7, "115 d")] {
            assert_eq!(Scale::of_seconds(most).levels[0].1, word, "{most}");
        }
    }
}
