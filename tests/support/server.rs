//! A database per test. Most tests hold on to its pool alone, so it is kept until the process ends.

use haulage::testing;
use sqlx::PgPool;

/// A database of one test.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    url: String,
    pool: PgPool,
}

impl Database {
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn pool(&self) -> PgPool {
        self.pool.clone()
    }
}

/// A migrated database.
pub(crate) async fn database() -> Database {
    keep(testing::Database::new().await.unwrap())
}

/// A database without the schema.
pub(crate) async fn empty_database() -> Database {
    keep(testing::Database::empty().await.unwrap())
}

fn keep(database: testing::Database) -> Database {
    let (pool, url) = database.keep();
    Database { url, pool }
}
