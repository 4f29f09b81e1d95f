//! Who did what.

use chrono::{DateTime, Utc};
use haulage_queue::{AuditEntry, AuditFilter, JobId, OperationId, audit_page};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cursor::{Cursor, behind},
    endpoint::Answer,
    field::{Id, Json, Limit, Page, Text},
};
use crate::{app::App, error::Problem};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// Only what this person did.
    #[schemars(length(min = 1, max = 128))]
    who: Option<String>,
    /// Only what was done to this: `job 42`, `operation 7`, `queue mail`, `key tenant:42`, `schedule nightly`.
    #[schemars(regex(pattern = "^((job|operation) [0-9]{1,18}|(queue|key|schedule) [A-Za-z0-9_.:/*@-]{1,128})$"))]
    target: Option<String>,
    /// At most so many.
    limit: Option<Limit>,
    /// `next` of the part before.
    after: Option<Cursor>,
}

/// One deed of an operator.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
pub(crate) struct Deed {
    /// Its number; later ones are larger.
    id: Id,
    /// When.
    at: DateTime<Utc>,
    /// Who.
    who: String,
    /// What: "retry", "run-now", "start retry", ...
    verb: String,
    /// To what: "job 42", "operation 7", "queue mail", "key tenant:42", "schedule nightly".
    target: String,
    /// The jobs that were changed; of an operation's batch up to 1,000.
    jobs: Vec<Id>,
    /// The act on many jobs that it belongs to.
    operation: Option<Id>,
    /// Why.
    reason: Option<Text>,
    /// How it was; `null`: it was not there.
    before: Json,
    /// How it is since; `null`: it is gone.
    after: Json,
}

impl Deed {
    fn new(entry: AuditEntry) -> Self {
        Self {
            id: Id(entry.id),
            at: entry.at,
            who: entry.who,
            verb: entry.verb,
            target: entry.target,
            jobs: entry.jobs.into_iter().map(Id::from).collect(),
            operation: entry.operation.map(Id::from),
            reason: Text::some(entry.reason.as_deref()),
            before: entry.before.map_or_else(Json::null, Json::ours),
            after: entry.after.map_or_else(Json::null, Json::ours),
        }
    }
}

/// `GET /audit`.
pub(crate) async fn list(app: App, (): (), asked: Asked) -> Answer<Page<Deed>> {
    let limit = asked.limit.unwrap_or_default();
    let mut filter = AuditFilter::new().limit(limit.0 + 1);
    if let Some(who) = &asked.who {
        if !(1..=128).contains(&who.chars().count()) || who.contains('\0') {
            return Err(Problem::bad("nobody has such a name: give 1 to 128 characters without NUL").about("who"));
        }
        filter = filter.who(who);
    }
    if let Some(target) = &asked.target {
        filter = narrow(filter, target)?;
    }
    if let Some(after) = asked.after {
        filter = filter.before(after.place("audit", |place| place.parse().ok())?);
    }
    let mut reading = app.list().await?;
    let found = audit_page(reading.db(), &filter).await?;
    let next = found.next.filter(|_| found.entries.len() <= usize::from(limit.0));
    let page = Page::cut(found.entries.into_iter().map(Deed::new).collect(), limit, |last| behind("audit", last.id.0));
    // What a search has passed over is not looked at again.
    Ok(Page { next: page.next.or_else(|| next.map(|next| behind("audit", next))), ..page })
}

fn narrow(filter: AuditFilter, target: &str) -> Answer<AuditFilter> {
    let bad = |sentence: String| Problem::bad(sentence).about("target");
    let sentence = || {
        let shown = super::endpoint::cut(target).escape_debug().to_string();
        bad(format!(
            "\"{shown}\" is nothing that something is done to: write job 42, operation 7, queue mail, key tenant:42 or schedule nightly"
        ))
    };
    let (what, name) = target.split_once(' ').filter(|(_, name)| !name.is_empty() && !name.contains('\0')).ok_or_else(sentence)?;
    Ok(match what {
        "job" => filter.job(name.parse::<JobId>().map_err(|error| bad(error.to_string()))?),
        "operation" => filter.operation(name.parse::<OperationId>().map_err(|_| sentence())?),
        "queue" => filter.queue(name),
        "key" => filter.key(name),
        "schedule" => filter.schedule(name),
        _ => return Err(sentence()),
    })
}
