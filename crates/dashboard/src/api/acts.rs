//! What is done to jobs, queues and schedules: the verbs of an operator, as the command and the pages have them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use haulage_queue::{JobId, NamedJob, OnConflict, OperationId, Preview, Verb, check_name, store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::{
    endpoint::Name,
    field::{Id, Rank, State},
    filter::{self, Filter},
    jobs::Line,
    operations::Operation,
    queues::Queue,
    schedules::Schedule,
    write::{Doing, Done},
};
use crate::{actions::Action, error::Problem};

/// 100 years.
const LONGEST_S: u32 = 3_155_760_000;

/// Why it is done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Because {
    /// Why, for people. It stands in the audit, and as the error of a job that is cancelled or discarded.
    #[serde(default)]
    pub(super) reason: Option<String>,
}

/// What was done to a job.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Acted {
    /// The job.
    id: Id,
    /// What was done.
    verb: &'static str,
    /// The state it was in.
    was: State,
    /// The state it is in now: running still, if its cancel is a request. `null`: it is gone.
    now: Option<State>,
}

async fn act(mut doing: Doing, id: JobId, verb: Verb, reason: Option<String>) -> Done<Acted> {
    let operator = doing.operator(reason.as_deref());
    let acted = operator.act(doing.db(), id, verb.clone()).await?;
    let acted = Acted { id: acted.id.into(), verb: verb.as_str(), was: State(acted.was), now: acted.now.map(State) };
    Ok((doing, acted))
}

/// `POST /jobs/{id}/retry`.
pub(crate) async fn retry(doing: Doing, id: JobId, because: Because) -> Done<Acted> {
    act(doing, id, Verb::Retry, because.reason).await
}

/// `POST /jobs/{id}/run-now`.
pub(crate) async fn run_now(doing: Doing, id: JobId, because: Because) -> Done<Acted> {
    act(doing, id, Verb::RunNow, because.reason).await
}

/// `POST /jobs/{id}/cancel`.
pub(crate) async fn cancel(doing: Doing, id: JobId, because: Because) -> Done<Acted> {
    act(doing, id, Verb::Cancel, because.reason).await
}

/// `POST /jobs/{id}/discard`.
pub(crate) async fn discard(doing: Doing, id: JobId, because: Because) -> Done<Acted> {
    act(doing, id, Verb::Discard, because.reason).await
}

/// `POST /jobs/{id}/hold`.
pub(crate) async fn hold(doing: Doing, id: JobId, because: Because) -> Done<Acted> {
    act(doing, id, Verb::Hold, because.reason).await
}

/// `POST /jobs/{id}/release`.
pub(crate) async fn release(doing: Doing, id: JobId, because: Because) -> Done<Acted> {
    act(doing, id, Verb::Release, because.reason).await
}

/// `DELETE /jobs/{id}`.
pub(crate) async fn delete(doing: Doing, id: JobId, because: Because) -> Done<Acted> {
    act(doing, id, Verb::Delete, because.reason).await
}

/// Where to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whither {
    /// The queue to move to; it exists on first use.
    #[schemars(regex(pattern = "^[A-Za-z0-9_.:/-]{1,128}$"))]
    queue: String,
    /// Why, for people.
    #[serde(default)]
    reason: Option<String>,
}

/// `POST /jobs/{id}/move`.
pub(crate) async fn move_to(doing: Doing, id: JobId, to: Whither) -> Done<Acted> {
    act(doing, id, Verb::Move { queue: to.queue }, to.reason).await
}

/// Which priority.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRank {
    /// Its new priority.
    priority: Rank,
    /// Why, for people.
    #[serde(default)]
    reason: Option<String>,
}

/// `POST /jobs/{id}/reprioritise`.
pub(crate) async fn reprioritise(doing: Doing, id: JobId, to: NewRank) -> Done<Acted> {
    act(doing, id, Verb::Reprioritise { priority: to.priority.0 }, to.reason).await
}

/// Other args.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewArgs {
    /// All of them. Where a value is hidden as `"••••••"`, leave it so: it stays what it is.
    #[schemars(with = "Value")]
    args: Box<RawValue>,
    /// Why, for people.
    #[serde(default)]
    reason: Option<String>,
}

/// A job has other args.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Edited {
    /// The job.
    id: Id,
    /// What was done.
    verb: &'static str,
}

/// `PUT /jobs/{id}/args`.
pub(crate) async fn edit_args(mut doing: Doing, id: JobId, new: NewArgs) -> Done<Edited> {
    let action = Action::EditArgs { id, args: new.args.get().to_owned(), seen: None };
    doing.perform(&action, new.reason.as_deref()).await?;
    Ok((doing, Edited { id: id.into(), verb: "edit-args" }))
}

/// A finished job was repeated as a new one.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Repeated {
    /// The job that was repeated.
    id: Id,
    /// What was done.
    verb: &'static str,
    /// The new one.
    new_id: Id,
}

/// `POST /jobs/{id}/run-again`.
pub(crate) async fn run_again(mut doing: Doing, id: JobId, because: Because) -> Done<Repeated> {
    let operator = doing.operator(because.reason.as_deref());
    let new = operator.run_again(doing.db(), id).await?;
    Ok((doing, Repeated { id: id.into(), verb: "run-again", new_id: new.into() }))
}

/// A job to enqueue. What is left out is as for a job from code.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewJob {
    /// Its kind.
    #[schemars(regex(pattern = "^[A-Za-z0-9_.:/-]{1,128}$"))]
    kind: String,
    /// What it is given: any JSON. Each number keeps its digits.
    #[schemars(with = "Value")]
    args: Box<RawValue>,
    /// Its queue; `default` unless given.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z0-9_.:/-]{1,128}$"))]
    queue: Option<String>,
    /// Its priority.
    #[serde(default)]
    priority: Option<Rank>,
    /// Not before this time. Not with `delay_s`.
    #[serde(default)]
    run_at: Option<DateTime<Utc>>,
    /// Not before so many seconds from now.
    #[serde(default)]
    #[schemars(range(min = 0, max = LONGEST_S))]
    delay_s: Option<u32>,
    /// How many attempts may fail; 25 unless given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 32767))]
    max_attempts: Option<u16>,
    /// Its tags, up to 32.
    #[serde(default)]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)))]
    tags: Vec<String>,
    /// Any JSON that belongs to the job and is no argument.
    #[serde(default)]
    meta: Option<Value>,
    /// Jobs of one kind with equal keys are stored once while one is unfinished.
    #[serde(default)]
    #[schemars(length(min = 1, max = LONGEST_KEY))]
    unique_key: Option<String>,
    /// What to do when the key is held: `keep` unless given.
    #[serde(default)]
    on_conflict: Option<Conflict>,
    /// The key whose limits it shares.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z0-9_.:/@-]{1,128}$"))]
    limit_key: Option<String>,
    /// Why, for people.
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Conflict {
    Keep,
    ReplaceArgs,
    Reschedule,
}

/// A job was enqueued, or was there.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Stored {
    /// Its id.
    id: Id,
    /// Whether it was stored now. If not, it is the one that holds the unique key.
    new: bool,
}

/// Characters of a unique key.
const LONGEST_KEY: usize = 1_024;

/// `POST /jobs`.
pub(crate) async fn enqueue(mut doing: Doing, (): (), job: NewJob) -> Done<Stored> {
    if job.run_at.is_some() && job.delay_s.is_some() {
        return Err(Problem::unusable("`run_at` and `delay_s` both say when: give one of them"));
    }
    if job.unique_key.as_ref().is_some_and(|key| !(1..=LONGEST_KEY).contains(&key.chars().count())) {
        return Err(Problem::unusable(format!("`unique_key` is empty or longer than {LONGEST_KEY} characters")));
    }
    let mut named = NamedJob::new(job.kind, job.args);
    named = job.queue.into_iter().fold(named, NamedJob::queue);
    named = job.priority.into_iter().fold(named, |named, rank| named.priority(rank.0));
    named = job.run_at.into_iter().fold(named, NamedJob::run_at);
    named = job.delay_s.into_iter().fold(named, |named, seconds| named.delay(Duration::from_secs(seconds.into())));
    named = job.max_attempts.into_iter().fold(named, NamedJob::max_attempts);
    named = job.tags.into_iter().fold(named, NamedJob::tag);
    named = job.meta.into_iter().fold(named, NamedJob::meta);
    named = job.unique_key.into_iter().fold(named, NamedJob::unique_key);
    named = job.limit_key.into_iter().fold(named, NamedJob::limit_key);
    named = job.on_conflict.into_iter().fold(named, |named, action| {
        named.on_conflict(match action {
            Conflict::Keep => OnConflict::Keep,
            Conflict::ReplaceArgs => OnConflict::ReplaceArgs,
            Conflict::Reschedule => OnConflict::Reschedule,
        })
    });
    let operator = doing.operator(job.reason.as_deref());
    let stored = operator.enqueue(doing.db(), &named).await?;
    Ok((doing, Stored { id: stored.id().into(), new: stored.is_new() }))
}

/// For how long.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pause {
    /// Why, for people.
    #[serde(default)]
    reason: Option<String>,
    /// For so many seconds; until it is resumed unless given.
    #[serde(default)]
    #[schemars(range(min = 1, max = LONGEST_S))]
    for_s: Option<u32>,
}

impl Pause {
    fn length(&self) -> Result<Option<Duration>, Problem> {
        if let Some(seconds) = self.for_s.filter(|seconds| !(1..=LONGEST_S).contains(seconds)) {
            let sentence = format!("a pause of {seconds} s is not possible: give `for_s` 1 to {LONGEST_S}, or leave it out");
            return Err(Problem::unusable(sentence));
        }
        Ok(self.for_s.map(|seconds| Duration::from_secs(seconds.into())))
    }
}

async fn queue(mut doing: Doing, name: &str) -> Done<Queue> {
    let queue = store::list_queues(doing.db(), Some(&[name]), None).await?.pop().map(Queue::new);
    // It may be forgotten with its pause: nothing waits in it, and nobody serves it.
    let queue = queue.ok_or_else(|| Problem::not_found(format!("no queue \"{name}\" is known")))?;
    Ok((doing, queue))
}

/// `POST /queues/{name}/pause`.
pub(crate) async fn pause_queue(mut doing: Doing, Name(name): Name, pause: Pause) -> Done<Queue> {
    let length = pause.length()?;
    let operator = doing.operator(pause.reason.as_deref());
    operator.pause_queue(doing.db(), &name, length).await?;
    queue(doing, &name).await
}

/// Whether something changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Resumed {
    /// The queue.
    name: String,
    /// Whether it was paused.
    was_paused: bool,
}

/// `POST /queues/{name}/resume`.
pub(crate) async fn resume_queue(mut doing: Doing, Name(name): Name, because: Because) -> Done<Resumed> {
    let operator = doing.operator(because.reason.as_deref());
    let was_paused = operator.resume_queue(doing.db(), &name).await?;
    Ok((doing, Resumed { name, was_paused }))
}

async fn schedule(mut doing: Doing, name: &str) -> Done<Schedule> {
    let schedule = haulage_queue::schedule(doing.db(), name).await?;
    Ok((doing, Schedule::new(schedule)))
}

/// `POST /schedules/{name}/pause`.
pub(crate) async fn pause_schedule(mut doing: Doing, Name(name): Name, pause: Pause) -> Done<Schedule> {
    let length = pause.length()?;
    let operator = doing.operator(pause.reason.as_deref());
    operator.pause_schedule(doing.db(), &name, length).await?;
    schedule(doing, &name).await
}

/// `POST /schedules/{name}/resume`.
pub(crate) async fn resume_schedule(mut doing: Doing, Name(name): Name, because: Because) -> Done<Schedule> {
    let operator = doing.operator(because.reason.as_deref());
    operator.resume_schedule(doing.db(), &name).await?;
    schedule(doing, &name).await
}

/// `POST /schedules/{name}/run-now`.
pub(crate) async fn run_schedule(mut doing: Doing, Name(name): Name, because: Because) -> Done<Stored> {
    let operator = doing.operator(because.reason.as_deref());
    let id = operator.run_schedule(doing.db(), &name).await?;
    Ok((doing, Stored { id: id.into(), new: true }))
}

/// An act on all jobs that match.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bulk {
    /// What is done.
    verb: Word,
    /// Of a move: to which queue.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z0-9_.:/-]{1,128}$"))]
    queue: Option<String>,
    /// Of a reprioritise: to which priority.
    #[serde(default)]
    priority: Option<Rank>,
    /// To which jobs: all conditions hold.
    #[serde(deserialize_with = "filter::object")]
    filter: Filter,
    /// Why, for people.
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Retry,
    RunNow,
    Cancel,
    Discard,
    Hold,
    Release,
    Delete,
    Move,
    Reprioritise,
}

impl Bulk {
    fn verb(&self) -> Result<Verb, Problem> {
        let verb = match (self.verb, &self.queue, self.priority) {
            (Word::Move, Some(queue), None) => {
                check_name("queue", queue).map_err(|error| Problem::unusable(error.to_string()))?;
                Some(Verb::Move { queue: queue.clone() })
            }
            (Word::Reprioritise, None, Some(rank)) => Some(Verb::Reprioritise { priority: rank.0 }),
            (Word::Retry, None, None) => Some(Verb::Retry),
            (Word::RunNow, None, None) => Some(Verb::RunNow),
            (Word::Cancel, None, None) => Some(Verb::Cancel),
            (Word::Discard, None, None) => Some(Verb::Discard),
            (Word::Hold, None, None) => Some(Verb::Hold),
            (Word::Release, None, None) => Some(Verb::Release),
            (Word::Delete, None, None) => Some(Verb::Delete),
            _ => None,
        };
        verb.ok_or_else(|| Problem::unusable("`queue` belongs to the verb move, `priority` to reprioritise, and each needs its own"))
    }
}

/// What an act on many jobs would mean.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Preview")]
pub(crate) struct Seen {
    /// How many jobs match now; the count stops after 10,000.
    jobs: u64,
    /// Whether there are, or may be, more than that.
    more: bool,
    /// The same by state. Running ones that the verb does not take are skipped.
    by_state: std::collections::BTreeMap<&'static str, u64>,
    /// The newest five.
    samples: Vec<Line>,
}

/// `POST /operations/preview`.
pub(crate) async fn preview(mut doing: Doing, (): (), bulk: Bulk) -> Done<Seen> {
    let (verb, filter) = (bulk.verb()?, bulk.filter.jobs()?);
    doing.check_role(Action::verb_needs(&verb))?;
    let Preview { jobs, more, by_state, samples, .. } = haulage_queue::preview(doing.db(), verb, &filter).await?;
    Ok((doing, Seen { jobs, more, by_state, samples: samples.into_iter().map(Line::new).collect() }))
}

/// `POST /operations`.
pub(crate) async fn start(mut doing: Doing, (): (), bulk: Bulk) -> Done<Operation> {
    let (verb, filter) = (bulk.verb()?, bulk.filter.jobs()?);
    doing.check_role(Action::verb_needs(&verb))?;
    let operator = doing.operator(bulk.reason.as_deref());
    let operation = operator.start(doing.db(), verb, &filter).await?;
    doing.then_drive(operation.id);
    Ok((doing, Operation::new(operation)))
}

/// `POST /operations/{id}/cancel`.
pub(crate) async fn cancel_operation(mut doing: Doing, id: OperationId, because: Because) -> Done<Operation> {
    let operator = doing.operator(because.reason.as_deref());
    let operation = operator.cancel_operation(doing.db(), id).await?;
    Ok((doing, Operation::new(operation)))
}

/// `POST /operations/{id}/resume`.
pub(crate) async fn resume_operation(mut doing: Doing, id: OperationId, because: Because) -> Done<Operation> {
    let operator = doing.operator(because.reason.as_deref());
    let operation = operator.resume_operation(doing.db(), id).await?;
    doing.then_drive(operation.id);
    Ok((doing, Operation::new(operation)))
}
