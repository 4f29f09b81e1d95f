//! How long fetch waits between two looks, and whether enqueuers should wake it.
//!
//! A notification costs the enqueuer: commits that notify stand in one line. So a worker asks to be woken only while wake-ups are
//! rare. When they come as a stream it stays awake for a while, in which nobody notifies, and looks every few milliseconds; the
//! stream over, it goes to sleep again.
//!
//! ```text
//!            nothing found            the third quick wake-up
//!  busy ───────────────────> asleep ──────────────────────────> awake for a while
//!    ^                       │    ^                                     │
//!    └── something found ────┘    └──────────── the while is over ──────┘
//! ```

use std::time::{Duration, Instant};

/// The wait after something was found; doubled while nothing is.
const FIRST: Duration = Duration::from_millis(20);
/// With a listener that wakes us the look is only the backstop.
const LAST: Duration = Duration::from_secs(1);
/// The same while awake.
const AWAKE_FIRST: Duration = Duration::from_millis(5);
const AWAKE_LAST: Duration = Duration::from_millis(40);
/// A wake-up so soon after the wait began is a quick one.
const QUICK: Duration = Duration::from_millis(5);
/// So many quick ones in succession are a stream.
const STREAM: u32 = 3;
/// How long to stay awake: longer each time that going to sleep meets the stream again.
const FIRST_STAY: Duration = Duration::from_millis(400);
const LAST_STAY: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(crate) struct Rest {
    /// Without a listener: the longest wait.
    poll_only: Option<Duration>,
    wait: Duration,
    quick: u32,
    stay: Duration,
    awake_until: Option<Instant>,
}

impl Rest {
    pub(crate) fn new(poll_only: Option<Duration>) -> Self {
        Self { poll_only, wait: FIRST, quick: 0, stay: FIRST_STAY, awake_until: None }
    }

    /// A look found something.
    pub(crate) fn found(&mut self) {
        self.wait = if self.awake_until.is_some() { AWAKE_FIRST } else { FIRST };
    }

    /// Whether enqueuers should be asked for wake-ups.
    pub(crate) fn may_sleep(&mut self, now: Instant) -> bool {
        if self.awake_until.is_some_and(|until| until <= now) {
            self.awake_until = None;
            self.wait = FIRST;
        }
        self.poll_only.is_none() && self.awake_until.is_none()
    }

    /// How long to wait before the next look.
    pub(crate) fn wait(&mut self) -> Duration {
        let wait = self.wait;
        let last = if self.awake_until.is_some() { AWAKE_LAST } else { self.poll_only.unwrap_or(LAST) };
        self.wait = (wait * 2).min(last);
        wait
    }

    /// A wake-up ended a wait that had lasted so long; returns whether to stay awake from now on.
    pub(crate) fn woken(&mut self, waited: Duration, now: Instant) -> bool {
        if self.awake_until.is_some() {
            return true;
        }
        if waited > QUICK {
            (self.quick, self.stay) = (0, FIRST_STAY);
            return false;
        }
        self.quick += 1;
        if self.quick < STREAM {
            return false;
        }
        // The next quick one suffices: the stream has not ended.
        self.quick = STREAM - 1;
        self.awake_until = Some(now + self.stay);
        self.stay = (self.stay * 2).min(LAST_STAY);
        self.wait = AWAKE_FIRST;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);
    const LATER: Duration = Duration::from_millis(50);

    #[test]
    fn rare_wake_ups_let_it_sleep() {
        let mut rest = Rest::new(None);
        let now = Instant::now();
        assert!((0..100).all(|_| !rest.woken(LATER, now)));
        assert!(!rest.woken(SOON, now) && !rest.woken(SOON, now) && !rest.woken(LATER, now) && !rest.woken(SOON, now));
        assert!(rest.may_sleep(now));
    }

    #[test]
    fn a_stream_keeps_it_awake_longer_and_longer() {
        let mut rest = Rest::new(None);
        let mut now = Instant::now();
        assert!(!rest.woken(SOON, now) && !rest.woken(SOON, now) && rest.woken(SOON, now));
        for stay in [FIRST_STAY, FIRST_STAY * 2, FIRST_STAY * 4] {
            assert!(!rest.may_sleep(now + stay / 2));
            now += stay;
            assert!(rest.may_sleep(now));
            assert!(rest.woken(SOON, now), "one quick wake-up tells that the stream goes on");
        }
        now += LAST_STAY;
        assert!(rest.may_sleep(now));
        assert!(!rest.woken(LATER, now));
        assert!(!rest.woken(SOON, now), "the stream is forgotten");
    }

    #[test]
    fn waits_grow_to_a_limit_that_depends_on_who_wakes() {
        let longest = |mut rest: Rest| (0..20).map(|_| rest.wait()).max().unwrap();
        assert_eq!(longest(Rest::new(None)), LAST);
        assert_eq!(longest(Rest::new(Some(Duration::from_millis(300)))), Duration::from_millis(300));
        let mut awake = Rest::new(None);
        let now = Instant::now();
        assert_eq!([(); 3].map(|()| awake.woken(SOON, now)), [false, false, true]);
        assert_eq!(awake.wait(), AWAKE_FIRST);
        assert_eq!(longest(awake), AWAKE_LAST);
    }
}
