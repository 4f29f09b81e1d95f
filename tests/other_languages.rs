//! Enqueueing from Python and Node: the programs in `examples/other-languages`, and the page that shows parts of them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use haulage::{Job, Unique};
use serde::{Deserialize, Serialize};

use crate::support::{Database, database};

/// Where `make setup` puts the clients.
fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients")
}

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/other-languages").join(name)
}

async fn shop() -> Database {
    let database = database().await;
    sqlx::raw_sql("CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL)")
        .execute(&database.pool())
        .await
        .unwrap();
    database
}

/// What the program said; then the rows it left, which are the same for every language.
async fn check(database: &Database, program: &mut Command) {
    let output = program.env("DATABASE_URL", database.url()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}\nis `make setup` done?", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("receipt ") && lines[0].ends_with(" available"), "{said}");
    assert!(lines[1].starts_with("sync ") && lines[1].ends_with(" scheduled again"), "{said}");
    assert_eq!(
        lines[2], "refused: the kind 'no spaces in a kind' is not a valid name - use 1 to 128 of the characters A-Z a-z 0-9 _ . : / -",
        "{said}"
    );

    let jobs: Vec<(String, String, serde_json::Value, Option<String>, bool)> = sqlx::query_as(
        "SELECT kind, queue, args, replace(trace_id::text, '-', ''), run_at > now() + interval '4 minutes' FROM haulage.live_jobs ORDER BY id",
    )
    .fetch_all(&database.pool())
    .await
    .unwrap();
    let order: i64 = sqlx::query_scalar("SELECT id FROM orders WHERE email = 'ada@example.org'").fetch_one(&database.pool()).await.unwrap();
    let expected = [
        ("send_receipt".to_owned(), "mail".to_owned(), serde_json::json!({ "order": order }), None, false),
        (
            "sync_customer".to_owned(),
            "default".to_owned(),
            serde_json::json!({"customer": 7}),
            Some("0af7651916cd43dd8448eb211c80319c".to_owned()),
            true,
        ),
    ];
    assert_eq!(jobs, expected);
}

#[tokio::test]
async fn python_enqueues_in_its_own_transaction_once_a_key_and_reads_the_hint_of_an_error() {
    let database = shop().await;
    check(&database, Command::new("python3").arg(program("enqueue.py")).env("PYTHONPATH", clients().join("python"))).await;
}

#[tokio::test]
async fn node_enqueues_in_its_own_transaction_once_a_key_and_reads_the_hint_of_an_error() {
    let database = shop().await;
    // Node looks for packages beside the program.
    let folder = clients().join("node");
    std::fs::copy(program("enqueue.js"), folder.join("enqueue.js")).expect("`make setup` has made target/clients");
    check(&database, Command::new("node").arg(folder.join("enqueue.js"))).await;
}

#[derive(Serialize, Deserialize)]
struct Monthly {
    customer: i64,
    month: String,
}

impl Job for Monthly {
    const KIND: &'static str = "monthly";

    fn unique(&self) -> Option<Unique> {
        Some(Unique::by((self.customer, &self.month)))
    }
}

#[tokio::test]
async fn the_key_of_the_page_is_that_of_a_rust_job() {
    let pool = database().await.pool();
    let rust = Monthly { customer: 1, month: "2026-05".into() }.enqueue(&pool).await.unwrap().id();
    let (id, duplicate): (i64, bool) =
        sqlx::query_as(r#"SELECT job_id, duplicate FROM haulage.enqueue('monthly', '{}', unique_key => '[1,"2026-05"]')"#)
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!((id, duplicate), (rust.0, true));
}

#[test]
fn what_the_page_shows_is_what_the_programs_do() {
    let page = include_str!("../docs/other-languages.md");
    for (language, program) in
        [("python", include_str!("../examples/other-languages/enqueue.py")), ("js", include_str!("../examples/other-languages/enqueue.js"))]
    {
        let fence = format!("```{language}\n");
        let mut blocks = page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).peekable();
        assert!(blocks.peek().is_some(), "no block in {language}");
        for block in blocks {
            assert!(program.contains(block), "not in the program:\n{block}");
        }
    }
}
