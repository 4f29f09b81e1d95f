//! Which jobs an act on many means.

use chrono::{DateTime, Utc};
use haulage_queue::{JobFilter, JobId, check_name};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value};

use super::field::{Id, State};
use crate::{error::Problem, show::hide_secrets};

/// Characters of a tag or a class.
const LONGEST_NAME: usize = 128;
/// Of a part of an error.
const LONGEST_ERROR: usize = 1_000;

/// Which jobs: all that is given must hold. Names as `haulage operations show --json` has them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// In this state.
    #[serde(default)]
    state: Option<State>,
    /// Of this queue.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z0-9_.:/-]{1,128}$"))]
    queue: Option<String>,
    /// Of this kind.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z0-9_.:/-]{1,128}$"))]
    kind: Option<String>,
    /// With this tag.
    #[serde(default)]
    #[schemars(length(min = 1, max = LONGEST_NAME))]
    tag: Option<String>,
    /// With this among their args. Not by a name that speaks of a secret: the answer would tell it.
    #[serde(default)]
    args: Option<Value>,
    /// Enqueued in this trace.
    #[serde(default)]
    #[schemars(regex(pattern = "^[0-9a-f]{32}$"))]
    trace: Option<String>,
    /// Enqueued at this time or later.
    #[serde(default)]
    created_from: Option<DateTime<Utc>>,
    /// Enqueued before this time.
    #[serde(default)]
    created_before: Option<DateTime<Utc>>,
    /// Finished at this time or later.
    #[serde(default)]
    finished_from: Option<DateTime<Utc>>,
    /// Finished before this time.
    #[serde(default)]
    finished_before: Option<DateTime<Utc>>,
    /// With this text in their last error.
    #[serde(default)]
    #[schemars(length(min = 1, max = LONGEST_ERROR))]
    error: Option<String>,
    /// With this class of last error.
    #[serde(default)]
    #[schemars(length(min = 1, max = LONGEST_NAME))]
    error_class: Option<String>,
    /// Enqueued by the handler of this job.
    #[serde(default)]
    parent: Option<Id>,
    /// Descended from this job.
    #[serde(default)]
    root: Option<Id>,
    /// With an id below this one.
    #[serde(default)]
    before: Option<Id>,
}

/// From an object. An array of its values would do for serde.
pub(crate) fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Filter, D::Error> {
    serde_json::from_value(Value::Object(Map::deserialize(deserializer)?)).map_err(D::Error::custom)
}

impl Filter {
    pub(crate) fn jobs(self) -> Result<JobFilter, Problem> {
        for (what, name) in [("queue", &self.queue), ("kind", &self.kind)] {
            if let Some(name) = name {
                check_name(what, name).map_err(|error| Problem::unusable(error.to_string()))?;
            }
        }
        for (what, text, longest) in
            [("tag", &self.tag, LONGEST_NAME), ("error", &self.error, LONGEST_ERROR), ("error_class", &self.error_class, LONGEST_NAME)]
        {
            if text.as_ref().is_some_and(|text| text.is_empty() || text.contains('\0') || text.chars().count() > longest) {
                let sentence = format!("`{what}` is empty, longer than {longest} characters or holds the character NUL: give another text");
                return Err(Problem::unusable(sentence));
            }
        }
        let trace = self.trace.map(|trace| {
            let id = (trace.len() == 32).then(|| u128::from_str_radix(&trace, 16).ok()).flatten();
            id.ok_or_else(|| {
                Problem::unusable(format!("\"{}\" is not the id of a trace: 32 hex digits", super::endpoint::cut(&trace).escape_debug()))
            })
        });
        if let Some(args) = self.args.as_ref().map(Value::to_string)
            && hide_secrets(&args) != args
        {
            return Err(Problem::unusable("`args` names a secret, or holds what looks like one: by that nobody may search"));
        }
        let mut filter = JobFilter::new();
        filter = self.state.into_iter().fold(filter, |filter, state| filter.state(state.0));
        filter = self.queue.into_iter().fold(filter, JobFilter::queue);
        filter = self.kind.into_iter().fold(filter, JobFilter::kind);
        filter = self.tag.into_iter().fold(filter, JobFilter::tag);
        filter = self.args.into_iter().fold(filter, JobFilter::args);
        filter = trace.transpose()?.into_iter().fold(filter, JobFilter::trace);
        filter = self.created_from.into_iter().fold(filter, JobFilter::created_from);
        filter = self.created_before.into_iter().fold(filter, JobFilter::created_before);
        filter = self.finished_from.into_iter().fold(filter, JobFilter::finished_from);
        filter = self.finished_before.into_iter().fold(filter, JobFilter::finished_before);
        filter = self.error.into_iter().fold(filter, JobFilter::error);
        filter = self.error_class.into_iter().fold(filter, JobFilter::error_class);
        filter = self.parent.into_iter().fold(filter, |filter, id| filter.parent(JobId(id.0)));
        filter = self.root.into_iter().fold(filter, |filter, id| filter.root(JobId(id.0)));
        Ok(self.before.into_iter().fold(filter, |filter, id| filter.before(JobId(id.0))))
    }
}
