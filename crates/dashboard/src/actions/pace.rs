//! How fast somebody may change things. A person never meets it; a script that went wild, or a key that got stuck, would fill the audit and
//! keep the connections of everybody else.

use std::{
    collections::HashMap,
    num::NonZeroU16,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Refusal;

/// Changes at once, after a rest.
const BURST: u32 = 60;

/// After that one each: as many in a minute.
const EACH: Duration = Duration::from_secs(1);

/// Names that are kept before those are left out that have rested.
const MANY: usize = 1_000;

/// By who asks, when their changes so far are made up for by waiting. In this process: behind a balancer each has its own. Clones are the
/// same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace(Arc<Mutex<HashMap<String, Instant>>>);

impl Pace {
    /// Counts a change, or refuses it.
    pub(crate) fn count(&self, who: &str) -> Result<(), Refusal> {
        let now = Instant::now();
        let mut made_up = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if made_up.len() >= MANY {
            made_up.retain(|_, at| *at > now);
        }
        let at = made_up.get(who).copied().unwrap_or(now).max(now) + EACH;
        if at > now + EACH * BURST {
            // What was refused was not counted, so they are over by one at most: the next is allowed within the time of one.
            return Err(Refusal::TooFast { most: BURST, wait_s: NonZeroU16::MIN });
        }
        made_up.insert(who.to_owned(), at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_the_burst_there_is_one_change_a_second_and_everybody_has_their_own() {
        let pace = Pace::default();
        let burst = |who: &str| (0..1_000).take_while(|_| pace.count(who).is_ok()).count();
        assert_eq!((burst("ana"), burst("ben")), (60, 60));
        let Err(Refusal::TooFast { wait_s, .. }) = pace.count("ana") else { panic!("it is allowed") };
        assert_eq!(wait_s.get(), 1);
        tokio::time::advance(EACH).await;
        assert_eq!((burst("ana"), burst("ana")), (1, 0), "asking does not put it off");
        tokio::time::advance(EACH * BURST * 2).await;
        assert_eq!(burst("ana"), 60, "no more is saved up than the burst");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_rested_takes_no_room() {
        let pace = Pace::default();
        for number in 0..MANY {
            pace.count(&number.to_string()).unwrap();
        }
        tokio::time::advance(EACH).await;
        pace.count("ana").unwrap();
        assert_eq!(pace.0.lock().unwrap().len(), 1);
    }
}
