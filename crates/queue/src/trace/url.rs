//! The page of a trace in a tracing backend.

use std::{fmt::Write, str::FromStr};

use chrono::{DateTime, Utc};

use crate::JobId;

/// Clocks of machines differ: a backend is asked for this much more on both sides.
const MARGIN_S: i64 = 60;

/// Where the trace of a job is shown, as a template.
///
/// ```
/// use haulage_queue::TraceUrl;
///
/// # fn main() -> Result<(), haulage_queue::TraceUrlError> {
/// let jaeger: TraceUrl = "jaeger+http://127.0.0.1:16686".parse()?;
/// let grafana: TraceUrl = "tempo+https://grafana.example.org?datasource=tempo".parse()?; // the uid of the data source
/// let other: TraceUrl = "https://traces.example.org/t/{trace_id}?from={from_ms}&to={to_ms}".parse()?;
/// assert!("https://traces.example.org/t/{trace}".parse::<TraceUrl>().is_err()); // there is no {trace}
/// # Ok(())
/// # }
/// ```
///
/// | variable | |
/// |---|---|
/// | `{trace_id}`, required | 32 hex digits |
/// | `{span_id}` | 16 hex digits |
/// | `{job_id}` | empty where it is no job's |
/// | `{request_id}` | of the request that it comes from, if it is known |
/// | `{from_ms}`, `{to_ms}`, `{from_s}`, `{to_s}`, `{from_us}`, `{to_us}` | the time of the story and a minute more on both sides, since 1970 |
///
/// What stands for a variable is percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceUrl {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Variable),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    TraceId,
    SpanId,
    JobId,
    RequestId,
    FromMs,
    ToMs,
    FromS,
    ToS,
    FromUs,
    ToUs,
}

const VARIABLES: [(&str, Variable); 10] = [
    ("trace_id", Variable::TraceId),
    ("span_id", Variable::SpanId),
    ("job_id", Variable::JobId),
    ("request_id", Variable::RequestId),
    ("from_ms", Variable::FromMs),
    ("to_ms", Variable::ToMs),
    ("from_s", Variable::FromS),
    ("to_s", Variable::ToS),
    ("from_us", Variable::FromUs),
    ("to_us", Variable::ToUs),
];

/// The template of a trace's URL is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceUrlError {
    /// It is no URL that a browser should be sent to.
    #[error(
        "the trace URL \"{}\" is none: begin it with http:// or https://, or with jaeger+http:// or tempo+https:// and the address of Jaeger or Grafana", .url.escape_debug()
    )]
    Scheme {
        /// As given.
        url: String,
    },
    /// Spaces, control characters, quotes and the like must be percent-encoded.
    #[error("the trace URL holds the character '{}': percent-encode it", .character.escape_debug())]
    Character {
        /// The first of them.
        character: char,
    },
    /// There is no such variable.
    #[error("the trace URL has the variable {{{}}}, which is unknown: use {}", .name.escape_debug(), known())]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A brace that opens and does not close, or the other way round.
    #[error("the trace URL has a brace without its partner: write %7B and %7D for braces that are no variable's")]
    Brace,
    /// It says nothing about the trace.
    #[error("the trace URL has no {{trace_id}}, so it would lead to the same page for every trace")]
    NoTraceId,
    /// A preset takes an address alone.
    #[error("the trace URL of {preset} takes the address alone{}: for another page give a whole template with {{trace_id}}", .hint)]
    Preset {
        /// Which.
        preset: &'static str,
        /// What else it takes.
        hint: &'static str,
    },
}

fn known() -> String {
    VARIABLES.map(|(name, _)| format!("{{{name}}}")).join(", ")
}

/// What stands for the variables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkParts<'a> {
    pub(crate) trace_id: &'a str,
    pub(crate) span_id: &'a str,
    pub(crate) job: Option<JobId>,
    pub(crate) request: Option<&'a str>,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
}

impl FromStr for TraceUrl {
    type Err = TraceUrlError;

    fn from_str(text: &str) -> Result<Self, TraceUrlError> {
        let text = text.trim();
        if let Some(address) = text.strip_prefix("jaeger+") {
            if address.contains(['{', '?', '#']) {
                return Err(TraceUrlError::Preset { preset: "jaeger", hint: "" });
            }
            return template(&format!("{}/trace/{{trace_id}}?uiFind={{span_id}}", address.trim_end_matches('/')));
        }
        if let Some(address) = text.strip_prefix("tempo+") {
            let (address, query) = address.split_once('?').unwrap_or((address, "datasource=tempo"));
            let datasource = query.strip_prefix("datasource=").filter(|uid| !uid.is_empty() && !uid.contains('&'));
            let hint = " and ?datasource= with the uid of the data source";
            let Some(datasource) = datasource.filter(|_| !address.contains(['{', '#'])) else {
                return Err(TraceUrlError::Preset { preset: "tempo", hint });
            };
            return template(&explore(address.trim_end_matches('/'), datasource));
        }
        template(text)
    }
}

/// Grafana's page "Explore" on a trace: its state is JSON in the query.
fn explore(address: &str, datasource: &str) -> String {
    let uid = serde_json::Value::from(datasource);
    // The variables' values hold nothing that JSON would escape.
    let [before, from, to, after] = [
        format!(
            r#"{{"trace":{{"datasource":{uid},"queries":[{{"refId":"A","datasource":{{"type":"tempo","uid":{uid}}},"queryType":"traceql","query":""#
        ),
        r#""}],"range":{"from":""#.to_owned(),
        r#"","to":""#.to_owned(),
        r#""}}}"#.to_owned(),
    ]
    .map(|part| encode(&part));
    format!("{address}/explore?schemaVersion=1&orgId=1&panes={before}{{trace_id}}{from}{{from_ms}}{to}{{to_ms}}{after}")
}

fn template(text: &str) -> Result<TraceUrl, TraceUrlError> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    if !host.is_some_and(|host| host.starts_with(|c: char| c.is_alphanumeric() || c == '[')) {
        return Err(TraceUrlError::Scheme { url: text.chars().take(80).collect() });
    }
    if let Some(character) =
        text.chars().find(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '\\' | '^' | '`' | '|'))
    {
        return Err(TraceUrlError::Character { character });
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(brace) = rest.find(['{', '}']) {
        let (before, at) = rest.split_at(brace);
        let inner = at.strip_prefix('{').ok_or(TraceUrlError::Brace)?;
        let (name, after) = inner.split_once('}').ok_or(TraceUrlError::Brace)?;
        let variable = VARIABLES.into_iter().find(|(known, _)| *known == name);
        let (_, variable) = variable.ok_or_else(|| TraceUrlError::Unknown { name: name.chars().take(40).collect() })?;
        parts.extend([Part::Text(before.to_owned()), Part::Variable(variable)]);
        rest = after;
    }
    parts.push(Part::Text(rest.to_owned()));
    if !parts.contains(&Part::Variable(Variable::TraceId)) {
        return Err(TraceUrlError::NoTraceId);
    }
    Ok(TraceUrl { parts })
}

impl TraceUrl {
    pub(crate) fn of(&self, link: &LinkParts<'_>) -> String {
        let (from, to) = (link.from.timestamp_micros() - MARGIN_S * 1_000_000, link.to.timestamp_micros() + MARGIN_S * 1_000_000);
        let mut url = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => url.push_str(text),
                Part::Variable(variable) => url.push_str(&encode(&match variable {
                    Variable::TraceId => link.trace_id.to_owned(),
                    Variable::SpanId => link.span_id.to_owned(),
                    Variable::JobId => link.job.map(|job| job.to_string()).unwrap_or_default(),
                    Variable::RequestId => link.request.unwrap_or_default().to_owned(),
                    Variable::FromMs => (from / 1_000).to_string(),
                    Variable::ToMs => (to / 1_000).to_string(),
                    Variable::FromS => (from / 1_000_000).to_string(),
                    Variable::ToS => (to / 1_000_000).to_string(),
                    Variable::FromUs => from.to_string(),
                    Variable::ToUs => to.to_string(),
                })),
            }
        }
        url
    }
}

/// Percent-encoded, but for what is unreserved in a URL.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").unwrap_or_default(),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(template: &str) -> String {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let link = LinkParts {
            trace_id: "0af7651916cd43dd8448eb211c80319c",
            span_id: "b7ad6b7169203331",
            job: Some(JobId(42)),
            request: Some("a/b?c=d&\"e\" é"),
            from: at,
            to: at + chrono::Duration::milliseconds(1_500),
        };
        template.parse::<TraceUrl>().unwrap().of(&link)
    }

    #[test]
    fn each_variable_has_its_value_and_nothing_in_it_breaks_the_url() {
        assert_eq!(
            url(
                "https://t.example.org/{trace_id}/{span_id}?j={job_id}&r={request_id}&f={from_ms}&t={to_ms}&{from_s}-{to_s}-{from_us}-{to_us}"
            ),
            "https://t.example.org/0af7651916cd43dd8448eb211c80319c/b7ad6b7169203331?j=42&r=a%2Fb%3Fc%3Dd%26%22e%22%20%C3%A9\
             &f=1799999940000&t=1800000061500&1799999940-1800000061-1799999940000000-1800000061500000"
        );
    }

    #[test]
    fn jaeger_and_tempo_need_only_their_address() {
        let jaeger = "http://127.0.0.1:16686/trace/0af7651916cd43dd8448eb211c80319c?uiFind=b7ad6b7169203331";
        assert_eq!(url("jaeger+http://127.0.0.1:16686"), jaeger);
        assert_eq!(url("jaeger+http://127.0.0.1:16686/"), jaeger);

        let grafana = url("tempo+https://g.example.org/grafana/?datasource=P1 \"x\"".replace(' ', "%20").replace('"', "").as_str());
        let (page, panes) = grafana.split_once("&panes=").unwrap();
        assert_eq!(page, "https://g.example.org/grafana/explore?schemaVersion=1&orgId=1");
        let decoded = panes.replace("%7B", "{").replace("%7D", "}").replace("%22", "\"").replace("%3A", ":").replace("%2C", ",");
        let panes: serde_json::Value = serde_json::from_str(&decoded.replace("%5B", "[").replace("%5D", "]")).unwrap();
        let query = &panes["trace"]["queries"][0];
        assert_eq!(query["query"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((&query["queryType"], &query["datasource"]["type"]), (&"traceql".into(), &"tempo".into()));
        assert_eq!(panes["trace"]["range"], serde_json::json!({ "from": "1799999940000", "to": "1800000061500" }));
        assert!(url("tempo+https://g.example.org").contains("%22uid%22%3A%22tempo%22"));
    }

    #[test]
    fn a_template_that_can_not_work_is_refused_with_what_to_do() {
        for (template, says) in [
            ("ftp://x/{trace_id}", "begin it with http://"),
            ("javascript:alert({trace_id})", "begin it with http://"),
            ("https:///{trace_id}", "begin it with http://"),
            ("https://x/{trace}", "the variable {trace}, which is unknown: use {trace_id}, {span_id}, {job_id}"),
            ("https://x/{trace_id", "%7B"),
            ("https://x/trace_id}", "%7B"),
            ("https://x/{job_id}", "has no {trace_id}"),
            ("https://x/ {trace_id}", "percent-encode"),
            ("https://x/\u{1b}[31m{trace_id}", "'\\u{1b}'"),
            ("jaeger+https://x/{trace_id}", "address alone"),
            ("jaeger+x", "begin it with http://"),
            ("tempo+https://x?orgId=2", "?datasource="),
        ] {
            let error = template.parse::<TraceUrl>().unwrap_err().to_string();
            assert!(error.contains(says), "{template}: {error}");
        }
    }
}
