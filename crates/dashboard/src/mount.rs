//! What a dashboard is made of.

use axum::Router;
use sqlx::PgPool;

use crate::{app::App, routes};

/// A dashboard, before it is mounted.
///
/// ```no_run
/// # fn app(pool: sqlx::PgPool, replica: sqlx::PgPool) -> axum::Router {
/// use haulage_dashboard::{Dashboard, read_only};
///
/// axum::Router::new().nest("/jobs", Dashboard::new(pool).replica(read_only(&replica)).router())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it shows nothing until its router is mounted"]
pub struct Dashboard {
    pool: PgPool,
    replica: Option<PgPool>,
}

impl Dashboard {
    /// Of this database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool, replica: None }
    }

    /// Reads lists, counts, searches and charts from a streaming replica of the database. What must be exact stays on the primary, and so
    /// does everything while the replica can't be reached. Whoever has done something sees it on every page: until the replica has it,
    /// they read from the primary.
    ///
    /// The pool should be one of its own, of a few connections: a page waits a second at most for one.
    pub fn replica(self, pool: PgPool) -> Self {
        Self { replica: Some(pool), ..self }
    }

    /// The routes; see [`router`](crate::router).
    pub fn router(self) -> Router {
        routes(App::new(self.pool, self.replica))
    }
}
