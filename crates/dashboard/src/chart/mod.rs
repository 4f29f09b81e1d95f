//! Charts, drawn on the server as SVG whose places are percents: they fit any width without a script, and the policy of the page allows no
//! style in an attribute. Next to each stands what it says in a number; under them the same as a table, for who sees no picture.

mod ended;
mod scale;

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};

pub(crate) use ended::{Asked, Ended};
use scale::Scale;

/// Height of the plot in px, and where it begins below the topmost label.
const HIGH: f64 = 112.0;
const TOP: f64 = 12.0;
/// Of a step, so much is left free between two bars, in percents.
const BETWEEN: f64 = 18.0;
/// Units a step in the picture of lines, which is stretched to the width.
const UNIT: f64 = 10.0;

/// A chart.
#[derive(Debug, Template)]
#[template(path = "chart.html")]
pub(crate) struct Chart {
    id: &'static str,
    title: &'static str,
    /// What it says in a number.
    says: String,
    /// What it shows, in a sentence.
    about: String,
    legend: Vec<(&'static str, &'static str)>,
    /// Places in px, and words.
    levels: Vec<(f64, String)>,
    /// Places in percent, how they are anchored, and words.
    times: Vec<(f64, &'static str, String)>,
    bars: Vec<Bar>,
    lines: Vec<(&'static str, String)>,
    /// The picture of lines is so wide.
    wide: f64,
    /// What a step says to who points at it: where it begins, how wide it is, words.
    steps: Vec<(f64, f64, String)>,
}

#[derive(Debug)]
struct Bar {
    class: &'static str,
    x: f64,
    width: f64,
    y: f64,
    height: f64,
    /// The step goes on.
    open: bool,
}

/// One thing of several in a chart.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) class: &'static str,
    /// Step by step; `None`: nothing to measure.
    pub(crate) values: Vec<Option<f64>>,
}

/// The steps of a chart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) start: DateTime<Utc>,
    pub(crate) length: TimeDelta,
    pub(crate) count: usize,
}

impl Steps {
    /// When one begins.
    pub(crate) fn at(&self, step: usize) -> DateTime<Utc> {
        self.start + self.length * i32::try_from(step).unwrap_or(0)
    }

    /// In words: a time of day, and the day where there are several.
    pub(crate) fn word(&self, step: usize) -> String {
        let all = self.at(self.count) - self.start;
        let form = if all <= TimeDelta::hours(24) { "%H:%M" } else { "%a %d %H:%M" };
        self.at(step).format(form).to_string()
    }

    /// Percents of the width that a step has.
    fn width(&self) -> f64 {
        100.0 / self.count.max(1) as f64
    }

    /// Four times along the axis.
    fn marks(&self) -> Vec<(f64, &'static str, String)> {
        [(0, "start"), (1, "middle"), (2, "middle"), (3, "end")]
            .into_iter()
            .map(|(mark, anchor)| {
                let step = mark * self.count.saturating_sub(1) / 3;
                let place = if anchor == "end" { 100.0 } else { step as f64 * self.width() };
                (place, anchor, self.word(step))
            })
            .collect()
    }
}

impl Chart {
    /// Counts, one on the other.
    pub(crate) fn bars(id: &'static str, title: &'static str, says: String, steps: Steps, series: &[Series]) -> Self {
        let total = |step: usize| series.iter().filter_map(|one| *one.values.get(step)?).sum::<f64>();
        let most = (0..steps.count).map(total).fold(0.0, f64::max);
        let scale = Scale::of_counts(most);
        let width = steps.width();
        let mut bars = Vec::new();
        for step in 0..steps.count {
            let mut below = 0.0;
            for one in series {
                let value = one.values.get(step).copied().flatten().unwrap_or(0.0);
                if value <= 0.0 {
                    continue;
                }
                // At least a pixel, or a single failure among thousands would not be seen.
                let height = (value / scale.top * HIGH).max(1.0);
                bars.push(Bar {
                    class: one.class,
                    x: width * (step as f64 + BETWEEN / 200.0),
                    width: width * (1.0 - BETWEEN / 100.0),
                    y: (TOP + HIGH - below - height).max(0.0),
                    height,
                    open: step + 1 == steps.count,
                });
                below += height;
            }
        }
        let words = |step: usize| {
            let said: Vec<String> = series
                .iter()
                .filter_map(|one| Some((one.name, one.values.get(step).copied().flatten().filter(|value| *value > 0.0)?)))
                .map(|(name, value)| format!("{} {name}", scale::count(value)))
                .collect();
            said.join(", ")
        };
        Self::new(id, title, says, steps, series, &scale, words, (bars, Vec::new()))
    }

    /// Lengths of time, each a line of steps: it has a gap where nothing was measured.
    pub(crate) fn lines(id: &'static str, title: &'static str, says: String, steps: Steps, series: &[Series]) -> Self {
        let most = series.iter().flat_map(|one| one.values.iter().flatten()).copied().fold(0.0, f64::max);
        let scale = Scale::of_seconds(most);
        let lines = series.iter().map(|one| (one.class, path(&one.values, &scale)));
        let words = |step: usize| {
            let said: Vec<String> = series
                .iter()
                .filter_map(|one| Some(format!("{} {}", one.name, crate::show::span(one.values.get(step).copied().flatten()?))))
                .collect();
            said.join(", ")
        };
        Self::new(id, title, says, steps, series, &scale, words, (Vec::new(), lines.collect()))
    }

    #[expect(clippy::too_many_arguments, reason = "the two ways to make one share it, and nobody else")]
    fn new(
        id: &'static str,
        title: &'static str,
        says: String,
        steps: Steps,
        series: &[Series],
        scale: &Scale,
        words: impl Fn(usize) -> String,
        (bars, lines): (Vec<Bar>, Vec<(&'static str, String)>),
    ) -> Self {
        let names: Vec<&str> = series.iter().map(|one| one.name).collect();
        Self {
            id,
            title,
            about: format!("{} of {}, from {} to now, UTC.", title, names.join(", "), steps.at(0).format("%Y-%m-%d %H:%M")),
            says,
            legend: series.iter().map(|one| (one.class, one.name)).collect(),
            levels: scale.levels.iter().map(|(value, word)| (TOP + HIGH * (1.0 - value / scale.top), word.clone())).collect(),
            times: steps.marks(),
            bars,
            lines,
            wide: UNIT * steps.count as f64,
            steps: (0..steps.count)
                .map(|step| (steps.width() * step as f64, steps.width(), words(step)))
                .enumerate()
                .filter(|(_, (.., words))| !words.is_empty())
                .map(|(step, (x, width, words))| (x, width, format!("{}: {words}", steps.word(step))))
                .collect(),
        }
    }
}

/// Steps along the values, with a gap where there is none. In a picture of 100 units height.
fn path(values: &[Option<f64>], scale: &Scale) -> String {
    let mut path = String::new();
    let mut goes_on = false;
    for (step, value) in values.iter().enumerate() {
        if let Some(value) = value {
            let (x, y) = (UNIT * step as f64, 100.0 * (1.0 - (value / scale.top).clamp(0.0, 1.0)));
            let start = if goes_on { format!("V{y:.1}") } else { format!("M{x:.0} {y:.1}") };
            path.push_str(&format!("{start}H{:.0}", x + UNIT));
        }
        goes_on = value.is_some();
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(count: usize) -> Steps {
        Steps { start: "2026-11-23T10:00:00Z".parse().unwrap(), length: TimeDelta::minutes(1), count }
    }

    #[test]
    fn a_line_has_a_gap_where_nothing_was_measured() {
        let scale = Scale::of_seconds(2.0);
        let values = [Some(1.0), Some(2.0), None, Some(0.0), None, None];
        assert_eq!(path(&values, &scale), "M0 50.0H10V0.0H20M30 100.0H40");
        assert_eq!(path(&[None, None], &scale), "");
    }

    #[test]
    fn bars_stand_on_each_other_and_never_leave_the_plot() {
        let series = |values: &[f64]| Series { name: "n", class: "c", values: values.iter().copied().map(Some).collect() };
        let chart = Chart::bars("i", "t", String::new(), steps(2), &[series(&[1e6, 0.0]), series(&[1.0, 3.0])]);
        assert_eq!(chart.bars.len(), 3);
        let (first, second) = (&chart.bars[0], &chart.bars[1]);
        assert!((second.y + second.height - first.y).abs() < 0.01 && second.height >= 1.0, "{first:?} {second:?}");
        for bar in &chart.bars {
            assert!(bar.y >= 0.0 && bar.y + bar.height <= TOP + HIGH + 0.01 && bar.x >= 0.0 && bar.x + bar.width <= 100.0, "{bar:?}");
        }
        assert!(chart.render().unwrap().contains("10:01: 3 n"));
    }
}
