//! Time along a line of characters. Where almost all of it is waiting, long waits are drawn short, or the attempts would be dots.

/// Waiting is drawn short when attempts fill less of the time than this.
const BUSY: f64 = 0.2;

/// From ms of the story to columns.
#[derive(Debug)]
pub(super) struct Axis {
    /// Begin and end in ms, and the end in columns, one after the other.
    stretches: Vec<Stretch>,
    width: usize,
}

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
    pub(super) fn new(length: f64, runs: &[(f64, f64)], marks: &[f64], width: usize) -> Self {
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
        let stretches = pieces
            .into_iter()
            .map(|(from, to, busy)| {
                let shortened = !busy && to - from > most;
                let begin = end;
                end = begin + if shortened { most } else { to - from } / drawn * width as f64;
                Stretch { from, to, begin, end, shortened }
            })
            .collect();
        Self { stretches, width }
    }

    /// Whether a wait is drawn shorter than it was.
    pub(super) fn is_shortened(&self) -> bool {
        self.stretches.iter().any(|stretch| stretch.shortened)
    }

    fn column(&self, at: f64) -> f64 {
        let stretch = self.stretches.iter().find(|stretch| at <= stretch.to).or(self.stretches.last());
        let Some(stretch) = stretch else { return 0.0 };
        let part = if stretch.to > stretch.from { ((at - stretch.from) / (stretch.to - stretch.from)).clamp(0.0, 1.0) } else { 0.0 };
        stretch.begin + part * (stretch.end - stretch.begin)
    }

    /// A bar from one time to another, at least one character long, with the blanks before it; a slash where time is drawn short.
    pub(super) fn bar(&self, from: f64, to: f64, fill: char) -> String {
        let last = self.width.saturating_sub(1) as f64;
        let begin = self.column(from).floor().clamp(0.0, last);
        let end = self.column(to).ceil().max(begin + 1.0).min(last + 1.0);
        let (begin, end) = (begin as usize, end as usize);
        let mut bar: Vec<char> = std::iter::repeat_n(' ', begin).chain(std::iter::repeat_n(fill, end - begin)).collect();
        for stretch in self.stretches.iter().filter(|stretch| stretch.shortened) {
            let middle = f64::midpoint(stretch.begin, stretch.end) as usize;
            if (begin + 1..end.saturating_sub(1)).contains(&middle) {
                bar[middle] = '/';
            }
        }
        bar.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_drawn_as_long_as_it_is_while_there_is_room_for_the_work() {
        let axis = Axis::new(100.0, &[(50.0, 100.0)], &[50.0], 10);
        assert_eq!((axis.bar(0.0, 50.0, '.'), axis.bar(50.0, 100.0, '#')), (".....".into(), "     #####".into()));
        assert!(!axis.is_shortened());
    }

    #[test]
    fn long_waits_are_drawn_short_and_marked() {
        let axis = Axis::new(1_000_000.0, &[(0.0, 10.0), (999_990.0, 1_000_000.0)], &[10.0, 999_990.0], 20);
        assert_eq!(axis.bar(0.0, 10.0, '#'), "#####");
        assert_eq!(axis.bar(10.0, 999_990.0, '.'), "     ...../....");
        assert_eq!(axis.bar(999_990.0, 1_000_000.0, '#'), "               #####");
    }

    #[test]
    fn whatever_the_times_are_a_bar_is_within_its_line() {
        for length in [0.0, 0.0001, 1e12] {
            let axis = Axis::new(length, &[], &[], 7);
            for (from, to) in [(0.0, 0.0), (0.0, length), (length, length), (-5.0, length * 2.0), (length, 0.0)] {
                let bar = axis.bar(from, to, '#');
                assert!((1..=7).contains(&bar.chars().count()) && bar.ends_with('#'), "{length} {from} {to}: {bar:?}");
            }
        }
    }
}
