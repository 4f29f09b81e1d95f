//! The web shop: routes and the process that serves them.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, State},
    middleware,
    response::Redirect,
    routing::{get, post},
};
use haulage::{
    OriginLayer,
    dashboard::{Identity, Role},
};
use sqlx::PgPool;
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::sleep,
};

use crate::{
    database, frame,
    listen::listen,
    options::Options,
    pages::{home, jobs, orders, products, reports, signup},
    picture,
    problem::Problem,
    stop, traffic,
};

/// How long answers that were begun may take when the shop is told to stop.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// What the pages share.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) pool: PgPool,
    /// Orders per second that [`traffic`] places by itself.
    pub(crate) traffic: Arc<watch::Sender<u32>>,
    /// The catcher's and the partner's pages are on other ports.
    mails_port: u16,
    partner_port: u16,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let stop = stop::requested(options.with_parent)?;
    let listener = listen(options.port, "--port").await?;
    let pool = database::open(&options).await?;

    let (rate, rates) = watch::channel(0);
    let app = App { pool: pool.clone(), traffic: Arc::new(rate), mails_port: options.mails_port, partner_port: options.partner_port };
    let mut tasks = JoinSet::new();
    tasks.spawn(traffic::run(pool, rates));

    tracing::info!("the shop is at http://127.0.0.1:{}", options.port);
    let (tell, told) = oneshot::channel::<()>();
    let serving = axum::serve(listener, router(app)).with_graceful_shutdown(async {
        stop.await;
        drop(tell);
    });
    tokio::select! {
        served = serving.into_future() => served?,
        // Whoever watches a page of the dashboard live holds a connection.
        () = async { told.await.ok(); sleep(LAST_ANSWERS).await } => {}
    }
    tasks.shutdown().await;
    Ok(())
}

fn router(app: App) -> Router {
    // Whoever comes may do everything: this is for play.
    let player = Identity { name: "player".to_owned(), role: Role::Admin };
    let dashboard = haulage::dashboard::router(app.pool.clone()).layer(Extension(player));
    Router::new()
        .route("/", get(home::show))
        .route("/live.json", get(home::live))
        .route("/signup", get(signup::form).post(signup::sign_up))
        .route("/signup/{job}", get(signup::welcome))
        .route("/orders", post(orders::place))
        .route("/orders/{order}", get(orders::show))
        .route("/products/{product}", get(products::show))
        // With room for the form around the picture.
        .route("/products/{product}/picture", post(products::upload).layer(DefaultBodyLimit::max(picture::MOST_BYTES + 4_096)))
        .route("/pictures/{file}", get(products::thumbnail))
        .route("/reports", get(reports::list).post(reports::ask))
        .route("/reports/{job}", get(reports::show))
        .route("/reports/{job}/download", get(reports::download))
        .route("/reports/{job}/pdf", get(reports::pdf))
        .route("/jobs/{file}", get(jobs::status))
        .route("/traffic", post(traffic::set))
        .route("/mails", get(mails))
        .route("/partner", get(partner))
        .merge(frame::assets())
        .fallback(|| async { Problem::not_found("There is no such page.") })
        .layer(middleware::from_fn(frame::around))
        // Each job knows the request it comes from, and each request has a span.
        .layer(OriginLayer::new("shop-web").version(env!("CARGO_PKG_VERSION")))
        .with_state(app)
        // It has a frame of its own. A shop that is not for play puts its log-in before it.
        .nest_service("/queue", dashboard)
}

async fn mails(State(app): State<App>) -> Redirect {
    Redirect::to(&format!("http://127.0.0.1:{}/", app.mails_port))
}

async fn partner(State(app): State<App>) -> Redirect {
    Redirect::to(&format!("http://127.0.0.1:{}/", app.partner_port))
}
