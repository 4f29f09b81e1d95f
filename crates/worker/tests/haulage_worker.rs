//! The program `haulage-worker` itself. What it does with jobs is tested with `haulage work`, which is the same code.
#![cfg(all(feature = "exec", unix))]

use std::{
    fs,
    process::{Command, Output},
};

const CONFIG: &str = "[queues]\ndefault = 5\n[kinds.a]\ncommand = [\"sh\", \"-c\", \"exit\"]\n";

#[test]
fn it_checks_a_config_file_without_a_database() {
    let output = worker("right", CONFIG, &["--check"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().contains("a: runs sh -c exit"));
    let line = refused(worker("wrong", &CONFIG.replace("sh", "pythn3"), &["--check"]));
    assert!(line.contains("kinds.a.command") && line.contains("\"pythn3\""), "{line}");
}

#[test]
fn it_says_which_database_it_needs_or_can_not_reach() {
    let line = refused(worker("none", CONFIG, &[]));
    assert!(line.contains("DATABASE_URL") && line.contains("--database-url"), "{line}");
    let line = refused(worker("away", CONFIG, &["--database-url", "postgres://me:hunter2@127.0.0.1:1/none"]));
    assert!(line.contains("no connection to the database") && !line.contains("hunter2"), "{line}");
    let line = refused(worker("other", CONFIG, &["--database-url", "mysql://me:hunter2@127.0.0.1/none"]));
    assert!(line.contains("postgres://") && !line.contains("hunter2"), "{line}");
}

fn worker(name: &str, config: &str, more: &[&str]) -> Output {
    let file = std::env::temp_dir().join(format!("haulage-worker-{}-{name}.toml", std::process::id()));
    fs::write(&file, config).expect("the folder for temporary files can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_haulage-worker"));
    command.arg("--config").arg(&file).args(more).env_remove("DATABASE_URL").env("RUST_LOG", "off");
    let output = command.output().expect("the program starts");
    fs::remove_file(&file).ok();
    output
}

fn refused(output: Output) -> String {
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.starts_with("haulage-worker: "), "{error}");
    error
}
