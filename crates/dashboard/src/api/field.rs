//! The parts that answers and questions are made of: ids as text, words, texts without secrets, JSON of somebody else.

use std::borrow::Cow;

use haulage_queue::{JobId, JobState, OperationId, Priority, store::JsonText};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::{Value, value::RawValue};

use crate::show::{hide_secrets, mask};

/// Names of fields that hold ids in JSON that is passed on as it is.
const IDS: [&str; 7] = ["id", "job", "last_job", "parent", "root", "again_of", "before"];
/// Who says nothing gets so many.
const USUAL: u16 = 50;
const MOST: u16 = 200;

/// An id as text: it may not fit a JavaScript number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) i64);

impl From<JobId> for Id {
    fn from(id: JobId) -> Self {
        Self(id.0)
    }
}

impl From<OperationId> for Id {
    fn from(id: OperationId) -> Self {
        Self(id.0)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<JobId>().map(Self::from).map_err(D::Error::custom)
    }
}

impl JsonSchema for Id {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^-?[0-9]{1,19}$" })
    }
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $of:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(transparent)]
        pub(crate) struct $name(pub(crate) $of);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "enum": <$of>::ALL.map(|word| word.as_str()) })
            }
        }
    };
}

word!(
    /// Where a job stands.
    State,
    JobState
);
word!(
    /// Which jobs of a queue go first.
    Rank,
    Priority
);

/// How many of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(pub(crate) u16);

impl Default for Limit {
    fn default() -> Self {
        Self(USUAL)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
        limit.map(Self).ok_or_else(|| D::Error::custom(format!("\"{}\" is not possible: give 1 to {MOST}", text.escape_debug())))
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL })
    }
}

/// A text that somebody wrote, secrets hidden.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn of(text: &str) -> Self {
        Self(mask(text).into_owned())
    }

    pub(crate) fn some(text: Option<&str>) -> Option<Self> {
        text.map(Self::of)
    }
}

/// JSON of somebody else, secrets hidden, each number with all its digits.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Json(Box<RawValue>);

impl Json {
    /// As it is stored.
    pub(crate) fn stored(value: &JsonText) -> Self {
        Self::text(&value.text)
    }

    fn text(text: &str) -> Self {
        // What is left of valid JSON is valid JSON; should it not be, nothing is better than what may be a secret.
        RawValue::from_string(hide_secrets(text)).map_or_else(|_| Self::null(), Self)
    }

    /// There is none.
    pub(crate) fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// What Haulage has written, ids as text.
    pub(crate) fn ours(mut value: Value) -> Self {
        ids_as_text(&mut value);
        Self::text(&value.to_string())
    }

    /// What a handler has logged.
    pub(crate) fn logged(fields: &serde_json::Map<String, Value>) -> Self {
        Self::text(&Value::Object(fields.clone()).to_string())
    }
}

impl JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

/// Turns numbers that are ids into texts, at any depth.
pub(crate) fn ids_as_text(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Number(id) if IDS.contains(&name.as_str()) => *value = Value::String(id.to_string()),
                    value => ids_as_text(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(ids_as_text),
        _ => {}
    }
}

/// A list, or a part of one.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(crate) struct Page<T> {
    /// At most as many as `limit`. Fewer, even none, while `next` is there: the search ended before it had as many.
    pub(crate) items: Vec<T>,
    /// Pass it as `after` for the next part. `null`: nothing is left.
    pub(crate) next: Option<String>,
}

impl<T> Page<T> {
    /// All there is.
    pub(crate) const fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// Of one more than was asked for: that one is left out, and there is more behind the last.
    pub(crate) fn cut(mut items: Vec<T>, limit: Limit, place: impl FnOnce(&T) -> String) -> Self {
        let more = items.len() > usize::from(limit.0);
        items.truncate(limit.0.into());
        Self { next: items.last().filter(|_| more).map(place), items }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_texts_at_any_depth_and_numbers_that_are_none_stay_numbers() {
        let mut value = json!({ "job": 9_007_199_254_740_993_i64, "n": 1, "after": [{ "last_job": 2, "done": 3 }] });
        ids_as_text(&mut value);
        assert_eq!(value, json!({ "job": "9007199254740993", "n": 1, "after": [{ "last_job": "2", "done": 3 }] }));
    }

    #[test]
    fn an_answer_is_cut_where_it_was_asked_to_end() {
        let page = Page::cut(vec![1, 2, 3], Limit(2), ToString::to_string);
        assert_eq!((page.items, page.next.as_deref()), (vec![1, 2], Some("2")));
        assert_eq!(Page::cut(vec![1, 2], Limit(2), ToString::to_string).next, None);
    }
}
