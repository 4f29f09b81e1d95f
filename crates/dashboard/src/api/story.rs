//! The story of a job, a trace or a request: the JSON of `haulage trace --json`, ids as text, secrets hidden.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::show::{hide_secrets, mask};

/// Fields with what somebody wrote. The others hold names and words, which stay as they are.
const TEXTS: [&str; 7] = ["error", "detail", "reason", "notes", "message", "route", "url"];

/// A story, as it was told.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Story(Value);

impl Story {
    pub(crate) fn new(story: &haulage_queue::story::Story) -> Self {
        let mut told = json!(story);
        clean(&mut told);
        Self(told)
    }
}

fn clean(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    // What a handler has logged under names of its own.
                    "fields" => *value = serde_json::from_str(&hide_secrets(&value.to_string())).unwrap_or_default(),
                    "job" | "again_of" if value.is_number() => *value = Value::String(value.to_string()),
                    name if TEXTS.contains(&name) => hide(value),
                    _ => clean(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(clean),
        _ => {}
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::String(text) => *text = mask(text).into_owned(),
        Value::Array(texts) => texts.iter_mut().for_each(hide),
        _ => {}
    }
}

impl JsonSchema for Story {
    fn schema_name() -> Cow<'static, str> {
        "Story".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let span = generator.subschema_for::<Span>();
        json_schema!({
            "type": "object",
            "description": "What happened, as a tree of spans.",
            "properties": {
                "found": {
                    "type": "object",
                    "description": "What the id turned out to be: one of these.",
                    "properties": { "job": { "type": "string" }, "trace": { "type": "string" }, "request": { "type": "string" } }
                },
                "read_at": { "type": "string", "format": "date-time" },
                "started_at": { "type": "string", "format": "date-time" },
                "ended_at": { "type": ["string", "null"], "format": "date-time", "description": "`null`: something still waits or runs." },
                "spans": { "type": "array", "items": span },
                "notes": { "type": "array", "items": { "type": "string" }, "description": "What is not told, in sentences." }
            },
            "required": ["found", "read_at", "started_at", "ended_at", "spans", "notes"]
        })
    }
}

/// A stretch of a story.
struct Span;

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let children = generator.subschema_for::<Self>();
        let line = generator.subschema_for::<super::job::SaidLine>();
        let text = || json!({ "type": "string" });
        let maybe = || json!({ "type": ["string", "null"] });
        let count = || json!({ "type": "integer" });
        let length = || json!({ "type": "number" });
        let kinds = [
            ("request", vec![("request_id", maybe()), ("route", maybe()), ("service", maybe()), ("version", maybe())]),
            (
                "job",
                vec![
                    ("job", text()),
                    ("kind", text()),
                    ("queue", text()),
                    ("state", text()),
                    ("parked_for", maybe()),
                    ("attempts", count()),
                    ("failures", count()),
                    ("max_attempts", count()),
                    ("error", maybe()),
                    ("waited_ms", length()),
                    ("worked_ms", length()),
                    ("lost_ms", length()),
                    ("asked", json!({ "type": "boolean" })),
                ],
            ),
            ("enqueue", vec![("schedule", maybe()), ("instant", maybe()), ("again_of", maybe()), ("by", maybe())]),
            ("wait", vec![("reason", text()), ("detail", maybe())]),
            (
                "attempt",
                vec![
                    ("attempt", count()),
                    ("outcome", text()),
                    ("error", maybe()),
                    ("error_class", maybe()),
                    ("worker", maybe()),
                    ("log", json!({ "type": "array", "items": line })),
                ],
            ),
            ("act", vec![("verb", text()), ("who", text()), ("reason", maybe())]),
        ];
        let variants = kinds.into_iter().map(|(span, fields)| {
            let mut properties = Map::from_iter([
                ("span".to_owned(), json!({ "type": "string", "const": span })),
                ("start_ms".to_owned(), json!({ "type": "number", "description": "From the beginning of the story." })),
                ("end_ms".to_owned(), json!({ "type": ["number", "null"], "description": "`null`: it goes on." })),
            ]);
            properties.extend(fields.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
            let required: Vec<String> = properties.keys().cloned().collect();
            let trace = json!({
                "type": "object",
                "description": "Its span in a tracing backend.",
                "properties": {
                    "trace_id": { "type": "string" },
                    "span_id": { "type": "string" },
                    "sampled": { "type": ["boolean", "null"] }
                },
                "required": ["trace_id", "span_id", "sampled"]
            });
            properties.insert("trace".to_owned(), trace);
            properties.insert("notes".to_owned(), json!({ "type": "array", "items": { "type": "string" } }));
            properties.insert("children".to_owned(), json!({ "type": "array", "items": children }));
            json!({ "type": "object", "properties": properties, "required": required })
        });
        let variants: Vec<Value> = variants.collect();
        json_schema!({ "description": "A stretch of a story; `span` says what it is.", "oneOf": variants })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_text_and_secrets_go_wherever_they_stand() {
        let mut told = json!({
            "found": { "job": 9_007_199_254_740_993_i64 },
            "spans": [{ "span": "job", "job": 7, "queue": "token:refresh", "attempts": 2, "children": [
                { "span": "attempt", "attempt": 1, "error": "api_key=QQQQ", "log": [{ "message": "password: QQQQ", "fields": { "job": 3, "token": "QQQQ" } }] },
            ] }],
            "notes": ["postgres://a:QQQQ@h"],
        });
        clean(&mut told);
        let text = told.to_string();
        assert!(!text.contains("QQQQ"), "{text}");
        assert_eq!((&told["found"]["job"], &told["spans"][0]["job"]), (&json!("9007199254740993"), &json!("7")));
        assert_eq!((&told["spans"][0]["queue"], &told["spans"][0]["attempts"]), (&json!("token:refresh"), &json!(2)));
        assert_eq!(told["spans"][0]["children"][0]["log"][0]["fields"]["job"], json!(3), "a field of the handler's");
    }
}
