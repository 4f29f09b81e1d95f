//! Kinds that are programs.

use std::{fs, os::unix::fs::PermissionsExt};

use haulage::{JobId, JobState, NamedJob, cancel, enqueue_named, job, job_detail};
use serde_json::{Value, json};

use super::{Folder, gone, message, once, start, story, written};
use crate::support::{database, eventually, wait_for_state};

/// Goes on for minutes, whatever it is told, and so does what it has started.
const STUBBORN: &str = "trap '' TERM\nsleep 300 &\necho $! > sleeper\necho working >&2\nwait\nsleep 300\n";

#[tokio::test]
async fn a_program_gets_args_and_context_and_what_it_prints_is_the_output() {
    let (database, folder) = (database().await, Folder::new());
    let pool = database.pool();
    let script = r#"printf '{"args": %s, "id": "%s", "kind": "%s", "queue": "%s", "attempt": "%s", "failures": "%s", "max": "%s",
        "key": "%s", "trace": "%s", "timeout": "%s", "late": %s}\n' "$(cat)" "$HAULAGE_JOB_ID" "$HAULAGE_KIND" "$HAULAGE_QUEUE" \
        "$HAULAGE_ATTEMPT" "$HAULAGE_FAILURES" "$HAULAGE_MAX_ATTEMPTS" "$HAULAGE_IDEMPOTENCY_KEY" "$TRACEPARENT" "$HAULAGE_TIMEOUT" \
        "$((HAULAGE_DEADLINE - $(date +%s) > 300))""#;
    let worker = start(&pool, &folder, &folder.kind("tell", script, "timeout = \"90m\"")).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let args = json!({ "to": "Zoë", "n": 12345678901_i64 });
    let id: i64 =
        sqlx::query_scalar("SELECT job_id FROM haulage.enqueue('tell', $1, max_attempts => 7, timeout => '10 minutes', traceparent => $2)")
            .bind(&args)
            .bind(trace)
            .fetch_one(&pool)
            .await
            .unwrap();
    wait_for_state(&pool, JobId(id), JobState::Completed).await;
    worker.shutdown().await;
    let output = job(&pool, JobId(id)).await.unwrap().unwrap().output.unwrap();
    let expected = json!({
        "args": args, "id": id.to_string(), "kind": "tell", "queue": "default", "attempt": "1", "failures": "0", "max": "7",
        "key": format!("haulage-{id}"), "trace": trace, "timeout": "600", "late": 1,
    });
    assert_eq!(output, expected, "the shorter of the two timeouts counts");
}

#[tokio::test]
async fn each_exit_code_has_its_verdict() {
    let (database, folder) = (database().await, Folder::new());
    let pool = database.pool();
    let kinds: String = [
        ("fine", "exit 0"),
        ("data", "echo no paper >&2; exit 65"),
        ("busy", "echo 3600; echo no paper >&2; exit 75"),
        ("snooze", "echo 3600; exit 80"),
        ("nap", "exit 80"),
        ("other", "echo no paper >&2; exit 3"),
        ("killed", "kill -9 $$"),
    ]
    .map(|(kind, script)| folder.kind(kind, script, ""))
    .concat();
    let worker = start(&pool, &folder, &kinds).await;
    for (kind, max_attempts, state, failures, outcome, said) in [
        ("fine", 1, JobState::Completed, 0, "", ""),
        ("data", 25, JobState::Dead, 1, "failed", "exit status: 65: no paper"),
        ("busy", 25, JobState::Scheduled, 1, "failed", "exit status: 75: no paper"),
        ("snooze", 1, JobState::Scheduled, 0, "snoozed", ""),
        ("nap", 1, JobState::Scheduled, 0, "snoozed", ""),
        ("other", 1, JobState::Dead, 1, "failed", "exit status: 3: no paper"),
        ("killed", 1, JobState::Dead, 1, "failed", "signal: 9 (SIGKILL); perhaps the system ran out of memory"),
    ] {
        let id = enqueue_named(&pool, &NamedJob::new(kind, json!({})).max_attempts(max_attempts)).await.unwrap().id();
        wait_for_state(&pool, id, state).await;
        let detail = job_detail(&pool, id).await.unwrap().unwrap();
        assert_eq!((detail.status.failures, detail.status.output.clone()), (failures, None), "{kind}");
        let told = detail.attempts.first().map(|attempt| (attempt.outcome.as_str(), attempt.message.as_deref().unwrap_or_default()));
        assert_eq!(told.unwrap_or_default(), (outcome, said), "{kind}");
        if let Some(attempt) = detail.attempts.first().filter(|_| state == JobState::Scheduled) {
            let wait = (detail.status.run_at - attempt.ended_at).num_seconds();
            let expected = if kind == "nap" { 60 } else { 3_600 };
            assert!((expected - 1..=expected + 1).contains(&wait), "{kind}: {wait}");
        }
    }
    worker.shutdown().await;
}

#[tokio::test]
async fn a_program_that_fails_is_run_again_and_its_last_words_are_kept() {
    let (database, folder) = (database().await, Folder::new());
    let script = "[ \"$HAULAGE_ATTEMPT\" = 3 ] && exit\necho \"attempt $HAULAGE_ATTEMPT\" >&2\nexit 1\n";
    let job = NamedJob::new("third", json!({}));
    let detail = story(&database.pool(), &folder, &folder.kind("third", script, ""), job, JobState::Completed).await;
    assert_eq!((detail.status.attempt, detail.status.failures), (3, 2));
    let said: Vec<_> = detail.attempts.iter().filter_map(|attempt| attempt.message.as_deref()).collect();
    assert_eq!(said, ["exit status: 1: attempt 1", "exit status: 1: attempt 2"]);
}

#[tokio::test]
async fn a_timeout_ends_a_program_and_what_it_has_started_although_both_ignore_sigterm() {
    let (database, folder) = (database().await, Folder::new());
    let kinds = folder.kind("stubborn", STUBBORN, "timeout = \"2s\"\nkill_grace = \"100ms\"");
    let detail = story(&database.pool(), &folder, &kinds, once("stubborn"), JobState::Dead).await;
    assert_eq!(detail.attempts[0].outcome, "timed out");
    assert!(message(&detail).starts_with("timed out after 2s") && message(&detail).ends_with(": working"), "{}", message(&detail));
    gone(&folder.path("sleeper")).await;
}

#[tokio::test]
async fn the_timeout_of_the_job_itself_ends_the_program_too_and_keeps_its_last_words() {
    let (database, folder) = (database().await, Folder::new());
    let kinds = folder.kind("stubborn", STUBBORN, "kill_grace = \"100ms\"");
    let job = once("stubborn").timeout(std::time::Duration::from_secs(2));
    let detail = story(&database.pool(), &folder, &kinds, job, JobState::Dead).await;
    assert_eq!(detail.attempts[0].outcome, "timed out");
    assert!(message(&detail).starts_with("timed out after 2s") && message(&detail).ends_with(": working"), "{}", message(&detail));
    gone(&folder.path("sleeper")).await;
}

#[tokio::test]
async fn a_program_may_tidy_up_when_it_is_told_to_end_and_is_not_completed_by_its_exit_code() {
    let (database, folder) = (database().await, Folder::new());
    // The shell that was started ends at once; what it runs needs a moment.
    let inner = "trap 'sleep 0.3; echo tidied > tidied; exit 0' TERM\necho ready > ready\nwhile :; do sleep 0.05; done\n";
    folder.write("inner.sh", inner);
    let kinds = folder.kind("tidy", "sh inner.sh\nexit 0\n", "timeout = \"2s\"");
    let detail = story(&database.pool(), &folder, &kinds, once("tidy"), JobState::Dead).await;
    assert_eq!(detail.attempts[0].outcome, "timed out");
    assert_eq!(fs::read_to_string(folder.path("tidied")).unwrap(), "tidied\n");
}

#[tokio::test]
async fn cancelling_a_job_ends_its_program() {
    let (database, folder) = (database().await, Folder::new());
    let pool = database.pool();
    let worker = start(&pool, &folder, &folder.kind("stubborn", STUBBORN, "kill_grace = \"100ms\"")).await;
    let id = enqueue_named(&pool, &once("stubborn")).await.unwrap().id();
    written(&folder.path("sleeper")).await;
    cancel(&pool, id, "not needed").await.unwrap();
    wait_for_state(&pool, id, JobState::Cancelled).await;
    gone(&folder.path("sleeper")).await;
    assert_eq!(job(&pool, id).await.unwrap().unwrap().error.as_deref(), Some("not needed"));
    worker.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_stops_ends_its_programs_and_gives_their_jobs_back() {
    let (database, folder) = (database().await, Folder::new());
    let pool = database.pool();
    let worker = start(&pool, &folder, &folder.kind("stubborn", STUBBORN, "")).await;
    let id = enqueue_named(&pool, &once("stubborn")).await.unwrap().id();
    written(&folder.path("sleeper")).await;
    worker.shutdown().await;
    gone(&folder.path("sleeper")).await;
    let status = job(&pool, id).await.unwrap().unwrap();
    assert_eq!((status.state, status.failures), (JobState::Available, 0));
}

#[tokio::test]
async fn what_a_program_leaves_running_is_ended_with_it() {
    let (database, folder) = (database().await, Folder::new());
    let kinds = folder.kind("leaves", "sleep 300 &\necho $! > sleeper\necho '[1]'\n", "");
    let detail = story(&database.pool(), &folder, &kinds, once("leaves"), JobState::Completed).await;
    assert_eq!(detail.status.output, Some(json!([1])));
    gone(&folder.path("sleeper")).await;
}

#[tokio::test]
async fn garbage_on_standard_output_changes_no_verdict_and_is_not_kept() {
    let (database, folder) = (database().await, Folder::new());
    let pool = database.pool();
    let kinds: String = [
        ("prose", "echo Hello, world"),
        ("bytes", "head -c 1000 /dev/urandom"),
        ("two", "echo '{}'; echo '{}'"),
        ("nan", "echo NaN"),
        ("nul", r#"printf '["\\u0000"]'"#),
        ("long", "printf '\"'; head -c 70000 /dev/zero | tr '\\0' x; printf '\"'"),
        ("deep", "head -c 200 /dev/zero | tr '\\0' '['; head -c 200 /dev/zero | tr '\\0' ']'"),
        ("nothing", ":"),
    ]
    .map(|(kind, script)| folder.kind(kind, script, ""))
    .concat();
    let worker = start(&pool, &folder, &kinds).await;
    for kind in ["prose", "bytes", "two", "nan", "nul", "long", "deep", "nothing"] {
        let id = enqueue_named(&pool, &once(kind)).await.unwrap().id();
        wait_for_state(&pool, id, JobState::Completed).await;
        assert_eq!(job(&pool, id).await.unwrap().unwrap().output, None::<Value>, "{kind}");
    }
    worker.shutdown().await;
}

#[tokio::test]
async fn an_error_that_postgres_could_not_store_is_cleaned_and_cut() {
    let (database, folder) = (database().await, Folder::new());
    let script = "head -c 100000 /dev/zero >&2\nprintf '\\377\\376 the end\\n' >&2\nexit 3\n";
    let detail = story(&database.pool(), &folder, &folder.kind("zeros", script, ""), once("zeros"), JobState::Dead).await;
    let text = message(&detail);
    assert!(text.starts_with("exit status: 3: …") && text.ends_with("the end") && text.len() <= 8_192, "{} {text:?}", text.len());
}

#[tokio::test]
async fn a_program_that_does_not_read_its_args_is_judged_by_its_exit_code() {
    let (database, folder) = (database().await, Folder::new());
    let job = NamedJob::new("deaf", json!({ "long": "x".repeat(500_000) })).max_attempts(1);
    let detail = story(&database.pool(), &folder, &folder.kind("deaf", "exec <&-\nexit 0", ""), job, JobState::Completed).await;
    assert_eq!(detail.status.failures, 0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_program_over_its_memory_is_killed_also_when_a_grandchild_takes_it() {
    let (database, folder) = (database().await, Folder::new());
    // `tail` keeps the line that never ends.
    let script = "echo $$ > leader\nsh -c 'head -c 3000000000 /dev/zero | tail; sleep 300'\n";
    let detail = story(&database.pool(), &folder, &folder.kind("hog", script, "memory_mb = 64"), once("hog"), JobState::Dead).await;
    assert!(message(&detail).contains("over its limit of 64 MiB"), "{}", message(&detail));
    assert_eq!(detail.attempts[0].error_class.as_deref(), Some("memory"));
    gone(&folder.path("leader")).await;
}

#[tokio::test]
async fn a_program_that_is_gone_when_it_should_start_is_a_failure_that_names_it() {
    let (database, folder) = (database().await, Folder::new());
    let pool = database.pool();
    let tool = folder.write("tool", "#!/bin/sh\n");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let worker = start(&pool, &folder, "[kinds.tool]\ncommand = [\"./tool\"]").await;
    fs::remove_file(&tool).unwrap();
    let id = enqueue_named(&pool, &once("tool")).await.unwrap().id();
    wait_for_state(&pool, id, JobState::Dead).await;
    worker.shutdown().await;
    let error = job(&pool, id).await.unwrap().unwrap().error.unwrap();
    assert!(error.contains("tool\" could not be started: No such file"), "{error}");
}

#[tokio::test]
async fn a_kind_has_a_revision_and_may_keep_nothing_of_what_completed() {
    let (database, folder) = (database().await, Folder::new());
    let pool = database.pool();
    let job = |revision| NamedJob::new("ping", json!({})).revision(revision);
    let newer = enqueue_named(&pool, &job(3)).await.unwrap().id();
    let known = enqueue_named(&pool, &job(2)).await.unwrap().id();
    let worker = start(&pool, &folder, &folder.kind("ping", "true", "revision = 2\nkeep_completed = false")).await;
    eventually("the known one has run and left nothing", async || haulage::job(&pool, known).await.unwrap().is_none()).await;
    worker.shutdown().await;
    let newer = haulage::job(&pool, newer).await.unwrap().unwrap();
    assert_eq!((newer.state, newer.attempt), (JobState::Available, 0));
}
