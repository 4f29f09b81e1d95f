//! `haulage work` as a process: its environment, its memory, its death; and the example.
#![cfg(feature = "cli")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use haulage::{JobState, NamedJob, enqueue_named, job, job_detail};
use serde_json::json;

use super::{Folder, SECRET, gone, message, once, written};
use crate::support::{database, wait_for_state};

#[tokio::test]
async fn a_program_sees_nothing_of_the_workers_environment_but_what_is_listed() {
    let (database, folder) = (database().await, Folder::new());
    let pool = database.pool();
    let default = folder.kind("default", "env >&2\nexit 65\n", "");
    let chosen = folder.kind("chosen", "env >&2\nexit 65\n", "pass_env = [\"LISTED\", \"UNSET\"]\nenv = { GREETING = \"hello\" }");
    let file = folder.write("worker.toml", &format!("[queues]\ndefault = 5\n{default}{chosen}"));
    let mut command = work(&file, &database.url());
    let secrets = [("API_TOKEN", SECRET), ("LISTED", "yes"), ("PGPASSWORD", SECRET)];
    let worker = Running(command.envs(secrets).spawn().unwrap());
    for kind in ["default", "chosen"] {
        let id = enqueue_named(&pool, &once(kind)).await.unwrap().id();
        wait_for_state(&pool, id, JobState::Dead).await;
        let detail = job_detail(&pool, id).await.unwrap().unwrap();
        let names: Vec<&str> = message(&detail)
            .trim_start_matches("exit status: 65: ")
            .lines()
            .filter_map(|line| line.split_once('=').map(|(name, _)| name))
            // What the shell sets by itself.
            .filter(|name| !name.starts_with("HAULAGE_") && !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
            .collect();
        assert!(!message(&detail).contains(SECRET) && !message(&detail).contains(&database.url()), "{names:?}");
        let mut sorted = names.clone();
        sorted.sort_unstable();
        // And the trace, which goes on in the program. A shell without PATH makes one up, and does not pass it on.
        assert_eq!(sorted, if kind == "default" { vec!["PATH", "TRACEPARENT"] } else { vec!["GREETING", "LISTED", "TRACEPARENT"] });
    }
    drop(worker);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_program_that_floods_both_streams_takes_no_memory_of_the_worker() {
    let (database, folder) = (database().await, Folder::new());
    let pool = database.pool();
    let script = "yes | head -c 300000000\nyes | head -c 300000000 >&2\necho the end >&2\nexit 3\n";
    let file = folder.write("worker.toml", &format!("[queues]\ndefault = 5\n{}", folder.kind("flood", script, "")));
    let worker = Running(work(&file, &database.url()).spawn().unwrap());
    let id = enqueue_named(&pool, &once("flood")).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Dead).await;
    let detail = job_detail(&pool, id).await.unwrap().unwrap();
    assert!(message(&detail).starts_with("exit status: 3: …") && message(&detail).ends_with("the end"), "{}", message(&detail));
    let status = fs::read_to_string(format!("/proc/{}/status", worker.0.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB");
    let peak: u64 = peak.parse().unwrap();
    assert!(peak < 150_000, "{peak} kB");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn programs_of_a_worker_that_is_killed_are_ended() {
    let (database, folder) = (database().await, Folder::new());
    let pool = database.pool();
    // A program that has its args is watched.
    let script = "cat > args\ntrap '' TERM\necho $$ > leader\nsleep 300 &\necho $! > sleeper\nwait\nsleep 300\n";
    let file = folder.write("worker.toml", &format!("[queues]\ndefault = 5\n{}", folder.kind("stubborn", script, "")));
    let mut worker = work(&file, &database.url()).spawn().unwrap();
    enqueue_named(&pool, &once("stubborn")).await.unwrap();
    written(&folder.path("sleeper")).await;
    worker.kill().unwrap();
    worker.wait().unwrap();
    gone(&folder.path("leader")).await;
    gone(&folder.path("sleeper")).await;
}

#[tokio::test]
async fn a_wrong_config_file_ends_the_command_with_one_line_before_any_database_is_needed() {
    let folder = Folder::new();
    let file = folder.write("worker.toml", "[queues]\ndefault = 5\n[kinds.a]\ncommand = [\"pythn3\"]");
    for more in [&[][..], &["--check"]] {
        let output = work(&file, "").args(more).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
        assert!(
            error.starts_with("haulage: ") && error.contains("worker.toml: kinds.a.command: ") && error.contains("\"pythn3\""),
            "{error}"
        );
    }
    let file = folder.write(
        "worker.toml",
        "[queues]\ndefault = 5\n[kinds.a]\ncommand = [\"sh\", \"-c\", \"exit\"]\n[kinds.b]\nurl = \"https://example.org/x?hunter2\"",
    );
    let said = ok(work(&file, "").arg("--check").output().unwrap());
    assert!(
        said.contains("default (5 at once)")
            && said.contains("a: runs sh -c exit")
            && said.contains("b: calls https://example.org (not signed)"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn the_polyglot_example_runs_its_python_its_shell_and_its_endpoint() {
    let (database, folder) = (database().await, Folder::new());
    let pool = database.pool();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut endpoint = Command::new("python3");
    endpoint.arg(examples.join("polyglot/endpoint.py")).arg("0").env("NOTIFY_SECRET", SECRET).stdout(Stdio::piped());
    let mut endpoint = Running(endpoint.spawn().expect("python3 is there"));
    let mut line = String::new();
    BufReader::new(endpoint.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("listening on ").expect("the port in the first line");

    // As it is, but for the port and the place of the programs.
    let config = fs::read_to_string(examples.join("polyglot.toml")).unwrap();
    let config = config.replace(":8077", &format!(":{port}")).replace("\"polyglot\"", &format!("{:?}", examples.join("polyglot")));
    let file = folder.write("polyglot.toml", &config);
    let worker = Running(work(&file, &database.url()).env("NOTIFY_SECRET", SECRET).spawn().unwrap());

    let mut ids = Vec::new();
    for (kind, args) in [("count_words", json!({ "text": "one two three" })), ("greet", json!({})), ("notify", json!({ "who": "Ada" }))] {
        ids.push(enqueue_named(&pool, &NamedJob::new(kind, args)).await.unwrap().id());
    }
    let bad = enqueue_named(&pool, &NamedJob::new("count_words", json!({ "words": 3 }))).await.unwrap().id();
    for (id, attempt, output) in [
        (ids[0], 1, json!({ "words": 3 })),
        (ids[1], 2, json!({ "said": format!("hello from job {}", ids[1]) })),
        (ids[2], 1, json!({ "notified": "Ada", "key": format!("haulage-{}", ids[2]) })),
    ] {
        wait_for_state(&pool, id, JobState::Completed).await;
        let status = job(&pool, id).await.unwrap().unwrap();
        assert_eq!((status.attempt, status.output), (attempt, Some(output)));
    }
    wait_for_state(&pool, bad, JobState::Dead).await;
    let error = job(&pool, bad).await.unwrap().unwrap().error.unwrap();
    assert!(error.contains("exit status: 65") && error.contains("KeyError"), "{error}");
    drop((worker, endpoint));
}

fn work(config: &Path, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haulage"));
    command.args(["work", "--config", config.to_str().unwrap()]).stdin(Stdio::null());
    command.env("DATABASE_URL", url).env("RUST_LOG", "off");
    command
}

fn ok(output: Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
