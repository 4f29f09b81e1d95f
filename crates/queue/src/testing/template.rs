//! What each test's database is a copy of.

use std::{error::Error, fmt, pin::Pin};

use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::sync::OnceCell;

use crate::{
    migrate,
    testing::{Database, DatabaseError, run},
};

/// Fills a template: an application's own migrations, rows that every test needs.
pub type Setup = fn(PgPool) -> Pin<Box<dyn Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send>>;

/// A database that is set up once a process and copied for each test, which is far quicker than setting up each.
///
/// ```no_run
/// use haulage_queue::testing::{Database, DatabaseError, Template};
///
/// static TEMPLATE: Template = Template::new(|pool| {
///     Box::pin(async move {
///         // Or your own migrations: sqlx::migrate!().run(&pool).await?
///         sqlx::query("CREATE TABLE orders (id bigint PRIMARY KEY)").execute(&pool).await?;
///         Ok(())
///     })
/// });
///
/// async fn database() -> Result<Database, DatabaseError> {
///     TEMPLATE.database().await
/// }
/// ```
pub struct Template {
    setup: Option<Setup>,
    name: OnceCell<String>,
}

impl Template {
    /// A template with the schema `haulage`, and what `setup` makes of it. Nothing happens before the first
    /// [`Template::database`].
    pub const fn new(setup: Setup) -> Self {
        Self { setup: Some(setup), name: OnceCell::const_new() }
    }

    pub(super) const fn plain() -> Self {
        Self { setup: None, name: OnceCell::const_new() }
    }

    /// A copy for one test. The first call makes the template; calls beside it wait for that.
    ///
    /// # Errors
    /// [`DatabaseError`]; the next call tries again.
    pub async fn database(&self) -> Result<Database, DatabaseError> {
        let template = self.name.get_or_try_init(|| self.make()).await?;
        Database::make(Some(template)).await
    }

    async fn make(&self) -> Result<String, DatabaseError> {
        let run = run::get().await?;
        let name = run.create(None).await?;
        match self.fill(&run.url_of(&name)).await {
            Ok(()) => Ok(name),
            Err(error) => {
                run.discard(name);
                Err(error)
            }
        }
    }

    async fn fill(&self, url: &str) -> Result<(), DatabaseError> {
        let pool = PgPoolOptions::new().max_connections(4).connect(url).await.map_err(DatabaseError::Unavailable)?;
        migrate(&pool).await?;
        if let Some(setup) = self.setup {
            setup(pool.clone()).await.map_err(DatabaseError::Setup)?;
        }
        // A database that anybody is connected to can't be copied.
        pool.close().await;
        Ok(())
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("name", &self.name.get()).finish_non_exhaustive()
    }
}
