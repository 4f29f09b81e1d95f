//! The `haulage` command as a user runs it: real processes, their output and exit codes.
#![cfg(feature = "cli")]

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use haulage::{Job as _, JobId, JobState, Priority, SCHEMA_VERSION, job_detail};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Count, database, empty_database, wait_for_state, worker};

#[tokio::test]
async fn migrate_says_from_which_version_to_which() {
    let url = empty_database().await.url();
    let said = ok(haulage(&url, &["migrate"]));
    assert_eq!(said, format!("the schema \"haulage\" is at version {SCHEMA_VERSION}; it did not exist\n"));
    let said = ok(haulage(&url, &["migrate"]));
    assert!(said.contains("nothing to do"), "{said}");
}

#[tokio::test]
async fn what_is_enqueued_is_listed_and_shown_alike() {
    let database = database().await;
    let url = database.url();
    let args = r#"{"to": "a@example.org", "big": 12345678901234567890123}"#;
    let options = ["--queue", "mail", "--priority", "urgent", "--delay", "1h30m", "--max-attempts", "3", "--timeout", "none"];
    let more = ["--tag", "a", "--tag", "b,{\"", "--meta", r#"{"ticket": 7}"#, "--json"];
    let stored = json_of(haulage(&url, &[&["enqueue", "send_email", args], &options[..], &more].concat()));
    assert_eq!(stored["duplicate"], json!(false));
    let id = stored["id"].to_string();

    let listed = json_of(haulage(&url, &["jobs", "list", "--json"]));
    let shown = json_of(haulage(&url, &["jobs", "show", &id, "--json"]));
    assert_eq!(listed.as_array().unwrap().len(), 1);
    for (name, value) in listed[0].as_object().unwrap() {
        assert_eq!(&shown[name], value, "{name}");
    }
    assert_eq!(
        (&shown["kind"], &shown["queue"], &shown["state"], &shown["priority"], &shown["max_attempts"], &shown["timeout_ms"]),
        (&json!("send_email"), &json!("mail"), &json!("scheduled"), &json!("urgent"), &json!(3), &Value::Null)
    );
    assert_eq!((&shown["tags"], &shown["meta"]), (&json!(["a", "b,{\""]), &json!({ "ticket": 7 })));

    let text = ok(haulage(&url, &["jobs", "list", "--state", "scheduled", "--queue", "mail", "--kind", "send_email"]));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0].find("KIND"), lines[1].find("send_email"), "{text}");
    assert!(lines[1].starts_with(&id), "{text}");
    let text = ok(haulage(&url, &["jobs", "show", &id]));
    assert!(text.contains("a@example.org") && text.contains("a, b,{\""), "{text}");
    assert_eq!(ok(haulage(&url, &["jobs", "list", "--queue", "other"])), "no jobs\n");
    assert_eq!(json_of(haulage(&url, &["jobs", "list", "--queue", "other", "--json"])), json!([]));

    // With every digit, as psql shows it.
    let stored: String = sqlx::query_scalar("SELECT args ->> 'big' FROM haulage.live_jobs").fetch_one(&database.pool()).await.unwrap();
    assert_eq!(stored, "12345678901234567890123");
}

#[tokio::test]
async fn a_job_enqueued_with_nothing_but_its_kind_gets_the_defaults_of_the_library() {
    let database = database().await;
    let pool = database.pool();
    let said = ok(haulage(&database.url(), &["enqueue", "count"]));
    let id: JobId = said.trim().strip_prefix("enqueued job ").unwrap().parse().unwrap();
    let by_name = job_detail(&pool, id).await.unwrap().unwrap();
    let by_type = haulage::Job::enqueue(Count { n: 1 }, &pool).await.unwrap().id();
    let by_type = job_detail(&pool, by_type).await.unwrap().unwrap();
    assert_eq!(by_name.args, json!({}));
    assert_eq!(by_name.status.state, JobState::Available);
    assert_eq!((by_name.status.max_attempts, by_name.timeout_ms), (by_type.status.max_attempts, by_type.timeout_ms));
    assert_eq!((by_name.priority, &by_name.status.queue), (Priority::Normal, &by_type.status.queue));
    assert_eq!((by_name.tags, by_name.meta), (by_type.tags, by_type.meta));
}

#[tokio::test]
async fn args_are_read_from_standard_input() {
    let database = database().await;
    let mut child = command(Some(&database.url()), &["enqueue", "count", "-", "--json"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{\"n\": 5}\n").unwrap();
    let id = json_of(child.wait_with_output().unwrap())["id"].as_i64().unwrap();
    assert_eq!(job_detail(&database.pool(), JobId(id)).await.unwrap().unwrap().args, json!({ "n": 5 }));
}

#[tokio::test]
async fn a_held_unique_key_is_said_and_the_holder_changed_as_asked() {
    let database = database().await;
    let url = database.url();
    let key = ["--unique-key", "k", "--unique-for", "1h", "--json"];
    let first = json_of(haulage(&url, &[&["enqueue", "count", r#"{"n": 1}"#], &key[..]].concat()));
    let second = json_of(haulage(&url, &[&["enqueue", "count", r#"{"n": 2}"#], &key[..]].concat()));
    assert_eq!(second, json!({ "id": first["id"], "duplicate": true }));
    let args = async || job_detail(&database.pool(), JobId(first["id"].as_i64().unwrap())).await.unwrap().unwrap().args;
    assert_eq!(args().await, json!({ "n": 1 }));
    let said = ok(haulage(&url, &["enqueue", "count", r#"{"n": 3}"#, "--unique-key", "k", "--on-conflict", "replace-args"]));
    assert_eq!(said, format!("no new job: job {} holds the unique key\n", first["id"]));
    assert_eq!(args().await, json!({ "n": 3 }));
}

#[tokio::test]
async fn a_job_that_failed_is_shown_with_its_errors_and_cannot_steer_the_terminal() {
    let database = database().await;
    let pool = database.pool();
    let id = haulage::Job::with(Count { n: 1 }).max_attempts(1).enqueue(&pool).await.unwrap().id();
    let worker = worker(&pool).handle(|_: Count| async { Err::<(), _>(anyhow::anyhow!("no\u{1b}[2J paper\nat all")) });
    let worker = worker.build().unwrap().start().await.unwrap();
    wait_for_state(&pool, id, JobState::Dead).await;
    worker.shutdown().await;
    let text = ok(haulage(&database.url(), &["jobs", "show", &id.to_string()]));
    assert!(text.contains("attempt 1: failed") && text.contains("paper\n    at all"), "{text}");
    let list = ok(haulage(&database.url(), &["jobs", "list", "--state", "dead"]));
    assert!(list.contains("paper at all") && list.lines().count() == 2, "{list}");
    for text in [text, list] {
        assert!(text.contains("\\u{1b}[2J") && !text.contains('\u{1b}'), "{text:?}");
    }
}

#[tokio::test]
async fn long_lists_are_read_page_by_page() {
    let database = database().await;
    let url = database.url();
    let ids = enqueue_counts(&database.pool(), 5).await;
    let page = ok(haulage(&url, &["jobs", "list", "--limit", "2"]));
    assert!(page.ends_with(&format!("older ones: --before {}\n", ids[3])), "{page}");
    let page = json_of(haulage(&url, &["jobs", "list", "--limit", "10", "--json", "--before", &ids[3].to_string()]));
    let found: Vec<i64> = page.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect();
    assert_eq!(found, [ids[2].0, ids[1].0, ids[0].0]);
}

#[tokio::test]
async fn a_value_the_database_refuses_is_answered_with_one_line_that_names_it_and_the_remedy() {
    let database = database().await;
    let too_long = format!("\"{}\"", "x".repeat(70_000));
    for (args, value, remedy) in [
        (vec!["enqueue", "a kind"], "'a kind'", "1 to 128"),
        (vec!["enqueue", "k", "--queue", "my queue"], "'my queue'", "1 to 128"),
        (vec!["enqueue", "k", "{to: 1}"], "\"{to: 1}\"", "single quotes"),
        (vec!["enqueue", "k", r#"["\u0000"]"#], "\\u0000", "strip it"),
        (vec!["enqueue", "k", "--meta", &too_long], "70002 bytes", "pass its key"),
        (vec!["enqueue", "k", "--delay", "200years"], "the delay", "36525 days"),
        (vec!["enqueue", "k", "--delay", "1000000000years"], "the delay", "36525 days"),
        (vec!["enqueue", "k", "--timeout", "60d"], "the timeout", "24 days"),
        (vec!["enqueue", "k", "--timeout", "0s"], "the timeout 00:00:00", "1 ms"),
        (vec!["enqueue", "k", "--tag", ""], "the tags", "1 to 128 characters"),
        (vec!["enqueue", "k", "--unique-key", "u", "--unique-for", "0s"], "unique_for 00:00:00", "36525 days"),
    ] {
        let line = refused(haulage(&database.url(), &args), 1);
        assert!(line.contains(value) && line.contains(remedy), "{args:?}: {line}");
    }
    let jobs: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.jobs").fetch_one(&database.pool()).await.unwrap();
    assert_eq!(jobs, 0);
}

#[test]
fn a_wrong_command_line_is_refused_before_the_database_is_asked() {
    for (args, value, remedy) in [
        (vec!["enqueue", "k", "--delay", "5"], "'5'", "90s"),
        (vec!["enqueue", "k", "--timeout", "never"], "'never'", "or none"),
        (vec!["enqueue", "k", "--run-at", "tomorrow"], "'tomorrow'", "2026-12-24T18:00:00Z"),
        (vec!["enqueue", "k", "--priority", "high"], "\"high\"", "urgent, normal, low, bulk"),
        (vec!["enqueue", "k", "--max-attempts", "0"], "0", "1..=32767"),
        (vec!["enqueue", "k", "--meta", "{"], "'{'", "{\"ticket\": 7}"),
        (vec!["enqueue", "k", "--unique-key", "u", "--on-conflict", "drop"], "'drop'", "replace-args"),
        (vec!["enqueue", "k", "--on-conflict", "reschedule"], "--unique-key", "Usage"),
        (vec!["enqueue", "k", "--delay", "5m", "--run-at", "2026-12-24T18:00:00Z"], "--delay", "cannot be used with"),
        (vec!["jobs", "list", "--state", "done"], "\"done\"", "completed"),
        (vec!["jobs", "list", "--queue", "a b"], "\"a b\"", "1 to 128"),
        (vec!["jobs", "list", "--limit", "5000"], "5000", "1..=1000"),
        (vec!["jobs", "show", "abc"], "\"abc\"", "whole number"),
        (vec!["jobs", "retry"], "<ID", "Usage"),
        (vec!["jobs", "retry", "42", "--queue", "mail"], "--queue", "cannot be used with"),
        (vec!["jobs", "retry", "--state", "broken"], "\"broken\"", "dead"),
        (vec!["jobs", "move", "42"], "--to <QUEUE>", "Usage"),
        (vec!["jobs", "move", "42", "--to", "a b"], "\"a b\"", "1 to 128"),
        (vec!["jobs", "reprioritise", "42", "--to", "high"], "\"high\"", "urgent, normal, low, bulk"),
        (vec!["jobs", "list", "--finished-after", "yesterday"], "'yesterday'", "2h"),
        (vec!["jobs", "list", "--unique-key", "k"], "--kind", "Usage"),
        (vec!["operations", "show", "abc"], "'abc'", "invalid"),
        (vec!["dashboard", "--auth", "none"], "'none'", "basic, bearer, proxy"),
        (vec!["dashboard", "--auth", "basic", "--insecure-no-auth"], "--auth", "cannot be used with"),
        (vec!["dashboard", "--trusted-proxy", "10.0.0.0/33"], "10.0.0.0/33", "10.0.0.0/8"),
        (vec!["dashboard", "--listen", "8090"], "'8090'", "127.0.0.1:8090"),
    ] {
        let output = haulage("postgres://nobody@127.0.0.1:1/none", &args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(value) && error.contains(remedy), "{args:?}: {error}");
    }
}

/// Whoever names who may come does not want to show every job to everybody.
#[test]
fn a_dashboard_with_half_a_log_in_is_refused() {
    for (args, remedy) in [
        (&["--credentials", "/none"][..], "--auth basic"),
        (&["--insecure-no-auth", "--credentials", "/none"], "--auth basic"),
        (&["--trusted-proxy", "127.0.0.1"], "--auth proxy"),
        (&["--user-header", "X-User"], "--auth proxy"),
        (&["--admin-group", "sre"], "--auth proxy"),
        (&["--auth", "basic", "--credentials", "/none", "--operator-group", "support"], "leave them out"),
        (&["--auth", "basic", "--credentials", "/none", "--trusted-proxy", "127.0.0.1"], "leave them out"),
        (&["--auth", "proxy", "--trusted-proxy", "127.0.0.1", "--credentials", "/none"], "takes no credentials"),
    ] {
        let args: Vec<&str> = ["dashboard", "--listen", "127.0.0.1:0"].iter().chain(args).copied().collect();
        let line = refused(haulage("postgres://nobody@127.0.0.1:1/none", &args), 1);
        assert!(line.contains(remedy), "{args:?}: {line}");
    }
}

#[tokio::test]
async fn an_unknown_job_has_an_exit_code_of_its_own() {
    let url = database().await.url();
    let line = refused(haulage(&url, &["jobs", "show", "4711"]), 3);
    assert!(line.contains("no job 4711"), "{line}");
}

#[tokio::test]
async fn a_database_that_is_not_given_not_there_or_not_ready_is_said_with_the_remedy() {
    let list = ["jobs", "list"];
    for url in [None, Some("")] {
        let line = refused(command(url, &list).output().unwrap(), 1);
        assert!(line.contains("DATABASE_URL") && line.contains("--database-url") && line.contains("haulage dev"), "{line}");
    }
    let line = refused(haulage("postgres://me:hunter2@127.0.0.1:1/none", &list), 1);
    assert!(line.contains("127.0.0.1:1/none") && line.contains("check that it runs"), "{line}");
    for url in ["mysql://me:hunter2@localhost/app", "postgres://me:hunter2@host:port/app"] {
        let line = refused(haulage(url, &list), 1);
        assert!(line.contains("postgres://user:password@host:5432/database"), "{line}");
    }
    let url = empty_database().await.url();
    for args in [&list[..], &["jobs", "show", "1"], &["enqueue", "k"], &["dashboard", "--listen", "127.0.0.1:0"]] {
        let line = refused(haulage(&url, args), 1);
        assert!(line.contains("run `haulage migrate`"), "{args:?}: {line}");
    }
}

#[test]
fn help_of_every_command_has_examples_and_hides_the_url() {
    for args in [
        &["--help"][..],
        &["migrate", "--help"],
        &["enqueue", "--help"],
        &["jobs", "--help"],
        &["jobs", "list", "--help"],
        &["jobs", "show", "--help"],
        &["jobs", "retry", "--help"],
        &["jobs", "run-now", "--help"],
        &["jobs", "run-again", "--help"],
        &["jobs", "cancel", "--help"],
        &["jobs", "discard", "--help"],
        &["jobs", "hold", "--help"],
        &["jobs", "release", "--help"],
        &["jobs", "delete", "--help"],
        &["jobs", "move", "--help"],
        &["jobs", "reprioritise", "--help"],
        &["operations", "--help"],
        &["operations", "list", "--help"],
        &["operations", "show", "--help"],
        &["operations", "cancel", "--help"],
        &["operations", "resume", "--help"],
        &["workers", "--help"],
        &["workers", "quiet", "--help"],
        &["workers", "resume", "--help"],
        &["audit", "--help"],
        &["work", "--help"],
        &["dev", "--help"],
        &["dashboard", "--help"],
    ] {
        let help = ok(haulage("postgres://me:hunter2@localhost/app", args));
        assert!(help.contains("Examples:\n  haulage ") && !help.contains("hunter2"), "{args:?}: {help}");
    }
}

#[test]
fn dev_runs_a_command_on_a_private_server_and_exits_with_its_code() {
    let folder = Folder::new("command");
    let url = ok(folder.dev(&["--", "sh", "-c", "echo $DATABASE_URL"]).output().unwrap());
    assert!(url.starts_with("postgres://haulage:") && url.contains("@127.0.0.1:"), "{url}");
    assert!(!haulage(url.trim(), &["jobs", "list"]).status.success(), "the server should have ended with its command");

    // The data is still there, with the schema in it; and the code of the command is the code of the whole.
    let script = format!("{} jobs list && exit 7", env!("CARGO_BIN_EXE_haulage"));
    let output = folder.dev(&["--", "sh", "-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "no jobs\n");

    let line = refused(folder.dev(&["--", "no-such-program"]).output().unwrap(), 1);
    assert!(line.contains("\"no-such-program\""), "{line}");
}

#[test]
fn dev_serves_until_it_is_told_to_stop_and_keeps_its_folder_to_itself() {
    let folder = Folder::new("serve");
    let mut first = folder.dev(&[]).spawn().unwrap();
    let url = first_line(&mut first).trim().strip_prefix("DATABASE_URL=").expect("the URL in the first line").to_owned();
    assert_eq!(ok(haulage(&url, &["jobs", "list"])), "no jobs\n");

    let second = refused(folder.dev(&[]).output().unwrap(), 1);
    let password = url.split([':', '@']).nth(2).unwrap();
    assert!(second.contains("already runs") && !second.contains(password), "{second}");

    terminate(&first);
    assert!(first.wait().unwrap().success());
    assert!(!haulage(&url, &["jobs", "list"]).status.success(), "the server should have ended");
}

#[test]
fn dev_passes_a_request_to_stop_on_to_its_command() {
    let folder = Folder::new("signal");
    let mut dev = folder.dev(&["--", "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"]).spawn().unwrap();
    assert_eq!(first_line(&mut dev), "ready\n");
    terminate(&dev);
    assert_eq!(dev.wait().unwrap().code(), Some(9));
}

#[tokio::test]
async fn dev_uses_the_database_it_is_given_and_starts_no_server() {
    let url = empty_database().await.url();
    let folder = Folder::new("given");
    let program = ["--", "sh", "-c", "echo $DATABASE_URL"];
    assert_eq!(ok(folder.dev(&program).env("DATABASE_URL", &url).output().unwrap()).trim(), url);
    assert!(!folder.0.exists(), "a server was started");
    assert_eq!(ok(haulage(&url, &["jobs", "list"])), "no jobs\n");
}

#[tokio::test]
async fn the_dashboard_command_serves_until_it_is_told_to_stop() {
    let url = database().await.url();
    let mut child = command(Some(&url), &["dashboard", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split_whitespace().find_map(|word| word.strip_suffix("/;")).expect("the address in the first line").to_owned();
    let health: Value = reqwest::get(format!("{address}/health")).await.unwrap().json().await.unwrap();
    assert_eq!(health, json!({ "status": "ok", "schema_version": SCHEMA_VERSION }));
    terminate(&child);
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn the_dashboard_command_says_what_its_replica_is() {
    let (database, other) = (database().await, database().await);
    let url = database.url();
    for (read, says) in [(url.clone(), "takes writes itself"), ("postgres://x@127.0.0.1:1/none".to_owned(), "the replica does not answer")]
    {
        let mut child = command(Some(&url), &["dashboard", "--listen", "127.0.0.1:0"]).env("HAULAGE_READ_URL", &read).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.next().unwrap().contains(says), "{says}");
        assert!(lines.next().unwrap().contains("the dashboard is at"), "{says}");
        terminate(&child);
        child.wait().unwrap();
    }
    for (read, says) in [(other.url().as_str(), "has other data"), ("mysql://me:hunter2@a/b", "HAULAGE_READ_URL")] {
        let output = haulage(&url, &["dashboard", "--listen", "127.0.0.1:0", "--read-url", read]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(says) && !text.contains("hunter2"), "{text}");
    }
}

/// As an admin, so that the buttons are there, unless nothing can be changed.
#[tokio::test]
async fn without_a_log_in_whoever_is_on_this_machine_acts_by_name_unless_it_only_reads() {
    let url = database().await.url();
    for (args, shown) in [
        (&["--as", "ana"][..], "<span>ana</span><span class=\"role\">admin</span>"),
        (&["--as", "ana", "--read-only"], "<span>ana</span><span class=\"role\">read-only</span>"),
        (&["--as", "ana", "--insecure-no-auth"], "<!--clock--></div>"),
    ] {
        let mut child = command(Some(&url), &[&["dashboard", "--listen", "127.0.0.1:0"], args].concat()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_whitespace().find_map(|word| word.strip_suffix("/;")).expect("the address in the first line").to_owned();
        let page = reqwest::get(format!("{address}/none")).await.unwrap().text().await.unwrap();
        terminate(&child);
        child.wait().unwrap();
        assert!(page.contains(shown), "{args:?}: {page}");
    }
}

#[test]
fn the_dashboard_listens_beyond_this_machine_only_with_a_log_in() {
    let folder = Folder::new("credentials");
    std::fs::create_dir_all(&folder.0).unwrap();
    let short = folder.0.join("short");
    std::fs::write(&short, "ana:hunter2").unwrap();
    let short = short.to_str().unwrap();
    for (args, parts) in [
        (&["--listen", "0.0.0.0:8090"][..], ["0.0.0.0:8090", "127.0.0.1:8090"]),
        (&["--listen", "[::]:8090"], ["[::]:8090", "--insecure-no-auth"]),
        (&["--auth", "basic"], ["--credentials", "HAULAGE_DASHBOARD_CREDENTIALS"]),
        (&["--auth", "basic", "--credentials", "/none"], ["/none", "credentials"]),
        (&["--auth", "bearer", "--credentials", short], ["line 1", "8 characters"]),
        (&["--auth", "proxy"], ["no proxy", "--trusted-proxy"]),
    ] {
        let output = haulage("postgres://nobody@127.0.0.1:1/none", &[&["dashboard"], args].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        assert!(parts.iter().all(|part| error.contains(part)) && !error.contains("hunter2"), "{args:?}: {error}");
    }
}

#[tokio::test]
async fn the_verbs_say_what_they_did_and_refuse_what_does_not_fit_with_the_remedy() {
    let database = database().await;
    let url = database.url();
    let ids: Vec<String> = enqueue_counts(&database.pool(), 3).await.iter().map(ToString::to_string).collect();
    let by = |args: &[&str]| haulage(&url, &[&["jobs"], args, &["--as", "ana", "--reason", "a drill"]].concat());
    let [first, second, third] = [ids[0].as_str(), ids[1].as_str(), ids[2].as_str()];

    assert_eq!(ok(by(&["hold", first])), format!("job {first} was available and is held\n"));
    assert_eq!(ok(by(&["release", first])), format!("job {first} was parked and is available\n"));
    assert_eq!(ok(by(&["move", first, "--to", "mail"])), format!("job {first} was available and is available in the queue mail\n"));
    assert_eq!(
        ok(by(&["discard", first, second])),
        format!("job {first} was available and is dead\njob {second} was available and is dead\n")
    );
    assert_eq!(ok(by(&["retry", first, "--dry-run"])), format!("would have: job {first} was dead and is available\n"));
    let done = json_of(by(&["retry", first, "--json"]));
    assert_eq!(done, json!([{ "id": first.parse::<i64>().unwrap(), "verb": "retry", "was": "dead", "now": "available" }]));
    let again = json_of(by(&["run-again", second, "--json"]));
    assert!(again[0]["new_id"].as_i64().unwrap() > third.parse().unwrap(), "{again}");
    assert_eq!(ok(by(&["delete", second])), format!("job {second} was dead and is deleted\n"));

    let line = refused(by(&["retry", third]), 1);
    assert!(line.contains(&format!("job {third}")) && line.contains("waits for a worker already"), "{line}");
    let line = refused(by(&["cancel", second]), 3);
    assert!(line.contains(&format!("no job {second}")), "{line}");
    // Of several the others are done.
    let output = by(&["cancel", second, third]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("job {third} was available and is cancelled\n"));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(&format!("no job {second}")) && error.ends_with("1 of 2 jobs were left as they are\n"), "{error}");
    let output = command(Some(&url), &["jobs", "cancel", first]).env_remove("USER").output().unwrap();
    assert!(refused(output, 1).contains("--as NAME"));

    let audit = json_of(haulage(&url, &["audit", "--job", third, "--json"]));
    assert_eq!((&audit[0]["who"], &audit[0]["verb"], &audit[0]["reason"]), (&json!("ana"), &json!("cancel"), &json!("a drill")));
    assert_eq!((&audit[0]["before"]["state"], &audit[0]["after"]["state"]), (&json!("available"), &json!("cancelled")));
    let shown = ok(haulage(&url, &["jobs", "show", third]));
    assert!(shown.contains("cancel by ana") && shown.contains(": a drill"), "{shown}");
    let table = ok(haulage(&url, &["audit", "--by", "ana", "--limit", "2"]));
    assert!(table.contains("a drill") && table.contains("older ones: --before"), "{table}");
}

#[tokio::test]
async fn a_filter_is_previewed_and_more_than_a_handful_needs_a_yes() {
    let database = database().await;
    let url = database.url();
    enqueue_counts(&database.pool(), 8).await;
    let by = |args: &[&str]| haulage(&url, &[&["jobs"], args, &["--as", "ana"]].concat());
    let line = refused(by(&["discard", "--kind", "count"]), 1);
    assert!(line.contains("8 jobs (8 available)") && line.contains("--yes") && line.contains("--dry-run"), "{line}");
    let said = ok(by(&["discard", "--kind", "count", "--dry-run"]));
    assert!(said.starts_with("discard means 8 jobs: 8 available\n") && said.lines().count() == 7, "{said}");
    let seen = json_of(by(&["discard", "--kind", "count", "--dry-run", "--json"]));
    assert_eq!((&seen["jobs"], &seen["more"], &seen["by_state"]), (&json!(8), &json!(false), &json!({ "available": 8 })));
    let done = json_of(by(&["discard", "--kind", "count", "--yes", "--json"]));
    assert_eq!(
        (&done["verb"], &done["state"], &done["done"], &done["skipped"]),
        (&json!("discard"), &json!("done"), &json!(8), &json!({}))
    );
    let line = refused(by(&["retry", "--state", "available"]), 1);
    assert!(line.contains("dead, cancelled"), "{line}");
    assert_eq!(ok(by(&["retry", "--kind", "other", "--dry-run"])), "no jobs to retry\n");

    let id = done["id"].to_string();
    assert_eq!(json_of(haulage(&url, &["operations", "show", &id, "--json"])), done);
    let list = ok(haulage(&url, &["operations"]));
    assert!(list.contains("discard") && list.contains("{\"kind\":\"count\"}"), "{list}");
    let line = refused(haulage(&url, &["operations", "cancel", &id, "--as", "ana"]), 1);
    assert!(line.contains("is done"), "{line}");
    let line = refused(haulage(&url, &["operations", "show", "99"]), 3);
    assert!(line.contains("no operation 99"), "{line}");
}

#[tokio::test]
async fn an_operation_whose_process_was_killed_is_resumed_by_another() {
    let database = database().await;
    let (url, pool) = (database.url(), database.pool());
    haulage::enqueue_all(&pool, (0..3_000).map(|n| Count { n })).await.unwrap();
    let filter = haulage::JobFilter::new().kind("count");
    let id = haulage::Operator::new("ana").start(&pool, haulage::Verb::Discard, &filter).await.unwrap().id;
    // What its first batch waits for keeps the process in the middle until it is killed.
    let mut forgotten = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE haulage.audit IN SHARE MODE").execute(&mut *forgotten).await.unwrap();
    let mut child = command(Some(&url), &["operations", "resume", &id.to_string(), "--as", "bo"]).spawn().unwrap();
    crate::support::eventually("it is in the middle of a batch", async || {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')")
            .fetch_one(&pool)
            .await
            .unwrap()
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    forgotten.rollback().await.unwrap();
    let said = ok(haulage(&url, &["operations", "resume", &id.to_string(), "--as", "cy"]));
    assert!(said.contains("done; 3000 done, 0 skipped, 0 failed"), "{said}");
    assert_eq!(crate::support::jobs_in(&pool, JobState::Dead).await, 3_000);
}

#[tokio::test]
async fn workers_are_listed_by_the_command() {
    let database = database().await;
    assert_eq!(ok(haulage(&database.url(), &["workers"])), "no workers\n");
    let worker = worker(&database.pool()).name("host-1").handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let list = json_of(haulage(&database.url(), &["workers", "--json"]));
    assert_eq!((&list[0]["name"], &list[0]["life"], &list[0]["slots"]), (&json!("host-1"), &json!("alive"), &json!([10])));
    let text = ok(haulage(&database.url(), &["workers"]));
    assert!(text.contains("host-1") && text.contains("default:10") && text.contains("alive"), "{text}");
    worker.shutdown().await;
}

#[tokio::test]
async fn a_job_is_shown_with_what_its_attempts_logged_and_with_the_span_it_is_in() {
    let database = database().await;
    let (pool, url) = (database.pool(), database.url());
    let mut failing = worker(&pool).handle(async |_: Count| Err::<(), _>("no paper")).build().unwrap();
    let id = Count { n: 1 }.enqueue(&pool).await.unwrap().id();
    failing.drain().await.unwrap();
    let lines = json!([
        { "before_us": 2_000_000, "level": "INFO", "target": "shop", "message": "begun", "fields": { "page": 3, "who": "ana" } },
        { "before_us": 1_000_000, "level": "WARN", "target": "shop", "message": "jam\u{1b}[31m\nin tray 2" },
    ]);
    let insert = "INSERT INTO haulage.attempt_logs (job_id, attempt, ended_at, earlier, lines) SELECT job_id, attempt, ended_at, 7, $1 FROM haulage.attempts";
    sqlx::query(insert).bind(sqlx::types::Json(lines)).execute(&pool).await.unwrap();
    let shown = ok(haulage(&url, &["jobs", "show", &id.to_string()]));
    let after = shown.split_once("no paper\n").unwrap().1.rsplit_once("no paper\n").unwrap().1;
    let said: Vec<&str> = after.lines().collect();
    assert_eq!(said[0].trim(), "(7 earlier lines were not kept)", "{shown}");
    assert!(said[1].ends_with("Z INFO  shop: begun page=3 who=ana"), "{shown}");
    assert!(said[2].ends_with("Z WARN  shop: jam\\u{1b}[31m") && said[3].trim() == "in tray 2", "{shown}");
    let shown = json_of(haulage(&url, &["jobs", "show", &id.to_string(), "--json"]));
    assert_eq!((&shown["logs"][0]["lines"][0]["fields"]["page"], &shown["logs"][0]["lines"][1]["level"]), (&json!(3), &json!("WARN")));
    assert_eq!(shown["span"], Value::Null);

    // An attempt whose row is not among those that are listed is not called completed for it.
    sqlx::raw_sql("DELETE FROM haulage.attempts WHERE attempt = 1").execute(&pool).await.unwrap();
    let shown = ok(haulage(&url, &["jobs", "show", &id.to_string()]));
    assert!(shown.contains("attempt 1: its end is not listed, ") && !shown.contains("completed"), "{shown}");

    let running = "UPDATE haulage.live_jobs SET state = 2, place = 1, lease = 7, claimed_at = now()";
    sqlx::raw_sql(running).execute(&pool).await.unwrap();
    let insert = "INSERT INTO haulage.running_spans (job_id, lease, path, since) VALUES ($1, 7, 'process > print', '2026-11-27 21:03:40Z')";
    sqlx::query(insert).bind(id.0).execute(&pool).await.unwrap();
    let shown = ok(haulage(&url, &["jobs", "show", &id.to_string()]));
    assert!(shown.contains("  in         process > print, since 2026-11-27 21:03:40Z\n"), "{shown}");
    // Of another attempt.
    sqlx::raw_sql("UPDATE haulage.live_jobs SET lease = 8").execute(&pool).await.unwrap();
    assert_eq!(json_of(haulage(&url, &["jobs", "show", &id.to_string(), "--json"]))["span"], Value::Null);
}

#[tokio::test]
async fn jobs_that_no_worker_takes_are_shown_below_the_workers_and_as_json() {
    let url = database().await.url();
    assert_eq!(json_of(haulage(&url, &["queues", "unhandled", "--json"])), json!([]));
    ok(haulage(&url, &["enqueue", "report", "--queue", "mail", "--revision", "2"]));
    let list = json_of(haulage(&url, &["queues", "unhandled", "--json"]));
    assert!(list[0]["oldest_s"].is_number(), "{list}");
    let mut first = list[0].clone();
    first.as_object_mut().unwrap().remove("oldest_s");
    assert_eq!(
        first,
        json!({ "queue": "mail", "kind": "report", "revision": 2, "jobs": 1, "at_least": false, "missing": "queue", "known_revision": null })
    );
    for command in [&["workers"][..], &["queues", "unhandled"]] {
        let text = ok(haulage(&url, command));
        assert!(text.contains("report") && text.contains("a worker of the queue"), "{text}");
    }
    let shown = ok(haulage(&url, &["jobs", "show", "1"]));
    assert!(shown.contains("revision   2"), "{shown}");
}

#[tokio::test]
async fn why_and_doctor_name_the_cause_and_the_command_that_mends_it() {
    let url = database().await.url();
    let id = json_of(haulage(&url, &["enqueue", "count", "--queue", "mail", "--delay", "1h", "--json"]))["id"].to_string();
    let said = ok(haulage(&url, &["why", &id]));
    assert!(said.starts_with("It is scheduled at ") && said.contains("\n  code   scheduled, ok\n"), "{said}");
    assert!(said.contains(&format!("\n  fix    Run it now: haulage jobs run-now {id}\n")), "{said}");
    let verdict = json_of(haulage(&url, &["why", &id, "--json"]));
    assert_eq!((&verdict["code"], &verdict["subject"]["job"]), (&json!("scheduled"), &json!(id)), "ids are text: {verdict}");
    assert_eq!(verdict["fixes"][0]["act"], json!({ "act": "job", "id": id, "verb": "run-now" }));
    let line = refused(haulage(&url, &["why", "4711"]), 3);
    assert!(line.contains("there never was a job 4711"), "{line}");

    let said = ok(haulage(&url, &["doctor"]));
    assert!(said.starts_with("Nothing is stuck.\n"), "{said}");
    for check in ["ok    schema", "look  workers", "ok    clocks", "ok    partitions", "ok    sessions", "ok    notifications"] {
        assert!(said.contains(check), "no {check:?} in {said}");
    }
    ok(haulage(&url, &["queues", "pause", "mail", "--reason", "INC-2207", "--as", "ana"]));
    ok(haulage(&url, &["jobs", "run-now", &id, "--as", "ana"]));
    // Without a worker: that comes first, and the pause is said beside it.
    let verdict = json_of(haulage(&url, &["why", &id, "--json"]));
    assert_eq!((&verdict["code"], &verdict["also"][0]["code"]), (&json!("no_live_workers"), &json!("paused")));
    sqlx::query("UPDATE haulage.live_jobs SET eligible_at = now() - interval '1 minute'")
        .execute(&PgPool::connect(&url).await.unwrap())
        .await
        .unwrap();
    let output = haulage(&url, &["doctor"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "something needs a person: {said}");
    assert!(said.starts_with("Needs you\n  no_live_workers, 1 job: No worker is alive anywhere."), "{said}");
    assert!(said.contains("> Start a worker: haulage work"), "{said}");
    let output = haulage(&url, &["doctor", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["causes"][0]["code"], &report["causes"][0]["jobs"]), (&json!("no_live_workers"), &json!(1)));

    let empty = empty_database().await.url();
    let output = haulage(&empty, &["doctor"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && said.starts_with("BAD   schema") && said.contains("haulage migrate"), "{said}");
}

fn haulage(url: &str, args: &[&str]) -> Output {
    command(Some(url), args).output().unwrap()
}

fn command(url: Option<&str>, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haulage"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("DATABASE_URL");
    if let Some(url) = url {
        command.env("DATABASE_URL", url);
    }
    command
}

/// What a command that should succeed printed.
fn ok(output: Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json_of(output: Output) -> Value {
    let text = ok(output);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The one line that a command that should fail says: no password, nothing on standard output.
fn refused(output: Output, code: i32) -> String {
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(error.starts_with("haulage: ") && error.lines().count() == 1, "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    error
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line
}

fn terminate(child: &Child) {
    let status = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

async fn enqueue_counts(pool: &PgPool, count: i64) -> Vec<JobId> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(haulage::Job::enqueue(Count { n }, pool).await.unwrap().id());
    }
    ids
}

/// A data folder that is gone after the test. Its server is gone before: it ends with the command that started it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("haulage-cli-{}-{name}", std::process::id())))
    }

    fn dev(&self, args: &[&str]) -> Command {
        command(None, &[&["dev", "--data-dir", self.0.to_str().unwrap()], args].concat())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn bench_prints_a_row_with_stable_names_beside_its_floor() {
    let scenarios = ["drain", "bulk", "backlog", "history"];
    let sizes = ["--jobs", "1000", "--backlog", "10000", "--history", "0", "--json"];
    let output = Command::new(env!("CARGO_BIN_EXE_haulage")).arg("bench").args(scenarios).args(sizes).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Value> = String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = rows.iter().map(|row| row["scenario"].as_str().unwrap()).collect();
    assert_eq!(names, ["drain", "drain, 1000 slots", "bulk", "backlog 0", "backlog 10000", "history 0"]);
    let positive = |row: &Value, fields: &[&str]| {
        for field in fields {
            assert!(row[field].as_f64().is_some_and(|value| value > 0.0), "{field} of {row}");
        }
    };
    rows.iter().for_each(|row| positive(row, &["jobs", "jobs_per_s", "wal_bytes_per_job"]));
    [0, 2].iter().for_each(|row| positive(&rows[*row], &["floor_jobs_per_s", "ratio_to_floor"]));
    [0, 1, 3].iter().for_each(|row| positive(&rows[*row], &["peak_rss_mb"]));
    positive(&rows[4], &["ratio_to_baseline", "p50_ms", "p99_ms"]);
    for (row, figures) in rows.iter().zip([2, 1, 1, 1, 1, 1]) {
        let told = row["figures"].as_array().unwrap();
        assert_eq!(told.len(), figures, "{row}");
        assert!(told.iter().all(|figure| figure["measured"].is_f64() && figure["goal"].is_string() && figure["met"].is_boolean()), "{row}");
    }
}

#[tokio::test]
async fn bench_measures_on_a_server_that_is_named_and_leaves_nothing_there() {
    let database = database().await;
    let bench = |server: &str| {
        Command::new(env!("CARGO_BIN_EXE_haulage"))
            .args(["bench", "bulk", "--jobs", "1000", "--json"])
            .env("HAULAGE_BENCH_SERVER", server)
            .output()
            .unwrap()
    };
    let output = bench(&database.url());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let row: Value = serde_json::from_slice(&output.stdout).unwrap();
    let version: String = sqlx::query_scalar("SHOW server_version").fetch_one(&database.pool()).await.unwrap();
    let config = format!("concurrency=50 postgres={} ", version.split(' ').next().unwrap());
    assert!(row["config"].as_str().unwrap().starts_with(&config), "{row}");
    assert!(row["server_cpu_us_per_job"].as_f64().is_some_and(|us| us > 0.0), "{row}");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname LIKE 'haulage_bench_%'")
        .fetch_one(&database.pool())
        .await
        .unwrap();
    assert_eq!(left, 0);

    let nobody = bench("postgres://me:hunter2@127.0.0.1:1/postgres");
    let stderr = String::from_utf8_lossy(&nobody.stderr);
    assert!(
        !nobody.status.success() && stderr.contains("can't connect to 127.0.0.1:1/postgres") && !stderr.contains("hunter2"),
        "{stderr}"
    );
}

#[tokio::test]
async fn what_is_done_to_queues_keys_and_schedules_says_who_and_why_and_is_found_in_the_audit() {
    let database = database().await;
    let url = database.url();
    let schedule = haulage::Schedule::new("nightly", "@daily", Count { n: 1 });
    haulage::declare_schedules(&database.pool(), "shop", [schedule]).await.unwrap();
    let by = |args: &[&str]| haulage(&url, &[args, &["--as", "ana", "--reason", "a drill"]].concat());
    ok(by(&["queues", "pause", "mail", "--for", "1h"]));
    assert_eq!(ok(by(&["queues", "resume", "mail"])), "mail is resumed\n");
    ok(by(&["queues", "limit", "mail", "--rate", "100/1m", "--burst", "10"]));
    ok(by(&["queues", "unlimit", "mail"]));
    ok(by(&["keys", "limit", "tenant:*", "--max", "3"]));
    // What the class limits is listed by its keys.
    for key in ["tenant:7", "tenant:7", "other:1"] {
        ok(haulage(&url, &["enqueue", "count", r#"{"n": 1}"#, "--limit-key", key]));
    }
    let keys = json_of(haulage(&url, &["keys", "list", "--json"]));
    let told: Vec<_> = keys.as_array().unwrap().iter().map(|key| (&key["key"], &key["class"], &key["waiting"])).collect();
    assert_eq!(told, [(&json!("tenant:*"), &Value::Null, &Value::Null), (&json!("tenant:7"), &json!("tenant:*"), &json!(2))]);
    assert!(ok(haulage(&url, &["keys", "list"])).contains("3 at once, as tenant:*"));
    let waits = json_of(haulage(&url, &["jobs", "list", "--state", "key", "--json"]));
    assert_eq!(waits.as_array().unwrap().len(), 3, "{waits}");
    let shown = ok(haulage(&url, &["jobs", "show", &waits[0]["id"].to_string()]));
    assert!(shown.contains("  limit key  other:1\n"), "{shown}");
    for (says_nothing, why) in [
        (["queues", "pause", "mail", "--reason", " "].as_slice(), "say why"),
        (&["keys", "unlimit", "tenant:*", "--reason", ""], "say why"),
        (&["queues", "pause", "mail", "--reason", "a drill", "--for", "0s"], "30m"),
    ] {
        let output = haulage(&url, says_nothing);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && error.contains(why), "{error}");
    }
    ok(by(&["keys", "unlimit", "tenant:*"]));
    ok(by(&["schedules", "pause", "nightly"]));
    ok(by(&["schedules", "resume", "nightly"]));
    let job = ok(by(&["schedules", "run-now", "nightly"]));
    ok(by(&["schedules", "delete", "nightly"]));

    let lines = |args: &[&str]| {
        let text = ok(haulage(&url, &[&["audit", "--by", "ana"], args].concat()));
        let words = |line: &str| line.split_whitespace().skip(3).collect::<Vec<_>>().join(" ");
        let mut lines: Vec<String> = text.lines().skip(1).map(words).collect();
        lines.reverse();
        lines
    };
    assert_eq!(
        lines(&["--queue", "mail"]),
        [
            "ana pause queue mail 0 a drill not paused paused",
            "ana resume queue mail 0 a drill paused not paused",
            "ana limit queue mail 0 a drill 100 per 1m in bursts of 10",
            "ana unlimit queue mail 0 a drill 100 per 1m in bursts of 10",
        ]
    );
    assert_eq!(
        lines(&["--key", "tenant:*"]),
        ["ana limit key tenant:* 0 a drill 3 at once", "ana unlimit key tenant:* 0 a drill 3 at once"]
    );
    assert_eq!(
        lines(&["--schedule", "nightly"]),
        [
            "ana pause schedule nightly 0 a drill not paused paused",
            "ana resume schedule nightly 0 a drill paused not paused",
            &format!("ana run-now schedule nightly 1 a drill not paused job {}", job.trim()),
            "ana delete schedule nightly 0 a drill not paused",
        ]
    );
    assert_eq!(lines(&[]).len(), 10);
    assert_eq!(lines(&["--job", job.trim()]).len(), 1);

    // What is not there has an exit code of its own, and nobody acts without a name.
    for args in [&["queues", "resume", "mail"][..], &["keys", "unlimit", "tenant:*"], &["schedules", "run-now", "nightly"]] {
        refused(by(args), 3);
        let output = command(Some(&url), args).env_remove("USER").output().unwrap();
        assert!(refused(output, 1).contains("--as NAME"), "{args:?}");
    }
}

#[test]
fn no_color_is_respected() {
    let help = |no_color: &str| {
        let mut command = command(None, &["help", "jobs"]);
        let output = command.env("CLICOLOR_FORCE", "1").env("NO_COLOR", no_color).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(help("").contains("\u{1b}["), "it would be colored");
    assert!(!help("1").contains('\u{1b}'));
}
