//! From runs to rows: medians over the rounds, and how Haulage compares with each peer.

use serde::Serialize;

use crate::{
    measure::Cost,
    participants::{Configuration, Participant},
    scenarios::Part,
};

/// What one run gave. A field that has no meaning for it, or is unknown, is absent.
#[derive(Debug, Default, Clone)]
pub(crate) struct Measured {
    pub(crate) jobs: u64,
    pub(crate) jobs_per_s: Option<f64>,
    /// From the enqueue's answer.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    /// From the enqueue's call.
    pub(crate) from_call_p50_ms: Option<f64>,
    pub(crate) from_call_p99_ms: Option<f64>,
    /// The rate of the last third of the time by that of the first.
    pub(crate) last_to_first: Option<f64>,
    pub(crate) client_us: Option<f64>,
    pub(crate) server_us: Option<f64>,
    pub(crate) wal_bytes: Option<f64>,
    pub(crate) peak_rss_mb: Option<f64>,
    pub(crate) other_cpu: Option<f64>,
    pub(crate) note: Option<&'static str>,
}

impl Measured {
    /// So many jobs at this cost.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn of(jobs: u64, cost: &Cost) -> Self {
        let each = |value: f64| value / jobs.max(1) as f64;
        Self {
            jobs,
            jobs_per_s: Some(jobs as f64 / cost.seconds),
            client_us: cost.client_us.map(each),
            server_us: cost.server_us.map(each),
            wal_bytes: Some(each(cost.wal_bytes)),
            other_cpu: cost.other_cpu,
            ..Self::default()
        }
    }

    /// What decides: a rate, or a time.
    fn figure(&self) -> Option<f64> {
        self.jobs_per_s.or(self.from_call_p50_ms)
    }
}

/// A participant's runs of one part, one a round; a run that failed is absent.
pub(crate) struct Runs {
    pub(crate) participant: Participant,
    pub(crate) rounds: Vec<Option<Measured>>,
}

/// A row of results: a line of the table, or a JSON object with the same names. Figures are medians over the rounds, costs are for
/// each job.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    scenario: String,
    queue: &'static str,
    configuration: &'static str,
    settings: &'static str,
    rounds: usize,
    failed: usize,
    jobs: u64,
    jobs_per_s: Option<f64>,
    lowest_jobs_per_s: Option<f64>,
    highest_jobs_per_s: Option<f64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    from_call_p50_ms: Option<f64>,
    from_call_p99_ms: Option<f64>,
    last_to_first: Option<f64>,
    /// Haulage's figure by this one, the median over the rounds. Of the times it is the one from the call.
    haulage_by_this: Option<f64>,
    client_cpu_us_per_job: Option<f64>,
    server_cpu_us_per_job: Option<f64>,
    wal_bytes_per_job: Option<f64>,
    peak_rss_mb: Option<f64>,
    /// Share of the machine's cores that neither the benchmark nor its server used, though somebody did: the worst round.
    other_cpu: Option<f64>,
    note: Option<&'static str>,
}

/// One row a participant, in their order.
pub(crate) fn rows(part: Part, all: &[Runs]) -> Vec<Row> {
    let haulage = all.iter().find(|runs| runs.participant == Participant::Haulage);
    all.iter().filter_map(|runs| Some(row(part, part.settings(runs.participant)?, runs, haulage))).collect()
}

/// Without the slower ones of a queue's several best configurations.
pub(crate) fn fastest(rows: Vec<Row>) -> Vec<Row> {
    let slower: Vec<bool> = rows
        .iter()
        .map(|row| {
            let rivals = rows.iter().filter(|rival| rival.queue == row.queue && rival.configuration == row.configuration);
            rivals.into_iter().any(|rival| rival.is_ahead_of(row))
        })
        .collect();
    rows.into_iter().zip(slower).filter(|(_, slower)| !slower).map(|(row, _)| row).collect()
}

fn row(part: Part, settings: &'static str, runs: &Runs, haulage: Option<&Runs>) -> Row {
    let done: Vec<&Measured> = runs.rounds.iter().flatten().collect();
    let middle = |field: fn(&Measured) -> Option<f64>| median(done.iter().filter_map(|run| field(run)).collect());
    let rates = || done.iter().filter_map(|run| run.jobs_per_s);
    // Round by round, so that what slows the machine for a while slows both.
    let ratios = haulage.map(|haulage| {
        let pairs = haulage.rounds.iter().zip(&runs.rounds);
        let ratios = pairs.filter_map(|(haulage, this)| Some(haulage.as_ref()?.figure()? / this.as_ref()?.figure()?));
        ratios.filter(|ratio| ratio.is_finite()).collect()
    });
    Row {
        scenario: part.name(),
        queue: runs.participant.queue(),
        configuration: match runs.participant.configuration() {
            Configuration::Only => "only",
            Configuration::Best => "best",
            Configuration::Default => "default",
        },
        settings,
        rounds: done.len(),
        failed: runs.rounds.len() - done.len(),
        jobs: done.iter().map(|run| run.jobs).max().unwrap_or_default(),
        jobs_per_s: middle(|run| run.jobs_per_s),
        lowest_jobs_per_s: rates().min_by(f64::total_cmp),
        highest_jobs_per_s: rates().max_by(f64::total_cmp),
        p50_ms: middle(|run| run.p50_ms),
        p99_ms: middle(|run| run.p99_ms),
        from_call_p50_ms: middle(|run| run.from_call_p50_ms),
        from_call_p99_ms: middle(|run| run.from_call_p99_ms),
        last_to_first: middle(|run| run.last_to_first),
        haulage_by_this: ratios.and_then(median),
        client_cpu_us_per_job: middle(|run| run.client_us),
        server_cpu_us_per_job: middle(|run| run.server_us),
        wal_bytes_per_job: middle(|run| run.wal_bytes),
        peak_rss_mb: middle(|run| run.peak_rss_mb),
        other_cpu: done.iter().filter_map(|run| run.other_cpu).max_by(f64::total_cmp),
        note: done.iter().find_map(|run| run.note),
    }
}

/// The upper one of an even number.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Of sorted values, by the nearest rank.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Column heads and widths.
const COLUMNS: [(&str, usize); 15] = [
    ("SCENARIO", 19),
    ("QUEUE", 23),
    ("CONFIG", 7),
    ("JOBS/S", 8),
    ("LOW-HIGH", 15),
    ("HAULAGE/THIS", 12),
    ("LAST/1ST", 8),
    ("P50 MS", 7),
    ("P99 MS", 7),
    ("CALL P50", 8),
    ("US CLIENT", 9),
    ("US SERVER", 9),
    ("WAL B", 7),
    ("RSS MB", 6),
    ("OTHER %", 7),
];

pub(crate) fn head() -> String {
    line(COLUMNS.map(|(name, _)| name.to_owned()), "NOTE")
}

impl Row {
    pub(crate) fn line(&self) -> String {
        let number = |value: Option<f64>, digits: usize| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"));
        let rate = |value: Option<f64>| number(value, if value.is_some_and(|value| value < 100.0) { 1 } else { 0 });
        let spread = match (self.lowest_jobs_per_s, self.highest_jobs_per_s) {
            (Some(lowest), Some(highest)) if self.rounds > 1 => format!("{}-{}", rate(Some(lowest)), rate(Some(highest))),
            _ => "-".to_owned(),
        };
        let failed =
            if self.failed > 0 { format!("{} of {} rounds failed. ", self.failed, self.failed + self.rounds) } else { String::new() };
        let note = self.note.map(|note| format!("{note}. ")).unwrap_or_default();
        line(
            [
                self.scenario.clone(),
                self.queue.to_owned(),
                self.configuration.to_owned(),
                rate(self.jobs_per_s),
                spread,
                number(self.haulage_by_this, 2),
                number(self.last_to_first, 2),
                number(self.p50_ms, 2),
                number(self.p99_ms, 2),
                number(self.from_call_p50_ms, 2),
                number(self.client_cpu_us_per_job, 1),
                number(self.server_cpu_us_per_job, 1),
                number(self.wal_bytes_per_job, 0),
                number(self.peak_rss_mb, 0),
                number(self.other_cpu.map(|share| share * 100.0), 0),
            ],
            &format!("{failed}{note}{}", self.settings),
        )
    }

    fn is_ahead_of(&self, other: &Self) -> bool {
        match (self.jobs_per_s, other.jobs_per_s, self.from_call_p50_ms, other.from_call_p50_ms) {
            (Some(own), Some(theirs), ..) => own > theirs,
            (.., Some(own), Some(theirs)) => own < theirs,
            (own, _, time, _) => own.is_some() || time.is_some(),
        }
    }
}

fn line(cells: [String; COLUMNS.len()], note: &str) -> String {
    let mut line = String::new();
    for (n, (cell, (_, width))) in cells.iter().zip(COLUMNS).enumerate() {
        // Names to the left, figures to the right.
        line.push_str(&if n < 3 { format!("{cell:<width$} ") } else { format!("{cell:>width$} ") });
    }
    format!("{line} {note}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99), percentile(&[], 50)), (Some(100.0), Some(198.0), None));
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(Vec::new())), (Some(2.0), None));
    }

    #[test]
    fn of_two_best_configurations_the_faster_is_shown_and_the_ratio_is_by_rounds() {
        let run = |rate: f64| Some(Measured { jobs: 1, jobs_per_s: Some(rate), ..Measured::default() });
        let runs = [
            Runs { participant: Participant::Haulage, rounds: vec![run(100.0), run(50.0), run(100.0)] },
            Runs { participant: Participant::GraphileWide, rounds: vec![run(50.0), run(25.0), None] },
            Runs { participant: Participant::GraphileNarrow, rounds: vec![run(40.0), run(20.0), run(40.0)] },
            Runs { participant: Participant::GraphileDefault, rounds: vec![run(1.0)] },
        ];
        let shown = fastest(rows(Part::Drain, &runs));
        let settings: Vec<_> = shown.iter().map(|row| (row.settings, row.haulage_by_this, row.failed)).collect();
        assert_eq!(
            settings,
            [
                (Participant::Haulage.settings(), Some(1.0), 0),
                (Participant::GraphileWide.settings(), Some(2.0), 1),
                (Participant::GraphileDefault.settings(), Some(100.0), 0)
            ]
        );
    }
}
