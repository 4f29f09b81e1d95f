//! Counts, and how full something is.

use std::{borrow::Borrow, fmt};

use askama::filters::HtmlSafe;

/// Counts stop here.
const CAP: i64 = 10_000;

/// With a comma between thousands.
pub(crate) fn number(count: impl Borrow<i64>) -> String {
    let count = *count.borrow();
    let digits = count.unsigned_abs().to_string();
    let mut out = String::from(if count < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count that was stopped past 10,000.
pub(crate) fn capped(count: impl Borrow<i64>) -> String {
    let count = *count.borrow();
    if count > CAP { "10,000+".to_owned() } else { number(count) }
}

/// How full something is, as a bar. The numbers stand beside it: the bar says nothing that they don't.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gauge(u64);

/// So much of so much.
pub(crate) fn gauge(used: impl Borrow<i64>, of: impl Borrow<i64>) -> Gauge {
    let (used, of) = (*used.borrow(), *of.borrow());
    let share = if of > 0 { (i128::from(used.max(0)) * 1_000 / i128::from(of)).clamp(0, 1_000) } else { 0 };
    Gauge(u64::try_from(share).unwrap_or(0))
}

impl fmt::Display for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = if self.0 >= 1_000 { "gauge full" } else { "gauge" };
        write!(
            f,
            "<svg class=\"{class}\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <rect class=\"of\" width=\"100\" height=\"8\" rx=\"2\"/><rect class=\"used\" width=\"{}.{}\" height=\"8\" rx=\"2\"/></svg>",
            self.0 / 10,
            self.0 % 10
        )
    }
}

/// Digits of ours.
impl HtmlSafe for Gauge {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_up_to_ten_thousand() {
        assert_eq!([0, 999, 1_000, 10_000, 10_001].map(capped), ["0", "999", "1,000", "10,000", "10,000+"]);
        assert_eq!(number(9_412_345), "9,412,345");
        assert_eq!(number(-1_000), "-1,000");
    }

    #[test]
    fn a_gauge_never_leaves_its_frame() {
        for (used, of, width) in [(1, 2, "50.0"), (5, 2, "100.0"), (-1, 2, "0.0"), (1, 0, "0.0"), (i64::MAX, i64::MAX, "100.0")] {
            assert!(gauge(used, of).to_string().contains(&format!("width=\"{width}\"")), "{used} of {of}");
        }
    }
}
