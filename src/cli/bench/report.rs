//! A row of results: a line of the table, or a JSON object with the same names for good.

use serde::Serialize;

/// What one scenario gave. A field that has no meaning for it is absent.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) jobs: u64,
    pub(crate) jobs_per_s: Option<f64>,
    pub(crate) floor_jobs_per_s: Option<f64>,
    pub(crate) ratio_to_floor: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) floor_p50_ms: Option<f64>,
    pub(crate) client_cpu_us_per_job: Option<f64>,
    pub(crate) server_cpu_us_per_job: Option<f64>,
    pub(crate) wal_bytes_per_job: Option<f64>,
    pub(crate) peak_rss_mb: Option<f64>,
    /// Share of the machine's cores that neither we nor our server used, though somebody did.
    pub(crate) other_cpu: Option<f64>,
    /// Of an idle worker.
    pub(crate) statements_per_s: Option<f64>,
    /// Of an idle worker: percent of one core.
    pub(crate) core_percent: Option<f64>,
    pub(crate) config: String,
}

/// Column heads and widths.
const COLUMNS: [(&str, usize); 12] = [
    ("SCENARIO", 26),
    ("JOBS", 9),
    ("JOBS/S", 9),
    ("FLOOR", 9),
    ("RATIO", 6),
    ("P50 MS", 8),
    ("P95 MS", 8),
    ("P99 MS", 8),
    ("US CLIENT", 10),
    ("US SERVER", 10),
    ("WAL B", 7),
    ("RSS MB", 7),
];

impl Row {
    pub(crate) fn head() -> String {
        line(COLUMNS.map(|(name, _)| name.to_owned()))
    }

    pub(crate) fn line(&self) -> String {
        let number = |value: Option<f64>, digits: usize| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"));
        if let Some(statements) = self.statements_per_s {
            return format!("{:<26} {statements:.1} statements/s, {} % of a core\n", self.scenario, number(self.core_percent, 2));
        }
        line([
            self.scenario.clone(),
            self.jobs.to_string(),
            number(self.jobs_per_s, 0),
            number(self.floor_jobs_per_s, 0),
            number(self.ratio_to_floor, 2),
            number(self.p50_ms, 2),
            number(self.p95_ms, 2),
            number(self.p99_ms, 2),
            number(self.client_cpu_us_per_job, 1),
            number(self.server_cpu_us_per_job, 1),
            number(self.wal_bytes_per_job, 0),
            number(self.peak_rss_mb, 1),
        ])
    }

    /// Sets the floor and, if there is a rate, the ratio to it.
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
}

/// Of sorted values, by the nearest rank.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

fn line(cells: [String; 12]) -> String {
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
}
