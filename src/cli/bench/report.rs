//! A row of results: a line of the table, or a JSON object with the same names for good; and the figures a row has to reach.

use serde::Serialize;

use super::measure::Cost;

/// What one scenario gave. A field that has no meaning for it is null.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) jobs: u64,
    pub(crate) jobs_per_s: Option<f64>,
    pub(crate) floor_jobs_per_s: Option<f64>,
    pub(crate) ratio_to_floor: Option<f64>,
    /// Of scenarios that make something harder: the rate beside that of the same work without it. Of a fleet: beside one process.
    /// Of a mix: the ratio to the floor beside that of plain jobs.
    pub(crate) ratio_to_baseline: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) floor_p50_ms: Option<f64>,
    pub(crate) client_cpu_us_per_job: Option<f64>,
    pub(crate) server_cpu_us_per_job: Option<f64>,
    pub(crate) wal_bytes_per_job: Option<f64>,
    /// Of the worker process.
    pub(crate) peak_rss_mb: Option<f64>,
    /// Share of the machine's cores, 0 to 1, that others used meanwhile.
    pub(crate) other_cpu: Option<f64>,
    /// Of an idle worker.
    pub(crate) statements_per_s: Option<f64>,
    /// Of an idle worker: percent of one core.
    pub(crate) core_percent: Option<f64>,
    /// Of a long run: the rate of its last fifth beside that of its first.
    pub(crate) last_to_first: Option<f64>,
    /// Of scenarios that count from the first job on: when it ran, after the worker was told to start.
    pub(crate) first_job_ms: Option<f64>,
    /// Of several processes: the smallest and the largest share of the work, 0 to 1.
    pub(crate) shares: Option<(f64, f64)>,
    /// Of a page: bytes as they are sent, and statements with the beginnings and ends of transactions.
    pub(crate) bytes: Option<usize>,
    pub(crate) statements: Option<u64>,
    pub(crate) config: String,
    pub(crate) figures: Vec<Figure>,
}

/// A figure that the engine has to reach.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) measured: f64,
    pub(crate) goal: String,
    pub(crate) met: bool,
}

/// Column heads and widths.
const COLUMNS: [(&str, usize); 13] = [
    ("SCENARIO", 30),
    ("JOBS", 9),
    ("JOBS/S", 8),
    ("FLOOR", 8),
    ("TO FLOOR", 8),
    ("TO BASE", 8),
    ("P50 MS", 8),
    ("P95 MS", 8),
    ("P99 MS", 8),
    ("US CLIENT", 9),
    ("US SERVER", 9),
    ("WAL B", 6),
    ("RSS MB", 6),
];

impl Row {
    /// What so many jobs cost.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn new(scenario: impl Into<String>, jobs: u64, cost: &Cost, config: String) -> Self {
        let each = |total: f64| total / jobs.max(1) as f64;
        Self {
            scenario: scenario.into(),
            jobs,
            jobs_per_s: Some(jobs as f64 / cost.seconds),
            client_cpu_us_per_job: cost.client_us.map(each),
            server_cpu_us_per_job: cost.server_us.map(each),
            wal_bytes_per_job: Some(each(cost.wal_bytes)),
            other_cpu: cost.other_cpu,
            config,
            ..Self::default()
        }
    }

    pub(crate) fn head() -> String {
        line(&COLUMNS.map(|(name, _)| name.to_owned()))
    }

    /// The row, and a line for each of its figures.
    pub(crate) fn line(&self) -> String {
        let number = |value: Option<f64>, digits: usize| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"));
        let row = line(&[
            self.scenario.clone(),
            self.jobs.to_string(),
            number(self.jobs_per_s, 0),
            number(self.floor_jobs_per_s, 0),
            number(self.ratio_to_floor, 2),
            number(self.ratio_to_baseline, 2),
            number(self.p50_ms, 2),
            number(self.p95_ms, 2),
            number(self.p99_ms, 2),
            number(self.client_cpu_us_per_job, 1),
            number(self.server_cpu_us_per_job, 1),
            number(self.wal_bytes_per_job, 0),
            number(self.peak_rss_mb, 1),
        ]);
        let figures = self.figures.iter().map(|figure| {
            let verdict = if figure.met { "reached" } else { "NOT REACHED" };
            format!("  {} {:.2} (goal {}): {verdict}\n", figure.name, figure.measured, figure.goal)
        });
        let first = self.first_job_ms.map(|ms| format!("  the first job ran after {ms:.0} ms\n"));
        let page = self.bytes.zip(self.statements).map(|(bytes, statements)| format!("  {bytes} bytes, {statements} statements\n"));
        std::iter::once(row).chain(first).chain(page).chain(figures).collect()
    }

    /// Sets the floor and the ratio to it.
    pub(crate) fn beside(mut self, floor: f64) -> Self {
        self.floor_jobs_per_s = Some(floor);
        self.ratio_to_floor = self.jobs_per_s.map(|rate| rate / floor);
        self
    }

    /// Sets the percentiles; sorts the times.
    pub(crate) fn times(mut self, times_ms: &mut [f64]) -> Self {
        times_ms.sort_by(f64::total_cmp);
        self.p50_ms = percentile(times_ms, 50);
        self.p95_ms = percentile(times_ms, 95);
        self.p99_ms = percentile(times_ms, 99);
        self
    }

    pub(crate) fn at_least(mut self, name: &'static str, measured: Option<f64>, goal: f64) -> Self {
        self.figures.extend(measured.map(|measured| Figure { name, measured, goal: format!("at least {goal}"), met: measured >= goal }));
        self
    }

    pub(crate) fn at_most(mut self, name: &'static str, measured: Option<f64>, goal: f64) -> Self {
        self.figures.extend(measured.map(|measured| Figure { name, measured, goal: format!("at most {goal}"), met: measured <= goal }));
        self
    }
}

/// The one in the middle by this figure.
pub(crate) fn median<T>(mut measured: Vec<T>, figure: impl Fn(&T) -> Option<f64>) -> anyhow::Result<T> {
    measured.sort_by(|a, b| figure(a).unwrap_or_default().total_cmp(&figure(b).unwrap_or_default()));
    let middle = measured.len() / 2;
    measured.into_iter().nth(middle).ok_or_else(|| anyhow::anyhow!("nothing was measured"))
}

/// Of sorted values, by the nearest rank.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

fn line(cells: &[String; COLUMNS.len()]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .zip(COLUMNS)
        .enumerate()
        .map(|(n, (cell, (_, width)))| if n == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
        .collect();
    format!("{}\n", cells.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99), percentile(&[], 50)), (Some(100.0), Some(198.0), None));
    }

    #[test]
    fn the_median_is_a_row_that_was_measured() {
        let rows = [3.0, 1.0, 2.0].map(|rate| Row { jobs_per_s: Some(rate), ..Row::default() });
        assert_eq!(median(rows.into(), |row| row.jobs_per_s).unwrap().jobs_per_s, Some(2.0));
    }
}
