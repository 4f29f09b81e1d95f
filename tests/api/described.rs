//! Schemathesis asks the server all that the document allows and much that it does not, and holds each answer against the document.

use std::{
    fs,
    future::ready,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{extract::Request, middleware::map_request};
use haulage::dashboard::{Auth, Identity, router};
use reqwest::Method;
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use super::{ROOT, ask, seed::seed, serve};
use crate::support::database;

const TOKEN: &str = "battery-staple";
/// As much as a machine that is busy with the other tests does in half a minute or so.
const EXAMPLES: &str = "5";

#[tokio::test]
async fn schemathesis_finds_no_answer_that_the_document_does_not_tell_of() {
    let tool = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools/schemathesis/bin/st");
    assert!(tool.exists(), "there is no schemathesis in target/tools: `make setup` installs it");
    let pool = database().await.pool();
    seed(&pool).await;
    // Each request by somebody else: nobody may change as much at once as it tries to.
    let asked = Arc::new(AtomicU32::new(0));
    let another = move |mut request: Request| {
        if let Some(identity) = request.extensions_mut().get_mut::<Identity>() {
            identity.name = format!("ci-{}", asked.fetch_add(1, Ordering::Relaxed));
        }
        ready(request)
    };
    let app = router(pool).layer(map_request(another));
    let url = serve(Auth::bearer(&format!("ci admin:{TOKEN}")).unwrap().protect(app)).await;
    let login = format!("Bearer {TOKEN}");
    let mut document = ask(&url, Method::GET, "/openapi.json", &[("authorization", &login)]).await.json();
    close(&mut document["components"]["schemas"]);

    let folder = std::env::temp_dir().join(format!("haulage-schemathesis-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("openapi.json");
    fs::write(&file, document.to_string()).unwrap();
    fs::write(folder.join("schemathesis.toml"), include_str!("schemathesis.toml")).unwrap();
    let mut command = Command::new(tool);
    command.arg("run").arg(&file).args(["--url", &format!("{url}{ROOT}"), "--header", &format!("Authorization: {login}")]);
    command.args(["--seed", "1", "--max-examples", EXAMPLES, "--checks", "all", "--continue-on-failure", "--no-color"]);
    let command = command.current_dir(&folder).stdin(Stdio::null()).kill_on_drop(true);
    let run = timeout(Duration::from_secs(120), command.output()).await.expect("schemathesis does not end").unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    let all = said.split(" generated, ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(all.is_some_and(|passed| passed > 1_000), "{said}");
}

/// A field that the document does not name is a fault of the document: a client may be surprised by none.
fn close(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object) && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}
