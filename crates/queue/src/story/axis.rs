//! Time along a line. Where almost all of it is waiting, long waits are drawn short, or the attempts would be dots.

use super::{Span, SpanKind};

/// Waiting is drawn short when attempts fill less of the time than this.
const BUSY: f64 = 0.2;

/// From ms of a story to places along a line, for whoever draws it. No promise of stability.
#[derive(Debug)]
pub struct Axis {
    stretches: Vec<Stretch>,
    width: f64,
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
    /// For the spans of a story that are drawn, of this length in ms, along a line of this width.
    pub fn of<'s>(spans: impl Iterator<Item = &'s Span> + Clone, length: f64, width: f64) -> Self {
        let end = |span: &Span| span.end_ms.unwrap_or(length);
        let marks: Vec<f64> = spans.clone().flat_map(|span| [span.start_ms, end(span)]).collect();
        let runs = spans.filter(|span| matches!(span.what, SpanKind::Attempt { .. }));
        let runs: Vec<(f64, f64)> = runs.map(|span| (span.start_ms, end(span))).collect();
        Self::new(length, &runs, &marks, width)
    }

    /// With the times in which something runs, and the beginnings and ends of everything.
    pub fn new(length: f64, runs: &[(f64, f64)], marks: &[f64], width: f64) -> Self {
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
            end = begin + if shortened { most } else { to - from } / drawn * width;
            Stretch { from, to, begin, end, shortened }
        });
        Self { stretches: stretches.collect(), width }
    }

    /// How long the line is.
    pub fn width(&self) -> f64 {
        self.width
    }

    /// Where an instant is.
    pub fn place(&self, at: f64) -> f64 {
        let Some(stretch) = self.stretches.iter().find(|stretch| at <= stretch.to).or(self.stretches.last()) else { return 0.0 };
        let part = if stretch.to > stretch.from { ((at - stretch.from) / (stretch.to - stretch.from)).clamp(0.0, 1.0) } else { 0.0 };
        (stretch.begin + part * (stretch.end - stretch.begin)).clamp(0.0, self.width)
    }

    /// Which instant is at this place.
    pub fn time(&self, place: f64) -> f64 {
        let Some(stretch) = self.stretches.iter().find(|stretch| place <= stretch.end).or(self.stretches.last()) else { return 0.0 };
        let part =
            if stretch.end > stretch.begin { ((place - stretch.begin) / (stretch.end - stretch.begin)).clamp(0.0, 1.0) } else { 0.0 };
        stretch.from + part * (stretch.to - stretch.from)
    }

    /// Where time is drawn short.
    pub fn breaks(&self) -> impl Iterator<Item = f64> {
        self.stretches.iter().filter(|stretch| stretch.shortened).map(|stretch| f64::midpoint(stretch.begin, stretch.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_drawn_as_long_as_it_is_while_there_is_room_for_the_work() {
        let axis = Axis::new(100.0, &[(50.0, 100.0)], &[50.0], 100.0);
        assert_eq!((axis.place(0.0), axis.place(50.0), axis.place(100.0), axis.breaks().count()), (0.0, 50.0, 100.0, 0));
        assert_eq!(axis.time(75.0), 75.0);
    }

    #[test]
    fn long_waits_are_drawn_short_and_marked() {
        let axis = Axis::new(1_000_000.0, &[(0.0, 10.0), (999_990.0, 1_000_000.0)], &[10.0, 999_990.0], 100.0);
        assert_eq!((axis.place(10.0).round(), axis.place(999_990.0).round()), (25.0, 75.0));
        assert_eq!(axis.breaks().map(f64::round).collect::<Vec<_>>(), [50.0]);
    }

    #[test]
    fn whatever_the_times_are_a_place_is_within_the_line() {
        for length in [0.0, 0.0001, 1e12] {
            let axis = Axis::new(length, &[], &[], 100.0);
            for at in [-5.0, 0.0, length, length * 2.0, f64::MAX] {
                assert!((0.0..=100.0).contains(&axis.place(at)), "{length} {at}");
            }
        }
    }
}
