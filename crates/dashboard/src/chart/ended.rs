//! What ended, as four charts and a table: completed, what did not complete, how long jobs waited and how long they ran.

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use haulage_queue::{Lengths, Stat, StatsRange};
use serde::Deserialize;

use super::{Chart, Series, Steps, scale::count};
use crate::{
    frame::Frame,
    show::{number, span},
};

/// How far back charts go.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    range: String,
}

impl Asked {
    /// The range that was chosen; an hour unless it is one.
    pub(crate) fn range(&self) -> StatsRange {
        StatsRange::ALL.into_iter().find(|range| range.as_str() == self.range).unwrap_or(StatsRange::Hour)
    }
}

/// The charts.
#[derive(Debug, Template)]
#[template(path = "ended.html")]
pub(crate) struct Ended<'a> {
    frame: &'a Frame,
    /// Of the page, from our root.
    path: String,
    range: StatsRange,
    charts: Vec<Chart>,
    lines: Vec<Line>,
    /// "minute", "10 min".
    step: String,
}

/// A step in the table.
#[derive(Debug)]
struct Line {
    at: DateTime<Utc>,
    counts: [String; 5],
    times: [Option<String>; 4],
}

impl<'a> Ended<'a> {
    pub(crate) fn new(frame: &'a Frame, path: String, range: StatsRange, stats: &[Stat]) -> Self {
        let length = TimeDelta::minutes(range.step().into());
        let steps = Steps { start: stats.first().map(|stat| stat.start).unwrap_or_default(), length, count: stats.len() };
        let is_empty = stats.iter().all(is_empty);
        Self {
            frame,
            path,
            range,
            charts: if is_empty { Vec::new() } else { charts(stats, steps) },
            // The newest first, and only those that say something.
            lines: stats.iter().rev().filter(|stat| !self::is_empty(stat)).map(Line::new).collect(),
            step: if range.step() == 1 { "minute".to_owned() } else { span(f64::from(range.step()) * 60.0) },
        }
    }
}

fn counts(stat: &Stat) -> [i64; 5] {
    [stat.completed, stat.retried, stat.dead, stat.cancelled, stat.snoozed]
}

fn is_empty(stat: &Stat) -> bool {
    counts(stat).iter().all(|count| *count == 0)
}

fn charts(stats: &[Stat], steps: Steps) -> Vec<Chart> {
    let total = |of: fn(&Stat) -> i64| stats.iter().map(of).sum::<i64>();
    let counted =
        |name, class, of: fn(&Stat) -> i64| Series { name, class, values: stats.iter().map(|stat| Some(of(stat) as f64)).collect() };
    let (completed, bad) = (total(|stat| stat.completed), total(|stat| stat.retried + stat.dead));
    let ended = completed + bad;
    let share = if ended > 0 { bad as f64 * 100.0 / ended as f64 } else { 0.0 };
    let timed = |of: fn(&Stat) -> &Lengths| {
        let series =
            |name, class, share: f64| Series { name, class, values: stats.iter().map(|stat| of(stat).quantile_s(share)).collect() };
        [series("p95", "l-high", 0.95), series("p50", "l-mid", 0.5)]
    };
    let all = |of: fn(&Stat) -> &Lengths| {
        let mut all = Lengths::default();
        for stat in stats {
            all.add(of(stat));
        }
        all.quantile_s(0.95).map_or_else(|| "nothing measured".to_owned(), |seconds| format!("p95 {}", span(seconds)))
    };
    vec![
        Chart::bars("c-completed", "Completed", number(completed), steps, &[counted("completed", "b-ok", |stat| stat.completed)]),
        Chart::bars(
            "c-failed",
            "Did not complete",
            if bad > 0 { format!("{} failed, {}", number(bad), percent(share)) } else { "none failed".to_owned() },
            steps,
            &[
                counted("dead", "b-bad", |stat| stat.dead),
                counted("failed, to be retried", "b-back", |stat| stat.retried),
                counted("cancelled", "b-held", |stat| stat.cancelled),
                counted("snoozed", "b-later", |stat| stat.snoozed),
            ],
        ),
        Chart::lines("c-wait", "Wait in line", all(|stat| &stat.wait), steps, &timed(|stat| &stat.wait)),
        Chart::lines("c-run", "Run time", all(|stat| &stat.run), steps, &timed(|stat| &stat.run)),
    ]
}

fn percent(share: f64) -> String {
    match share {
        share if share < 0.1 => "below 0.1 %".to_owned(),
        share if share < 10.0 => format!("{share:.1} %"),
        share => format!("{} %", count(share)),
    }
}

impl Line {
    fn new(stat: &Stat) -> Self {
        let of = |lengths: &Lengths, share: f64| lengths.quantile_s(share).map(span);
        Self {
            at: stat.start,
            counts: counts(stat).map(number),
            times: [of(&stat.wait, 0.5), of(&stat.wait, 0.95), of(&stat.run, 0.5), of(&stat.run, 0.95)],
        }
    }
}
