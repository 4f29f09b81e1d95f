//! The schema: made, brought up to date, checked. Its own schema and its own history table, so that an application's own
//! migrations never clash with it.

use sqlx::{
    Connection, PgConnection, PgPool, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// Every migration: number, name, SQL. Append-only.
const MIGRATIONS: [(i64, &str, &str); 19] = [
    (1, "jobs", include_str!("../migrations/0001_jobs.sql")),
    (2, "partitions", include_str!("../migrations/0002_partitions.sql")),
    (3, "enqueue", include_str!("../migrations/0003_enqueue.sql")),
    (4, "leases", include_str!("../migrations/0004_leases.sql")),
    (5, "schedules", include_str!("../migrations/0005_schedules.sql")),
    (6, "limits", include_str!("../migrations/0006_limits.sql")),
    (7, "operations", include_str!("../migrations/0007_operations.sql")),
    (8, "revisions", include_str!("../migrations/0008_revisions.sql")),
    (9, "audit", include_str!("../migrations/0009_audit.sql")),
    (10, "attempts", include_str!("../migrations/0010_attempts.sql")),
    (11, "history_indexes", include_str!("../migrations/0011_history_indexes.sql")),
    (12, "turns", include_str!("../migrations/0012_turns.sql")),
    (13, "key_limits", include_str!("../migrations/0013_key_limits.sql")),
    (14, "columns", include_str!("../migrations/0014_columns.sql")),
    (15, "minutes", include_str!("../migrations/0015_minutes.sql")),
    (16, "errors", include_str!("../migrations/0016_errors.sql")),
    (17, "requests", include_str!("../migrations/0017_requests.sql")),
    (18, "quiet_workers", include_str!("../migrations/0018_quiet_workers.sql")),
    (19, "depths", include_str!("../migrations/0019_depths.sql")),
];

/// The schema version that this build needs.
pub const SCHEMA_VERSION: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// The schema does not fit this build.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// There is no schema `haulage`.
    #[error("this database has no schema \"haulage\": run `haulage migrate` or call `haulage::migrate(&pool)`")]
    Missing,
    /// The schema is older.
    #[error(
        "the schema is at version {found}, this program needs {SCHEMA_VERSION}: run `haulage migrate` or call `haulage::migrate(&pool)`"
    )]
    TooOld {
        /// The version found.
        found: i64,
    },
    /// The schema is newer.
    #[error("the schema is at version {found}, this program knows versions up to {SCHEMA_VERSION}: deploy a newer version of this program")]
    TooNew {
        /// The version found.
        found: i64,
    },
    /// The database can't be asked.
    #[error("could not read the schema's version")]
    Database(#[from] sqlx::Error),
}

/// Why the schema could not be brought up to date. Nothing was changed: all migrations run in one transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The schema is newer than this build, or its version can't be read.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A migration failed.
    #[error("a migration of the schema \"haulage\" failed; nothing was changed")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database could not be reached or refused.
    #[error("the schema \"haulage\" could not be migrated; nothing was changed")]
    Database(#[from] sqlx::Error),
}

/// Brings the schema `haulage` up to date. Safe to call from any number of processes at once: the first does the work, the
/// others wait and find it done. The lock belongs to the transaction, so a cancelled call leaves nothing behind.
///
/// # Errors
/// [`MigrateError`]; among them a schema that is newer than this build.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    let mut connection = pool.acquire().await?;
    if version(&mut connection).await? == Some(SCHEMA_VERSION) {
        return Ok(());
    }
    let mut tx = connection.begin().await?;
    // 1751217518 is "haul" + 2; the other advisory locks are told in `notify`.
    sqlx::query("SELECT pg_advisory_xact_lock(1751217518, 0)").execute(&mut *tx).await?;
    match check_schema(&mut tx).await {
        Ok(()) => return Ok(()),
        Err(SchemaError::Missing | SchemaError::TooOld { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let mut migrator = Migrator::with_migrations(
        MIGRATIONS
            .into_iter()
            .map(|(number, name, sql)| Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false))
            .collect(),
    );
    migrator.set_locking(false);
    migrator.create_schema("haulage");
    migrator.dangerous_set_table_name("haulage.migrations");
    // `run` makes futures that can't be spawned ("Acquire is not general enough"); this is what sqlx itself uses around that.
    migrator.run_direct(None, &mut *tx, false).await?;
    tx.commit().await?;
    Ok(())
}

/// Checks that the schema fits this build: it has its version, or a newer one that says it can live with it.
///
/// # Errors
/// [`SchemaError`] with the version found and what to do.
pub async fn check_schema(connection: &mut PgConnection) -> Result<(), SchemaError> {
    match version(connection).await? {
        None => Err(SchemaError::Missing),
        Some(found) if found < SCHEMA_VERSION => Err(SchemaError::TooOld { found }),
        Some(found) if found > SCHEMA_VERSION => {
            let runs_with: Option<i64> =
                sqlx::query_scalar(include_str!("sql/get_compatibility.sql")).bind(found).fetch_optional(connection).await?;
            match runs_with {
                Some(oldest) if oldest <= SCHEMA_VERSION => Ok(()),
                _ => Err(SchemaError::TooNew { found }),
            }
        }
        Some(_) => Ok(()),
    }
}

async fn version(connection: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    let there: bool = sqlx::query_scalar("SELECT to_regclass('haulage.migrations') IS NOT NULL").fetch_one(&mut *connection).await?;
    if !there {
        return Ok(None);
    }
    sqlx::query_scalar(include_str!("sql/get_schema_version.sql")).fetch_one(connection).await
}
