//! OTLP over gRPC or HTTP, as the standard variables say. TLS is rustls with ring: no C library.

use std::{fmt, sync::Arc, time::Duration};

use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{
    MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig, tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData},
};
use tokio::runtime::Handle;

use super::{
    InitError,
    runtime::{Runtime, on},
};

/// Spans that may wait for the exporter, unless a variable says otherwise: a worker ends thousands a second.
const WAITING: usize = 16_384;
/// How long a request may take, unless a variable says otherwise: that of the standard.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A variable that is set to something.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Which variables speak of which data.
struct Signal {
    endpoint: &'static str,
    protocol: &'static str,
    exporter: &'static str,
}

const TRACES: Signal = Signal {
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    exporter: "OTEL_TRACES_EXPORTER",
};
const METRICS: Signal = Signal {
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    exporter: "OTEL_METRICS_EXPORTER",
};
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

enum Way {
    Grpc,
    Http,
}

impl Signal {
    /// How to send; `None`: not at all.
    fn way(&self) -> Result<Option<Way>, InitError> {
        let wanted = match variable(self.exporter).as_deref() {
            None => variable(self.endpoint).or_else(|| variable(ENDPOINT)).is_some(),
            Some("otlp") => true,
            Some("none") => false,
            Some(value) => {
                return Err(InitError::Variable { variable: self.exporter, value: value.to_owned(), allowed: "\"otlp\" or \"none\"" });
            }
        };
        if !wanted {
            return Ok(None);
        }
        let (variable, value) = match variable(self.protocol) {
            Some(value) => (self.protocol, value),
            None => (PROTOCOL, variable(PROTOCOL).unwrap_or_else(|| "http/protobuf".to_owned())),
        };
        match value.as_str() {
            "grpc" => Ok(Some(Way::Grpc)),
            "http/protobuf" => Ok(Some(Way::Http)),
            _ => Err(InitError::Variable { variable, value, allowed: "\"grpc\" or \"http/protobuf\"" }),
        }
    }

    /// Whether gRPC goes over TLS: by the scheme of its address.
    fn is_tls(&self) -> bool {
        variable(self.endpoint).or_else(|| variable(ENDPOINT)).is_some_and(|endpoint| endpoint.starts_with("https:"))
    }
}

pub(super) fn spans(runtime: &Runtime) -> Result<Option<On<SpanExporter>>, InitError> {
    let Some(way) = TRACES.way()? else { return Ok(None) };
    let _inside = runtime.handle().enter();
    let made = match way {
        Way::Grpc if TRACES.is_tls() => {
            SpanExporter::builder().with_tonic().with_tls_config(ClientTlsConfig::new().with_native_roots()).build()
        }
        Way::Grpc => SpanExporter::builder().with_tonic().build(),
        Way::Http => SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_http_client(client()?).build(),
    };
    made.map(|exporter| Some(On::new(exporter, runtime))).map_err(|error| InitError::Exporter(error.to_string()))
}

pub(super) fn metrics(runtime: &Runtime) -> Result<Option<On<MetricExporter>>, InitError> {
    let Some(way) = METRICS.way()? else { return Ok(None) };
    let _inside = runtime.handle().enter();
    let made = match way {
        Way::Grpc if METRICS.is_tls() => {
            MetricExporter::builder().with_tonic().with_tls_config(ClientTlsConfig::new().with_native_roots()).build()
        }
        Way::Grpc => MetricExporter::builder().with_tonic().build(),
        Way::Http => MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_http_client(client()?).build(),
    };
    made.map(|exporter| Some(On::new(exporter, runtime))).map_err(|error| InitError::Exporter(error.to_string()))
}

pub(super) fn batches(exporter: On<SpanExporter>) -> BatchSpanProcessor {
    let mut config = BatchConfigBuilder::default();
    if variable("OTEL_BSP_MAX_QUEUE_SIZE").is_none() {
        config = config.with_max_queue_size(WAITING);
    }
    BatchSpanProcessor::builder(exporter).with_batch_config(config.build()).build()
}

/// An HTTP client of our own, because the exporter's has no TLS without a C library.
fn client() -> Result<HyperClient<hyper_rustls::HttpsConnector<hyper_util::client::legacy::connect::HttpConnector>>, InitError> {
    let failed = |error: rustls::Error| InitError::Exporter(error.to_string());
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    let timeout = variable("OTEL_EXPORTER_OTLP_TIMEOUT").and_then(|ms| ms.parse().ok()).map_or(TIMEOUT, Duration::from_millis);
    Ok(HyperClient::new(connector, timeout, None))
}

/// An exporter whose futures find the runtime, wherever the SDK polls them.
pub(super) struct On<E> {
    exporter: E,
    handle: Handle,
}

impl<E> On<E> {
    fn new(exporter: E, runtime: &Runtime) -> Self {
        Self { exporter, handle: runtime.handle().clone() }
    }
}

impl<E: fmt::Debug> fmt::Debug for On<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exporter.fmt(f)
    }
}

impl<E: opentelemetry_sdk::trace::SpanExporter> opentelemetry_sdk::trace::SpanExporter for On<E> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        on(&self.handle, self.exporter.export(batch))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for On<E> {
    fn export(&self, metrics: &ResourceMetrics) -> impl Future<Output = OTelSdkResult> + Send {
        on(&self.handle, self.exporter.export(metrics))
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
