//! The lower bound of each line: a claim looks only at positions above it, so that it never walks over dead index entries again.
//! Without it every queue in a table slows down while anything holds an old snapshot.
//!
//! A claim has examined its line up to some position. The bound moves there once every transaction that ran at the claim's
//! snapshot has ended, as this or a later snapshot tells; those that have run for long are not waited for, so that a forgotten
//! writer does not pin the bound. What was passed all the same (an insert that committed late, a row that was locked) is found by
//! a sweep from zero, which is due again and again until every transaction from before the last move has ended. At low rates
//! nothing moves: a bound that saves less than `WORTH` entries is not worth its sweeps.

use std::time::{Duration, Instant};

use haulage_queue::{
    Priority,
    store::{Claim, Line},
};

/// Moves of fewer positions than this are left alone.
const WORTH: i64 = 250;
/// Until the next claim's snapshot.
const UNKNOWN: i64 = i64::MAX;
/// A transaction that has run for so long, or up to twice as long, is not waited for.
const LONG: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Bounds {
    lines: Vec<Line>,
    /// Parallel to `lines`: a move that waits for older transactions.
    pending: Vec<Option<Move>>,
    /// Parallel to `lines`: transactions before this one may have left something below the bound. 0: none has.
    unswept: Vec<i64>,
    /// Parallel to `lines`: the bound has moved although transactions before this one, exempt ones, still ran. 0: none did.
    passed: Vec<i64>,
    /// The oldest transaction that ran at the last claim's snapshot.
    xmin: i64,
    /// The last position handed out when the claim before this one was answered: everything up to there had been given its
    /// number before this claim's snapshot.
    last_pos: i64,
    /// Transactions before this one have run for long.
    exempt: i64,
    /// When a claim was answered, and the first transaction that had not started then.
    young: Option<(Instant, i64)>,
}

#[derive(Debug, Clone, Copy)]
struct Move {
    to: i64,
    xmax: i64,
}

impl Bounds {
    pub(crate) fn new(queues: impl IntoIterator<Item = String>) -> Self {
        let lines: Vec<Line> = queues
            .into_iter()
            .flat_map(|queue| Priority::ALL.map(|priority| Line { queue: queue.clone(), priority: priority.code(), bound: 0 }))
            .collect();
        let (pending, unswept) = (vec![None; lines.len()], vec![0; lines.len()]);
        Self { lines, pending, passed: unswept.clone(), unswept, xmin: 0, last_pos: 0, exempt: 0, young: None }
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Transactions before this one are not waited for.
    pub(crate) fn exempt(&self) -> i64 {
        self.exempt
    }

    /// Whether something may be below the bound of this line.
    pub(crate) fn needs_sweep(&self, index: usize) -> bool {
        self.unswept[index] > 0
    }

    /// Whether a transaction that the bound has passed has ended: what it stored is there now.
    pub(crate) fn needs_sweep_now(&self, index: usize) -> bool {
        self.passed[index] > 0 && self.xmin >= self.passed[index]
    }

    /// This line was swept after the last claim.
    pub(crate) fn swept(&mut self, index: usize) {
        if self.xmin >= self.passed[index] {
            self.passed[index] = 0;
        }
        if self.xmin >= self.unswept[index] {
            self.unswept[index] = 0;
        }
    }

    /// A sweep of this line took all that it may, up to this position: the bound has passed a live backlog, which goes on there.
    pub(crate) fn turn_back(&mut self, index: usize, to: i64) {
        self.lines[index].bound = to.min(self.lines[index].bound);
        self.pending[index] = None;
    }

    /// Starts from zero: after a lost connection the server may be another one, whose positions run behind.
    pub(crate) fn reset(&mut self) {
        self.lines.iter_mut().for_each(|line| line.bound = 0);
        self.pending.fill(None);
        self.unswept.fill(0);
        self.passed.fill(0);
        (self.last_pos, self.exempt, self.young) = (0, 0, None);
    }

    /// Whether a move waits.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pending.iter().any(Option::is_some)
    }

    /// Makes the moves that have waited long enough, given the oldest transaction that still runs, of those that are waited for.
    pub(crate) fn catch_up(&mut self, oldest: i64) {
        for (index, line) in self.lines.iter_mut().enumerate() {
            if let Some(step) = self.pending[index].take_if(|step| oldest >= step.xmax) {
                line.bound = line.bound.max(step.to);
                self.unswept[index] = UNKNOWN;
                if self.xmin < self.exempt {
                    self.passed[index] = self.exempt;
                }
            }
        }
    }

    /// Learns from a claim that wanted `want(queue)` jobs of each queue.
    pub(crate) fn learn(&mut self, claim: &Claim, want: impl Fn(&str) -> usize) {
        if !claim.alive {
            // A worker that was declared dead is shown nothing.
            return;
        }
        // What took its number or its lock during the claim before is older than this snapshot.
        self.unswept.iter_mut().filter(|before| **before == UNKNOWN).for_each(|before| *before = claim.xmax);
        self.xmin = claim.xmin;
        self.catch_up(claim.oldest);
        for (index, line) in self.lines.iter_mut().enumerate() {
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
            if examined - line.bound < WORTH {
                continue;
            }
            if claim.oldest >= claim.xmax {
                // Nothing else ran at the claim's own snapshot.
                line.bound = examined;
                self.unswept[index] = UNKNOWN;
                if self.xmin < self.exempt {
                    self.passed[index] = self.exempt;
                }
            } else {
                self.pending[index] = Some(Move { to: examined, xmax: claim.xmax });
            }
        }
        self.last_pos = claim.last_pos;
        match self.young {
            Some((since, _)) if since.elapsed() < LONG => {}
            young => {
                self.exempt = young.map_or(self.exempt, |(_, xmax)| xmax);
                self.young = Some((Instant::now(), claim.xmax));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The oldest transaction that is waited for, the first not yet started, the last position handed out.
    fn claim(oldest: i64, xmax: i64, last_pos: i64) -> Claim {
        let mut claim = Claim::default();
        (claim.oldest, claim.xmax, claim.last_pos, claim.alive) = (oldest, xmax, last_pos, true);
        claim
    }

    #[test]
    fn the_bound_waits_for_the_transactions_before_it() {
        let mut bounds = Bounds::new(["q".to_owned()]);
        bounds.learn(&claim(10, 11, 5_000), |_| 10);
        bounds.learn(&claim(10, 12, 6_000), |_| 10);
        assert_eq!(bounds.lines()[1].bound, 0, "the move to 5,000 waits for transactions before 12");
        bounds.learn(&claim(11, 13, 6_000), |_| 10);
        assert_eq!(bounds.lines()[1].bound, 0);
        bounds.learn(&claim(12, 13, 6_000), |_| 10);
        assert_eq!(bounds.lines()[1].bound, 5_000);
    }

    #[test]
    fn when_nothing_else_runs_the_bound_moves_at_once() {
        let mut bounds = Bounds::new(["q".to_owned()]);
        bounds.learn(&claim(10, 10, 5_000), |_| 10);
        bounds.learn(&claim(10, 10, 6_000), |_| 10);
        assert_eq!(bounds.lines()[1].bound, 5_000);
    }

    #[test]
    fn a_line_is_swept_until_the_transactions_before_its_move_have_ended() {
        let mut bounds = Bounds::new(["q".to_owned()]);
        let with_xmin = |xmin| Claim { xmin, ..claim(20, 20, 5_000) };
        bounds.exempt = 15;
        bounds.learn(&with_xmin(10), |_| 10);
        bounds.learn(&with_xmin(10), |_| 10);
        bounds.swept(1);
        bounds.learn(&with_xmin(10), |_| 10);
        bounds.swept(1);
        assert!(bounds.needs_sweep(1) && !bounds.needs_sweep_now(1), "transaction 10 runs still, for long");
        bounds.learn(&with_xmin(20), |_| 10);
        assert!(bounds.needs_sweep_now(1), "it has ended");
        bounds.swept(1);
        assert!(!bounds.needs_sweep(1) && !bounds.needs_sweep_now(1));
    }

    #[test]
    fn positions_handed_out_during_the_claim_are_not_passed() {
        let mut bounds = Bounds::new(["q".to_owned()]);
        bounds.learn(&claim(10, 10, 9_000), |_| 10);
        assert_eq!(bounds.lines()[0].bound, 0, "the first claim knew of no earlier position");
    }

    #[test]
    fn a_small_gain_moves_nothing() {
        let mut bounds = Bounds::new(["q".to_owned()]);
        for xid in 10..20 {
            bounds.learn(&claim(xid, xid, WORTH - 1), |_| 10);
        }
        assert_eq!(bounds.lines()[0].bound, 0);
    }

    #[test]
    fn what_has_run_for_long_is_exempt() {
        let mut bounds = Bounds::new(["q".to_owned()]);
        bounds.learn(&claim(10, 12, 0), |_| 10);
        assert_eq!(bounds.exempt(), 0);
        bounds.young = bounds.young.map(|(since, xmax)| (since - LONG, xmax));
        bounds.learn(&claim(10, 15, 0), |_| 10);
        assert_eq!(bounds.exempt(), 12, "everything that runs now and is older than 12 has run for long");
    }
}
