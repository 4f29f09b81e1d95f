//! What went wrong, as `application/problem+json` (RFC 9457).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Problem;

/// What went wrong, and what to do.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Details<'a> {
    /// Stays the same for the same status.
    #[serde(rename = "type")]
    kind: String,
    /// In a few words.
    title: &'a str,
    /// As in the status line.
    status: u16,
    /// In a sentence: what, which value, what to do.
    detail: &'a str,
    /// The parameter of the query that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
}

impl Problem {
    /// For a program.
    pub(crate) fn api(&self) -> Response {
        let kind = match self.status {
            StatusCode::BAD_REQUEST => "unreadable",
            StatusCode::UNAUTHORIZED => "not-logged-in",
            StatusCode::FORBIDDEN => "not-allowed",
            StatusCode::NOT_FOUND => "not-found",
            StatusCode::METHOD_NOT_ALLOWED => "no-such-method",
            StatusCode::CONFLICT => "conflict",
            StatusCode::PAYLOAD_TOO_LARGE => "too-large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "media-type",
            StatusCode::UNPROCESSABLE_ENTITY => "unusable",
            StatusCode::TOO_MANY_REQUESTS => "too-fast",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            StatusCode::GATEWAY_TIMEOUT => "too-slow",
            _ => "failed",
        };
        let details = Details {
            kind: format!("urn:haulage:problem:{kind}"),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.sentence,
            parameter: self.parameter.as_deref(),
        };
        let body = serde_json::to_vec(&details).unwrap_or_default();
        self.mark(
            (self.status, self.wait(), [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))], body)
                .into_response(),
        )
    }
}
