//! The web UI of [Haulage](https://docs.rs/haulage) as an axum router: a read-only list of jobs, the same as JSON, and a health
//! check.
//!
//! ```no_run
//! # fn app(pool: sqlx::PgPool) -> axum::Router {
//! axum::Router::new().nest("/jobs", haulage_dashboard::router(pool))
//! # }
//! ```
//!
//! | path | what |
//! |---|---|
//! | `/` | the newest 50 jobs; `state`, `queue` and `before` (a job id) in the query choose others |
//! | `/jobs.json` | the same as a JSON array |
//! | `/metrics` | how the fleet's queues stand, for Prometheus; see docs/tracing.md |
//! | `/health` | 200 when the database answers and its schema fits, else 503; the pool's `acquire_timeout` bounds the wait |
//!
//! There is no log-in yet: whoever reaches the router reads every job. Put it behind the application's own.

mod health;
mod jobs;
mod metrics;

mod base;
mod error;

use axum::{
    Extension, Router,
    http::{HeaderValue, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use sqlx::PgPool;

/// Nothing but our own style sheet is loaded, no script runs, forms stay here, nobody frames us: should a text of a job ever slip
/// through the escaping, it can still do nothing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The routes. Works under any prefix, by `nest` or behind a proxy: every link is relative.
pub fn router(pool: PgPool) -> Router {
    Router::new()
        .route("/", get(jobs::page))
        .route("/jobs.json", get(jobs::json))
        .route("/health", get(health::health))
        .route("/metrics", get(metrics::metrics))
        .layer(Extension(metrics::Samples::default()))
        .route("/app.css", get(style))
        .layer(middleware::map_response(guard))
        .with_state(pool)
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../assets/app.css"))
}

async fn guard(mut response: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
