//! The leases this process holds, and how many of their jobs are left. The heartbeat names them; what it does not name is given
//! back.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Default)]
pub(crate) struct Leases {
    left: Mutex<HashMap<i64, usize>>,
}

impl Leases {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, usize>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws a token for a claim about to be sent. Random, because a token from a sequence is handed out twice after a server
    /// crash that forgot an asynchronous commit; and held from now on, or a slow claim would be taken for a stranded one.
    pub(crate) fn draw(&self) -> i64 {
        let token = rand::random_range(1..=i64::MAX);
        self.lock().insert(token, usize::MAX);
        token
    }

    /// The claim brought so many jobs; none, or an error: the lease is not held.
    pub(crate) fn claimed(&self, token: i64, jobs: usize) {
        if jobs == 0 {
            self.lock().remove(&token);
        } else {
            self.lock().insert(token, jobs);
        }
    }

    /// So many jobs of the lease are settled or lost. Returns whether none is left.
    pub(crate) fn settled(&self, token: i64, jobs: usize) -> bool {
        let mut left = self.lock();
        let Some(count) = left.get_mut(&token) else { return false };
        *count = count.saturating_sub(jobs);
        let empty = *count == 0;
        if empty {
            left.remove(&token);
        }
        empty
    }

    /// Of the leases with so many jobs in a batch, those that the batch would empty.
    pub(crate) fn emptied_by(&self, batch: &HashMap<i64, usize>) -> Vec<i64> {
        let left = self.lock();
        batch.iter().filter(|(token, jobs)| left.get(*token) == Some(*jobs)).map(|(token, _)| *token).collect()
    }

    pub(crate) fn held(&self) -> Vec<i64> {
        self.lock().keys().copied().collect()
    }

    /// Forgets everything: the worker was declared dead, and rescue has or will have its leases.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_held_from_the_draw_until_its_last_job_is_settled() {
        let leases = Leases::default();
        let token = leases.draw();
        assert_eq!(leases.held(), [token]);
        leases.claimed(token, 3);
        assert!(!leases.settled(token, 1));
        assert_eq!(leases.emptied_by(&HashMap::from([(token, 2)])), [token]);
        assert!(leases.emptied_by(&HashMap::from([(token, 1)])).is_empty());
        assert!(leases.settled(token, 2));
        assert!(leases.held().is_empty());
    }
}
