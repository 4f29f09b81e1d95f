//! What can go wrong in a request, said in a sentence: as a page, or as JSON.

use std::{error::Error, num::NonZeroU16};

use askama::Template;
use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use haulage_queue::{
    EnqueueError, ManageError, ReadError, ScheduleError,
    store::{Failure, conflicts_with_recovery, failure, lock_timed_out},
};
use serde::Serialize;

use crate::{
    actions::Refusal,
    frame::Frame,
    replica::Hindrance,
    show::{mask, visible},
};

/// A status and a sentence. The cause goes to the log and not to the client, for whom it may be too much to know.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    pub(crate) sentence: String,
    /// The parameter of the query that is meant.
    pub(crate) parameter: Option<String>,
    /// In how many seconds it may be tried again.
    retry_after: Option<NonZeroU16>,
    /// A place that helps, from our root, and what it is.
    way_out: (String, &'static str),
    /// If this came from the replica: why the primary may do better.
    pub(crate) hindrance: Option<Hindrance>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: &'static str, sentence: String) -> Self {
        Self { status, title, sentence, parameter: None, retry_after: None, way_out: ("jobs".to_owned(), "All jobs"), hindrance: None }
    }

    /// The request is wrong.
    pub(crate) fn bad(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "This can't be read", sentence.into())
    }

    /// The request can be read, and what it asks for can't be done, now or ever.
    pub(crate) fn unusable(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "This can't be used", sentence.into())
    }

    /// What is there now does not fit.
    pub(crate) fn conflict(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "This does not fit now", sentence.into())
    }

    /// Which parameter of the query is meant.
    pub(crate) fn about(self, parameter: impl Into<String>) -> Self {
        Self { parameter: Some(parameter.into()), ..self }
    }

    /// There is no such thing.
    pub(crate) fn not_found(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not here", sentence.into())
    }

    /// The header that says when.
    pub(crate) fn wait(&self) -> Option<[(HeaderName, HeaderValue); 1]> {
        Some([(header::RETRY_AFTER, HeaderValue::from(self.retry_after?.get()))])
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// Where to go from here: a path from our root and its name.
    pub(crate) fn go(self, path: impl Into<String>, name: &'static str) -> Self {
        Self { way_out: (path.into(), name), ..self }
    }

    /// Too many do this already.
    pub(crate) fn busy(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Too much at a time", sentence.into())
    }

    /// The replica does not answer, and the primary is to be asked. Shown to nobody, unless it is the primary that says so.
    pub(crate) fn hindered(by: Hindrance) -> Self {
        let sentence = "the database did not answer this time: try again in a moment".to_owned();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The database does not answer", sentence).by(by)
    }

    fn by(self, hindrance: Hindrance) -> Self {
        Self { hindrance: Some(hindrance), ..self }
    }

    /// Notes on the answer what kept the replica from giving a better one.
    pub(crate) fn mark(&self, mut response: Response) -> Response {
        if let Some(hindrance) = self.hindrance {
            response.extensions_mut().insert(hindrance);
        }
        response
    }

    /// It may work later.
    pub(crate) fn unavailable(error: impl Error) -> Self {
        Self::ours(StatusCode::SERVICE_UNAVAILABLE, "The database does not answer", &error)
    }

    fn ours(status: StatusCode, title: &'static str, error: &dyn Error) -> Self {
        let cause = error.source().map(tracing::field::display);
        tracing::error!(status = status.as_u16(), cause, "a request of the dashboard failed: {error}");
        Self::new(status, title, error.to_string())
    }

    /// The answer could not be written.
    pub(crate) fn broken(error: &dyn Error) -> Self {
        tracing::error!("an answer of the dashboard could not be written: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "This did not work", "the answer could not be written; the log says why".to_owned())
    }

    fn too_slow() -> Self {
        let sentence =
            "Stopped after 2 s, to spare the database. Try again in a moment; a search is quicker with a state, a queue or a time.";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "This took too long", sentence.to_owned())
    }

    pub(crate) fn page(self, frame: &Frame) -> Response {
        let page = ProblemPage { frame, title: self.title, sentence: &self.sentence, way_out: &self.way_out };
        match page.render() {
            Ok(html) => self.mark(frame.with_cookies((self.status, self.wait(), Html(visible(html))).into_response())),
            Err(error) => Self::from(error).json(),
        }
    }

    pub(crate) fn json(self) -> Response {
        self.mark((self.status, self.wait(), Json(ProblemJson { error: &self.sentence })).into_response())
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match &error {
            ReadError::Database(cause) | ReadError::Unavailable(cause) if conflicts_with_recovery(cause) => {
                tracing::debug!("the database broke off a request of the dashboard: {cause}");
                Self::hindered(Hindrance::BrokenOff)
            }
            ReadError::Schema(_) => Self::ours(StatusCode::SERVICE_UNAVAILABLE, "The schema does not fit", &error).by(Hindrance::Refused),
            ReadError::Unavailable(_) => Self::unavailable(error).by(Hindrance::Unreachable),
            ReadError::Database(cause) if failure(cause) == Failure::Cancelled || lock_timed_out(cause) => Self::too_slow(),
            ReadError::Database(cause) if failure(cause) == Failure::ReadOnly => Refusal::ReadOnly.into(),
            ReadError::Database(cause) if failure(cause) == Failure::Data => {
                let said = cause.as_database_error().map_or_else(String::new, |error| mask(error.message()).into_owned());
                Self::unusable(format!("the database does not take a value: {said}"))
            }
            _ => Self::ours(StatusCode::INTERNAL_SERVER_ERROR, "The database refused", &error).by(Hindrance::Refused),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        ReadError::from(error).into()
    }
}

impl From<ManageError> for Problem {
    fn from(error: ManageError) -> Self {
        let sentence = error.to_string();
        match error {
            ManageError::NotFound { .. } | ManageError::NoWorker { .. } | ManageError::NoOperation { .. } => Self::not_found(sentence),
            ManageError::Refused { .. } | ManageError::OperationState { .. } | ManageError::Locked { .. } | ManageError::Conflict(_) => {
                Self::conflict(sentence)
            }
            ManageError::Who { .. }
            | ManageError::Name(_)
            | ManageError::Limit(_)
            | ManageError::EmptyFilter
            | ManageError::Args { .. }
            | ManageError::FilterState { .. } => Self::unusable(sentence),
            ManageError::Enqueue(error) => error.into(),
            ManageError::Schedule(error) => error.into(),
            ManageError::ReadOnly(_) => Refusal::ReadOnly.into(),
            ManageError::NoPartition(_) => Self::ours(StatusCode::SERVICE_UNAVAILABLE, "The database can't do it now", &error),
            ManageError::Schema(cause) | ManageError::Unavailable(cause) | ManageError::Database(cause) => cause.into(),
            _ => Self::ours(StatusCode::INTERNAL_SERVER_ERROR, "The database refused", &error),
        }
    }
}

impl From<EnqueueError> for Problem {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Schema(cause)
            | EnqueueError::Unavailable(cause)
            | EnqueueError::ReadOnly(cause)
            | EnqueueError::Database(cause) => cause.into(),
            EnqueueError::Conflict(_) | EnqueueError::LeaseLost { .. } => Self::conflict(error.to_string()),
            _ => Self::unusable(error.to_string()),
        }
    }
}

impl From<ScheduleError> for Problem {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Schema(cause)
            | ScheduleError::Unavailable(cause)
            | ScheduleError::ReadOnly(cause)
            | ScheduleError::Database(cause) => cause.into(),
            ScheduleError::NotFound { .. } => Self::not_found(error.to_string()),
            ScheduleError::Cron { .. } => Self::conflict(error.to_string()),
            _ => Self::ours(StatusCode::INTERNAL_SERVER_ERROR, "The database refused", &error),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Failed(problem) => problem,
            refusal => {
                let title = match refusal.status() {
                    StatusCode::FORBIDDEN => "Not allowed",
                    StatusCode::NOT_FOUND => "Not here",
                    StatusCode::CONFLICT => "Not done",
                    StatusCode::TOO_MANY_REQUESTS => "Too fast",
                    _ => "This can't be done",
                };
                let retry_after = if let Refusal::TooFast { wait_s, .. } = refusal { Some(wait_s) } else { None };
                Self { retry_after, ..Self::new(refusal.status(), title, refusal.sentence()) }
            }
        }
    }
}

impl From<askama::Error> for Problem {
    fn from(error: askama::Error) -> Self {
        Self::broken(&error)
    }
}

#[derive(Debug, Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: &'a Frame,
    title: &'a str,
    sentence: &'a str,
    way_out: &'a (String, &'static str),
}

#[derive(Debug, Serialize)]
struct ProblemJson<'a> {
    error: &'a str,
}
