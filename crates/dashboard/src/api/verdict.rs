//! Why a job does not run, and what holds up the whole fleet: the words of `haulage why` and `haulage doctor`.

use chrono::{DateTime, Utc};
use haulage_queue::{Cause, CauseGroup, Fix, OtherCause};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::{
    endpoint::{Answer, Nothing},
    field::{Id, Json, State, Text},
};
use crate::app::App;

/// Why a job does not run, or where the time of a finished one went.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Verdict {
    /// One word that stays.
    code: &'static str,
    /// How bad it is.
    #[schemars(extend("enum" = ["ok", "heals", "slow", "worse", "stuck"]))]
    severity: &'static str,
    /// Where it stands among the causes; `null`: all is well.
    #[schemars(extend("enum" = ["needs_you", "getting_worse", "clears_by_itself", null]))]
    group: Option<&'static str>,
    /// What to look at and act on.
    subject: Subject,
    /// Since when it has been so.
    since: Option<DateTime<Utc>>,
    /// Who moves next.
    #[schemars(extend("enum" = ["clock", "worker", "rescuer", "person", "database", "nobody"]))]
    mover: &'static str,
    /// When that is to happen.
    due: Option<DateTime<Utc>>,
    /// Whether it should have happened already.
    overdue: bool,
    /// One sentence.
    sentence: Text,
    /// What else there is to say about it; may be empty.
    detail: Text,
    /// The numbers and names in the sentence, under names that stay.
    facts: Json,
    /// What else would hold it up.
    also: Vec<Other>,
    /// What can be done, the best first.
    fixes: Vec<Remedy>,
    /// Every fact that was looked at.
    evidence: Json,
}

/// What a verdict is about: whatever of these there is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Subject")]
struct Subject {
    /// One job; of a cause, one of its jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<Id>,
    /// A queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    /// A kind of that queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// A limit key, or "word:*" for all that begin with the word.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// A worker, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    /// A schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    /// A session of the server, by its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    /// The state of the jobs that are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

/// Something else that would hold it up.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OtherCause")]
struct Other {
    /// One word that stays.
    code: &'static str,
    /// One sentence.
    sentence: Text,
}

/// Something that can be done about it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Fix")]
struct Remedy {
    /// One word that stays.
    id: &'static str,
    /// What a button says.
    label: Text,
    /// The command that does it, or what a person has to do.
    command: Text,
    /// The same as data; `null`: nothing in the database would help.
    act: Json,
    /// Whether it can be undone.
    reversible: bool,
}

impl Verdict {
    pub(crate) fn new(verdict: haulage_queue::Verdict) -> Self {
        let subject = verdict.subject;
        Self {
            code: verdict.code.as_str(),
            severity: verdict.severity.as_str(),
            group: verdict.group.map(CauseGroup::as_str),
            subject: Subject {
                job: subject.job.map(Id::from),
                queue: subject.queue,
                kind: subject.kind,
                key: subject.key,
                worker: subject.worker,
                schedule: subject.schedule,
                pid: subject.pid,
                state: subject.state.map(State),
            },
            since: verdict.since,
            mover: verdict.mover.as_str(),
            due: verdict.due,
            overdue: verdict.overdue,
            sentence: Text::of(&verdict.sentence),
            detail: Text::of(&verdict.detail),
            facts: Json::ours(json!(verdict.facts)),
            also: verdict
                .also
                .iter()
                .map(|other: &OtherCause| Other { code: other.code.as_str(), sentence: Text::of(&other.sentence) })
                .collect(),
            fixes: verdict.fixes.iter().map(Remedy::new).collect(),
            evidence: Json::ours(verdict.evidence),
        }
    }
}

impl Remedy {
    fn new(fix: &Fix) -> Self {
        Self {
            id: fix.id,
            label: Text::of(&fix.label),
            command: Text::of(&fix.command),
            act: Json::ours(json!(fix.act)),
            reversible: fix.reversible,
        }
    }
}

/// Something that holds up jobs, or will.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Cause")]
struct Held {
    #[serde(flatten)]
    verdict: Verdict,
    /// How many jobs, as far as they were counted: up to 10,001 of a queue. 0: it is about no jobs.
    jobs: i64,
    /// Whether there may be more.
    at_least: bool,
    /// How long the oldest of them has waited, in seconds.
    oldest_s: Option<f64>,
}

/// Everything that holds up jobs in the whole fleet, the worst first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Causes {
    /// When it was looked at, by the database's clock: some seconds ago at most.
    at: DateTime<Utc>,
    /// How long that took, in ms.
    took_ms: u64,
    /// By group, and in it by how many jobs.
    causes: Vec<Held>,
    /// The jobs could not be looked at: these are only the causes that the server shows.
    gave_up: bool,
    /// What was not looked at, because there is too much of it; empty: all was.
    partial: Vec<Text>,
    /// How long the oldest job that could run has waited, in seconds; `null`: there is none.
    oldest_ready_s: Option<f64>,
    /// Its queue.
    oldest_ready_queue: Option<String>,
}

/// `GET /causes`.
pub(crate) async fn causes(app: App, (): (), _: Nothing) -> Answer<Causes> {
    let causes = app.causes().await?;
    let held = |cause: &Cause| Held {
        verdict: Verdict::new(cause.verdict.clone()),
        jobs: cause.jobs,
        at_least: cause.at_least,
        oldest_s: cause.oldest_s,
    };
    Ok(Causes {
        at: causes.at,
        took_ms: causes.took_ms,
        causes: causes.causes.iter().map(held).collect(),
        gave_up: causes.gave_up,
        partial: causes.partial.iter().map(|part| Text::of(part)).collect(),
        oldest_ready_s: causes.oldest_ready_s,
        oldest_ready_queue: causes.oldest_ready_queue.clone(),
    })
}
