//! Setting what a queue or a key may do at most.

use std::time::Duration;

use haulage_queue::{Limit, LimitError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    endpoint::{Name, Place, PlaceInPath, cut},
    queues,
    write::{Doing, Done},
};
use crate::error::Problem;

/// No rate is for a longer time: 24 days.
const LONGEST_S: f64 = 2_073_600.0;

/// All limits anew: what is left out, or `null`, is not limited.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLimit {
    /// Jobs at once in the whole fleet.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    max_running: Option<u32>,
    /// Starts in a time.
    #[serde(default)]
    rate: Option<NewRate>,
    /// Why, for people.
    #[serde(default)]
    reason: Option<String>,
}

/// So many starts in a time.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRate {
    /// How many.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    count: u32,
    /// In so many seconds.
    #[schemars(range(min = 0.001, max = LONGEST_S))]
    per_s: f64,
    /// At most so many of them together after a rest; the count unless given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    burst: Option<u32>,
}

impl NewLimit {
    /// `None`: nothing is limited.
    fn limit(&self) -> Result<Option<Limit>, Problem> {
        let per = |rate: NewRate| {
            let per = Duration::try_from_secs_f64(rate.per_s).ok().filter(|per| per.as_secs_f64() <= LONGEST_S);
            per.ok_or_else(|| {
                Problem::unusable(format!("the time {} s of the rate is not possible: give 0.001 to {LONGEST_S}", rate.per_s))
            })
        };
        Ok(match (self.max_running, self.rate) {
            (None, None) => None,
            (Some(most), None) => Some(Limit::running(most)),
            (most, Some(rate)) => {
                let limit = most.map_or_else(Limit::default, Limit::running).rate(rate.count, per(rate)?);
                Some(rate.burst.into_iter().fold(limit, Limit::burst))
            }
        })
    }
}

/// `PUT /queues/{name}/limit`.
pub(crate) async fn limit_queue(mut doing: Doing, Name(name): Name, new: NewLimit) -> Done<queues::Limit> {
    let limit = new.limit()?;
    let operator = doing.operator(new.reason.as_deref());
    operator.limit_queue(doing.db(), &name, limit).await?;
    Ok((doing, queues::Limit::new(&limit.unwrap_or_default())))
}

/// A limit key, or a word and ":*".
#[derive(Debug)]
pub(crate) struct Key(String);

impl Place for Key {
    const IN_PATH: Option<PlaceInPath> = Some(PlaceInPath {
        name: "key",
        says: "The key, or a word and `:*` for all keys that begin with the word, percent-encoded.",
        pattern: "^[A-Za-z0-9_.:/@-]{1,100}(:[*])?$",
    });

    fn read(text: &str) -> Result<Self, Problem> {
        if text.contains('\0') || text.len() > 200 {
            return Err(Problem::not_found(LimitError::Key { key: cut(text).into_owned() }.to_string()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// `PUT /keys/{key}/limit`.
pub(crate) async fn limit_key(mut doing: Doing, Key(key): Key, new: NewLimit) -> Done<queues::Limit> {
    let limit = new.limit()?;
    let operator = doing.operator(new.reason.as_deref());
    match limit {
        Some(limit) => operator.limit_key(doing.db(), &key, limit).await?,
        None => operator.unlimit_key(doing.db(), &key).await.map(|_| ())?,
    }
    Ok((doing, queues::Limit::new(&limit.unwrap_or_default())))
}
