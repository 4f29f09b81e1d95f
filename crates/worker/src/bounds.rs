//! The lower bound of each line: a claim looks only at positions above it, so that it never walks over dead index entries again.
//! Without it every queue in a table slows down while anything holds an old snapshot.
//!
//! A claim has examined its line up to some position. The bound moves there once every transaction that had its number by then has
//! ended, as this or a later claim's snapshot tells: the claims until then look from the old bound on and find what these have
//! stored. Those that have run for long are not waited for, so that a forgotten writer does not pin the bound. What was passed all
//! the same (an insert that committed late, a row that was locked) is found by a sweep, which is due again and again until every
//! transaction from before the last move has ended. Where all transactions that were given a position have ended, one sweep has
//! seen everything: later ones begin behind it, so that they stay cheap however long the stretch of dead entries is. At low rates
//! nothing moves: a bound that saves less than `WORTH` entries is not worth its sweeps.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use haulage_queue::{Priority, store::Claim};

/// Lines of a queue: one a priority.
const LINES: usize = Priority::ALL.len();
/// Moves of fewer positions than this are left alone.
const WORTH: i64 = 250;
/// Until the next claim's snapshot.
const UNKNOWN: i64 = i64::MAX;
/// A transaction that has run for so long, or up to twice as long, is not waited for.
const LONG: Duration = Duration::from_millis(100);
/// How often a position is noted together with the transactions that may still store something before it.
const NOTE_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(crate) struct Bounds {
    /// Of each queue `LINES`, one after the other.
    lines: Vec<Line>,
    /// The oldest transaction that ran at the last claim's snapshot.
    xmin: i64,
    /// The last position handed out when the claim before this one was answered: everything up to there had been given its
    /// number before this claim's snapshot.
    last_pos: i64,
    /// Transactions before this one have run for long.
    exempt: i64,
    /// When a claim was answered, and the first transaction that had not started then.
    young: Option<(Instant, i64)>,
    /// Positions that had been handed out by a claim's snapshot, and the first transaction that had not started then.
    notes: VecDeque<(i64, i64)>,
    noted: Option<Instant>,
    /// Every transaction that was given a position up to this one has ended.
    settled: i64,
}

#[derive(Debug, Clone, Default)]
struct Line {
    bound: i64,
    /// A move that waits for older transactions.
    pending: Option<Move>,
    /// Transactions before this one may have left something below the bound. 0: none has.
    unswept: i64,
    /// The bound has moved although transactions before this one, exempt ones, still ran. 0: none did.
    passed: i64,
    /// Up to here a sweep has seen all that will ever be stored there. What was locked then is found by a pass over everything.
    clean: i64,
}

#[derive(Debug, Clone, Copy)]
struct Move {
    to: i64,
    /// The first transaction that it does not wait for.
    before: i64,
}

/// What was known when a sweep began. What comes later it may have missed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    xmin: i64,
    settled: i64,
}

/// What a claim brought from one queue.
#[derive(Default)]
struct Taken {
    jobs: usize,
    /// The last position of each line.
    last: [i64; LINES],
}

impl Bounds {
    pub(crate) fn new(queues: usize) -> Self {
        Self {
            lines: vec![Line::default(); queues * LINES],
            xmin: 0,
            last_pos: 0,
            exempt: 0,
            young: None,
            notes: VecDeque::new(),
            noted: None,
            settled: 0,
        }
    }

    /// The bounds of these queues, `LINES` each.
    pub(crate) fn of(&self, queues: impl Iterator<Item = usize>) -> Vec<i64> {
        queues.flat_map(|queue| &self.lines[queue * LINES..(queue + 1) * LINES]).map(|line| line.bound).collect()
    }

    /// Transactions before this one are not waited for.
    pub(crate) fn exempt(&self) -> i64 {
        self.exempt
    }

    /// Lines that have moved: queue, priority.
    pub(crate) fn moved(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.lines.iter().enumerate().filter(|(_, line)| line.bound > 0).map(|(index, _)| (index / LINES, index % LINES))
    }

    /// Positions after the first, up to the second, that sweeps look at again and again.
    pub(crate) fn recent(&self, line: (usize, usize)) -> (i64, i64) {
        let line = self.line(line);
        (line.clean.min(line.bound), line.bound)
    }

    /// Whether something may be below the bound of this line.
    pub(crate) fn needs_sweep(&self, line: (usize, usize)) -> bool {
        self.line(line).unswept > 0
    }

    /// Whether a transaction that the bound has passed has ended: what it stored is there now.
    pub(crate) fn needs_sweep_now(&self, line: (usize, usize)) -> bool {
        let passed = self.line(line).passed;
        passed > 0 && self.xmin >= passed
    }

    /// What a sweep of this line that begins now can know when it has seen all that is recent.
    pub(crate) fn known(&self, line: (usize, usize)) -> Known {
        Known { xmin: self.xmin, settled: self.settled.min(self.line(line).bound) }
    }

    /// What was recent of this line has been swept, since this was known.
    pub(crate) fn swept(&mut self, (queue, priority): (usize, usize), known: Known) {
        let line = &mut self.lines[queue * LINES + priority];
        if known.xmin >= line.passed {
            line.passed = 0;
        }
        if known.xmin >= line.unswept {
            line.unswept = 0;
        }
        line.clean = line.clean.max(known.settled.min(line.bound));
    }

    /// A sweep of this line took all that it may, up to this position: the bound has passed a live backlog, which goes on there.
    pub(crate) fn turn_back(&mut self, (queue, priority): (usize, usize), to: i64) {
        let line = &mut self.lines[queue * LINES + priority];
        line.bound = to.min(line.bound);
        line.clean = line.clean.min(line.bound);
        line.pending = None;
    }

    /// Starts from zero: after a lost connection the server may be another one, whose positions run behind.
    pub(crate) fn reset(&mut self) {
        *self = Self { xmin: self.xmin, ..Self::new(self.lines.len() / LINES) };
    }

    /// Whether a move waits.
    pub(crate) fn is_waiting(&self) -> bool {
        self.lines.iter().any(|line| line.pending.is_some())
    }

    /// Makes the moves that have waited long enough, given the oldest transaction that still runs, of those that are waited for.
    pub(crate) fn catch_up(&mut self, oldest: i64) {
        for line in &mut self.lines {
            if let Some(step) = line.pending.take_if(|step| oldest >= step.before) {
                line.advance(step.to, self.xmin, self.exempt);
            }
        }
    }

    /// Learns from a claim that wanted so many jobs of each of these queues, told by number and name, and looked at their lines.
    pub(crate) fn learn(&mut self, claim: &Claim, wanted: &[(usize, &str, usize)]) {
        if !claim.alive {
            // A worker that was declared dead is shown nothing.
            return;
        }
        // What took its number or its lock during the claim before is older than this snapshot.
        self.lines.iter_mut().filter(|line| line.unswept == UNKNOWN).for_each(|line| line.unswept = claim.next_xid);
        self.xmin = claim.xmin;
        self.catch_up(claim.oldest);
        let mut taken: HashMap<&str, Taken> = HashMap::new();
        for job in &claim.jobs {
            let queue = taken.entry(&job.queue).or_default();
            queue.jobs += 1;
            if let (1, Ok(priority)) = (job.place, usize::try_from(job.priority)) {
                queue.last[priority] = queue.last[priority].max(job.pos);
            }
        }
        for (queue, name, wanted) in wanted {
            let taken = taken.remove(name).unwrap_or_default();
            for (priority, line) in self.lines[queue * LINES..(queue + 1) * LINES].iter_mut().enumerate() {
                if line.pending.is_some() {
                    continue;
                }
                // With fewer than wanted every line of the queue ran dry, unless some were chosen that are too new to be taken.
                let dry = !claim.left && taken.jobs + claim.unreadable.len() < *wanted;
                let examined = if dry { self.last_pos } else { taken.last[priority] };
                if examined - line.bound < WORTH {
                    continue;
                }
                if claim.oldest >= claim.next_xid {
                    // Nothing else ran at the claim's own snapshot.
                    line.advance(examined, self.xmin, self.exempt);
                } else {
                    line.pending = Some(Move { to: examined, before: claim.next_xid });
                }
            }
        }
        self.note(claim);
        self.last_pos = claim.last_pos;
        match self.young {
            Some((since, _)) if since.elapsed() < LONG => {}
            young => {
                self.exempt = young.map_or(self.exempt, |(_, next)| next);
                self.young = Some((Instant::now(), claim.next_xid));
            }
        }
    }

    /// What had been handed out before this claim, and who may still store something there.
    fn note(&mut self, claim: &Claim) {
        while let Some((pos, _)) = self.notes.pop_front_if(|(_, next)| *next <= claim.xmin) {
            self.settled = pos;
        }
        if self.noted.is_none_or(|at| at.elapsed() >= NOTE_EVERY) {
            self.noted = Some(Instant::now());
            self.notes.push_back((self.last_pos, claim.next_xid));
        }
    }

    fn line(&self, (queue, priority): (usize, usize)) -> &Line {
        &self.lines[queue * LINES + priority]
    }
}

impl Line {
    fn advance(&mut self, to: i64, xmin: i64, exempt: i64) {
        self.bound = self.bound.max(to);
        self.unswept = UNKNOWN;
        if xmin < exempt {
            self.passed = exempt;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORMAL: (usize, usize) = (0, 1);

    /// The oldest transaction that is waited for, the next to be given a number, the last position handed out.
    fn claim(oldest: i64, next_xid: i64, last_pos: i64) -> Claim {
        let mut claim = Claim::default();
        (claim.oldest, claim.next_xid, claim.last_pos, claim.alive) = (oldest, next_xid, last_pos, true);
        claim
    }

    fn learn(bounds: &mut Bounds, claim: &Claim) {
        bounds.learn(claim, &[(0, "q", 10)]);
    }

    fn bound(bounds: &Bounds) -> i64 {
        bounds.of(std::iter::once(0))[1]
    }

    #[test]
    fn the_bound_waits_for_the_transactions_before_it() {
        let mut bounds = Bounds::new(1);
        learn(&mut bounds, &claim(10, 11, 5_000));
        learn(&mut bounds, &claim(10, 12, 6_000));
        assert_eq!(bound(&bounds), 0, "the move to 5,000 waits for transactions before 12");
        learn(&mut bounds, &claim(11, 13, 6_000));
        assert_eq!(bound(&bounds), 0);
        learn(&mut bounds, &claim(12, 13, 6_000));
        assert_eq!(bound(&bounds), 5_000);
    }

    /// The snapshot ends with 10, and 10 runs: a snapshot does not tell of it, and the bound once passed what it had stored.
    #[test]
    fn the_newest_transaction_of_all_is_waited_for() {
        let mut bounds = Bounds::new(1);
        learn(&mut bounds, &claim(10, 11, 5_000));
        learn(&mut bounds, &claim(10, 11, 5_000));
        assert_eq!(bound(&bounds), 0);
        learn(&mut bounds, &claim(11, 11, 5_000));
        assert_eq!(bound(&bounds), 5_000);
    }

    #[test]
    fn when_nothing_else_runs_the_bound_moves_at_once() {
        let mut bounds = Bounds::new(1);
        learn(&mut bounds, &claim(10, 10, 5_000));
        learn(&mut bounds, &claim(10, 10, 6_000));
        assert_eq!(bound(&bounds), 5_000);
        assert_eq!(bounds.moved().count(), 4, "every line of the queue ran dry");
    }

    #[test]
    fn a_line_is_swept_until_the_transactions_before_its_move_have_ended() {
        let mut bounds = Bounds::new(1);
        let with_xmin = |xmin| Claim { xmin, ..claim(20, 20, 5_000) };
        bounds.exempt = 15;
        learn(&mut bounds, &with_xmin(10));
        learn(&mut bounds, &with_xmin(10));
        bounds.swept(NORMAL, bounds.known(NORMAL));
        learn(&mut bounds, &with_xmin(10));
        bounds.swept(NORMAL, bounds.known(NORMAL));
        assert!(bounds.needs_sweep(NORMAL) && !bounds.needs_sweep_now(NORMAL), "transaction 10 runs still, for long");
        learn(&mut bounds, &with_xmin(20));
        assert!(bounds.needs_sweep_now(NORMAL), "it has ended");
        bounds.swept(NORMAL, bounds.known(NORMAL));
        assert!(!bounds.needs_sweep(NORMAL) && !bounds.needs_sweep_now(NORMAL));
    }

    #[test]
    fn a_sweep_that_began_before_a_move_says_nothing_of_it() {
        let mut bounds = Bounds::new(1);
        learn(&mut bounds, &claim(10, 10, 5_000));
        learn(&mut bounds, &claim(10, 10, 5_000));
        learn(&mut bounds, &Claim { xmin: 20, ..claim(20, 20, 5_000) });
        let begun = bounds.known(NORMAL);
        learn(&mut bounds, &Claim { xmin: 20, ..claim(20, 25, 6_000) });
        learn(&mut bounds, &Claim { xmin: 25, ..claim(25, 25, 6_000) });
        assert_eq!(bound(&bounds), 6_000);
        bounds.swept(NORMAL, begun);
        assert!(bounds.needs_sweep(NORMAL));
        learn(&mut bounds, &Claim { xmin: 30, ..claim(30, 30, 6_000) });
        bounds.swept(NORMAL, bounds.known(NORMAL));
        assert!(!bounds.needs_sweep(NORMAL));
    }

    #[test]
    fn what_all_transactions_have_left_behind_is_swept_once() {
        let mut bounds = Bounds::new(1);
        let at = |bounds: &mut Bounds, xmin: i64, next_xid: i64, last_pos: i64| {
            bounds.noted = None;
            learn(bounds, &Claim { xmin, ..claim(next_xid, next_xid, last_pos) });
            bounds.swept(NORMAL, bounds.known(NORMAL));
        };
        at(&mut bounds, 10, 20, 5_000);
        at(&mut bounds, 10, 21, 6_000);
        assert_eq!(bounds.recent(NORMAL), (0, 5_000), "transaction 10 may store something yet");
        at(&mut bounds, 20, 22, 7_000);
        assert_eq!(bounds.recent(NORMAL), (0, 6_000), "what was handed out before the first claim is not known");
        at(&mut bounds, 21, 23, 8_000);
        assert_eq!(bounds.recent(NORMAL), (5_000, 7_000), "those before 21, who had positions up to 5,000, have ended");
        bounds.turn_back(NORMAL, 100);
        assert_eq!(bounds.recent(NORMAL), (100, 100));
        bounds.reset();
        assert_eq!(bounds.recent(NORMAL), (0, 0));
    }

    #[test]
    fn positions_handed_out_during_the_claim_are_not_passed() {
        let mut bounds = Bounds::new(1);
        learn(&mut bounds, &claim(10, 10, 9_000));
        assert_eq!(bound(&bounds), 0, "the first claim knew of no earlier position");
    }

    #[test]
    fn a_line_of_which_jobs_were_chosen_that_are_too_new_has_not_run_dry() {
        let mut bounds = Bounds::new(1);
        for xid in 10..14 {
            learn(&mut bounds, &Claim { left: true, ..claim(xid, xid, 5_000) });
        }
        assert_eq!(bound(&bounds), 0);
    }

    #[test]
    fn a_small_gain_moves_nothing() {
        let mut bounds = Bounds::new(1);
        for xid in 10..20 {
            learn(&mut bounds, &claim(xid, xid, WORTH - 1));
        }
        assert_eq!(bound(&bounds), 0);
    }

    #[test]
    fn a_queue_that_was_not_looked_at_stays() {
        let mut bounds = Bounds::new(2);
        for _ in 0..2 {
            bounds.learn(&claim(10, 10, 5_000), &[(1, "other", 10)]);
        }
        assert_eq!(bounds.of([0, 1].into_iter()), [0, 0, 0, 0, 5_000, 5_000, 5_000, 5_000]);
    }

    #[test]
    fn what_has_run_for_long_is_exempt() {
        let mut bounds = Bounds::new(1);
        learn(&mut bounds, &claim(10, 12, 0));
        assert_eq!(bounds.exempt(), 0);
        bounds.young = bounds.young.map(|(since, next)| (since - LONG, next));
        learn(&mut bounds, &claim(10, 15, 0));
        assert_eq!(bounds.exempt(), 12, "everything that runs now and is older than 12 has run for long");
    }
}
