//! A database per test: copied from a template, seen by nobody else, gone afterwards, also beside other test processes.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use haulage::{
    Job,
    testing::{Database, DatabaseError, Template, jobs_of},
};
use sqlx::PgPool;

use crate::support::{Count, eventually};

static SHELVES: Template = Template::new(|pool| {
    Box::pin(async move {
        sqlx::raw_sql("CREATE TABLE shelves (id int PRIMARY KEY); INSERT INTO shelves VALUES (1)").execute(&pool).await?;
        Ok(())
    })
});

async fn shelves(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM shelves").fetch_one(pool).await.unwrap()
}

/// The databases of test runs on the server.
async fn databases(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE datname LIKE 'haulage\\_test\\_%' ORDER BY datname")
        .fetch_all(pool)
        .await
        .unwrap()
}

async fn name(db: &Database) -> String {
    sqlx::query_scalar("SELECT current_database()::text").fetch_one(db.pool()).await.unwrap()
}

#[tokio::test]
async fn each_test_has_a_copy_of_the_template_for_itself() {
    let (one, two) = tokio::join!(SHELVES.database(), SHELVES.database());
    let (one, two) = (one.unwrap(), two.unwrap());
    sqlx::query("INSERT INTO shelves VALUES (2)").execute(one.pool()).await.unwrap();
    Count { n: 1 }.enqueue(one.pool()).await.unwrap();
    assert_eq!((shelves(one.pool()).await, shelves(two.pool()).await), (2, 1));
    assert_eq!((jobs_of::<Count>(one.pool()).await.len(), jobs_of::<Count>(two.pool()).await.len()), (1, 0));
    let by_url = PgPool::connect(one.url()).await.unwrap();
    assert_eq!(shelves(&by_url).await, 2);
}

#[tokio::test]
async fn a_database_goes_with_its_value_whoever_is_connected_unless_it_is_kept() {
    let watch = Database::empty().await.unwrap();
    let db = Database::new().await.unwrap();
    let name = name(&db).await;
    let kept = db.pool().clone();
    drop(db);
    eventually("the database is dropped", async || !databases(watch.pool()).await.contains(&name)).await;
    assert!(sqlx::query("SELECT 1").execute(&kept).await.is_err());

    let (pool, url) = Database::new().await.unwrap().keep();
    pool.close().await;
    Count { n: 1 }.enqueue(&PgPool::connect(&url).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_set_up_that_fails_is_told_and_tried_again() {
    static BROKEN: Template = Template::new(|_| Box::pin(async { Err("no shelves today".into()) }));
    for _ in 0..2 {
        let error = BROKEN.database().await.unwrap_err();
        assert!(matches!(&error, DatabaseError::Setup(why) if why.to_string() == "no shelves today"), "{error:?}");
    }
}

/// Run by the test below in processes of its own.
#[tokio::test]
#[ignore = "part of another test"]
async fn a_test_of_another_process() {
    let dbs = [SHELVES.database().await.unwrap(), Database::new().await.unwrap()];
    for db in &dbs {
        println!("\ndatabase {}", name(db).await);
    }
    if std::env::var_os("HAULAGE_TEST_HANG").is_some() {
        std::future::pending::<()>().await;
    }
    assert_eq!(shelves(dbs[0].pool()).await, 1);
}

fn another_process(url: &str, hang: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    if hang {
        command.env("HAULAGE_TEST_HANG", "1");
    }
    command
        .args(["--ignored", "--exact", "test_database::a_test_of_another_process", "--nocapture"])
        .env("DATABASE_URL", url)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A database that the process says it has made.
fn made(line: &str) -> Option<String> {
    line.strip_prefix("database ").map(ToOwned::to_owned)
}

#[tokio::test]
async fn test_processes_on_one_server_leave_each_other_alone_and_remove_what_a_killed_one_has_left() {
    let home = Database::empty().await.unwrap();
    let mut hanging = another_process(home.url(), true);
    let said = BufReader::new(hanging.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    let run = said.filter_map(|line| made(&line)).nth(1).unwrap()[..21].to_owned();
    // Two templates and a copy of each.
    let left = async || databases(home.pool()).await.iter().filter(|name| name.starts_with(&run)).count();
    assert_eq!(left().await, 4);

    for process in [another_process(home.url(), false), another_process(home.url(), false)] {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success());
        let made: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().filter_map(made).collect();
        let there = databases(home.pool()).await;
        assert!(made.len() == 2 && made.iter().all(|name| !there.contains(name)), "{made:?} should be gone: {there:?}");
    }
    assert_eq!(left().await, 4, "of the process that lives nothing is gone");

    hanging.kill().unwrap();
    hanging.wait().unwrap();
    // The server takes a moment to find out.
    eventually("what the killed process has left is removed by the next", async || {
        assert!(another_process(home.url(), false).wait_with_output().unwrap().status.success());
        left().await == 0
    })
    .await;
}
