//! A bar of characters along the time of a story.

use haulage::story::Axis;

/// A bar from one time to another on an axis of columns, at least one character long, with the blanks before it; a slash where time is drawn
/// short.
pub(super) fn bar(axis: &Axis, from: f64, to: f64, fill: char) -> String {
    let last = (axis.width() - 1.0).max(0.0);
    let begin = axis.place(from).floor().clamp(0.0, last);
    let end = axis.place(to).ceil().max(begin + 1.0).min(last + 1.0);
    let (begin, end) = (begin as usize, end as usize);
    let mut bar: Vec<char> = std::iter::repeat_n(' ', begin).chain(std::iter::repeat_n(fill, end - begin)).collect();
    for middle in axis.breaks().map(|middle| middle as usize) {
        if (begin + 1..end.saturating_sub(1)).contains(&middle) {
            bar[middle] = '/';
        }
    }
    bar.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_drawn_as_long_as_it_is_while_there_is_room_for_the_work() {
        let axis = Axis::new(100.0, &[(50.0, 100.0)], &[50.0], 10.0);
        let bar = |from, to, fill| bar(&axis, from, to, fill);
        assert_eq!((bar(0.0, 50.0, '.'), bar(50.0, 100.0, '#')), (".....".into(), "     #####".into()));
        assert_eq!(axis.breaks().count(), 0);
    }

    #[test]
    fn long_waits_are_drawn_short_and_marked() {
        let axis = Axis::new(1_000_000.0, &[(0.0, 10.0), (999_990.0, 1_000_000.0)], &[10.0, 999_990.0], 20.0);
        let bar = |from, to, fill| bar(&axis, from, to, fill);
        assert_eq!(bar(0.0, 10.0, '#'), "#####");
        assert_eq!(bar(10.0, 999_990.0, '.'), "     ...../....");
        assert_eq!(bar(999_990.0, 1_000_000.0, '#'), "               #####");
    }

    #[test]
    fn whatever_the_times_are_a_bar_is_within_its_line() {
        for length in [0.0, 0.0001, 1e12] {
            let axis = Axis::new(length, &[], &[], 7.0);
            for (from, to) in [(0.0, 0.0), (0.0, length), (length, length), (-5.0, length * 2.0), (length, 0.0)] {
                let bar = bar(&axis, from, to, '#');
                assert!((1..=7).contains(&bar.chars().count()) && bar.ends_with('#'), "{length} {from} {to}: {bar:?}");
            }
        }
    }
}
