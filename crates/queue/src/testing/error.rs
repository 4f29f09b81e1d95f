use crate::MigrateError;
#[cfg(unix)]
use crate::dev::DevError;

/// Why a test got no database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// `DATABASE_URL` is not set, and no private server could be started.
    #[cfg(unix)]
    #[error("no server for the test's database: install Postgres, or set DATABASE_URL")]
    Server(#[source] DevError),
    /// `DATABASE_URL` is not set, and this system has no private servers.
    #[cfg(not(unix))]
    #[error("no server for the test's database: set DATABASE_URL")]
    Server,
    /// The server can't be reached.
    #[error("no connection to the server of the test's database: check that it runs, and DATABASE_URL if it is set")]
    Unavailable(#[source] sqlx::Error),
    /// The server refused to make the database.
    #[error("the test's database could not be made: the role in DATABASE_URL needs CREATEDB")]
    Create(#[source] sqlx::Error),
    /// The schema `haulage` could not be made in the template.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The template's own set-up failed.
    #[error("the set-up of the test's template database failed")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}
