//! The process that runs the jobs. Start as many as you like: Postgres shares the work out.

use std::time::Duration;

use haulage::{FromRef, Worker};

use crate::{
    database, digest,
    mail::{self, Mailer},
    options::Options,
    picture, report,
    stock::{self, Partner},
    stop,
};

/// What handlers may ask for with `State<...>`.
#[derive(Debug, Clone)]
struct App {
    mailer: Mailer,
    partner: Partner,
}

impl FromRef<App> for Mailer {
    fn from_ref(app: &App) -> Self {
        app.mailer.clone()
    }
}

impl FromRef<App> for Partner {
    fn from_ref(app: &App) -> Self {
        app.partner.clone()
    }
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let stop = stop::requested(options.with_parent)?;
    let pool = database::open(&options).await?;
    let app = App { mailer: Mailer::plain(options.smtp_port), partner: Partner::new(options.partner_port)? };

    let worker = Worker::builder(pool)
        .state(app)
        .queue("mail", 5)
        .queue("partner", 5)
        .queue("reports", 2)
        .queue("pictures", 2)
        .handle(mail::send_welcome)
        .handle(mail::send_receipt)
        .handle(mail::send_dispatch)
        .handle(stock::sync_stock)
        .handle(report::make_report)
        .handle_blocking(picture::make_thumbnail)
        .handle(digest::send_digest)
        .schedules("shop", [digest::schedule()])
        // Shorter than the defaults, so that whoever kills a worker or the partner to see what
        // happens need not wait. In production, leave these three lines out.
        .heartbeat(Duration::from_secs(2))
        .lease(Duration::from_secs(10))
        .backoff(|failures| Duration::from_secs(1 << failures.min(6)))
        .build()?;

    tracing::info!("worker ready");
    worker.run_until(stop).await?;
    tracing::info!("worker stopped");
    Ok(())
}
