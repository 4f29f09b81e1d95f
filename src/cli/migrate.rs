//! `haulage migrate`.

use haulage::{SCHEMA_VERSION, SchemaError, check_schema};

use super::{connect::DatabaseUrl, output::print};

/// Makes the schema "haulage" or brings it up to date
///
/// Safe to run from any number of machines at once and when there is nothing to do. All migrations run in one transaction; the
/// application's own tables and migrations are not touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  haulage migrate
  DATABASE_URL=postgres://me@localhost/app haulage migrate")]
pub(crate) struct Migrate {}

impl Migrate {
    pub(crate) async fn run(self, database: &DatabaseUrl) -> anyhow::Result<()> {
        let pool = database.connect().await?;
        let before = check_schema(&mut *pool.acquire().await?).await;
        haulage::migrate(&pool).await?;
        // Told as what was seen before and what is so now: another process may have done the work between.
        print(&match before {
            Ok(()) => format!("the schema \"haulage\" is at version {SCHEMA_VERSION} already; nothing to do\n"),
            Err(SchemaError::TooOld { found }) => {
                format!("the schema \"haulage\" is at version {SCHEMA_VERSION}; it was at version {found}\n")
            }
            Err(_) => format!("the schema \"haulage\" is at version {SCHEMA_VERSION}; it did not exist\n"),
        })
    }
}
