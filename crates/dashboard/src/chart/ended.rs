//! What waited and what ended, as five charts and a table: how many waited, what completed, what did not, how long jobs waited and how long
//! they ran.

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use haulage_queue::{Depth, DepthCounts, Lengths, Stat, StatsRange};
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
    /// In line, set aside, running.
    depth: [Option<String>; 3],
    counts: [String; 5],
    times: [Option<String>; 4],
}

impl<'a> Ended<'a> {
    /// Both have the same steps.
    pub(crate) fn new(frame: &'a Frame, path: String, range: StatsRange, depths: &[Depth], stats: &[Stat]) -> Self {
        let length = TimeDelta::minutes(range.step().into());
        let steps = Steps { start: stats.first().map(|stat| stat.start).unwrap_or_default(), length, count: stats.len() };
        let looked = depths.iter().any(|depth| depth.waiting.is_some());
        let mut charts = if stats.iter().all(is_empty) { Vec::new() } else { charts(stats, steps) };
        if looked {
            charts.insert(0, depth_chart(depths, steps));
        }
        let lines = stats.iter().zip(depths).map(|(stat, depth)| (stat, depth.waiting));
        Self {
            frame,
            path,
            range,
            charts,
            // The newest first, and only those that say something.
            lines: lines.rev().filter(|(stat, waiting)| !is_empty(stat) || waiting.is_some()).map(Line::new).collect(),
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

/// How many wait and run.
fn depth_chart(depths: &[Depth], steps: Steps) -> Chart {
    let counted = |name, class, of: fn(&DepthCounts) -> i64| Series {
        name,
        class,
        values: depths.iter().map(|depth| depth.waiting.as_ref().map(|waiting| of(waiting) as f64)).collect(),
    };
    let newest = depths.iter().rev().find_map(|depth| depth.waiting);
    let says = newest.map(|newest| format!("{} in line", at_least(newest.available, &newest))).unwrap_or_default();
    Chart::bars(
        "c-depth",
        "Depth",
        says,
        steps,
        &[
            counted("running", "b-run", |waiting| waiting.running),
            counted("in line", "b-wait", |waiting| waiting.available),
            counted("set aside", "b-held", |waiting| waiting.parked),
        ],
    )
}

/// A count that may have stopped.
fn at_least(count: i64, counts: &DepthCounts) -> String {
    format!("{}{}", number(count), if counts.at_least { "+" } else { "" })
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
    fn new((stat, waiting): (&Stat, Option<DepthCounts>)) -> Self {
        let of = |lengths: &Lengths, share: f64| lengths.quantile_s(share).map(span);
        Self {
            at: stat.start,
            depth: match waiting {
                Some(counts) => [counts.available, counts.parked, counts.running].map(|count| Some(at_least(count, &counts))),
                None => [None, None, None],
            },
            counts: counts(stat).map(number),
            times: [of(&stat.wait, 0.5), of(&stat.wait, 0.95), of(&stat.run, 0.5), of(&stat.run, 0.95)],
        }
    }
}
