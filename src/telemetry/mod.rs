//! Traces, metrics and logs of a program, set up by one call.
//!
//! ```no_run
//! # async fn run(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! let telemetry = haulage::telemetry::init("shop")?;
//! // ... serve, or run a worker ...
//! drop(telemetry); // sends what is left, for five seconds at most
//! # Ok(())
//! # }
//! ```
//!
//! What goes where is said by the standard variables, so the same program runs beside a collector and without one:
//!
//! | variable | |
//! |---|---|
//! | `OTEL_EXPORTER_OTLP_ENDPOINT`, or `.._TRACES_ENDPOINT`, `.._METRICS_ENDPOINT` | where to send; none of them set: nothing is sent |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL`, `.._TRACES_..`, `.._METRICS_..` | `http/protobuf` (the default) or `grpc` |
//! | `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_TIMEOUT` | as in the standard |
//! | `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER` | `none` sends none, `otlp` sends to the standard's default address |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | `parentbased_always_on` (the default), `parentbased_traceidratio`, ... |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | who is speaking |
//! | `OTEL_SDK_DISABLED` | `true`: logs only |
//! | `RUST_LOG` | what is logged, as `info,haulage_worker=debug`; `info` unless set |
//!
//! Only a program calls it: it installs the process's tracing subscriber and OpenTelemetry's global providers. A program that has its
//! own needs none of it: Haulage's spans go through `tracing`, its metrics through the global meter provider.
//!
//! ```text
//!  tracing ──┬─> logs: JSON or lines on standard error, with trace, job, kind, queue, attempt
//!            ├─> the last lines of each attempt, for the worker to store
//!            └─> tracing-opentelemetry ──> batches ──> OTLP            thread "haulage-telemetry": its own runtime for the exporters'
//!  meter ────┬────────────────────────────> each minute ──> OTLP       sockets and /metrics, so that nothing of it depends on the
//!            └─> registry ──> /metrics                                 program's runtime, at the end least of all
//! ```

mod exporters;
mod logs;
mod metrics;
mod runtime;
mod sampler;

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use haulage_queue::telemetry::otel;
use opentelemetry::{KeyValue, global, propagation::TextMapCompositePropagator, trace::TracerProvider};
use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{SdkTracer, SdkTracerProvider},
};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::{Layer, Registry, filter::filter_fn, layer::SubscriberExt, registry::LookupSpan};

pub use logs::Logs;
pub use sampler::FollowLinks;

use self::{exporters::variable, runtime::Runtime, sampler::Foretold};

/// How long what is left may take to be sent when the program ends.
const FLUSH: Duration = Duration::from_secs(5);

/// Sets up traces, metrics and logs of the service of this name, by the standard variables. Call it first in `main`, before a worker
/// is built; keep what it returns until the end.
///
/// # Errors
/// [`InitError`]; nothing is installed then.
pub fn init(service: impl Into<String>) -> Result<Telemetry, InitError> {
    builder(service).init()
}

/// The same with settings.
pub fn builder(service: impl Into<String>) -> TelemetryBuilder {
    TelemetryBuilder {
        service: service.into(),
        version: None,
        logs: Logs::default(),
        levels: "info".to_owned(),
        listen: None,
        flush: FLUSH,
        #[cfg(feature = "worker")]
        attempts: haulage_worker::AttemptLogs::new(),
    }
}

/// Telemetry being described; made by [`builder`].
#[derive(Debug, Clone)]
#[must_use = "nothing is set up until `.init()`"]
pub struct TelemetryBuilder {
    service: String,
    version: Option<String>,
    logs: Logs,
    levels: String,
    listen: Option<SocketAddr>,
    flush: Duration,
    #[cfg(feature = "worker")]
    attempts: haulage_worker::AttemptLogs,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// A variable has a value that is not understood.
    #[error("{variable} is \"{value}\": use {allowed}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// An exporter could not be made.
    #[error("telemetry can't be sent by OTLP: {0}")]
    Exporter(String),
    /// The address for `/metrics` can't be had.
    #[error("can't listen on {address} for metrics: choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The thread could not be started.
    #[error("the thread that sends telemetry could not be started")]
    Thread(#[from] std::io::Error),
    /// The process has a tracing subscriber already.
    #[error("this process has a tracing subscriber already: call `telemetry::init` first, and once")]
    Installed,
}

impl TelemetryBuilder {
    /// The program's version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// How logs are written; [`Logs::Auto`] unless set.
    pub fn logs(mut self, logs: Logs) -> Self {
        self.logs = logs;
        self
    }

    /// What is logged unless `RUST_LOG` says it, such as `warn,shop=info`; `info` unless set.
    pub fn levels(mut self, levels: impl Into<String>) -> Self {
        self.levels = levels.into();
        self
    }

    /// Serves the metrics at `http://ADDRESS/metrics`, for Prometheus. There is no log-in: choose an address that only it reaches.
    pub fn metrics(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// Also replaces the values of fields whose names contain one of these, in the log lines that are stored with attempts that fail: see
    /// [`AttemptLogs`](haulage_worker::AttemptLogs). What is written to standard error and sent is as the program logs it.
    #[cfg(feature = "worker")]
    pub fn redact(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.attempts = self.attempts.redact(names);
        self
    }

    /// How long what is left may take to be sent at the end; 5 s unless set.
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.flush = timeout;
        self
    }

    /// Sets everything up.
    ///
    /// # Errors
    /// [`InitError`]; nothing is installed then.
    pub fn init(self) -> Result<Telemetry, InitError> {
        let listener =
            self.listen.map(|address| TcpListener::bind(address).map_err(|source| InitError::Listen { address, source })).transpose()?;
        let listening = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let runtime = Runtime::start()?;
        let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let (tracer, meter, foretold) = if disabled { (None, None, None) } else { self.providers(&runtime, listener)? };

        let (logged, not_understood) = logs::levels(variable("RUST_LOG").as_deref(), &self.levels);
        // What is logged below INFO stands in no trace.
        let verbose = logs::is_verbose(&logged);
        let spans = tracer.as_ref().filter(|_| !verbose).map(to_opentelemetry);
        let few_spans =
            tracer.as_ref().filter(|_| verbose).map(|tracer| to_opentelemetry(tracer).with_filter(filter_fn(logs::belongs_to_a_trace)));
        let subscriber = Registry::default().with(spans).with(few_spans).with(logs::layer(self.logs, &logged));
        #[cfg(feature = "worker")]
        let subscriber = subscriber.with(self.attempts.unfiltered_layer());
        let subscriber = subscriber.with(logs::wanted(logged));
        tracing::subscriber::set_global_default(subscriber).map_err(|_| InitError::Installed)?;

        global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
        ]));
        if let Some(foretold) = foretold {
            otel::foretell(move |parent, linked| foretold.never_recorded(parent, linked));
        }
        otel::bind_with(|histogram, attributes| {
            let bound = histogram.bind(attributes);
            Box::new(move |value| bound.record(value))
        });
        if let Some(tracer) = &tracer {
            global::set_tracer_provider(tracer.clone());
        }
        if let Some(meter) = &meter {
            global::set_meter_provider(meter.clone());
        }
        if let Some(levels) = not_understood {
            tracing::warn!(levels, "RUST_LOG is not understood; logging as the program has it");
        }
        Ok(Telemetry { tracer, meter, runtime: Some(runtime), listening, flush: self.flush })
    }

    fn resource(&self) -> Resource {
        let mut resource = Resource::builder();
        // The variable is what whoever runs the program says, so it outranks the program.
        if variable("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(self.service.clone());
        }
        resource.with_attributes(self.version.iter().map(|version| KeyValue::new("service.version", version.clone()))).build()
    }

    fn providers(&self, runtime: &Runtime, listener: Option<TcpListener>) -> Result<Providers, InitError> {
        let resource = self.resource();
        // Nothing is sent: spans still have ids, for the logs and for the rows of jobs, and are not recorded.
        let exporter = exporters::spans(runtime)?;
        let (sampler, foretold) = sampler::from_variables(exporter.is_some())?;
        let mut tracer = SdkTracerProvider::builder().with_resource(resource.clone()).with_sampler(sampler).with_max_links_per_span(128);
        if let Some(exporter) = exporter {
            tracer = tracer.with_span_processor(exporters::batches(exporter));
        }
        let meter = metrics::provider(resource, exporters::metrics(runtime)?, listener, runtime)?;
        Ok((Some(tracer.build()), meter, Some(foretold)))
    }
}

/// Makes OpenTelemetry's spans of those of `tracing`.
fn to_opentelemetry<S>(tracer: &SdkTracerProvider) -> OpenTelemetryLayer<S, SdkTracer>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer()
        .with_tracer(tracer.tracer("haulage"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_level(false)
}

/// Traces, metrics, and what the sampler will do.
type Providers = (Option<SdkTracerProvider>, Option<SdkMeterProvider>, Option<Foretold>);

/// What [`init`] has set up. Dropping it sends what is left, and waits for that: keep it until the program ends.
#[must_use = "dropping it ends telemetry"]
#[derive(Debug)]
pub struct Telemetry {
    tracer: Option<SdkTracerProvider>,
    meter: Option<SdkMeterProvider>,
    runtime: Option<Runtime>,
    listening: Option<SocketAddr>,
    flush: Duration,
}

impl Telemetry {
    /// Where `/metrics` is served.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.listening
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let (tracer, meter) = (self.tracer.take(), self.meter.take());
        let (sent, done) = std::sync::mpsc::channel();
        let flush = self.flush;
        // On a thread of its own, because the providers' own limits are kept loosely.
        let spawned = std::thread::Builder::new().name("haulage-flush".into()).spawn(move || {
            let spans = tracer.is_none_or(|tracer| tracer.shutdown_with_timeout(flush).is_ok());
            let metrics = meter.is_none_or(|meter| meter.shutdown_with_timeout(flush).is_ok());
            sent.send(spans && metrics).ok();
        });
        if spawned.is_err() || !matches!(done.recv_timeout(flush), Ok(true)) {
            tracing::warn!(timeout = ?flush, "not all of the telemetry could be sent before the end");
        }
        drop(self.runtime.take());
    }
}
