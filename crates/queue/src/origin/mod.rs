//! Where a job comes from: the request in which it was enqueued. Stored with the job, for people who look for it by the request's id.

#[cfg(feature = "axum")]
mod layer;

use std::sync::Arc;

#[cfg(feature = "axum")]
pub use layer::{OriginLayer, OriginService};

use crate::TraceCarrier;

/// The longest text of each part.
const MAX: usize = 256;

/// What a job's row says about where it was enqueued. With the feature `axum`, [`OriginLayer`] makes one for each request.
///
/// ```
/// use haulage_queue::Origin;
///
/// let nightly = Origin::new("billing").route("import of invoices").request_id("2026-11-24");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    parts: serde_json::Map<String, serde_json::Value>,
    trace: TraceCarrier,
}

impl Origin {
    /// By this service: the name of the program.
    pub fn new(service: impl Into<String>) -> Self {
        Self::default().part("service", service.into())
    }

    /// The program's version.
    pub fn version(self, version: impl Into<String>) -> Self {
        self.part("version", version.into())
    }

    /// The request's id, as it stands in logs.
    pub fn request_id(self, id: impl Into<String>) -> Self {
        self.part("request_id", id.into())
    }

    /// Which of the program's ways in: `POST /orders/{order}`.
    pub fn route(self, route: impl Into<String>) -> Self {
        self.part("route", route.into())
    }

    /// The trace that came with the request, used where no span says more.
    pub fn trace(mut self, trace: impl Into<TraceCarrier>) -> Self {
        self.trace = trace.into();
        self
    }

    fn part(mut self, name: &str, mut text: String) -> Self {
        // What Postgres can't store as JSON would fail the job.
        text.retain(|c| !c.is_control());
        text.truncate(text.floor_char_boundary(MAX));
        self.parts.insert(name.to_owned(), text.into());
        self
    }

    /// As it is stored.
    pub(crate) fn json(&self) -> String {
        serde_json::Value::Object(self.parts.clone()).to_string()
    }

    pub(crate) fn carrier(&self) -> &TraceCarrier {
        &self.trace
    }

    /// That of the request this is called in.
    #[cfg(feature = "axum")]
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    #[cfg(not(feature = "axum"))]
    pub(crate) fn current() -> Option<Arc<Self>> {
        None
    }
}

#[cfg(feature = "axum")]
tokio::task_local! {
    static CURRENT: Arc<Origin>;
}

#[cfg(feature = "axum")]
impl Origin {
    /// Runs the future so that what it enqueues comes from here. A task that it spawns is on its own.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(Arc::new(self), future).await
    }
}
