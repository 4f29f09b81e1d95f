//! The web UI of [Haulage](https://docs.rs/haulage) as an axum router: pages, the JSON API, and a health check.
//!
//! ```no_run
//! # fn app(pool: sqlx::PgPool) -> axum::Router {
//! axum::Router::new().nest("/jobs", haulage_dashboard::router(pool))
//! # }
//! ```
//!
//! | path | what |
//! |---|---|
//! | `/`, `/overview` | how everything stands: states, queues, workers |
//! | `/stuck` | what holds up jobs, cause by cause, and what can be done |
//! | `/jobs`, `/jobs/{id}` | jobs by state and search, newest first; one job, and why it does not run or where its time went |
//! | `/queues`, `/queues/{name}` | queues, and one with what runs and waits in it |
//! | `/workers`, `/workers/{id}` | worker processes, and one with what it runs |
//! | `/schedules`, `/schedules/{name}` | schedules, and one with what it made |
//! | `/traces`, `/traces/{id}` | what jobs came from, and all that came of a trace, a request or a job, as a waterfall |
//! | `/errors`, `/errors/{fingerprint}` | what attempts failed with, error by error |
//! | `/settings` | what this dashboard and the fleet run with |
//! | `/operations`, `/operations/{id}` | acts on many jobs |
//! | `/audit` | who did what |
//! | `/live` | one of these pages as it changes, as a stream of events |
//! | `/act` | asks before something is done (`GET`), and does it (`POST`) |
//! | `/api/v1` | all of it as JSON, and what can be done about it; `openapi.json` there describes it |
//! | `/metrics` | how the fleet's queues stand, for Prometheus; see docs/tracing.md |
//! | `/health` | 200 when the database answers and its schema fits, else 503; the pool's `acquire_timeout` bounds the wait |
//!
//! Whoever reaches the router sees every job, with secrets in args and errors hidden. Put it behind the log-in of the application, or
//! behind an [`Auth`]. Who may do something is said by the [`Role`] of an [`Identity`]; without one everything is shown and nothing can
//! be done, and on a [`read_only`] pool nobody can do anything.

mod actions;
mod api;
mod button;
mod chart;
mod form;
mod frame;
mod pages;
mod search;
mod show;
mod theme;
mod waterfall;

mod app;
mod assets;
mod auth;
mod base;
mod compress;
mod error;
mod flash;
mod health;
mod live;
mod metrics;
mod mount;
mod replica;

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, header},
    middleware,
    response::Response,
    routing::{MethodRouter, get, post},
};
use sqlx::PgPool;

pub use auth::{Auth, AuthError, Identity, Network, ParseNetworkError, only_local};

pub use actions::{Role, UnknownRole};
pub use app::read_only;
pub use mount::Dashboard;

use app::App;
use replica::Replica;

/// Nothing but our own style sheet and script is loaded, forms stay here, nobody frames us: should a text of a job ever slip through
/// the escaping, it can still do nothing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const ACT: &str = "/act";
const HEALTH: &str = "/health";
const METRICS: &str = "/metrics";

/// The routes. Works under any prefix, by `nest` or behind a proxy: every link is relative. (`nest` answers the prefix without a slash at
/// its end, `nest_service` with one too.)
pub fn router(pool: PgPool) -> Router {
    Dashboard::new(pool).router()
}

fn routes(app: App) -> Router {
    let replica = app.replica.clone();
    let pages = pages().into_iter().fold(Router::new(), |routes, (path, page)| routes.route(path, page)).with_state(app.clone());
    let pages = reading(pages, replica.as_ref());
    let live = Router::new().route("/live", get(live::events)).with_state(live::Hub::new(pages.clone(), replica.is_some()));
    Router::new()
        // Args of a megabyte, and what a form makes of them.
        .route(ACT, get(pages::act::page).post(pages::act::act).layer(DefaultBodyLimit::max(4 << 20)))
        .route("/theme", post(theme::choose))
        .route(HEALTH, get(health::health))
        .route(METRICS, get(metrics::metrics))
        .layer(Extension(metrics::Samples::default()))
        .route("/assets/{name}", get(assets::asset))
        .merge(reading(api::router(), replica.as_ref()))
        .fallback(pages::lost)
        .with_state(app)
        .merge(pages)
        .merge(live)
        .layer(middleware::map_response(guard))
        .layer(middleware::from_fn(compress::compress))
}

/// The pages, by path.
fn pages() -> [(&'static str, MethodRouter<App>); 19] {
    [
        ("/", get(pages::overview::page)),
        // Under a name too: what `nest` answers, the prefix without a slash behind it, no relative link can name.
        ("/overview", get(pages::overview::page)),
        ("/stuck", get(pages::stuck::page)),
        ("/jobs", get(pages::jobs::page)),
        ("/jobs/{id}", get(pages::job::page)),
        ("/queues", get(pages::queues::page)),
        ("/queues/{*name}", get(pages::queue::page)),
        ("/workers", get(pages::workers::page)),
        ("/workers/{id}", get(pages::worker::page)),
        ("/schedules", get(pages::schedules::page)),
        ("/schedules/{*name}", get(pages::schedule::page)),
        ("/traces", get(pages::traces::page)),
        ("/traces/{*key}", get(pages::trace::page)),
        ("/errors", get(pages::errors::page)),
        ("/errors/{fingerprint}", get(pages::error_group::page)),
        ("/settings", get(pages::settings::page)),
        ("/operations", get(pages::operations::page)),
        ("/operations/{id}", get(pages::operation::page)),
        ("/audit", get(pages::audit::page)),
    ]
}

/// All that is read by one request: pages, what the API reads, and what other programs watch. For the bench, which asks for each of them.
#[doc(hidden)]
pub fn read_paths() -> Vec<String> {
    let pages = pages().into_iter().map(|(path, _)| path.to_owned());
    let others = [ACT, HEALTH, METRICS].map(ToOwned::to_owned);
    pages.chain(api::read_paths()).chain(others).collect()
}

/// Routes that read from the replica, if there is one.
fn reading<S: Clone + Send + Sync + 'static>(router: Router<S>, replica: Option<&Replica>) -> Router<S> {
    match replica {
        Some(replica) => router.layer(middleware::from_fn_with_state(replica.clone(), replica::route)),
        None => router,
    }
}

/// Headers of every answer. What a browser may keep says so itself.
pub(crate) async fn guard(mut response: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not "no-referrer": a form would then say "null" for where it comes from, and could not be told from a forged one.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
