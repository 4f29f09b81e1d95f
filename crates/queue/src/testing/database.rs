//! The database of one test.

use std::fmt;

use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::testing::{
    DatabaseError, Template,
    run::{self, Run},
};

/// Connections of a test's pool at most; made when needed.
const POOL: u32 = 16;

static PLAIN: Template = Template::plain();

/// A database that no other test sees, on the server of `DATABASE_URL` if that is set, else on a private server that is started
/// with the first database and ends with the process. Dropping it drops the database, whoever is still connected, so keep it as
/// long as its pool is used.
///
/// Nothing in the database that `DATABASE_URL` names is touched; its role needs `CREATEDB`. What a killed process has left
/// there is removed by the next one. Tests of one process and of several may run at once.
pub struct Database {
    run: &'static Run,
    name: String,
    url: String,
    pool: PgPool,
}

impl Database {
    /// A database with the schema `haulage`. With tables of your own beside it: [`Template`].
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn new() -> Result<Self, DatabaseError> {
        PLAIN.database().await
    }

    /// A database without the schema.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn empty() -> Result<Self, DatabaseError> {
        Self::make(None).await
    }

    pub(super) async fn make(template: Option<&String>) -> Result<Self, DatabaseError> {
        let run = run::get().await?;
        let name = run.create(template.map(String::as_str)).await?;
        let url = run.url_of(&name);
        match PgPoolOptions::new().max_connections(POOL).connect(&url).await {
            Ok(pool) => Ok(Self { run, name, url, pool }),
            Err(error) => {
                run.discard(name);
                Err(DatabaseError::Unavailable(error))
            }
        }
    }

    /// A pool of up to 16 connections.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Where it is, with user and password, for a pool of your own or another program.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The pool and the URL of a database that is not dropped: for a look at it afterwards, or for a test that holds on to the
    /// pool alone. On a private server it goes with the process; elsewhere the next test process removes it.
    pub fn keep(mut self) -> (PgPool, String) {
        self.name.clear();
        (self.pool.clone(), std::mem::take(&mut self.url))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Without its name it is kept.
        if !self.name.is_empty() {
            self.run.discard(std::mem::take(&mut self.name));
        }
    }
}

impl fmt::Debug for Database {
    // By hand: the password stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("name", &self.name).finish_non_exhaustive()
    }
}
