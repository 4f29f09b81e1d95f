//! A receiver of OTLP, over gRPC and over HTTP.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, routing::post};
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use tonic::{Request, Response, Status, codec::CompressionEncoding};

/// What has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    /// Each with the attributes of its resource.
    pub(crate) spans: Vec<(BTreeMap<String, String>, Span)>,
    /// Names, and all else in one text.
    pub(crate) metrics: Vec<String>,
    text: String,
}

pub(crate) struct Receiver {
    received: Arc<Mutex<Received>>,
    grpc: SocketAddr,
    http: SocketAddr,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let received = Arc::new(Mutex::new(Received::default()));
        let [grpc, http] =
            [tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(), tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()];
        let (of_grpc, of_http) = (grpc.local_addr().unwrap(), http.local_addr().unwrap());
        let gzip = CompressionEncoding::Gzip;
        let services = tonic::service::Routes::new(TraceServiceServer::new(Service(Arc::clone(&received))).accept_compressed(gzip))
            .add_service(MetricsServiceServer::new(Service(Arc::clone(&received))).accept_compressed(gzip));
        let incoming =
            futures_util::stream::unfold(grpc, |listener| async { Some((listener.accept().await.map(|(stream, _)| stream), listener)) });
        tokio::spawn(tonic::transport::Server::builder().add_routes(services).serve_with_incoming(incoming));
        let (spans, metrics) = (Arc::clone(&received), Arc::clone(&received));
        let router = Router::new()
            .route(
                "/v1/traces",
                post(async move |body: Bytes| {
                    spans.lock().unwrap().take_spans(ExportTraceServiceRequest::decode(body).unwrap());
                    ExportTraceServiceResponse::default().encode_to_vec()
                }),
            )
            .route(
                "/v1/metrics",
                post(async move |body: Bytes| {
                    metrics.lock().unwrap().take_metrics(ExportMetricsServiceRequest::decode(body).unwrap());
                    ExportMetricsServiceResponse::default().encode_to_vec()
                }),
            );
        tokio::spawn(async move { axum::serve(http, router).await });
        Self { received, grpc: of_grpc, http: of_http }
    }

    pub(crate) fn grpc(&self) -> String {
        format!("http://{}", self.grpc)
    }

    pub(crate) fn http(&self) -> String {
        format!("http://{}", self.http)
    }

    pub(crate) fn received(&self) -> Received {
        self.received.lock().unwrap().clone()
    }
}

impl Received {
    fn take_spans(&mut self, request: ExportTraceServiceRequest) {
        for of_resource in request.resource_spans {
            let resource = of_resource.resource.unwrap_or_default();
            let resource: BTreeMap<_, _> = resource.attributes.iter().map(|attribute| (attribute.key.clone(), said(attribute))).collect();
            let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
            self.spans.extend(spans.map(|span| (resource.clone(), span)));
        }
    }

    fn take_metrics(&mut self, request: ExportMetricsServiceRequest) {
        self.text.push_str(&format!("{request:?}"));
        for metric in
            request.resource_metrics.into_iter().flat_map(|of_resource| of_resource.scope_metrics).flat_map(|of_scope| of_scope.metrics)
        {
            self.metrics.push(metric.name);
        }
    }
}

fn said(attribute: &KeyValue) -> String {
    match &attribute.value {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text.clone(),
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// An attribute of a span.
pub(crate) fn text(span: &Span, name: &str) -> Option<String> {
    span.attributes.iter().find(|attribute| attribute.key == name).map(said)
}

struct Service(Arc<Mutex<Received>>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().take_spans(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(&self, request: Request<ExportMetricsServiceRequest>) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.0.lock().unwrap().take_metrics(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
