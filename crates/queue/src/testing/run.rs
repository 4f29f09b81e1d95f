//! What the databases of one test process share: the server, and a session that says that the process lives.
//!
//! Names are `haulage_test_RUN_NUMBER` with a random run. A session named `haulage_test_RUN` stays open as long as the process
//! lives; databases of a run without one are left over. CREATE and DROP DATABASE take no parameters, so their text is built
//! here, from such names only.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::sync::OnceCell;

#[cfg(unix)]
use crate::dev;
use crate::{store, testing::DatabaseError};

static RUN: OnceCell<Run> = OnceCell::const_new();

/// This process's run; the first call finds or starts the server.
pub(super) async fn get() -> Result<&'static Run, DatabaseError> {
    RUN.get_or_try_init(Run::begin).await
}

pub(super) struct Run {
    server: Server,
    name: String,
    next: AtomicU32,
    /// The session. Nothing is ever sent on it again; the runtime that it was made on may be gone.
    _alive: Mutex<PgConnection>,
}

enum Server {
    /// The URL of a database on it.
    Given(String),
    #[cfg(unix)]
    Private(dev::Server),
}

impl Run {
    async fn begin() -> Result<Self, DatabaseError> {
        let server = Server::find()?;
        let name = format!("haulage_test_{:08x}", rand::random::<u32>());
        let mut alive = server.connect(&name).await?;
        if matches!(server, Server::Given(_)) {
            let left = store::list_left_databases(&mut alive).await.map_err(DatabaseError::Unavailable)?;
            for database in left {
                // Not by force: if its run lives after all, its tests are connected. And another process may have been quicker.
                if let Err(error) = drop_database(&mut alive, &database, "").await {
                    tracing::debug!(database, %error, "a database that an earlier test run has left could not be dropped");
                }
            }
        }
        Ok(Self { server, name, next: AtomicU32::new(0), _alive: Mutex::new(alive) })
    }

    /// Makes a database, as a copy of the template; returns its name.
    pub(super) async fn create(&self, template: Option<&str>) -> Result<String, DatabaseError> {
        let name = format!("{}_{}", self.name, self.next.fetch_add(1, Ordering::Relaxed));
        let template = template.unwrap_or("template1");
        let mut connection = self.server.connect("haulage test").await?;
        #[expect(clippy::disallowed_methods, reason = "CREATE DATABASE takes no parameters; the names are our own")]
        let statement = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {template}"));
        sqlx::raw_sql(statement).execute(&mut connection).await.map_err(DatabaseError::Create)?;
        // It has served; how it ends does not matter.
        connection.close().await.ok();
        Ok(name)
    }

    pub(super) fn url_of(&self, database: &str) -> String {
        match &self.server {
            Server::Given(url) => with_database(url, database),
            #[cfg(unix)]
            Server::Private(server) => server.database_url(database),
        }
    }

    /// Drops a database, whoever is connected. On a thread with a runtime of its own, because it is called where nothing can be
    /// awaited. A private server goes with the process anyway, so only on another one is this waited for.
    pub(super) fn discard(&'static self, database: String) {
        let dropping = thread::spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return tracing::warn!(%error, "a test's database is left behind"),
            };
            let dropped = runtime.block_on(async {
                let mut connection = self.server.connect("haulage test").await?;
                drop_database(&mut connection, &database, "WITH (FORCE)").await.map_err(DatabaseError::Unavailable)
            });
            if let Err(error) = dropped {
                tracing::debug!(database, %error, "a test's database is left behind");
            }
        });
        if matches!(self.server, Server::Given(_)) {
            dropping.join().ok();
        }
    }
}

async fn drop_database(connection: &mut PgConnection, name: &str, how: &str) -> Result<(), sqlx::Error> {
    #[expect(clippy::disallowed_methods, reason = "DROP DATABASE takes no parameters; the names are our own")]
    let statement = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} {how}"));
    sqlx::raw_sql(statement).execute(connection).await?;
    Ok(())
}

impl Server {
    fn find() -> Result<Self, DatabaseError> {
        #[expect(clippy::disallowed_methods, reason = "tests have no caller who could configure them; this is told in the docs")]
        let url = std::env::var("DATABASE_URL");
        if let Ok(url) = url
            && !url.is_empty()
        {
            return Ok(Self::Given(url));
        }
        // Blocks for about a second, once: there is no test yet that could go on meanwhile.
        #[cfg(unix)]
        return dev::Server::builder().from_env().durable(false).start().map(Self::Private).map_err(DatabaseError::Server);
        #[cfg(not(unix))]
        Err(DatabaseError::Server)
    }

    async fn connect(&self, name: &str) -> Result<PgConnection, DatabaseError> {
        let url = match self {
            Self::Given(url) => url,
            #[cfg(unix)]
            Self::Private(server) => server.url(),
        };
        let options = url.parse::<PgConnectOptions>().map_err(DatabaseError::Unavailable)?;
        // The session of a run must not be ended for being idle.
        let options = options.application_name(name).options([("idle_session_timeout", "0")]);
        PgConnection::connect_with(&options).await.map_err(DatabaseError::Unavailable)
    }
}

/// The URL with another database.
fn with_database(url: &str, database: &str) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let host = base.find("://").map_or(0, |at| at + 3);
    let path = base[host..].find('/').map_or(base.len(), |at| host + at);
    let query: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("dbname=")).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{}/{database}{mark}{}", &base[..path], query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_of_a_url_is_changed() {
        for (url, expected) in [
            ("postgres://me:pass@host:5432/mine", "postgres://me:pass@host:5432/new"),
            ("postgres://host", "postgres://host/new"),
            ("postgres://host/?sslmode=disable", "postgres://host/new?sslmode=disable"),
            ("postgres:///mine?host=/run/postgresql&dbname=other", "postgres:///new?host=/run/postgresql"),
            ("postgresql://%2Frun%2Fpostgresql/mine", "postgresql://%2Frun%2Fpostgresql/new"),
        ] {
            assert_eq!(with_database(url, "new"), expected);
        }
    }
}
