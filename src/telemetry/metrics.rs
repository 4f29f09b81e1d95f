//! One meter for OTLP and for Prometheus, and the endpoint that Prometheus reads.

use std::{convert::Infallible, net::TcpListener, time::Duration};

use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Bytes, header, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider, exporter::PushMetricExporter},
};
use prometheus::{Registry, TextEncoder};

use super::{InitError, runtime::Runtime};

/// A client that sends no request for this long is cut off.
const PATIENCE: Duration = Duration::from_secs(10);

/// The provider; `None`: nobody wants metrics.
pub(super) fn provider(
    resource: Resource,
    exporter: Option<impl PushMetricExporter>,
    listener: Option<TcpListener>,
    runtime: &Runtime,
) -> Result<Option<SdkMeterProvider>, InitError> {
    if exporter.is_none() && listener.is_none() {
        return Ok(None);
    }
    let mut provider = SdkMeterProvider::builder().with_resource(resource);
    if let Some(exporter) = exporter {
        provider = provider.with_reader(PeriodicReader::builder(exporter).build());
    }
    if let Some(listener) = listener {
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .map_err(|error| InitError::Exporter(error.to_string()))?;
        provider = provider.with_reader(reader);
        listener.set_nonblocking(true)?;
        let _inside = runtime.handle().enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        // It ends with the runtime, which is ours.
        runtime.handle().spawn(serve(listener, registry));
    }
    Ok(Some(provider.build()))
}

async fn serve(listener: tokio::net::TcpListener, registry: Registry) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: it passes.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let registry = registry.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let response = answer(&request, &registry);
                async { Ok::<_, Infallible>(response) }
            });
            hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), answer)
                .await
                .ok();
        });
    }
}

fn answer<B>(request: &Request<B>, registry: &Registry) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => match TextEncoder::new().encode_to_string(&registry.gather()) {
            Ok(text) => (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", format!("{error}\n")),
        },
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "only GET\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "the metrics are at /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
