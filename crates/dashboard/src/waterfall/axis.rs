//! Time along a line. Where almost all of it is waiting, long waits are drawn short, or the attempts would be dots.

/// Waiting is drawn short when attempts fill less of the time than this.
const BUSY: f64 = 0.2;

/// From ms of the story to percents of the width.
#[derive(Debug)]
pub(super) struct Axis(Vec<Stretch>);

#[derive(Debug)]
struct Stretch {
    from: f64,
    to: f64,
    begin: f64,
    end: f64,
    shortened: bool,
}

impl Axis {
    /// For a story of this length, with the times in which something runs, and the beginnings and ends of everything.
    pub(super) fn new(length: f64, runs: &[(f64, f64)], marks: &[f64]) -> Self {
        let length = length.max(0.001);
        let mut marks: Vec<f64> = marks.iter().copied().chain([0.0, length]).filter(|mark| (0.0..=length).contains(mark)).collect();
        marks.sort_by(f64::total_cmp);
        marks.dedup();
        let is_busy = |from: f64, to: f64| runs.iter().any(|(start, end)| *start <= from && to <= *end);
        let pieces: Vec<(f64, f64, bool)> = marks.windows(2).map(|pair| (pair[0], pair[1], is_busy(pair[0], pair[1]))).collect();
        let busy: f64 = pieces.iter().filter(|(.., busy)| *busy).map(|(from, to, _)| to - from).sum();
        // A wait may be as long as all the work.
        let most = if busy > 0.0 && busy < length * BUSY { busy } else { f64::INFINITY };
        let drawn: f64 = pieces.iter().map(|(from, to, busy)| if *busy { to - from } else { (to - from).min(most) }).sum();
        let mut end = 0.0;
        let stretches = pieces.into_iter().map(|(from, to, busy)| {
            let shortened = !busy && to - from > most;
            let begin = end;
            end = begin + if shortened { most } else { to - from } / drawn * 100.0;
            Stretch { from, to, begin, end, shortened }
        });
        Self(stretches.collect())
    }

    /// Where an instant is, in percents.
    pub(super) fn place(&self, at: f64) -> f64 {
        let Some(stretch) = self.0.iter().find(|stretch| at <= stretch.to).or(self.0.last()) else { return 0.0 };
        let part = if stretch.to > stretch.from { ((at - stretch.from) / (stretch.to - stretch.from)).clamp(0.0, 1.0) } else { 0.0 };
        (stretch.begin + part * (stretch.end - stretch.begin)).clamp(0.0, 100.0)
    }

    /// Which instant is at this place.
    pub(super) fn time(&self, place: f64) -> f64 {
        let Some(stretch) = self.0.iter().find(|stretch| place <= stretch.end).or(self.0.last()) else { return 0.0 };
        let part =
            if stretch.end > stretch.begin { ((place - stretch.begin) / (stretch.end - stretch.begin)).clamp(0.0, 1.0) } else { 0.0 };
        stretch.from + part * (stretch.to - stretch.from)
    }

    /// Where time is drawn short, in percents.
    pub(super) fn breaks(&self) -> impl Iterator<Item = f64> {
        self.0.iter().filter(|stretch| stretch.shortened).map(|stretch| f64::midpoint(stretch.begin, stretch.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_drawn_as_long_as_it_is_while_there_is_room_for_the_work() {
        let axis = Axis::new(100.0, &[(50.0, 100.0)], &[50.0]);
        assert_eq!((axis.place(0.0), axis.place(50.0), axis.place(100.0), axis.breaks().count()), (0.0, 50.0, 100.0, 0));
        assert_eq!(axis.time(75.0), 75.0);
    }

    #[test]
    fn long_waits_are_drawn_short_and_marked() {
        let axis = Axis::new(1_000_000.0, &[(0.0, 10.0), (999_990.0, 1_000_000.0)], &[10.0, 999_990.0]);
        assert_eq!((axis.place(10.0).round(), axis.place(999_990.0).round()), (25.0, 75.0));
        assert_eq!(axis.breaks().map(f64::round).collect::<Vec<_>>(), [50.0]);
    }

    #[test]
    fn whatever_the_times_are_a_place_is_within_the_line() {
        for length in [0.0, 0.0001, 1e12] {
            let axis = Axis::new(length, &[], &[]);
            for at in [-5.0, 0.0, length, length * 2.0, f64::MAX] {
                assert!((0.0..=100.0).contains(&axis.place(at)), "{length} {at}");
            }
        }
    }
}
