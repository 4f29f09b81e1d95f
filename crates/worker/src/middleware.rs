//! Any tower layer around "run this attempt".

use std::fmt;

use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::{Ctx, JobError, Outcome, execute::Call};

/// An error of any type, as tower uses it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One attempt on its way to its handler.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Run {
    /// The job's kind.
    pub kind: &'static str,
    /// The job's args, JSON text.
    pub args: String,
    /// The running attempt.
    pub ctx: Ctx,
}

/// What a layer wraps. Errors are boxed, as everywhere in tower; a handler's verdict (retry, fatal) travels inside the box, so
/// pass on what you don't handle.
pub type JobService = BoxCloneSyncService<Run, Outcome, BoxError>;

pub(crate) fn apply<L>(layer: &L, inner: JobService) -> JobService
where
    L: Layer<JobService>,
    L::Service: Service<Run, Response = Outcome> + Clone + Send + Sync + 'static,
    <L::Service as Service<Run>>::Error: Into<BoxError>,
    <L::Service as Service<Run>>::Future: Send,
{
    BoxCloneSyncService::new(layer.layer(inner).map_err(Into::into))
}

/// The innermost service: the handler itself.
pub(crate) fn service(call: Call) -> JobService {
    BoxCloneSyncService::new(service_fn(move |run: Run| {
        let attempt = call(run);
        async move { attempt.await.map_err(|error| Box::new(Verdict(error)) as BoxError) }
    }))
}

/// The way back from a layered service.
pub(crate) fn verdict(error: BoxError) -> JobError {
    match error.downcast::<Verdict>() {
        Ok(verdict) => verdict.0,
        Err(other) => JobError::from(other).with_class("layer"),
    }
}

struct Verdict(JobError);

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message())
    }
}

impl std::error::Error for Verdict {}
