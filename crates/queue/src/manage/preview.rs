//! What an act on many jobs would mean, before it is started.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::{Acquire, Postgres};

use super::operation::scope;
use crate::{JobFilter, JobSummary, ManageError, Verb, store};

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
    let samples = store::search_jobs(&mut *tx, &filter.limit(5), parts, Some(store::PAGE_REACH)).await?.jobs;
    tx.commit().await?;
    let mut by_state: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (state, count) in counts {
        *by_state.entry(state.as_str()).or_default() += u64::try_from(count).unwrap_or(0);
    }
    let jobs = by_state.values().sum();
    Ok(Preview { jobs, more, by_state, samples })
}
