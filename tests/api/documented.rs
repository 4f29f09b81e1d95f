//! The page about the API: each of its commands is run, in its order, and answers what stands behind it.

use std::{fs, path::Path, process::Stdio};

use axum::{
    extract::Request,
    middleware::{Next, from_fn},
};
use haulage::{
    Job, JobState,
    dashboard::{Identity, Role, router},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::process::Command;

use super::{ROOT, serve};
use crate::support::{database, wait_for_state, worker};

const LOGIN: &str = "Bearer battery-staple";
const LOGIN_HEADER: &str = "Authorization: Bearer battery-staple";

#[derive(Debug, Serialize, Deserialize)]
struct SendReceipt {
    order: i64,
}

impl Job for SendReceipt {
    const KIND: &'static str = "send_receipt";
    const QUEUE: &'static str = "mail";
}

#[tokio::test]
async fn each_command_on_the_page_answers_what_the_page_says() {
    let pool = database().await.pool();
    sqlx::query("SELECT setval('haulage.live_jobs_id_seq', 42, false)").execute(&pool).await.unwrap();
    let dead = SendReceipt { order: 1_000 }.with().max_attempts(1).enqueue(&pool).await.unwrap().id();
    let failing = worker(&pool).queue("mail", 1).handle(|_: SendReceipt| async { Err::<(), _>(anyhow::anyhow!("no route to the relay")) });
    let failing = failing.build().unwrap().start().await.unwrap();
    wait_for_state(&pool, dead, JobState::Dead).await;
    failing.shutdown().await;
    for order in [1_001, 1_002] {
        SendReceipt { order }.enqueue(&pool).await.unwrap();
    }
    // An application whose log-in is a token, and which lets everybody look.
    let log_in = async |mut request: Request, next: Next| {
        if request.headers().get("authorization").is_some_and(|given| given == LOGIN) {
            request.extensions_mut().insert(Identity { name: "ana".into(), role: Role::Admin });
        }
        next.run(request).await
    };
    let url = serve(router(pool).layer(from_fn(log_in))).await;

    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md")).unwrap();
    let mut blocks = page.split("```").skip(1).step_by(2).peekable();
    let mut ran = 0;
    while let Some(block) = blocks.next() {
        let Some(script) = block.strip_prefix("sh\n") else { continue };
        let script = script.lines().filter(|line| !line.starts_with("export API=")).collect::<Vec<_>>().join("\n");
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", &script])
            .env("API", format!("{url}{ROOT}"))
            .env("LOGIN", LOGIN_HEADER)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{script}: {error}: {text}"));
        if let Some(shown) = blocks.next_if(|block| block.starts_with("json\n")) {
            let shown: Value = serde_json::from_str(shown.strip_prefix("json\n").unwrap()).unwrap();
            assert_holds(&script, &shown, &answer);
        }
        ran += 1;
    }
    assert!(ran >= 8, "{ran} commands");
}

/// All that is shown is there: the same, but for times and what is left out as "…".
fn assert_holds(what: &str, shown: &Value, answer: &Value) {
    match (shown, answer) {
        (Value::Object(shown), Value::Object(answer)) => {
            for (name, value) in shown {
                let there = answer.get(name).unwrap_or_else(|| panic!("{what}: no {name} in {answer:?}"));
                assert_holds(what, value, there);
            }
        }
        (Value::Array(shown), Value::Array(answer)) => {
            assert!(shown.len() <= answer.len(), "{what}: {answer:?}");
            shown.iter().zip(answer).for_each(|(shown, answer)| assert_holds(what, shown, answer));
        }
        (Value::String(shown), Value::String(answer)) if shown == "…" || (shown.starts_with("2026-") && shown.ends_with('Z')) => {
            assert!(!answer.is_empty(), "{what}");
        }
        _ => assert_eq!(shown, answer, "{what}"),
    }
}
