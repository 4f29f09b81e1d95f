//! From the database URL to a pool. The URL holds a password: no message here or elsewhere prints it.

use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// A person waits for the answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const FORM: &str =
    "it should look like postgres://user:password@host:5432/database, with special characters in the password percent-encoded";

/// The one option of every command.
#[derive(Debug, clap::Args)]
pub(crate) struct DatabaseUrl {
    /// The database, as postgres://user:password@host:5432/database
    ///
    /// Better given by the environment variable: other users of this machine can see an option in the list of processes.
    #[arg(long, global = true, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

impl DatabaseUrl {
    /// The URL, if one is given. Empty counts as not given, as `DATABASE_URL= haulage ...` means it.
    pub(crate) fn given(&self) -> Option<&str> {
        self.database_url.as_deref().filter(|url| !url.is_empty())
    }

    /// A pool on a database that has answered.
    pub(crate) async fn connect(&self) -> anyhow::Result<PgPool> {
        let Some(url) = self.given() else {
            bail!("which database? set DATABASE_URL or pass --database-url; `haulage dev` starts a private Postgres if you have none");
        };
        connect(url).await
    }
}

/// A pool on a database that has answered.
pub(crate) async fn connect(url: &str) -> anyhow::Result<PgPool> {
    let options = options(url)?;
    // Before the pool, which would try again until its time is up and then forget why it failed.
    let probe = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options));
    let place = place(&options);
    let connection = probe
        .await
        .with_context(|| format!("the database at {place} did not answer within {} s", CONNECT_TIMEOUT.as_secs()))?
        .with_context(|| format!("can't connect to the database at {place}; check that it runs and that the URL is right"))?;
    // It has served; how it ends does not matter.
    drop(connection.close().await);
    Ok(PgPoolOptions::new().max_connections(4).acquire_timeout(CONNECT_TIMEOUT).connect_lazy_with(options))
}

/// Host, port and database, for people: the URL without its secrets.
pub(crate) fn place_of(url: &str) -> anyhow::Result<String> {
    Ok(place(&options(url)?))
}

pub(crate) fn options(url: &str) -> anyhow::Result<PgConnectOptions> {
    // The driver itself takes any scheme and would talk Postgres to a MySQL server.
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        bail!("the database URL is not one of Postgres: {FORM}");
    }
    url.parse().with_context(|| format!("the database URL is not valid: {FORM}"))
}

pub(crate) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or("(default)");
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_about_a_url_holds_its_password() {
        for url in [
            "postgres://me:hunter2@host:port/db",
            "postgres://me:hun/ter2@host/db",
            "postgres://me:hunter2@host/db?sslmode=hunter",
            "mysql://me:hunter2@host/db",
            "me:hunter2@host/db",
            "postgres://me:hunter2@[::1/db",
        ] {
            let Err(error) = options(url) else { continue };
            let text = format!("{error:#}");
            assert!(!text.contains("hun/ter2") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_place_names_host_port_and_database_only() {
        assert_eq!(place_of("postgres://me:hunter2@db.example.org:6432/app").unwrap(), "db.example.org:6432/app");
    }
}
