//! A few numbers as a picture in a line of a table.

use std::fmt;

use askama::filters::HtmlSafe;

use super::number;

/// How something went, and how much it was in all. The number stands beside the bars, so the picture says nothing that is needed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spark {
    values: Vec<i64>,
}

impl Spark {
    /// Of so many steps, the oldest first.
    pub(crate) fn new(steps: usize) -> Self {
        Self { values: vec![0; steps] }
    }

    /// Adds to a step; one that is not among them is left out.
    pub(crate) fn add(&mut self, step: usize, count: i64) {
        if let Some(value) = self.values.get_mut(step) {
            *value += count;
        }
    }

    pub(crate) fn total(&self) -> i64 {
        self.values.iter().sum()
    }
}

impl fmt::Display for Spark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.values.iter().copied().max().unwrap_or(0).max(1);
        write!(
            f,
            "<span class=\"meter\"><svg class=\"spark\" viewBox=\"0 0 {} 20\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
            self.values.len() * 4
        )?;
        for (step, value) in self.values.iter().enumerate().filter(|(_, value)| **value > 0) {
            // Below 2^53, and a pixel is enough.
            let height = (*value as f64 / most as f64 * 18.0).max(1.5);
            write!(f, "<rect x=\"{}\" y=\"{:.1}\" width=\"3\" height=\"{height:.1}\"/>", step * 4, 19.0 - height)?;
        }
        write!(f, "<path d=\"M0 19.5H{}\"/></svg>{}</span>", self.values.len() * 4, number(self.total()))
    }
}

/// Digits of ours.
impl HtmlSafe for Spark {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spark_stays_in_its_frame_and_tells_the_sum() {
        let mut spark = Spark::new(3);
        assert!(!spark.to_string().contains("<rect"));
        for (step, count) in [(0, 1_000), (2, 1), (9, 5)] {
            spark.add(step, count);
        }
        let html = spark.to_string();
        assert!(html.contains("height=\"18.0\"") && html.contains("height=\"1.5\"") && html.contains(">1,001</span>"), "{html}");
    }
}
