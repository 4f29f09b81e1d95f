//! The worker process of a scenario: a worker in its default configuration that runs the benchmark's jobs.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::Args;
use haulage::{
    AttemptLogs, Ctx, JobError, Worker,
    telemetry::{self, Logs},
};
use sqlx::postgres::PgPoolOptions;
use tracing_subscriber::layer::SubscriberExt;

use super::{
    jobs::{Flaky, Never, Noop, Timed},
    process::{Tally, serve},
};

/// The benchmark starts this itself.
#[derive(Debug, Args)]
pub(crate) struct BenchWorker {
    /// Slots of each queue.
    #[arg(long)]
    concurrency: usize,
    /// 1: the queue "default"; more: "q0", "q1" ..
    #[arg(long, default_value_t = 1)]
    queues: u32,
    /// Handles only a kind that is never enqueued.
    #[arg(long)]
    never: bool,
    /// Gathers what handlers log.
    #[arg(long)]
    logs: bool,
    /// Telemetry is set up, metrics are collected, and no trace is sampled.
    #[arg(long)]
    unsampled: bool,
}

impl BenchWorker {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        // To measure what telemetry costs: where to send it is said by the standard variables.
        let mut telemetry = telemetry::builder("haulage-bench").logs(Logs::Off);
        if self.unsampled {
            // Collected, and read by nobody. With nowhere to send, what nobody else has sampled is not.
            telemetry = telemetry.metrics(SocketAddr::from(([127, 0, 0, 1], 0)));
        }
        let sends = std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some();
        let _telemetry = (sends || self.unsampled).then(|| telemetry.init()).transpose()?;
        if self.logs {
            tracing::subscriber::set_global_default(tracing_subscriber::registry().with(AttemptLogs::new().layer()))?;
        }
        let tally = Arc::new(Tally::default());
        let count = Arc::clone(&tally);
        serve(
            tally,
            async |url: String| {
                // Opened by handlers that use it, and none does: the worker's own connections are all there are.
                let pool = PgPoolOptions::new().connect_lazy(&url)?;
                let mut worker = Worker::builder(pool);
                for queue in queues(self.queues) {
                    worker = worker.queue(queue, self.concurrency);
                }
                let worker = if self.never { worker.handle(|_: Never| async {}) } else { handlers(worker, &count) };
                Ok(worker.build()?.start().await?)
            },
            async |worker| worker.shutdown().await,
        )
        .await
    }
}

/// Names of so many queues.
pub(crate) fn queues(number: u32) -> Vec<String> {
    if number == 1 { vec!["default".to_owned()] } else { (0..number).map(|n| format!("q{n}")).collect() }
}

fn handlers(worker: haulage::Builder<()>, tally: &Arc<Tally>) -> haulage::Builder<()> {
    let (noop, flaky, timed) = (Arc::clone(tally), Arc::clone(tally), Arc::clone(tally));
    worker
        .handle(move |_: Noop| {
            noop.ran();
            async {}
        })
        .handle(move |_: Flaky, ctx: Ctx| {
            let first = ctx.attempt() == 1;
            if !first {
                flaky.ran();
            }
            async move { if first { Err(JobError::retry_after(Duration::ZERO, "fails once")) } else { Ok(()) } }
        })
        .handle(move |job: Timed| {
            timed.started(job.n);
            timed.ran();
            async {}
        })
}
