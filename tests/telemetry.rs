//! Telemetry of whole processes: a web process and two workers that send to a real receiver, directly and through a collector of
//! somebody else; what Prometheus reads; what logs say; and that args are in none of it.
//!
//! The processes are this binary started anew.

#[path = "telemetry/receiver.rs"]
mod receiver;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Write,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use axum::{Json, Router, extract::State, routing::post};
use haulage::{Ctx, Job, JobError, JobState, OriginLayer, TraceContext, Worker, telemetry};
use haulage_queue::telemetry::metric::{self, ALL, Metric};
use opentelemetry_proto::tonic::trace::v1::{Span as SentSpan, span::SpanKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use self::receiver::{Received, Receiver, text};
use crate::support::{database, eventually, jobs_in};

/// Stands in args, and must stand nowhere else.
const CANARY: &str = "hunter2-canary";

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    n: i64,
    secret: String,
}

impl Job for Order {
    const KIND: &'static str = "order";
    const QUEUE: &'static str = "orders";
}

/// Enqueued by an order.
#[derive(Debug, Serialize, Deserialize)]
struct Receipt {
    n: i64,
    secret: String,
}

impl Job for Receipt {
    const KIND: &'static str = "receipt";
    const QUEUE: &'static str = "mail";
}

async fn handle_order(job: Order, ctx: Ctx) -> Result<(), JobError> {
    tracing::info!(n = job.n, "an order is worked on");
    if job.n % 5 == 0 && ctx.attempt() == 1 {
        return Err(JobError::retry_after(Duration::from_millis(50), "the partner is away"));
    }
    ctx.child(Receipt { n: job.n, secret: job.secret }).enqueue(ctx.pool()).await?;
    Ok(())
}

/// Enqueues receipts where its span is not current by itself, and calls somebody.
#[derive(Debug, Serialize, Deserialize)]
struct Errand;

impl Job for Errand {
    const KIND: &'static str = "errand";
    const QUEUE: &'static str = "orders";
}

async fn handle_errand(_: Errand, ctx: Ctx) -> Result<(), JobError> {
    let receipt = |n| Receipt { n, secret: CANARY.into() };
    let pool = ctx.pool().clone();
    tokio::spawn(async move { receipt(1).enqueue(&pool).await }.in_current_span()).await??;
    let (pool, span, runtime) = (ctx.pool().clone(), Span::current(), tokio::runtime::Handle::current());
    tokio::task::spawn_blocking(move || span.in_scope(|| runtime.block_on(receipt(2).enqueue(&pool)))).await??;
    // As the middleware of HTTP clients does.
    let mut headers = HashMap::new();
    opentelemetry::global::get_text_map_propagator(|propagator| propagator.inject_context(&Span::current().context(), &mut headers));
    tracing::info!(traceparent = headers.get("traceparent"), "calls");
    Ok(())
}

/// The end of standard input is the sign to stop, so that no process outlives its test.
pub(crate) async fn parent_gone() {
    let (gone, stop) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).ok();
        drop(gone);
    });
    stop.await.ok();
}

/// Says to the test where this process listens.
pub(crate) async fn announce(address: SocketAddr) {
    let mut out = tokio::io::stdout();
    out.write_all(format!("\nlistening {address}\n").as_bytes()).await.unwrap();
    out.flush().await.unwrap();
}

/// Not a test: the body of the web processes below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the other tests as a process of its own"]
async fn web_process() {
    let Ok(url) = std::env::var("HAULAGE_TEST_WEB") else { return };
    let telemetry = telemetry::builder("shop-web").version("1.2.3").init().unwrap();
    let place = async |State(pool): State<PgPool>, Json(order): Json<Order>| {
        let id = order.enqueue(&pool).await.unwrap().id();
        tracing::info!("placed");
        Json(id.0)
    };
    let app =
        Router::new().route("/orders", post(place)).layer(OriginLayer::new("shop-web")).with_state(PgPool::connect(&url).await.unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    announce(listener.local_addr().unwrap()).await;
    axum::serve(listener, app).with_graceful_shutdown(parent_gone()).await.unwrap();
    drop(telemetry);
}

/// Not a test: the body of the worker processes below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the other tests as a process of its own"]
async fn worker_process() {
    let Ok(url) = std::env::var("HAULAGE_TEST_WORKER_OF_SHOP") else { return };
    let mut telemetry = telemetry::builder("shop-worker");
    if std::env::var_os("HAULAGE_TEST_METRICS").is_some() {
        telemetry = telemetry.metrics(SocketAddr::from(([127, 0, 0, 1], 0)));
    }
    let telemetry = telemetry.init().unwrap();
    if let Some(address) = telemetry.metrics_address() {
        announce(address).await;
    }
    let only = std::env::var("HAULAGE_TEST_QUEUE").ok();
    let mut worker = Worker::builder(PgPool::connect(&url).await.unwrap());
    for queue in ["orders", "mail"].into_iter().filter(|queue| only.as_deref().is_none_or(|only| only == *queue)) {
        worker = worker.queue(queue, 2);
    }
    let worker = worker.handle(handle_order).handle(handle_errand).handle(async |_: Receipt| {}).build().unwrap();
    worker.run_until(parent_gone()).await.unwrap();
    drop(telemetry);
}

/// A process of ours; what it logs goes to a file.
pub(crate) struct Process {
    child: Child,
    lines: tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStdout>>,
    log: PathBuf,
}

impl Process {
    pub(crate) fn start(test: &str, variables: &[(&str, &str)]) -> Self {
        let log = std::env::temp_dir().join(format!("haulage-telemetry-{}-{:x}.log", std::process::id(), rand::random::<u64>()));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            // Quick, and so often that several batches are sent. With what is below INFO, unless the test says otherwise.
            .env("OTEL_BSP_SCHEDULE_DELAY", "200")
            .env("OTEL_METRIC_EXPORT_INTERVAL", "500")
            .env("RUST_LOG", "debug,sqlx=debug")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let out = tokio::io::BufReader::new(child.stdout.take().unwrap());
        Self { child, lines: tokio::io::AsyncBufReadExt::lines(out), log }
    }

    pub(crate) async fn address(&mut self) -> String {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            if let Some((_, address)) = line.split_once("listening ") {
                return address.to_owned();
            }
        }
        panic!("it ended without an address: {}", std::fs::read_to_string(&self.log).unwrap());
    }

    /// Stops it in order; returns its log.
    pub(crate) async fn stop(mut self) -> String {
        drop(self.child.stdin.take());
        while self.lines.next_line().await.unwrap().is_some() {}
        assert!(self.child.wait().await.unwrap().success());
        let log = std::fs::read_to_string(&self.log).unwrap();
        std::fs::remove_file(&self.log).ok();
        log
    }
}

/// A shop of three processes runs thirty orders and stops; returns their logs and what the database says was done.
async fn run_shop(endpoint: &str, protocol: &str) -> (Vec<String>, PgPool) {
    let database = database().await;
    let (pool, url) = (database.pool(), database.url());
    let otlp = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)];
    let mut web = Process::start("telemetry::web_process", &[&otlp[..], &[("HAULAGE_TEST_WEB", &url)]].concat());
    // One of orders and one of mail, so that each journey goes through both.
    let workers = ["orders", "mail"].map(|queue| {
        let own = [("HAULAGE_TEST_WORKER_OF_SHOP", url.as_str()), ("HAULAGE_TEST_QUEUE", queue)];
        Process::start("telemetry::worker_process", &[&otlp[..], &own].concat())
    });
    let address = web.address().await;
    let client = reqwest::Client::new();
    for n in 1..=30 {
        let order = json!({ "n": n, "secret": CANARY });
        client.post(format!("http://{address}/orders")).json(&order).send().await.unwrap().error_for_status().unwrap();
    }
    eventually("every order and its receipt is completed", async || jobs_in(&pool, JobState::Completed).await == 60).await;
    let mut logs = vec![web.stop().await];
    for worker in workers {
        logs.push(worker.stop().await);
    }
    (logs, pool)
}

/// Every span of every journey is there, in its place.
async fn check(received: &Received, pool: &PgPool) {
    let spans: Vec<&(BTreeMap<String, String>, SentSpan)> = received.spans.iter().collect();
    let named = |name: &str| spans.iter().filter(|(_, span)| span.name == name).collect::<Vec<_>>();
    let by_id: HashMap<&[u8], &SentSpan> = spans.iter().map(|(_, span)| (span.span_id.as_slice(), span)).collect();
    let attempts: i64 =
        sqlx::query_scalar("SELECT sum(attempt)::bigint FROM haulage.finished_jobs WHERE kind = 'order'").fetch_one(pool).await.unwrap();
    assert_eq!(named("POST /orders").len(), 30, "nothing is lost at the end of a process");
    assert_eq!((named("enqueue orders").len(), named("enqueue mail").len(), named("process mail").len()), (30, 30, 30));
    assert_eq!(named("process orders").len() as i64, attempts);
    assert!(attempts >= 36, "some were retried: {attempts}");

    let mut processes: HashMap<&[u8], BTreeSet<String>> = HashMap::new();
    for (resource, span) in spans.iter().map(|both| (&both.0, &both.1)) {
        let of_worker = text(span, "messaging.client.id").unwrap_or_default();
        processes.entry(&span.trace_id).or_default().insert(format!("{} {of_worker}", resource["service.name"]));
        let expected = match span.name.as_str() {
            "POST /orders" => None,
            "enqueue orders" => Some("POST /orders"),
            "process orders" => Some("enqueue orders"),
            "enqueue mail" => Some("process orders"),
            "process mail" => Some("enqueue mail"),
            _ => continue,
        };
        assert_eq!(by_id.get(span.parent_span_id.as_slice()).map(|parent| parent.name.as_str()), expected, "the parent of {}", span.name);
        if let Some(parent) = by_id.get(span.parent_span_id.as_slice()) {
            assert_eq!(parent.trace_id, span.trace_id);
        }
        if span.name.starts_with("process") {
            assert_eq!((span.kind(), span.links[0].span_id.as_slice()), (SpanKind::Consumer, span.parent_span_id.as_slice()));
            let attempt: i64 = text(span, "haulage.job.attempt").unwrap().parse().unwrap();
            assert_eq!(span.links.len() as i64, attempt, "one to the enqueue, one to the attempt before");
            if let Some(before) = span.links.get(1) {
                let before = by_id[before.span_id.as_slice()];
                assert_eq!((before.name.as_str(), &before.trace_id), (span.name.as_str(), &span.trace_id));
            }
        }
    }
    let traces: BTreeSet<&[u8]> = named("POST /orders").iter().map(|(_, span)| span.trace_id.as_slice()).collect();
    assert_eq!(traces.len(), 30);
    let workers =
        |of_trace: &BTreeSet<String>| of_trace.iter().filter(|process| process.starts_with("shop-worker ") && process.len() > 12).count();
    assert!(
        traces.iter().all(|trace| processes[trace].contains("shop-web ") && workers(&processes[trace]) == 2),
        "not every trace went through the web process and both workers: {processes:?}"
    );
    let metrics: BTreeSet<&str> = received.metrics.iter().map(String::as_str).collect();
    for name in ["messaging.process.duration", "haulage.jobs.finished", "haulage.lease.renewals", "haulage.worker.slots"] {
        assert!(metrics.contains(name), "no {name} in {metrics:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_through_three_processes_over_grpc_and_over_http_and_nothing_of_it_is_lost() {
    for protocol in ["grpc", "http/protobuf"] {
        let receiver = Receiver::start().await;
        let endpoint = if protocol == "grpc" { receiver.grpc() } else { receiver.http() };
        let (logs, pool) = run_shop(&endpoint, protocol).await;
        let received = receiver.received();
        check(&received, &pool).await;

        // The secret is in no span, no metric, no log; and it was there to be leaked.
        assert!(!format!("{received:?}").contains(CANARY), "{protocol}");
        for log in &logs {
            assert!(!log.contains(CANARY) && log.lines().count() > 3, "{log}");
        }
        let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.finished_jobs WHERE args ->> 'secret' = $1")
            .bind(CANARY)
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(kept, 60);

        // With each attempt that failed what its handler said is stored, and nothing of the args.
        let said: Vec<String> =
            sqlx::query_scalar("SELECT lines::text FROM haulage.attempt_logs WHERE attempt = 1").fetch_all(&pool).await.unwrap();
        assert_eq!(said.len(), 6);
        assert!(said.iter().all(|lines| lines.contains("an order is worked on") && !lines.contains(CANARY)), "{said:?}");

        // A line that a handler logged says of which attempt of which job, and in which trace.
        let said: Vec<Value> = logs
            .iter()
            .flat_map(|log| log.lines())
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["message"] == "an order is worked on")
            .collect();
        assert!(said.len() >= 36, "{}", said.len());
        for line in said {
            let id = line["job"].as_str().unwrap();
            let span = received.spans.iter().map(|(_, span)| span).find(|span| hex(&span.span_id) == line["span_id"]).unwrap();
            assert_eq!((text(span, "messaging.message.id").as_deref(), span.name.as_str()), (Some(id), "process orders"));
            assert_eq!(line["trace_id"], hex(&span.trace_id));
            assert_eq!((&line["kind"], &line["queue"]), (&json!("order"), &json!("orders")));
            assert_eq!(line["attempt"].to_string(), text(span, "haulage.job.attempt").unwrap());
        }
    }
}

/// Logs nothing below INFO: then the layers of `init` share one filter.
fn plain_worker(url: &str, receiver: &Receiver) -> Process {
    Process::start(
        "telemetry::worker_process",
        &[
            ("HAULAGE_TEST_WORKER_OF_SHOP", url),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.http()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("RUST_LOG", "info"),
        ],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sampled_is_in_logs_and_rows_as_ever_and_is_not_sent() {
    let database = database().await;
    let (pool, url) = (database.pool(), database.url());
    let receiver = Receiver::start().await;
    let worker = plain_worker(&url, &receiver);
    let (unsampled, sampled) = (0xabc_u128, 0xdef_u128);
    for (trace_id, flags) in [(unsampled, 0), (sampled, 1)] {
        let trace = TraceContext { trace_id, span_id: 7, flags };
        Order { n: 1, secret: CANARY.into() }.with().trace(trace).enqueue(&pool).await.unwrap();
    }
    eventually("both orders and their receipts are completed", async || jobs_in(&pool, JobState::Completed).await == 4).await;
    let log = worker.stop().await;

    let children = async |trace_id: u128| -> Vec<(i64, i16)> {
        sqlx::query_as("SELECT span_id, trace_flags FROM haulage.finished_jobs WHERE kind = 'receipt' AND trace_id = $1::text::uuid")
            .bind(format!("{trace_id:032x}"))
            .fetch_all(&pool)
            .await
            .unwrap()
    };
    let (of_unsampled, of_sampled) = (children(unsampled).await, children(sampled).await);
    assert!(matches!(of_unsampled[..], [(span, 0)] if span != 0 && span != 7), "{of_unsampled:?}");
    assert!(matches!(of_sampled[..], [(span, 1)] if span != 7), "{of_sampled:?}");
    let traces: BTreeSet<String> = receiver.received().spans.iter().map(|(_, span)| hex(&span.trace_id)).collect();
    assert_eq!(traces, BTreeSet::from([format!("{sampled:032x}")]));
    let line = |trace_id: u128| -> Value {
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == "an order is worked on").find(|line| line["trace_id"] == format!("{trace_id:032x}")).unwrap()
    };
    let (one, other) = (line(unsampled), line(sampled));
    assert_eq!(
        (&one["kind"], &one["queue"], &one["attempt"], &one["trace_flags"]),
        (&json!("order"), &json!("orders"), &json!(1), &json!(0))
    );
    assert_eq!((one["span_id"].as_str().unwrap().len(), &other["trace_flags"]), (16, &json!(1)));
    assert!(one["job"].is_string() && one["job"] != other["job"]);
}

/// What the handler does in tasks, on threads and elsewhere belongs to its trace, sampled or not.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_does_in_its_span_elsewhere_stays_in_its_trace_also_if_that_is_not_sampled() {
    let database = database().await;
    let (pool, url) = (database.pool(), database.url());
    let receiver = Receiver::start().await;
    let worker = plain_worker(&url, &receiver);
    for (trace_id, flags) in [(0xabc_u128, 0), (0xdef_u128, 1)] {
        Errand.with().trace(TraceContext { trace_id, span_id: 7, flags }).enqueue(&pool).await.unwrap();
    }
    eventually("both errands and their receipts are completed", async || jobs_in(&pool, JobState::Completed).await == 6).await;
    let log = worker.stop().await;

    let sent: BTreeSet<String> = receiver.received().spans.iter().map(|(_, span)| hex(&span.trace_id)).collect();
    assert_eq!(sent, BTreeSet::from([format!("{:032x}", 0xdef)]), "no orphans");
    for (trace_id, flags) in [("00000000000000000000000000000abc", 0), ("00000000000000000000000000000def", 1)] {
        let of_receipts: Vec<i16> =
            sqlx::query_scalar("SELECT trace_flags FROM haulage.finished_jobs WHERE kind = 'receipt' AND trace_id = $1::text::uuid")
                .bind(trace_id)
                .fetch_all(&pool)
                .await
                .unwrap();
        assert_eq!(of_receipts, [flags, flags]);
        let calls = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(|line| line["message"] == "calls");
        let [call] = calls.filter(|line| line["trace_id"] == trace_id).collect::<Vec<_>>().try_into().unwrap();
        let traceparent = format!("00-{trace_id}-{}-0{flags}", call["span_id"].as_str().unwrap());
        assert_eq!(call["fields"]["traceparent"], json!(traceparent));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_of_somebody_else_understands_all_of_it() {
    let rotel = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools/rotel/rotel-agent");
    assert!(rotel.exists(), "there is no rotel in target/tools: `make setup` installs it");
    let receiver = Receiver::start().await;
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (grpc, http) = (free(), free());
    let mut agent = Command::new(rotel)
        .args(["start", "--exporter", "otlp", "--otlp-exporter-protocol", "grpc", "--otlp-exporter-endpoint", &receiver.grpc()])
        .args(["--otlp-grpc-endpoint", &grpc, "--otlp-http-endpoint", &http])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    eventually("rotel listens", async || tokio::net::TcpStream::connect(&grpc).await.is_ok()).await;
    let (_, pool) = run_shop(&format!("http://{grpc}"), "grpc").await;
    // It sends what it has gathered when it is told to stop.
    let stop = Command::new("kill").args(["-TERM", &agent.id().unwrap().to_string()]).status().await.unwrap();
    assert!(stop.success());
    agent.wait().await.unwrap();
    check(&receiver.received(), &pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_read_by_prometheus_and_are_those_that_the_documents_name() {
    let database = database().await;
    let (pool, url) = (database.pool(), database.url());
    let mut worker = Process::start("telemetry::worker_process", &[("HAULAGE_TEST_WORKER_OF_SHOP", &url), ("HAULAGE_TEST_METRICS", "1")]);
    let address = worker.address().await;
    let schedule = haulage::Schedule::new("each-second", "* * * * * *", Receipt { n: 1, secret: CANARY.into() });
    haulage::declare_schedules(&mut *pool.acquire().await.unwrap(), "it", vec![schedule]).await.unwrap();
    for n in 1..=10 {
        Order { n, secret: CANARY.into() }.enqueue(&pool).await.unwrap();
    }
    // A cause, so that there is something to say of causes.
    haulage::Operator::new("ana").pause_queue(&pool, "closed", None).await.unwrap();
    Order { n: 11, secret: CANARY.into() }.with().queue("closed").enqueue(&pool).await.unwrap();
    eventually("every order is completed", async || jobs_in(&pool, JobState::Completed).await >= 20).await;
    let scrape = async || reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    eventually("the queues are counted", async || scrape().await.contains("haulage_cause_jobs{")).await;
    let text = scrape().await;
    promtool(&text);

    let dashboard = haulage::dashboard::router(pool.clone());
    let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(dashboard, request).await.unwrap();
    let of_dashboard = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let of_dashboard = String::from_utf8(of_dashboard.to_vec()).unwrap();
    promtool(&of_dashboard);
    let families = |text: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        lines.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
    };
    let (exported, shown) = (families(&text), families(&of_dashboard));
    assert!(shown.len() == 6 && shown.iter().all(|(name, kind)| exported.get(name) == Some(kind)), "{shown:?} beside {exported:?}");

    // What is exported is what the list has, but for what did not happen here and for the exporter's own.
    let known: BTreeSet<String> = ALL.iter().map(Metric::prometheus).collect();
    let quiet: BTreeSet<String> = [metric::RESCUED, metric::LOSSES, metric::FENCED, metric::STALL].iter().map(Metric::prometheus).collect();
    let exported: BTreeSet<String> = exported.into_keys().filter(|name| name != "target_info").collect();
    assert_eq!(exported.union(&quiet).cloned().collect::<BTreeSet<_>>(), known);
    // No id of a job, no text of args is a label.
    assert!(!text.contains(CANARY) && !text.contains("message_id"), "{text}");
    assert!(!worker.stop().await.contains(CANARY));
}

/// The metrics that a text names, without what Prometheus adds to histograms.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| (word.starts_with("haulage_") || word.starts_with("messaging_")) && !LABELS.contains(word));
    ours.map(|word| ["_bucket", "_sum", "_count"].iter().fold(word, |word, end| word.strip_suffix(end).unwrap_or(word)).to_owned())
        .collect()
}

const LABELS: [&str; 7] = [
    "haulage_cause_code",
    "haulage_cause_group",
    "haulage_job_kind",
    "haulage_job_outcome",
    "haulage_job_state",
    "haulage_slot_state",
    "messaging_destination_name",
];

#[test]
fn the_dashboard_the_alerts_and_the_page_name_metrics_that_are_exported() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs");
    let known: BTreeSet<String> = ALL.iter().map(Metric::prometheus).collect();
    for file in ["grafana.json", "alerts.yml", "tracing.md"] {
        let found = metrics_in(&std::fs::read_to_string(root.join(file)).unwrap());
        let unknown: Vec<_> = found.difference(&known).collect();
        assert!(!found.is_empty() && unknown.is_empty(), "{file} names {unknown:?}");
    }
    let page = std::fs::read_to_string(root.join("tracing.md")).unwrap();
    for metric in ALL {
        assert!(page.contains(&format!("`{}`", metric.name)) && page.contains(&format!("`{}`", metric.prometheus())), "{}", metric.name);
    }
    serde_json::from_str::<Value>(&std::fs::read_to_string(root.join("grafana.json")).unwrap()).unwrap();
    let rules = std::process::Command::new("promtool").args(["check", "rules"]).arg(root.join("alerts.yml")).output().unwrap();
    assert!(rules.status.success(), "{}{}", String::from_utf8_lossy(&rules.stdout), String::from_utf8_lossy(&rules.stderr));
}

fn promtool(text: &str) {
    let mut promtool =
        match std::process::Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn() {
            Ok(promtool) => promtool,
            Err(error) => panic!("there is no promtool, which `make setup` installs: {error}"),
        };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}{text}", String::from_utf8_lossy(&output.stderr));
}
