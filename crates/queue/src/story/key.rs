//! What somebody has copied from a log line.

use std::{fmt, str::FromStr};

use crate::{JobId, TraceContext};

/// Longer than any id that Haulage stores.
const LONGEST: usize = 256;

/// A job id, a trace id or a request id. Read from text it may be several: all digits are the id of a job and may be that of a request,
/// 32 hex digits that of a trace and of a request. It is looked for in that order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryKey {
    pub(crate) job: Option<JobId>,
    pub(crate) trace: Option<u128>,
    pub(crate) request: Option<String>,
}

/// The text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoryKeyError {
    /// It is empty or too long.
    #[error("an id of {length} bytes can't be looked for: give a job id, a trace id or a request id of 1 to 256 bytes")]
    Length {
        /// Its length.
        length: usize,
    },
}

impl StoryKey {
    /// Of a trace.
    pub fn trace(id: u128) -> Self {
        Self { job: None, trace: Some(id), request: None }
    }

    /// Of a request.
    pub fn request(id: impl Into<String>) -> Self {
        Self { job: None, trace: None, request: Some(id.into()) }
    }
}

impl From<JobId> for StoryKey {
    fn from(id: JobId) -> Self {
        Self { job: Some(id), trace: None, request: None }
    }
}

impl fmt::Display for StoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.request, self.job, self.trace) {
            (Some(text), ..) => f.write_str(text),
            (None, Some(job), _) => job.fmt(f),
            (.., trace) => write!(f, "{:032x}", trace.unwrap_or_default()),
        }
    }
}

impl FromStr for StoryKey {
    type Err = StoryKeyError;

    fn from_str(text: &str) -> Result<Self, StoryKeyError> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST {
            return Err(StoryKeyError::Length { length: text.len() });
        }
        // As in a header, or as psql shows the column.
        let trace = TraceContext::parse(text).map(|context| context.trace_id).or_else(|| {
            let digits: String = text.chars().filter(|c| *c != '-').collect();
            let hex = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            hex.then(|| u128::from_str_radix(&digits, 16).ok()).flatten().filter(|id| *id != 0)
        });
        let job = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        Ok(Self { job, trace, request: Some(text.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_every_id_that_it_can_be() {
        let key = |text: &str| text.parse::<StoryKey>().unwrap();
        assert_eq!(key("42"), StoryKey { job: Some(JobId(42)), trace: None, request: Some("42".into()) });
        let trace = Some(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        for text in [
            "0af7651916cd43dd8448eb211c80319c",
            "0AF76519-16cd-43dd-8448-eb211c80319c",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!((key(text).trace, key(text).job), (trace, None), "{text}");
        }
        assert_eq!(key(" req/7 "), StoryKey::request("req/7"));
        assert_eq!(key("-5").job, None);
        assert_eq!(key("99999999999999999999").job, None, "no job has an id of more than 63 bits");
        assert!("".parse::<StoryKey>().is_err() && "x".repeat(257).parse::<StoryKey>().is_err());
    }
}
