//! Storing many jobs: checked first, then sent in batches, all or nothing.

use std::{collections::HashMap, sync::Arc};

use sqlx::{Acquire, Postgres};
use uuid::Uuid;

use crate::{
    Enqueue, EnqueueError, Enqueued, Job, Origin,
    enqueue::Draft,
    provenance::{Context, Provenance},
    store,
    telemetry::EnqueueSpan,
    unique::{REPLACE_ARGS, RESCHEDULE},
};

/// Rows a statement: measured, nothing is gained past about 1,000.
const BATCH: usize = 1_000;
/// Bytes of args a statement: large args make batches short, or a thousand of them would be a gigabyte.
const BATCH_BYTES: usize = 8 << 20;

/// Stores any number of jobs, all or nothing: on a `&PgPool`, a `&mut PgConnection`, or with the caller's own writes on
/// `&mut *tx`. Up to 1,000 jobs are one statement; more are sent in batches inside one transaction or savepoint.
///
/// Every job is checked before the first is sent. The results are in the order of the jobs; of several jobs with one unique
/// key the first is stored, and the later ones meet it as they would one after the other.
///
/// ```no_run
/// # use haulage_queue::{Job, Priority, enqueue_all};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Ping(u32);
/// # impl Job for Ping { const KIND: &'static str = "ping"; }
/// # async fn f(pool: sqlx::PgPool) -> Result<(), haulage_queue::EnqueueError> {
/// enqueue_all(&pool, (0..5_000).map(Ping)).await?;
/// enqueue_all(&pool, (0..10).map(|n| Ping(n).with().priority(Priority::Bulk))).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`EnqueueError`] of the first job that can't be stored; none is stored then.
pub fn enqueue_all<'c, J: Job>(
    connection: impl Acquire<'c, Database = Postgres> + Send + 'c,
    jobs: impl IntoIterator<Item = impl Into<Enqueue<J>>>,
) -> impl Future<Output = Result<Vec<Enqueued>, EnqueueError>> + Send + 'c {
    let drafts: Result<Vec<_>, _> = jobs
        .into_iter()
        .map(|job| {
            let job: Enqueue<J> = job.into();
            let context = job.context.clone();
            job.draft().map(|draft| (draft, context))
        })
        .collect();
    let opened = drafts.map(open);
    async move {
        let (span, mut drafts) = opened?;
        let stored = span.run(async {
            let twins = fold_twins(&mut drafts);
            let batches = batches(&drafts, &twins);
            let mut results: Vec<Option<Enqueued>> = vec![None; drafts.len()];
            match batches.as_slice() {
                [] => {}
                [only] => {
                    let mut connection = connection.acquire().await?;
                    store_batch(&mut connection, &drafts, only, &mut results).await?;
                }
                several => {
                    let mut tx = connection.begin().await?;
                    for batch in several {
                        store_batch(&mut tx, &drafts, batch, &mut results).await?;
                    }
                    tx.commit().await?;
                }
            }
            for (index, first) in twins {
                results[index] = results[first].map(|first| Enqueued::Duplicate(first.id()));
            }
            Ok(results.into_iter().flatten().collect())
        });
        span.ended_batch(stored.await)
    }
}

/// One span for all, and what is stored about where each comes from. Jobs of which nothing different was said share it.
fn open(drafts: Vec<(Draft, Context)>) -> (EnqueueSpan, Vec<(Draft, Arc<Provenance>)>) {
    let Some((first, context)) = drafts.first() else { return (EnqueueSpan::default(), Vec::new()) };
    let queue = drafts.iter().all(|(draft, _)| draft.queue == first.queue).then_some(first.queue.as_ref());
    let jobs = Some(drafts.len());
    let (span, from) = context.open(queue, first.kind, jobs);
    let mut last = (context.clone(), Arc::new(from));
    let drafts = drafts.into_iter().map(|(draft, context)| {
        if context != last.0 {
            let from = context.provenance(&span, Origin::current().as_deref(), jobs);
            last = (context, Arc::new(from));
        }
        (draft, Arc::clone(&last.1))
    });
    let drafts = drafts.collect();
    (span, drafts)
}

/// Jobs of one call with one unique key: the first stands for all; the later ones change it as their conflict rule says.
/// Returns the index of each later one with the index of its first.
fn fold_twins(drafts: &mut [(Draft, Arc<Provenance>)]) -> HashMap<usize, usize> {
    let mut firsts: HashMap<Uuid, usize> = HashMap::new();
    let mut twins = HashMap::new();
    for index in 0..drafts.len() {
        let Some(key) = drafts[index].0.unique else { continue };
        let Some(&first) = firsts.get(&key.key) else {
            firsts.insert(key.key, index);
            continue;
        };
        twins.insert(index, first);
        let (before, from) = drafts.split_at_mut(index);
        let (first, twin) = (&mut before[first].0, &mut from[0].0);
        if key.on_conflict & REPLACE_ARGS != 0 {
            first.args.clone_from(&twin.args);
        }
        if key.on_conflict & RESCHEDULE != 0 {
            (first.run_at, first.delay_s) = (twin.run_at, twin.delay_s);
        }
        // A holder that is there already meets the later rule too.
        if let Some(unique) = &mut first.unique {
            unique.on_conflict |= key.on_conflict;
        }
    }
    twins
}

/// Indices by statement: jobs without a key in order; jobs with a key sorted by it, so that two calls can't deadlock. A batch
/// has one context.
fn batches(drafts: &[(Draft, Arc<Provenance>)], twins: &HashMap<usize, usize>) -> Vec<Vec<usize>> {
    let (mut keyed, plain): (Vec<usize>, Vec<usize>) =
        (0..drafts.len()).filter(|index| !twins.contains_key(index)).partition(|index| drafts[*index].0.unique.is_some());
    keyed.sort_by_key(|index| drafts[*index].0.unique.map(|unique| unique.key));
    [plain, keyed].iter().flat_map(|part| part.chunk_by(|a, b| drafts[*a].1 == drafts[*b].1)).flat_map(|run| cut(drafts, run)).collect()
}

/// Cuts a run by rows and by bytes.
fn cut(drafts: &[(Draft, Arc<Provenance>)], run: &[usize]) -> Vec<Vec<usize>> {
    let (mut batches, mut bytes) = (Vec::<Vec<usize>>::new(), 0);
    for &index in run {
        bytes += drafts[index].0.args.len();
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH && bytes <= BATCH_BYTES => batch.push(index),
            _ => {
                bytes = drafts[index].0.args.len();
                batches.push(vec![index]);
            }
        }
    }
    batches
}

async fn store_batch(
    connection: &mut sqlx::PgConnection,
    drafts: &[(Draft, Arc<Provenance>)],
    batch: &[usize],
    results: &mut [Option<Enqueued>],
) -> Result<(), EnqueueError> {
    let Some(&first) = batch.first() else { return Ok(()) };
    let from = &*drafts[first].1;
    let rows: Vec<&Draft> = batch.iter().map(|index| &drafts[*index].0).collect();
    let stored = if drafts[first].0.unique.is_some() {
        store::enqueue_unique_jobs(connection, &rows, from).await?
    } else {
        store::enqueue_jobs(connection, &rows, from).await?.into_iter().map(Enqueued::New).collect()
    };
    if stored.len() != batch.len() {
        return Err(from.lease_lost(drafts[first].0.kind));
    }
    for (index, stored) in batch.iter().zip(stored) {
        results[*index] = Some(stored);
    }
    Ok(())
}
