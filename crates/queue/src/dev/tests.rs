//! These run real servers. The ones that need a process to die run this test program again, with
//! `a_server_held_for_another_test` as its only test.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use super::{DevError, Server, ServerBuilder};

const HOLD: &str = "HAULAGE_TEST_HOLD";

#[tokio::test]
async fn a_fresh_server_has_the_database_and_asks_for_the_password() {
    let server = builder().start().unwrap();
    let mut db = PgConnection::connect(server.url()).await.unwrap();
    let facts: (String, String, String, String) = sqlx::query_as(
        "SELECT current_database()::text, current_setting('fsync'),
                current_setting('listen_addresses'), current_setting('server_version')",
    )
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert_eq!(facts.0, "haulage");
    assert_eq!(facts.1, "off");
    assert_eq!(facts.2, "127.0.0.1");
    assert_eq!(facts.3.split(' ').next(), Some(server.version()));

    let other = PgConnection::connect(&server.database_url("postgres")).await;
    assert!(other.is_ok(), "{other:?}");
    let wrong = server.url().replace("haulage:", "haulage:x");
    let refused = PgConnection::connect(&wrong).await.unwrap_err();
    assert!(refused.to_string().contains("password"), "{refused}");
}

#[test]
fn a_dropped_server_stops_and_leaves_nothing() {
    let server = builder().start().unwrap();
    let (folder, port) = (server.folder.path().to_owned(), server.port);
    assert!(answers(port) && folder.exists());
    assert_eq!(fs::metadata(folder.join("password")).unwrap().permissions().mode() & 0o777, 0o600);
    drop(server);
    assert!(!answers(port));
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_data_folder_keeps_its_data_its_password_and_its_port() {
    let data = Scratch::new();
    let server = builder().data_dir(data.path()).start().unwrap();
    let url = server.url().to_owned();
    let mut db = PgConnection::connect(&url).await.unwrap();
    sqlx::query("CREATE TABLE kept AS SELECT current_setting('fsync') AS fsync").execute(&mut db).await.unwrap();
    server.stop().unwrap();

    let server = builder().data_dir(data.path()).start().unwrap();
    assert_eq!(server.url(), url);
    let mut db = PgConnection::connect(&url).await.unwrap();
    let fsync: String = sqlx::query_scalar("SELECT fsync FROM kept").fetch_one(&mut db).await.unwrap();
    assert_eq!(fsync, "on");
}

#[test]
fn a_second_server_on_a_folder_is_told_how_to_reach_the_first() {
    let data = Scratch::new();
    let first = builder().data_dir(data.path()).start().unwrap();
    let second = builder().data_dir(data.path()).start();
    match second {
        Err(DevError::AlreadyRunning { url, pid }) => {
            assert_eq!(url, first.url());
            assert!(pid > 0);
        }
        other => panic!("{other:?}"),
    }
    assert!(answers(first.port), "the first server is not disturbed");
}

#[test]
fn a_server_ends_and_leaves_nothing_when_its_owner_is_killed() {
    let mut owner = Owner::start(None);
    owner.kill();
    wait_until("the server ends", || !answers(owner.port));
    wait_until("its data is removed", || !owner.folder.exists());
}

#[test]
fn a_data_folder_can_be_used_again_as_soon_as_its_owner_was_killed() {
    let data = Scratch::new();
    let mut owner = Owner::start(Some(data.path()));
    owner.kill();
    // Usually the old server still runs here and does not know yet.
    let started = loop {
        match builder().data_dir(data.path()).start() {
            Err(DevError::AlreadyRunning { .. }) => thread::yield_now(),
            other => break other,
        }
    };
    assert!(answers(started.unwrap().port));
}

#[test]
fn a_server_that_was_killed_itself_starts_again_over_its_stale_pid_file() {
    let data = Scratch::new();
    let server = builder().data_dir(data.path()).start().unwrap();
    let pid = server.folder.pid_file().unwrap().pid;
    kill(pid);
    wait_until("it is gone", || !answers(server.port));
    let stopped = server.stop().unwrap_err();
    assert!(stopped.to_string().contains("postgres"), "{stopped}");
    assert!(data.path().join("pg/postmaster.pid").exists());

    let server = builder().data_dir(data.path()).start().unwrap();
    assert_ne!(server.folder.pid_file().unwrap().pid, pid);
    assert!(answers(server.port));
}

#[test]
fn data_whose_making_was_cut_short_is_made_again() {
    let data = Scratch::new();
    fs::create_dir_all(data.path().join("pg.new/base")).unwrap();
    fs::write(data.path().join("password"), "half").unwrap();
    let server = builder().data_dir(data.path()).start().unwrap();
    assert!(answers(server.port));
}

#[test]
fn data_of_another_major_version_is_refused_by_name() {
    let data = Scratch::new();
    let server = builder().data_dir(data.path()).start().unwrap();
    let version = server.version().to_owned();
    server.stop().unwrap();
    fs::write(data.path().join("pg/PG_VERSION"), "9\n").unwrap();
    let error = builder().data_dir(data.path()).start().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("Postgres 9 ") && text.contains(&version), "{text}");
}

#[test]
fn a_folder_with_other_files_is_left_alone() {
    let data = Scratch::new();
    fs::create_dir_all(data.path()).unwrap();
    fs::write(data.path().join("thesis.txt"), "").unwrap();
    let error = builder().data_dir(data.path()).start().unwrap_err();
    assert!(matches!(error, DevError::NotEmpty { .. }), "{error}");
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1);
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let data = Scratch::new();
    builder().data_dir(data.path()).start().unwrap().stop().unwrap();
    let settings = data.path().join("pg/postgresql.auto.conf");
    fs::write(settings, "shared_buffers = 'plenty'\n").unwrap();
    let error = builder().data_dir(data.path()).start().unwrap_err();
    assert!(error.to_string().contains("plenty"), "{error}");
}

#[test]
fn a_folder_without_the_programs_is_named() {
    let error = Server::builder().bin_dir("/nowhere").start().unwrap_err();
    assert_eq!(error.to_string(), "no \"initdb\" in \"/nowhere\", the folder given for the Postgres programs");
}

/// Not a test by itself: see [`Owner`].
#[test]
fn a_server_held_for_another_test() {
    #[expect(clippy::disallowed_methods, reason = "set by the test that started us")]
    let Ok(data) = std::env::var(HOLD) else {
        return;
    };
    let builder = match data.as_str() {
        "" => builder(),
        data => builder().data_dir(data),
    };
    let server = builder.start().unwrap();
    println!("held {} {}", server.port, server.folder.path().display());
    loop {
        thread::park();
    }
}

/// Another process that holds a server.
struct Owner {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Owner {
    fn start(data: Option<&Path>) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["a_server_held_for_another_test", "--nocapture"])
            .env(HOLD, data.unwrap_or(Path::new("")))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // The test runner may have begun the line.
        let facts = lines.find_map(|line| Some(line.unwrap().split_once("held ")?.1.to_owned())).expect("the process starts a server");
        let (port, folder) = facts.split_once(' ').unwrap();
        let port = port.parse().unwrap();
        assert!(answers(port));
        Self { process, port, folder: folder.into() }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Already dead unless the test failed early.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder for a test, outside of any home folder, because root runs Postgres as someone else.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("haulage-test-{:016x}", rand::random::<u64>());
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn builder() -> ServerBuilder {
    Server::builder().from_env()
}

fn answers(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn kill(pid: u32) {
    let status = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(super::POLL);
    }
}
