//! The lower bound of each line: a claim looks only at positions above it, so that it never walks over dead index entries again.
//! Without it every queue in a table slows down while anything holds an old snapshot.
//!
//! A claim has examined its line up to some position. The bound moves there once every transaction that ran at the claim's
//! snapshot has ended (a later snapshot's xmin has reached the claim's xmax), or after a second, so that a long-running writer
//! does not pin it. What was passed all the same (an insert that committed late, a row that was locked) is found by a sweep from
//! zero. At low rates nothing moves: a bound that saves less than `WORTH` entries is not worth its risk.

use std::time::{Duration, Instant};

use haulage_queue::{
    Priority,
    store::{Claim, Line},
};

/// Moves of fewer positions than this are left alone.
const WORTH: i64 = 1_000;
/// A move waits at most so long for the transactions before it.
const LAG: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Bounds {
    lines: Vec<Line>,
    /// Parallel to `lines`: a move that waits for older transactions.
    pending: Vec<Option<Move>>,
    /// The last position handed out when the claim before this one was answered: everything up to there had been given its
    /// number before this claim's snapshot.
    last_pos: i64,
}

#[derive(Debug, Clone, Copy)]
struct Move {
    to: i64,
    xmax: i64,
    since: Instant,
}

impl Bounds {
    pub(crate) fn new(queues: impl IntoIterator<Item = String>) -> Self {
        let lines: Vec<Line> = queues
            .into_iter()
            .flat_map(|queue| Priority::ALL.map(|priority| Line { queue: queue.clone(), priority: priority.code(), bound: 0 }))
            .collect();
        let pending = vec![None; lines.len()];
        Self { lines, pending, last_pos: 0 }
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// A sweep of this line found as much as it may take: the bound has passed a live backlog.
    pub(crate) fn reset_line(&mut self, index: usize) {
        self.lines[index].bound = 0;
        self.pending[index] = None;
    }

    /// Starts from zero: after a lost connection the server may be another one, whose positions run behind.
    pub(crate) fn reset(&mut self) {
        self.lines.iter_mut().for_each(|line| line.bound = 0);
        self.pending.fill(None);
        self.last_pos = 0;
    }

    /// Learns from a claim that wanted `want(queue)` jobs of each queue.
    pub(crate) fn learn(&mut self, claim: &Claim, want: impl Fn(&str) -> usize) {
        if !claim.alive {
            // A worker that was declared dead is shown nothing.
            return;
        }
        for (index, line) in self.lines.iter_mut().enumerate() {
            if let Some(step) = self.pending[index]
                && (claim.xmin >= step.xmax || step.since.elapsed() >= LAG)
            {
                line.bound = line.bound.max(step.to);
                self.pending[index] = None;
            }
            let wanted = want(&line.queue);
            if self.pending[index].is_some() || wanted == 0 {
                continue;
            }
            let of_queue = || claim.jobs.iter().filter(|job| job.queue == line.queue);
            let taken = of_queue().count() + claim.unreadable.len();
            let examined = if taken < wanted {
                // Every line of the queue ran dry.
                self.last_pos
            } else {
                of_queue().filter(|job| job.place == 1 && job.priority == line.priority).map(|job| job.pos).max().unwrap_or(0)
            };
            if examined - line.bound >= WORTH {
                self.pending[index] = Some(Move { to: examined, xmax: claim.xmax, since: Instant::now() });
            }
        }
        self.last_pos = claim.last_pos;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(xmin: i64, xmax: i64, last_pos: i64) -> Claim {
        let mut claim = Claim::default();
        (claim.xmin, claim.xmax, claim.last_pos, claim.alive) = (xmin, xmax, last_pos, true);
        claim
    }

    #[test]
    fn the_bound_waits_for_the_transactions_before_it() {
        let mut bounds = Bounds::new(["q".to_owned()]);
        bounds.learn(&claim(10, 10, 5_000), |_| 10);
        bounds.learn(&claim(10, 12, 6_000), |_| 10);
        assert_eq!(bounds.lines()[1].bound, 0, "the move to 5,000 waits for transactions before 12");
        bounds.learn(&claim(11, 13, 6_000), |_| 10);
        assert_eq!(bounds.lines()[1].bound, 0);
        bounds.learn(&claim(12, 13, 6_000), |_| 10);
        assert_eq!(bounds.lines()[1].bound, 5_000);
    }

    #[test]
    fn positions_handed_out_during_the_claim_are_not_passed() {
        let mut bounds = Bounds::new(["q".to_owned()]);
        bounds.learn(&claim(10, 10, 9_000), |_| 10);
        bounds.learn(&claim(20, 20, 9_000), |_| 10);
        assert_eq!(bounds.lines()[0].bound, 0, "the first claim knew of no earlier position");
    }

    #[test]
    fn a_small_gain_moves_nothing() {
        let mut bounds = Bounds::new(["q".to_owned()]);
        for xid in 10..20 {
            bounds.learn(&claim(xid, xid, 999), |_| 10);
        }
        assert_eq!(bounds.lines()[0].bound, 0);
    }
}
