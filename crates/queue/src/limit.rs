//! Limits: how many jobs of a queue or of a key run at once in the whole fleet, and how many start in a time. They are rows, so
//! they can be changed while everything runs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::json;
use sqlx::{Acquire, PgExecutor, Postgres};

use crate::{ManageError, Operator, manage::Target, store};

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 128;
/// No limit is larger.
const MOST: u32 = 1_000_000_000;
/// The longest time of a rate: 24 days.
const LONGEST: Duration = Duration::from_secs(24 * 86_400);

/// What a queue or a key may do at most. Without any part it is no limit.
///
/// ```
/// use std::time::Duration;
///
/// use haulage_queue::Limit;
///
/// // Three at once, and a hundred a minute of which up to twenty start together.
/// let limit = Limit::running(3).rate(100, Duration::from_secs(60)).burst(20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[must_use = "a limit does nothing until it is given to a queue or a key"]
pub struct Limit {
    /// Jobs at once in the whole fleet; `None`: no limit.
    #[serde(rename = "max_running")]
    pub(crate) running: Option<u32>,
    pub(crate) rate: Option<Rate>,
}

/// So many starts in a time, so many of them together after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Rate {
    pub(crate) count: u32,
    #[serde(rename = "per_s", serialize_with = "seconds")]
    pub(crate) per: Duration,
    pub(crate) burst: u32,
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// The limits of a key, or of a class of keys, as they stand.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct KeyLimit {
    /// The key, or a word and ":*" for all keys that begin with this word and a colon.
    pub key: String,
    /// What it may do at most.
    pub limit: Limit,
    /// The class whose limit it is, of a key that has none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Who set it.
    pub set_by: Option<String>,
    /// When.
    pub updated_at: DateTime<Utc>,
    /// Jobs in line or running, counted to 10,001; `None` for a class.
    pub admitted: Option<i64>,
    /// Jobs that wait for it, counted to 10,001; `None` for a class.
    pub waiting: Option<i64>,
}

/// A limit or a key that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// A number is out of range.
    #[error("the {part} {value} of the limit is out of range: use {range}")]
    OutOfRange {
        /// "number of jobs at once", "number of starts", "time of the rate" or "burst".
        part: &'static str,
        /// The value as given.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
    /// A burst without a rate.
    #[error("the limit has a burst and no rate: give it a rate first, such as 100 a minute")]
    BurstWithoutRate,
    /// Nothing is limited.
    #[error("the limit limits nothing: give it a number of jobs at once, a rate, or both")]
    Empty,
    /// The key is not valid.
    #[error(
        "the limit key \"{}\" is not valid: use 1 to 128 of the characters A-Z a-z 0-9 _ . : / @ -, not beginning with haulage-; \
         \"word:*\" sets the limit of all keys that begin with \"word:\"",
        .key.escape_debug()
    )]
    Key {
        /// The key as given, cut after 200 characters.
        key: String,
    },
}

impl Limit {
    /// So many jobs at once in the whole fleet. 1 gives strict order: a job starts when the one before has ended its attempt.
    pub const fn running(most: u32) -> Self {
        Self { running: Some(most), rate: None }
    }

    /// So many starts in this time, evenly spread: as many as that together after a rest, unless [`Limit::burst`] says otherwise.
    pub const fn starts(count: u32, per: Duration) -> Self {
        Self { running: None, rate: Some(Rate { count, per, burst: count }) }
    }

    /// Adds a rate; see [`Limit::starts`].
    pub const fn rate(mut self, count: u32, per: Duration) -> Self {
        self.rate = Some(Rate { count, per, burst: count });
        self
    }

    /// At most so many of the rate's starts together. Comes after the rate; 1 spreads them evenly.
    pub const fn burst(mut self, most: u32) -> Self {
        // A burst without a rate is kept as one of no count, which the check refuses.
        let (count, per) = match self.rate {
            Some(rate) => (rate.count, rate.per),
            None => (0, Duration::ZERO),
        };
        self.rate = Some(Rate { count, per, burst: most });
        self
    }

    /// Jobs at once in the whole fleet, if that is limited.
    pub const fn max_running(&self) -> Option<u32> {
        self.running
    }

    /// Starts, the time for them, and how many may come together, if that is limited.
    pub fn max_starts(&self) -> Option<(u32, Duration, u32)> {
        self.rate.map(|rate| (rate.count, rate.per, rate.burst))
    }

    /// Whether nothing is limited.
    pub const fn is_none(&self) -> bool {
        self.running.is_none() && self.rate.is_none()
    }

    pub(crate) fn check(&self) -> Result<(), LimitError> {
        let out_of_range = |part, value: String, range| Err(LimitError::OutOfRange { part, value, range });
        let number = "1 to 1000000000";
        match (self.running, self.rate) {
            (None, None) => Err(LimitError::Empty),
            (Some(most), _) if !(1..=MOST).contains(&most) => out_of_range("number of jobs at once", most.to_string(), number),
            (_, Some(Rate { count: 0, per: Duration::ZERO, .. })) => Err(LimitError::BurstWithoutRate),
            (_, Some(rate)) if !(1..=MOST).contains(&rate.count) => out_of_range("number of starts", rate.count.to_string(), number),
            (_, Some(rate)) if !(1..=MOST).contains(&rate.burst) => out_of_range("burst", rate.burst.to_string(), number),
            (_, Some(rate)) if rate.per < Duration::from_millis(1) || rate.per > LONGEST => {
                out_of_range("time of the rate", format!("{:?}", rate.per), "1 ms to 24 days")
            }
            _ => Ok(()),
        }
    }

    /// In the form of its columns.
    pub(crate) fn stored(self) -> Stored {
        let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        Stored {
            max_running: self.running.map(number),
            rate_count: self.rate.map(|rate| number(rate.count)),
            rate_ms: self.rate.map(|rate| i32::try_from(rate.per.as_millis()).unwrap_or(i32::MAX)),
            rate_burst: self.rate.map(|rate| number(rate.burst)),
        }
    }
}

pub(crate) struct Stored {
    pub(crate) max_running: Option<i32>,
    pub(crate) rate_count: Option<i32>,
    pub(crate) rate_ms: Option<i32>,
    pub(crate) rate_burst: Option<i32>,
}

impl Operator {
    /// Sets the limits of a key, or with "word:*" of every key that begins with "word:" and has no limit of its own. Takes effect at the
    /// next admission; jobs that are already let in stay so. Limits that it has already are left as they are, and not written to the
    /// audit: so an application may set them each time it starts.
    ///
    /// # Errors
    /// [`ManageError::Limit`] says what is wrong with the key or the limit; and the others.
    pub async fn limit_key<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        key: &'c str,
        limit: Limit,
    ) -> Result<(), ManageError> {
        self.check()?;
        let name = match key.strip_suffix(":*") {
            Some(word) if word.contains(':') => return Err(wrong_key(key).into()),
            Some(word) => word,
            None => key,
        };
        check_key(name).map_err(|_| wrong_key(key))?;
        limit.check()?;
        let mut tx = database.begin().await?;
        let before = store::look_at_key_limit(&mut tx, key).await?;
        if before == limit {
            tx.rollback().await?;
            return Ok(());
        }
        store::limit_key(&mut tx, key, limit, &self.who).await?;
        let before = (!before.is_none()).then(|| json!(before));
        self.write_audit(&mut tx, "limit", Target::Key(key), &[], before, Some(json!(limit))).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes the limits of a key away; returns whether it had any. Its jobs then start like any others, unless its class has limits.
    ///
    /// # Errors
    /// [`ManageError::Limit`] for a key that Haulage keeps to itself; and the others.
    pub async fn unlimit_key<'c>(
        &'c self,
        database: impl Acquire<'c, Database = Postgres> + Send + 'c,
        key: &'c str,
    ) -> Result<bool, ManageError> {
        self.check()?;
        if key.starts_with("haulage-") {
            return Err(wrong_key(key).into());
        }
        let mut tx = database.begin().await?;
        let Some(before) = store::unlimit_key(&mut tx, key).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        self.write_audit(&mut tx, "unlimit", Target::Key(key), &[], Some(json!(before)), None).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// The limits of keys, by key.
///
/// # Errors
/// [`ManageError`] of the database.
pub async fn key_limits<'c>(executor: impl PgExecutor<'c>) -> Result<Vec<KeyLimit>, ManageError> {
    Ok(store::list_key_limits(executor, None).await?)
}

/// Keys that have no limit of their own but that of their class, and have jobs in line, running or waiting for the key: at most so many,
/// by key, those with waiting jobs before the others. Looks at the first 1,000 of each.
///
/// # Errors
/// [`ManageError`] of the database.
pub async fn class_keys<'c>(executor: impl PgExecutor<'c>, most: u16) -> Result<Vec<KeyLimit>, ManageError> {
    Ok(store::list_class_keys(executor, most.into()).await?)
}

/// Whether jobs may carry this key.
pub(crate) fn check_key(key: &str) -> Result<(), LimitError> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/@-".contains(&byte);
    if (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(valid) && !key.starts_with("haulage-") {
        return Ok(());
    }
    Err(wrong_key(key))
}

fn wrong_key(key: &str) -> LimitError {
    LimitError::Key { key: key.chars().take(200).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_out_of_range_is_refused_with_the_range() {
        let second = Duration::from_secs(1);
        for (limit, part) in [
            (Limit::running(0), "jobs at once 0"),
            (Limit::starts(0, second), "starts 0"),
            (Limit::starts(1, Duration::ZERO), "time of the rate"),
            (Limit::starts(1, second).burst(0), "burst 0"),
            (Limit::running(1).burst(5), "no rate"),
            (Limit::default(), "limits nothing"),
        ] {
            let error = limit.check().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(Limit::running(1).rate(100, Duration::from_secs(60)).burst(20).check(), Ok(()));
    }

    #[test]
    fn keys_are_checked() {
        for good in ["tenant:42", "a@example.org", "x", &"k".repeat(128)] {
            assert_eq!(check_key(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "ä", "tenant:*", "haulage-schedule:x", &"k".repeat(129)] {
            assert!(check_key(bad).is_err(), "{bad}");
        }
    }
}
