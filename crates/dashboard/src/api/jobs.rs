//! Lists of jobs.

use chrono::{DateTime, Utc};
use haulage_queue::{JobFilter, JobId, JobPage, JobSummary, check_name, job_page};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cursor::{self, Cursor},
    endpoint::Answer,
    field::{Id, Limit, Page, Rank, State, Text},
};
use crate::{
    app::{App, Reading},
    error::Problem,
    search::{self, Search},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// Only jobs in this state.
    state: Option<State>,
    /// Only jobs of this queue.
    #[schemars(regex(pattern = "^[A-Za-z0-9_.:/-]{1,128}$"))]
    queue: Option<String>,
    /// Only jobs of this kind.
    #[schemars(regex(pattern = "^[A-Za-z0-9_.:/-]{1,128}$"))]
    kind: Option<String>,
    /// A search, as on the page of jobs: `queue:mail error:"no route" age:>1h`.
    #[schemars(length(max = 2048))]
    q: Option<String>,
    /// At most so many.
    limit: Option<Limit>,
    /// `next` of the part before.
    after: Option<Cursor>,
}

/// A job in a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "JobSummary")]
pub(crate) struct Line {
    /// Its id.
    id: Id,
    /// Its kind.
    kind: String,
    /// Its queue.
    queue: String,
    /// Where it stands.
    state: State,
    /// Claims so far.
    attempt: i32,
    /// Failed attempts so far.
    failures: i16,
    /// How many may fail.
    max_attempts: i16,
    /// Its priority.
    priority: Rank,
    /// Not before this time.
    run_at: DateTime<Utc>,
    /// When it was enqueued.
    created_at: DateTime<Utc>,
    /// When the last attempt was claimed.
    claimed_at: Option<DateTime<Utc>>,
    /// When it reached its final state.
    finished_at: Option<DateTime<Utc>>,
    /// What a parked job waits for.
    #[schemars(extend("enum" = ["held", "key", "suspect", null]))]
    parked_for: Option<&'static str>,
    /// Why it is dead or cancelled; while it is retried, what its last attempt said.
    error: Option<Text>,
}

impl Line {
    pub(crate) fn new(job: JobSummary) -> Self {
        Self {
            id: job.id.into(),
            kind: job.kind,
            queue: job.queue,
            state: State(job.state),
            attempt: job.attempt,
            failures: job.failures,
            max_attempts: job.max_attempts,
            priority: Rank(job.priority),
            run_at: job.run_at,
            created_at: job.created_at,
            claimed_at: job.claimed_at,
            finished_at: job.finished_at,
            parked_for: job.parked_for.map(|what| what.as_str()),
            error: Text::some(job.error.as_deref()),
        }
    }
}

/// `GET /jobs`.
pub(crate) async fn list(app: App, (): (), asked: Asked) -> Answer<Page<Line>> {
    let before = asked.after.as_ref().map(|after| after.place("jobs", |place| place.parse().ok().map(JobId))).transpose()?;
    let mut reading = app.list().await?;
    let filter = match search::parse(asked.q.as_deref().unwrap_or_default(), &reading.clock) {
        Ok(Search::Filter(filter)) => narrow(*filter, &asked)?,
        Ok(Search::Job(id)) => return one(&mut reading, id, before, &asked).await,
        Err(refused) => return Err(Problem::unusable(format!("{} (at character {})", refused.sentence, refused.at + 1)).about("q")),
    };
    let filter = before.into_iter().fold(filter, JobFilter::before).limit(asked.limit.unwrap_or_default().0);
    let JobPage { jobs, next, .. } = job_page(reading.db(), &filter).await?;
    Ok(Page { items: jobs.into_iter().map(Line::new).collect(), next: next.map(|next| cursor::behind("jobs", next)) })
}

/// What has a parameter of its own too. Given twice, one of the two would be passed over in silence.
fn narrow(filter: JobFilter, asked: &Asked) -> Answer<JobFilter> {
    let said = serde_json::to_value(&filter).unwrap_or_default();
    let given = [("state", asked.state.is_some()), ("queue", asked.queue.is_some()), ("kind", asked.kind.is_some())];
    if let Some((name, _)) = given.iter().find(|(name, given)| *given && said.get(name).is_some()) {
        return Err(Problem::unusable(format!("the search in `q` names a {name} too: give it once")).about(*name));
    }
    let mut filter = asked.state.into_iter().fold(filter, |filter, state| filter.state(state.0));
    if let Some(queue) = name("queue", asked.queue.as_deref())? {
        filter = filter.queue(queue);
    }
    if let Some(kind) = name("kind", asked.kind.as_deref())? {
        filter = filter.kind(kind);
    }
    Ok(filter)
}

fn name<'a>(what: &'static str, text: Option<&'a str>) -> Answer<Option<&'a str>> {
    if let Some(text) = text {
        check_name(what, text).map_err(|error| Problem::bad(error.to_string()).about(what))?;
    }
    Ok(text)
}

/// The job of this id, if it is what else is asked for.
async fn one(reading: &mut Reading, id: JobId, before: Option<JobId>, asked: &Asked) -> Answer<Page<Line>> {
    let (queue, kind) = (name("queue", asked.queue.as_deref())?, name("kind", asked.kind.as_deref())?);
    // The next one down, which is another job if this one is gone.
    let mut jobs = job_page(reading.db(), &JobFilter::new().before(JobId(id.0.saturating_add(1))).limit(1)).await?.jobs;
    jobs.retain(|job| {
        let fits = asked.state.is_none_or(|state| state.0 == job.state)
            && queue.is_none_or(|queue| queue == job.queue)
            && kind.is_none_or(|kind| kind == job.kind);
        job.id == id && fits && before.is_none_or(|before| id < before)
    });
    Ok(Page::whole(jobs.into_iter().map(Line::new).collect()))
}
