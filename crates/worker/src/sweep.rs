//! Finds what the bounds have passed: an insert that committed late, a row that was locked at the wrong moment, a claim that was
//! rolled back. A sweep walks the dead entries below the bound, so it paces itself by its own cost, and goes in parts: claims wait for
//! each of them on the same connection.

use std::time::{Duration, Instant};

use haulage_queue::store::{self, Kinds};

use crate::{
    bounds::{Bounds, Known},
    link::Link,
    shared::Shared,
};

/// Not more often than this, but for a line where something is known to have come.
const SOONEST: Duration = Duration::from_secs(1);
/// Everything below the bounds about this often, from the end to the beginning and in parts: a row that was locked when it was
/// passed may be free again, and one that drew its position before its transaction had a number is known to no snapshot.
const LATEST: Duration = Duration::from_secs(30);
/// The next sweep waits this many times as long as the last one took: at most 2 % of a connection's time.
const COST: u32 = 50;
/// Of that time, what putting one job in line takes: that is work, and not what the pace is for.
const MOVING: Duration = Duration::from_micros(50);
/// What one sweep of a line takes at most, as its statement says. As much as that is no stray job but a backlog, such as a bulk
/// enqueue that was under way for longer than the bound waits: claims then go on behind what the sweep has taken.
const MOST: i64 = 1_000;
/// A part should take about so long: it holds up the claims of its process.
const PART: Duration = Duration::from_millis(4);
/// Positions of a line's first part; later ones are as large as the time allows, up to the most: a stretch without entries says nothing
/// about the one before it. The end comes first because dead entries that vacuum can't remove yet are the newest ones.
const FIRST_PART: i64 = 5_000;
const MOST_PART: i64 = 20 * FIRST_PART;

#[derive(Debug)]
pub(crate) struct Sweep {
    /// When the last one began, and how long it took.
    last: Instant,
    took: Duration,
    next: Instant,
    all: Instant,
    /// What is still to be looked at, what comes next last: of what is recent, and of the pass over everything.
    rest: Vec<Rest>,
}

/// A line of which this much is still to be looked at.
#[derive(Debug)]
struct Rest {
    line: (usize, usize),
    /// Behind this position.
    from: i64,
    /// Up to this one.
    to: i64,
    /// Positions of the next part. Each line has its own: an empty one is quick however large its parts are.
    part: i64,
    /// Of a sweep of what is recent: what was known when it began.
    known: Option<Known>,
}

impl Sweep {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { last: now, took: Duration::ZERO, next: now + SOONEST, all: now + LATEST, rest: Vec::new() }
    }

    /// A claim took so long. One that walked over much left that to be walked again by the next sweep, which then waits as it would
    /// after a sweep of that cost.
    pub(crate) fn put_off(&mut self, claim: Duration) {
        self.next = self.next.max(self.last + (claim * COST).min(LATEST));
    }

    /// Sweeps the lines that need it, if it is time, or a part of them. Comes after a claim; returns whether it put jobs in line. Those of
    /// limited queues wait until they have no limit: a sweep finds nothing there, and must not take that for the truth.
    pub(crate) async fn due(
        &mut self,
        link: &mut Link,
        bounds: &mut Bounds,
        shared: &Shared,
        kinds: &Kinds,
        limited: &[String],
    ) -> Result<bool, sqlx::Error> {
        let started = Instant::now();
        let (time, affordable) = (started >= self.next, started >= self.last + self.took * COST);
        let begun = self.begin(bounds, started, time, affordable, |queue| !limited.contains(&shared.lanes[queue].queue));
        if !begun && (!affordable || self.rest.is_empty()) {
            return Ok(false);
        }
        let mut found = 0;
        while let Some(Rest { line, from, to, part, known }) = self.rest.pop() {
            let (begun, begin) = (Instant::now(), (to - part).max(from));
            let looked = if from < to { look(link, bounds, shared, kinds, line, (begin, to)).await? } else { Looked::NOTHING };
            found += looked.found;
            let part = match begun.elapsed() {
                quick if quick < PART / 4 => (part * 4).min(MOST_PART),
                slow if slow > PART * 2 => (part / 4).max(FIRST_PART / 10),
                _ => part,
            };
            match known {
                // What is left of a line that was turned back is looked at by the next sweep.
                _ if !looked.clear => {}
                _ if begin > from => self.rest.push(Rest { line, from, to: begin, part, known }),
                Some(known) => bounds.swept(line, known),
                None => {}
            }
            if started.elapsed() > PART {
                break;
            }
        }
        (self.last, self.took) = (started, started.elapsed().saturating_sub(MOVING * found));
        self.next = started + (self.took * COST).max(SOONEST);
        Ok(found > 0)
    }

    /// Adds the lines that need a sweep; returns whether there are any.
    fn begin(&mut self, bounds: &Bounds, now: Instant, time: bool, affordable: bool, open: impl Fn(usize) -> bool) -> bool {
        let all = time && now >= self.all && self.rest.iter().all(|rest| rest.known.is_some());
        let mut begun = Vec::new();
        for line in bounds.moved().filter(|(queue, _)| open(*queue)) {
            let (from, to) = bounds.recent(line);
            let is_recent = |rest: &Rest| rest.line == line && rest.known.is_some();
            let under_way = self.rest.iter().any(is_recent);
            // What a transaction has stored that has just ended may be where the sweep under way has been.
            if affordable && bounds.needs_sweep_now(line) || !under_way && (all || time && bounds.needs_sweep(line)) {
                self.rest.retain(|rest| !is_recent(rest));
                begun.push(Rest { line, from, to, part: FIRST_PART, known: Some(bounds.known(line)) });
            }
            if all && from > 0 {
                self.rest.insert(0, Rest { line, from: 0, to: from, part: FIRST_PART, known: None });
            }
        }
        if all {
            self.all = now + LATEST;
        }
        let any = all || !begun.is_empty();
        self.rest.extend(begun);
        any
    }
}

/// What was at some positions.
struct Looked {
    /// So many jobs.
    found: u32,
    /// What was found was all, and not a backlog.
    clear: bool,
}

impl Looked {
    const NOTHING: Self = Self { found: 0, clear: true };
}

async fn look(
    link: &mut Link,
    bounds: &mut Bounds,
    shared: &Shared,
    kinds: &Kinds,
    line: (usize, usize),
    range: (i64, i64),
) -> Result<Looked, sqlx::Error> {
    let queue = &shared.lanes[line.0].queue;
    let priority = i16::try_from(line.1).unwrap_or(i16::MAX);
    let missed = store::sweep_line(link.get().await?, queue, priority, range, kinds).await?;
    let found = u32::try_from(missed.jobs).unwrap_or(u32::MAX);
    if found > 0 {
        tracing::debug!(queue, jobs = missed.jobs, "a sweep found jobs that the bound had passed");
    }
    let clear = match missed.last_pos {
        Some(to) if missed.jobs >= MOST => {
            bounds.turn_back(line, to);
            false
        }
        _ => true,
    };
    Ok(Looked { found, clear })
}
