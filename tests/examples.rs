//! The examples, run as a reader runs them. The shop has tests of its own.

use std::process::Command;

use crate::support::empty_database;

#[tokio::test]
async fn the_quickstart_runs_its_job_on_the_second_attempt() {
    let database = empty_database().await;
    // Where `cargo test` puts the examples before it runs the tests; `cargo test --test it` alone builds none.
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples");
    let output =
        Command::new(folder.join("quickstart")).env("DATABASE_URL", database.url()).output().expect("run `cargo build --examples` first");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("is completed, attempt 2") && said.contains("it says: hello Ada"), "{said}");
}
