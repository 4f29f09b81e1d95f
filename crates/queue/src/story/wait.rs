//! Cuts the wait before an attempt by its reason.
//!
//! The row says when the time had come (`run_at`, or the attempt before: `next_run_at`) and since when only the queue made it wait
//! (`eligible_at`): the stretch before the first is the schedule, the backoff or the snooze, the stretch between them the limit key. What
//! operators did lies over that: a hold over everything, a queue's pause over what the queue and the key would have been.

use chrono::{DateTime, Utc};

use super::{WaitReason, window::Window};

/// A wait as the rows of job and attempts have it.
#[derive(Debug, Clone)]
pub(super) struct Wait {
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
    /// What it waited for at first, and when that was over.
    pub(super) timed: Option<(WaitReason, DateTime<Utc>, Option<String>)>,
    /// Since when only the queue made it wait.
    pub(super) eligible_at: Option<DateTime<Utc>>,
    /// Whether it may have waited for its time first: when that came is not known any more.
    pub(super) maybe_scheduled: bool,
    /// When it was last released, if it was held: `eligible_at` tells only of what came then.
    pub(super) released_at: Option<DateTime<Utc>>,
    /// What it waited for between the two: of a job without a key nobody knows.
    pub(super) key: Option<String>,
    /// What it waits for in the end: the line, or to run alone.
    pub(super) last: WaitReason,
}

/// A part of a wait.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) reason: WaitReason,
    pub(super) detail: Option<String>,
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
}

/// The parts of a wait, end to end. None if it took no time.
pub(super) fn cut(wait: &Wait, windows: &[Window]) -> Vec<Part> {
    let mut marks: Vec<DateTime<Utc>> = [wait.from, wait.to].into();
    marks.extend(wait.timed.iter().map(|(_, due, _)| *due));
    marks.extend(wait.eligible_at);
    marks.extend(windows.iter().flat_map(|window| [window.from, window.to]));
    marks.retain(|mark| (wait.from..=wait.to).contains(mark));
    marks.sort_unstable();
    marks.dedup();

    let mut parts: Vec<Part> = Vec::new();
    for pair in marks.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let (mut reason, mut detail) = wait.reason_at(from);
        for window in windows.iter().filter(|window| window.from <= from && to <= window.to) {
            if window.outranks(reason) {
                (reason, detail) = (window.reason, window.detail.clone());
            }
        }
        match parts.last_mut() {
            Some(part) if part.reason == reason && part.detail == detail => part.to = to,
            _ => parts.push(Part { reason, detail, from, to }),
        }
    }
    parts
}

impl Wait {
    /// By the rows alone.
    fn reason_at(&self, at: DateTime<Utc>) -> (WaitReason, Option<String>) {
        match (&self.timed, self.eligible_at) {
            (Some((reason, due, detail)), _) if at < *due => (*reason, detail.clone()),
            (_, Some(eligible)) if at < eligible => match (&self.key, self.released_at.is_some_and(|released| at < released)) {
                (Some(key), false) if self.maybe_scheduled => {
                    (WaitReason::Unknown, Some(format!("scheduled for later, or for its key {key}")))
                }
                (Some(key), false) => (WaitReason::Key, Some(key.clone())),
                (Some(key), true) => (WaitReason::Unknown, Some(format!("for its key {key}, or in line"))),
                (None, true) => (self.last, None),
                (None, false) => (WaitReason::Unknown, None),
            },
            _ => (self.last, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{WaitReason::*, *};

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + ms).unwrap()
    }

    fn wait(from: i64, to: i64) -> Wait {
        Wait {
            from: at(from),
            to: at(to),
            timed: None,
            eligible_at: None,
            maybe_scheduled: false,
            released_at: None,
            key: None,
            last: Line,
        }
    }

    fn window(from: i64, to: i64, reason: WaitReason) -> Window {
        Window { from: at(from), to: at(to), reason, detail: None }
    }

    /// Reasons and lengths in ms; and that they stand end to end.
    fn parts(wait: &Wait, windows: &[Window]) -> Vec<(WaitReason, i64)> {
        let parts = cut(wait, windows);
        assert_eq!(parts.first().map(|part| part.from), (wait.from < wait.to).then_some(wait.from));
        assert!(parts.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert_eq!(parts.last().map(|part| part.to), (wait.from < wait.to).then_some(wait.to));
        parts.iter().map(|part| (part.reason, (part.to - part.from).num_milliseconds())).collect()
    }

    #[test]
    fn a_wait_is_cut_by_its_time_its_key_and_the_line() {
        let keyed = Wait { timed: Some((Backoff, at(10), None)), eligible_at: Some(at(30)), key: Some("k".into()), ..wait(0, 35) };
        assert_eq!(parts(&keyed, &[]), [(Backoff, 10), (Key, 20), (Line, 5)]);
        assert_eq!(parts(&Wait { key: None, ..keyed.clone() }, &[]), [(Backoff, 10), (Unknown, 20), (Line, 5)]);
        let unknown = Wait { timed: None, maybe_scheduled: true, ..keyed.clone() };
        assert_eq!(parts(&unknown, &[]), [(Unknown, 30), (Line, 5)], "its schedule is not told as the key");
        assert_eq!(parts(&Wait { to: at(5), ..keyed.clone() }, &[]), [(Backoff, 5)], "it ended before its time");
        assert_eq!(parts(&Wait { eligible_at: Some(at(-99)), timed: None, ..keyed.clone() }, &[]), [(Line, 35)]);
        assert_eq!(parts(&wait(7, 7), &[]), []);
    }

    #[test]
    fn what_operators_did_lies_over_it() {
        let keyed = Wait { timed: Some((Scheduled, at(10), None)), eligible_at: Some(at(30)), key: Some("k".into()), ..wait(0, 40) };
        assert_eq!(parts(&keyed, &[window(5, 35, Held)]), [(Scheduled, 5), (Held, 30), (Line, 5)]);
        let released = Wait { released_at: Some(at(25)), ..keyed.clone() };
        assert_eq!(parts(&released, &[window(15, 25, Held)]), [(Scheduled, 10), (Unknown, 5), (Held, 10), (Key, 5), (Line, 10)]);
        let released = Wait { key: None, eligible_at: Some(at(25)), ..released };
        assert_eq!(parts(&released, &[window(15, 25, Held)]), [(Scheduled, 10), (Line, 5), (Held, 10), (Line, 15)]);
        assert_eq!(parts(&keyed, &[window(5, 35, Paused)]), [(Scheduled, 10), (Paused, 25), (Line, 5)], "its time had not come");
        assert_eq!(parts(&keyed, &[window(-9, 99, Limit)]), [(Scheduled, 10), (Key, 20), (Limit, 10)]);
        let all = [window(0, 99, Limit), window(32, 38, Paused), window(34, 36, Held)];
        assert_eq!(parts(&keyed, &all), [(Scheduled, 10), (Key, 20), (Limit, 2), (Paused, 2), (Held, 2), (Paused, 2), (Limit, 2)]);
    }
}
