//! The schema: made once, whoever asks; a stranger's own migrations untouched; a newer schema refused.

use std::{fs, path::Path};

use haulage::{Job, MigrateError, SCHEMA_VERSION, SchemaError, check_schema, migrate};
use sqlx::{
    PgPool, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::support::{Count, PATIENCE, empty_database, eventually, worker};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_at_once_make_the_schema_once() {
    let pool = empty_database().await.pool();
    let results = futures_util::future::join_all((0..10).map(|_| {
        let pool = pool.clone();
        async move { migrate(&pool).await }
    }))
    .await;
    for result in results {
        result.unwrap();
    }
    let ran: i64 = sqlx::query_scalar("SELECT max(version) FROM haulage.migrations").fetch_one(&pool).await.unwrap();
    assert_eq!(ran, SCHEMA_VERSION);
    migrate(&pool).await.unwrap();
    Count { n: 1 }.enqueue(&pool).await.unwrap();
}

#[tokio::test]
async fn an_application_with_its_own_sqlx_migrations_is_left_alone() {
    let pool = empty_database().await.pool();
    sqlx::raw_sql(
        "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamptz NOT NULL DEFAULT now(),
             success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL);
         INSERT INTO _sqlx_migrations VALUES (1, 'theirs', now(), true, '\\x00', 1)",
    )
    .execute(&pool)
    .await
    .unwrap();
    migrate(&pool).await.unwrap();
    let theirs: Vec<String> = sqlx::query_scalar("SELECT description FROM _sqlx_migrations").fetch_all(&pool).await.unwrap();
    assert_eq!(theirs, ["theirs"]);
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_a_sentence() {
    let pool = empty_database().await.pool();
    migrate(&pool).await.unwrap();
    sqlx::query(
        "INSERT INTO haulage.migrations (version, description, success, checksum, execution_time) VALUES (99, 'later', true, '', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let error = migrate(&pool).await.unwrap_err();
    assert!(matches!(error, MigrateError::Schema(SchemaError::TooNew { found: 99 })), "{error:?}");
    assert!(error.to_string().contains("version 99") && error.to_string().contains("deploy a newer version"), "{error}");
    let start = async || worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await;
    let error = start().await.unwrap_err();
    assert!(error.to_string().contains("version 99"), "{error}");

    // A newer schema can say that this program may run on it, as in the middle of a rolling deploy.
    sqlx::query("INSERT INTO haulage.compatibility VALUES (99, $1)").bind(SCHEMA_VERSION).execute(&pool).await.unwrap();
    migrate(&pool).await.unwrap();
    start().await.unwrap().shutdown().await;
}

#[tokio::test]
async fn an_older_schema_is_named_with_the_command_to_run() {
    let pool = empty_database().await.pool();
    migrate(&pool).await.unwrap();
    sqlx::query("DELETE FROM haulage.migrations WHERE version = $1").bind(SCHEMA_VERSION).execute(&pool).await.unwrap();
    let error = check_schema(&mut pool.acquire().await.unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("haulage migrate"), "{error}");
}

#[tokio::test]
async fn a_migration_cut_off_leaves_no_lock_and_no_half() {
    let pool = empty_database().await.pool();
    // Dropped at every moment of its first milliseconds.
    for n in 0..10 {
        tokio::time::timeout(std::time::Duration::from_millis(n), migrate(&pool)).await.ok();
    }
    migrate(&pool).await.unwrap();
    Count { n: 1 }.enqueue(&pool).await.unwrap();
}

#[tokio::test]
async fn a_spawned_task_can_migrate() {
    let pool = empty_database().await.pool();
    tokio::spawn(async move { migrate(&pool).await }).await.unwrap().unwrap();
}

/// Makes the schema as it was at this version.
async fn migrate_to(pool: &PgPool, version: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    let migrations = files.iter().take(version).map(|path| {
        let (number, name) = path.file_stem().unwrap().to_str().unwrap().split_once('_').unwrap();
        let sql = sqlx::AssertSqlSafe(fs::read_to_string(path).unwrap()).into_sql_str();
        Migration::new(number.parse().unwrap(), name.to_owned().into(), MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.create_schema("haulage");
    migrator.dangerous_set_table_name("haulage.migrations");
    migrator.run(pool).await.unwrap();
}

/// It waited without end for whoever wrote to the audit, and all workers for it: the tables of the claims were locked before.
#[tokio::test]
async fn an_open_transaction_stops_an_upgrade_within_seconds_and_holds_up_no_claim() {
    let pool = empty_database().await.pool();
    migrate_to(&pool, 7).await;
    let mut open = pool.begin().await.unwrap();
    sqlx::raw_sql("INSERT INTO haulage.audit (who, verb, target) VALUES ('ana', 'retry', 'job 1')").execute(&mut *open).await.unwrap();
    let upgrade = tokio::spawn({
        let pool = pool.clone();
        async move { migrate(&pool).await }
    });
    eventually("the upgrade waits", async || {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'haulage.audit'::regclass
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        )
        .fetch_one(&pool)
        .await
        .unwrap()
    })
    .await;
    let mut claim = pool.begin().await.unwrap();
    for sql in ["SET LOCAL lock_timeout = '100ms'", "SELECT FROM haulage.workers", "SELECT FROM haulage.schedules"] {
        sqlx::raw_sql(sql).execute(&mut *claim).await.unwrap();
    }
    claim.rollback().await.unwrap();
    let error = tokio::time::timeout(PATIENCE, upgrade).await.expect("it gives up").unwrap().unwrap_err();
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    open.rollback().await.unwrap();

    // Who reads what a claim needs is waited for as briefly.
    let mut open = pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT FROM haulage.workers").execute(&mut *open).await.unwrap();
    tokio::time::timeout(PATIENCE, migrate(&pool)).await.expect("it gives up").unwrap_err();
    open.rollback().await.unwrap();
    migrate(&pool).await.unwrap();
    Count { n: 1 }.enqueue(&pool).await.unwrap();
}
