//! What metrics say about the fleet.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::causes;
use crate::{
    ReadError,
    store::{self, CauseSample, FleetSample},
};

/// Each is a series of its own in whatever stores them.
const MOST: usize = 100;

/// Takes a sample of the queues, the server and the causes, in bounded time.
///
/// # Errors
/// [`ReadError`].
pub async fn sample_fleet(connection: &mut PgConnection) -> Result<FleetSample, ReadError> {
    let mut sample = store::sample_fleet(connection).await?;
    let found = causes(connection).await?;
    // The worst come first, and stay.
    let mut jobs = BTreeMap::<(&str, String), i64>::new();
    for cause in &found.causes {
        let Some(group) = cause.verdict.group else { continue };
        *sample.cause_groups.entry(group).or_default() += 1;
        let key = (cause.verdict.code.as_str(), cause.verdict.subject.queue.clone().unwrap_or_default());
        if jobs.len() < MOST || jobs.contains_key(&key) {
            *jobs.entry(key).or_default() += cause.jobs;
        }
    }
    sample.causes = jobs.into_iter().map(|((code, queue), jobs)| CauseSample { code, queue, jobs }).collect();
    Ok(sample)
}
