//! Takes jobs from dead workers. Any worker may.

use haulage_queue::store;
use sqlx::PgConnection;

use crate::shared::Shared;

/// Declares silent workers dead and takes the leases of all dead and absent ones; tells of the jobs that died of their third crash. Given
/// up halfway, what it has taken is taken.
pub(crate) async fn run(connection: &mut PgConnection, shared: &Shared) -> Result<(), sqlx::Error> {
    // In this order: a beat that finds the clock set puts off the rescue before it writes down its time.
    let beat = shared.last_beat();
    if !shared.may_rescue() {
        return Ok(());
    }
    for name in store::mark_dead_workers(connection, shared.worker_id(), beat, shared.calm()).await? {
        tracing::warn!(worker = name, "a worker has sent no heartbeat for as long as its lease; its jobs are taken from it");
    }
    let mut seen = Vec::new();
    let mut rescued = 0;
    while let Some((lease, taken)) = store::rescue_jobs(connection, &seen).await? {
        // A lease can stay when one of its jobs is locked; the next pass has it.
        seen.push(lease);
        rescued += taken.len();
        for job in &taken {
            shared.meters.rescued(job);
            shared.minutes.rescued(job);
            shared.errors.rescued(job);
        }
        taken.into_iter().filter(|job| job.died).for_each(|job| shared.quarantined(job));
    }
    if rescued > 0 {
        tracing::warn!(jobs = rescued, "took jobs from dead workers");
    }
    Ok(())
}
