//! A tower layer for axum that makes the origin of each request.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderValue},
    response::Response,
};
use tower::{Layer, Service};

use super::{CURRENT, Origin};
use crate::{TraceCarrier, telemetry::RequestSpan};

const REQUEST_ID: &str = "x-request-id";

/// Tells every job that a request enqueues where it comes from: the request's id (the header `x-request-id`; one that is missing is made up,
/// and handlers find it in their request as the client finds it in the response), its route, the service and its version. Also takes the
/// request's W3C trace headers, and with the feature `otel` opens the request's span, unless one is open.
///
/// ```
/// use axum::{Router, routing::post};
/// use haulage_queue::OriginLayer;
///
/// # async fn place_order() {}
/// let app: Router = Router::new()
///     .route("/orders", post(place_order))
///     .layer(OriginLayer::new("shop").version(env!("CARGO_PKG_VERSION"))); // after the routes, so that it knows which matched
/// ```
#[derive(Debug, Clone)]
pub struct OriginLayer {
    service: Arc<Origin>,
}

impl OriginLayer {
    /// For the service of this name.
    pub fn new(service: impl Into<String>) -> Self {
        Self { service: Arc::new(Origin::new(service)) }
    }

    /// Its version.
    pub fn version(self, version: impl Into<String>) -> Self {
        Self { service: Arc::new(Arc::unwrap_or_clone(self.service).version(version)) }
    }
}

impl<S> Layer<S> for OriginLayer {
    type Service = OriginService<S>;

    fn layer(&self, inner: S) -> OriginService<S> {
        OriginService { inner, service: Arc::clone(&self.service) }
    }
}

/// What [`OriginLayer`] makes.
#[derive(Debug, Clone)]
pub struct OriginService<S> {
    inner: S,
    service: Arc<Origin>,
}

impl<S> Service<Request> for OriginService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let id = request_id(request.headers());
        if let Ok(id) = HeaderValue::from_str(&id) {
            request.headers_mut().insert(REQUEST_ID, id);
        }
        let headers = request.headers();
        let trace = TraceCarrier::from_headers(text(headers, "traceparent"), text(headers, "tracestate"), text(headers, "baggage"));
        let method = request.method().as_str().to_owned();
        let matched = request.extensions().get::<MatchedPath>().map(|matched| matched.as_str().to_owned());
        let span = RequestSpan::open(&method, matched.as_deref(), &trace);
        let mut origin = Origin::clone(&self.service).request_id(&id).trace(trace);
        if let Some(route) = matched {
            origin = origin.route(format!("{method} {route}"));
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = span.run(CURRENT.scope(Arc::new(origin), answer)).await?;
            span.answered(response.status().as_u16());
            if let Ok(id) = HeaderValue::from_str(&id) {
                response.headers_mut().entry(REQUEST_ID).or_insert(id);
            }
            Ok(response)
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The client's own, if it can stand in a log line.
fn request_id(headers: &HeaderMap) -> String {
    let fit = |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    match text(headers, REQUEST_ID).filter(fit) {
        Some(id) => id.to_owned(),
        None => format!("{:032x}", rand::random::<u128>()),
    }
}
