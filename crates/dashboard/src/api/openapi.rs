//! The document that describes the API: OpenAPI 3.1, made of the endpoints.

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    endpoint::{Asks, Endpoint},
    problem::Details,
};

/// What a program has to know before all else.
const ABOUT: &str = "What the dashboard shows, for programs. Ids are texts, times are RFC 3339 in UTC. Secrets in args, output, meta, \
                     errors and logs are hidden. A list gives `next`, which is passed back as `after`; what is added meanwhile moves \
                     nothing. Whatever goes wrong is answered as `application/problem+json`.";

/// The document, as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Document {
    text: Bytes,
    tag: HeaderValue,
}

impl Document {
    pub(super) fn of(endpoints: &[Endpoint]) -> Self {
        let text = document(endpoints).to_string();
        let hash: String = Sha256::digest(&text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::try_from(format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { text: text.into(), tag }
    }

    /// The same until another version of the program runs, so who has it is told so.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response {
        let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
        let headers = [(header::ETAG, self.tag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
        if known.flat_map(|tags| tags.split(',')).any(|tag| tag.trim().trim_start_matches("W/").as_bytes() == self.tag.as_bytes()) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, [(header::CONTENT_TYPE, "application/json")], self.text.clone()).into_response()
    }
}

fn document(endpoints: &[Endpoint]) -> Value {
    let settings = || SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut answers = settings().for_serialize().into_generator();
    let mut questions = settings().with(|settings| settings.inline_subschemas = true).for_deserialize().into_generator();
    let problem = answers.subschema_for::<Details<'_>>();
    let mut paths = Map::new();
    for endpoint in endpoints {
        let described = describe(endpoint, &mut answers, &mut questions);
        let methods = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        methods[endpoint.method.as_str().to_ascii_lowercase()] = described;
    }
    let described = json!({
        "operationId": "getOpenapi",
        "summary": "This document",
        "responses": { "200": { "description": "The document.", "content": { "application/json": { "schema": { "type": "object" } } } } }
    });
    paths.insert("/openapi.json".to_owned(), json!({ "get": described }));
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Haulage", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT },
        // From where the document is: under whatever prefix the dashboard is mounted.
        "servers": [{ "url": "../v1" }],
        "paths": paths,
        "components": {
            "schemas": answers.take_definitions(true),
            "responses": {
                "Problem": { "description": "What went wrong, and what to do.", "content": { "application/problem+json": { "schema": problem } } }
            },
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "bearer": { "type": "http", "scheme": "bearer" }
            }
        },
        "security": [{ "bearer": [] }, { "basic": [] }]
    })
}

fn describe(endpoint: &Endpoint, answers: &mut SchemaGenerator, questions: &mut SchemaGenerator) -> Value {
    let mut parameters = Vec::new();
    if let Some(place) = endpoint.place {
        let schema = json!({ "type": "string", "pattern": place.pattern });
        parameters.push(json!({ "name": place.name, "in": "path", "required": true, "description": place.says, "schema": schema }));
    }
    let answer = json!({ "description": "Done.", "content": { "application/json": { "schema": (endpoint.answer)(answers) } } });
    let mut responses = Map::from_iter([(endpoint.status.as_u16().to_string(), answer)]);
    let mut problems = vec![400, 401, 403, 422, 503, 504];
    problems.extend(endpoint.place.map(|_| 404));
    let (mut body, mut takes) = (None, None);
    match endpoint.asks {
        Asks::Query(schema) => parameters.extend(parameters_of(schema(questions).to_value())),
        Asks::Body(needs, schema) => {
            takes = Some(format!("Takes the role {needs}."));
            let schema = schema(questions).to_value();
            let required = schema["required"].as_array().is_some_and(|names| !names.is_empty());
            body = Some(json!({ "required": required, "content": { "application/json": { "schema": schema } } }));
            parameters.push(json!({
                "name": "Idempotency-Key",
                "in": "header",
                "required": false,
                "description": "Whatever is new for each request, such as a UUID: for a day a repeat with the same key does nothing and is answered as before.",
                "schema": { "type": "string", "pattern": "^[!-~]{1,200}$" }
            }));
            problems.extend([404, 409, 413, 415, 429]);
        }
    }
    for status in problems {
        responses.insert(status.to_string(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    let mut described = json!({ "operationId": endpoint.name, "summary": endpoint.says, "parameters": parameters, "responses": responses });
    for (name, value) in [("requestBody", body), ("description", takes.map(Value::from))] {
        if let Some(value) = value {
            described[name] = value;
        }
    }
    described
}

/// The fields of a query, each as a parameter.
fn parameters_of(mut query: Value) -> Vec<Value> {
    let required = query["required"].take();
    let Value::Object(fields) = query["properties"].take() else { return Vec::new() };
    let parameter = |(name, mut schema): (String, Value)| {
        without_null(&mut schema);
        let says = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let is_required = required.as_array().is_some_and(|names| names.iter().any(|required| *required == *name));
        json!({ "name": name, "in": "query", "required": is_required, "description": says, "schema": schema })
    };
    fields.into_iter().map(parameter).collect()
}

/// A parameter is there or it is not; nothing in a query says null.
fn without_null(schema: &mut Value) {
    let is_null = |value: &Value| *value == "null" || value.is_null() || value["type"] == "null";
    if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| !is_null(kind));
        if let [kind] = kinds.as_slice() {
            schema["type"] = kind.clone();
        }
    }
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.retain(|word| !is_null(word));
    }
    if let Some(Value::Array(choices)) = schema.as_object_mut().and_then(|schema| schema.remove("anyOf")) {
        let rest = choices.into_iter().filter(|choice| !is_null(choice)).filter_map(|choice| choice.as_object().cloned());
        for (name, value) in rest.flatten() {
            schema[name] = value;
        }
    }
}
