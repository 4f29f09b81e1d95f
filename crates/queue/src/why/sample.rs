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
/// The code of all others together.
const OTHER: &str = "other";

/// Takes a sample of the queues, the server and the causes, in bounded time.
///
/// # Errors
/// [`ReadError`].
pub async fn sample_fleet(connection: &mut PgConnection) -> Result<FleetSample, ReadError> {
    let mut sample = store::sample_fleet(connection).await?;
    let found = match causes(connection).await {
        Ok(found) => found,
        Err(error @ (ReadError::Unavailable(_) | ReadError::Schema(_))) => return Err(error),
        // What was counted is worth as much without them.
        Err(error) => {
            tracing::debug!(%error, "the causes were not found in time");
            return Ok(sample);
        }
    };
    let mut jobs = BTreeMap::<(&'static str, String), i64>::new();
    for cause in &found.causes {
        let Some(group) = cause.verdict.group else { continue };
        *sample.cause_groups.entry(group).or_default() += 1;
        let key = (cause.verdict.code.as_str(), cause.verdict.subject.queue.clone().unwrap_or_default());
        *jobs.entry(key).or_default() += cause.jobs;
    }
    // By name, so that the same ones are shown each time.
    let mut series = jobs.into_iter().map(|((code, queue), jobs)| CauseSample { code, queue, jobs });
    sample.causes = series.by_ref().take(MOST).collect();
    let rest: i64 = series.map(|other| other.jobs).sum();
    if rest > 0 {
        sample.causes.push(CauseSample { code: OTHER, queue: String::new(), jobs: rest });
    }
    Ok(sample)
}
