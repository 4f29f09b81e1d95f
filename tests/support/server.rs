//! The server that the tests use: `DATABASE_URL` if set, else a private one that ends with this process.

use std::sync::{
    LazyLock,
    atomic::{AtomicU32, Ordering},
};

use haulage_queue::dev::Server;
use sqlx::{Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use tokio::sync::OnceCell;

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
    create(Some(TEMPLATE.get_or_init(make_template).await)).await
}

/// A database without the schema.
pub(crate) async fn empty_database() -> Database {
    create(None).await
}

static TEMPLATE: OnceCell<String> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(0);

enum Source {
    Given(String),
    Private(Server),
}

static SOURCE: LazyLock<Source> = LazyLock::new(|| match std::env::var("DATABASE_URL") {
    Ok(url) => Source::Given(url),
    Err(_) => Source::Private(Server::builder().from_env().durable(false).start().unwrap_or_else(|error| panic!("{error}"))),
});

fn url_of(database: &str) -> String {
    match &*SOURCE {
        Source::Private(server) => server.database_url(database),
        Source::Given(url) => {
            let (base, query) = url.split_once('?').map_or((url.as_str(), None), |(base, query)| (base, Some(query)));
            let host = base.rsplit_once('/').map_or(base, |(host, _)| host);
            query.map_or_else(|| format!("{host}/{database}"), |query| format!("{host}/{database}?{query}"))
        }
    }
}

async fn admin() -> PgConnection {
    let url = match &*SOURCE {
        Source::Private(server) => server.url().to_owned(),
        Source::Given(url) => url.clone(),
    };
    PgConnection::connect(&url).await.unwrap()
}

async fn create(template: Option<&String>) -> Database {
    let name = format!("haulage_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let template = template.map_or("template1", String::as_str);
    // Two tests can't copy one template at the same moment.
    let mut admin = admin().await;
    sqlx::query("SELECT pg_advisory_lock(1)").execute(&mut admin).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {template}"))).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    let url = url_of(&name);
    let pool = PgPoolOptions::new().max_connections(16).connect(&url).await.unwrap();
    Database { url, pool }
}

async fn make_template() -> String {
    let mut admin = admin().await;
    // Left by earlier runs on a server that was given.
    let old: Vec<String> =
        sqlx::query_scalar("SELECT datname FROM pg_database WHERE datname LIKE 'haulage\\_test\\_%'").fetch_all(&mut admin).await.unwrap();
    for name in old.iter().filter(|name| !name.starts_with(&format!("haulage_test_{}_", std::process::id()))) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"))).execute(&mut admin).await.ok();
    }
    let name = format!("haulage_test_{}_template", std::process::id());
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    let pool = PgPool::connect(&url_of(&name)).await.unwrap();
    haulage::migrate(&pool).await.unwrap();
    pool.close().await;
    name
}
