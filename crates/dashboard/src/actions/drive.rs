//! Operations that this process drives: batch by batch, until they are done or somebody cancels them.
//!
//! Each batch is a transaction that also moves the operation's cursor, so a process that ends in the middle leaves nothing half done.
//! The operation is open then, and its page offers to go on with it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use haulage_queue::{OperationId, OperationState, step_operation};
use sqlx::PgPool;

/// After a batch that took so long the next waits as long again, so that half of the time is left to the workers.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// Between two tries of a batch that failed; so often.
const PAUSE: Duration = Duration::from_secs(1);
const TRIES: u32 = 30;

#[derive(Debug, Clone, Default)]
pub(crate) struct Drivers(Arc<Mutex<HashSet<OperationId>>>);

impl Drivers {
    /// Goes on with an operation, unless this process does already.
    pub(crate) fn drive(&self, pool: &PgPool, id: OperationId) {
        if !self.lock().insert(id) {
            return;
        }
        let (drivers, pool) = (self.clone(), pool.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "the dashboard has no shutdown to wait for; what is left open is gone on with later"
        )]
        tokio::spawn(async move {
            go(&pool, id).await;
            drivers.lock().remove(&id);
        });
    }

    /// Whether this process goes on with it.
    pub(crate) fn drives(&self, id: OperationId) -> bool {
        self.lock().contains(&id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<OperationId>> {
        // No code that holds it can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn go(pool: &PgPool, id: OperationId) {
    let mut failures = 0;
    loop {
        let started = Instant::now();
        match step_operation(pool, id).await {
            Ok(operation) if operation.state != OperationState::Open => return,
            Ok(_) => {
                failures = 0;
                tokio::time::sleep(started.elapsed().min(LONGEST_REST)).await;
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(operation = id.0, "a batch of an operation failed: {error}");
                if failures == TRIES {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
