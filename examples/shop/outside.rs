//! The world outside the shop, for the demo and the tests: a mail server and a stock partner.

use axum::{Router, middleware};
use tokio::task::JoinSet;

use crate::{catcher, frame, listen::listen, options::Options, partner, stop};

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let stop = stop::requested(options.with_parent)?;
    let smtp = listen(options.smtp_port, "--smtp-port").await?;
    let mails_web = listen(options.mails_port, "--mails-port").await?;
    let partner_web = listen(options.partner_port, "--partner-port").await?;

    let mails = catcher::Mails::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(catcher::serve(smtp, mails.clone()));
    for (listener, router) in [(mails_web, catcher::router(mails)), (partner_web, partner::router())] {
        let router = framed(router);
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!("a server of the outside world stopped: {error}");
            }
        });
    }
    tracing::info!("caught mails are at http://127.0.0.1:{}", options.mails_port);

    stop.await;
    tasks.shutdown().await;
    Ok(())
}

fn framed(router: Router) -> Router {
    router.merge(frame::assets()).layer(middleware::from_fn(frame::around_outside))
}
