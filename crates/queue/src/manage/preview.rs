//! What an act on many jobs would mean, before it is started.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::{Acquire, PgConnection, Postgres};

use super::operation::scope;
use crate::{JobFilter, JobSummary, ManageError, Verb, store};

/// Jobs that a preview shows.
const SAMPLES: usize = 5;

/// What an act on many jobs would mean.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Preview {
    /// How many jobs match now; the count stops after 10,000.
    pub jobs: u64,
    /// Whether there are, or may be, more than that.
    pub more: bool,
    /// The same by state, as words. Running ones that the verb does not take are skipped.
    pub by_state: BTreeMap<&'static str, u64>,
    /// The newest five.
    pub samples: Vec<JobSummary>,
}

/// How many jobs would be meant, and some of them. Reads at most 200,000 unfinished and 200,000 finished jobs.
///
/// # Errors
/// As [`Operator::start`](crate::Operator::start), and nothing is stored.
pub async fn preview<'c>(
    database: impl Acquire<'c, Database = Postgres> + Send + 'c,
    verb: Verb,
    filter: &'c JobFilter,
) -> Result<Preview, ManageError> {
    let (filter, parts) = scope(&verb, filter.clone())?;
    let mut tx = database.begin().await?;
    let (counts, more) = store::count_jobs(&mut tx, &filter, parts).await?;
    let samples = samples(&mut tx, filter, parts, counts.iter().map(|(_, count)| *count).sum()).await?;
    tx.commit().await?;
    let mut by_state: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (state, count) in counts {
        *by_state.entry(state.as_str()).or_default() += u64::try_from(count).unwrap_or(0);
    }
    let jobs = by_state.values().sum();
    Ok(Preview { jobs, more, by_state, samples })
}

/// The newest five of those that were counted, however far back they are: the count has been there.
async fn samples(
    connection: &mut PgConnection,
    mut filter: JobFilter,
    parts: store::Parts,
    counted: i64,
) -> Result<Vec<JobSummary>, sqlx::Error> {
    let mut samples: Vec<JobSummary> = Vec::new();
    let wanted = SAMPLES.min(usize::try_from(counted).unwrap_or_default());
    while samples.len() < wanted {
        let left = u16::try_from(wanted - samples.len()).unwrap_or_default();
        let page = store::search_jobs(&mut *connection, &filter.clone().limit(left), parts, Some(store::PAGE_REACH)).await?;
        samples.extend(page.jobs);
        let Some(next) = page.next else { break };
        filter = filter.before(next);
    }
    Ok(samples)
}
