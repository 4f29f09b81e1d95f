//! The example shop as a user runs it: real processes.

use std::{net::TcpListener, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, ensure};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::within;

/// For all that should happen. A failing run shows what is missing, so it may be generous.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// The shop's processes. Killed when dropped; [`Shop::stop`] asks.
pub(crate) struct Shop {
    children: Vec<(&'static str, Child)>,
    /// As all of its processes get them.
    args: Vec<String>,
    database_url: String,
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) mails_port: u16,
    pub(crate) partner_port: u16,
}

impl Shop {
    pub(crate) async fn start(database_url: &str, roles: &[&'static str]) -> anyhow::Result<Self> {
        let [port, smtp_port, mails_port, partner_port] = free_ports()?;
        let ports = [("--port", port), ("--smtp-port", smtp_port), ("--mails-port", mails_port), ("--partner-port", partner_port)];
        let mut args: Vec<String> = ports.into_iter().flat_map(|(flag, port)| [flag.to_owned(), port.to_string()]).collect();
        args.extend(["--orders", "3000", "--with-parent"].map(ToOwned::to_owned));
        let client = Client::builder().timeout(Duration::from_secs(30)).build()?;
        let url = format!("http://127.0.0.1:{port}");
        let mut shop = Self { children: Vec::new(), args, database_url: database_url.to_owned(), client, url, mails_port, partner_port };
        for role in roles {
            let child = shop.command(role)?.spawn().with_context(|| format!("could not start the shop's {role}"))?;
            shop.adopt(role, child);
        }
        shop.ready().await?;
        Ok(shop)
    }

    /// One process more, which is asked to stop with the others.
    pub(crate) fn adopt(&mut self, role: &'static str, child: Child) {
        self.children.push((role, child));
    }

    pub(crate) fn command(&self, role: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(program()?);
        command.arg(role).args(&self.args).env("DATABASE_URL", &self.database_url).env("RUST_LOG", "warn");
        command.stdin(Stdio::piped()).kill_on_drop(true);
        Ok(command)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let mut status = None;
        within(DEADLINE, "the shop answers", async || {
            status = self.client.get(format!("{}/live.json", self.url)).send().await.ok().map(|answer| answer.status());
            for (role, child) in &mut self.children {
                let ended = child.try_wait().unwrap();
                assert!(ended.is_none(), "the shop's {role} ended at once: {ended:?}");
            }
            status.is_some()
        })
        .await;
        ensure!(status == Some(StatusCode::OK), "the shop answered {status:?}");
        Ok(())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value, expected: StatusCode) -> anyhow::Result<Value> {
        let answer = self.client.post(format!("{}{path}", self.url)).json(body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status == expected, "POST {path} {body} was answered {status}: {text}");
        serde_json::from_str(&text).with_context(|| format!("POST {path} was answered {text:?}"))
    }

    pub(crate) async fn upload(&self, product: i32, kind: &str, bytes: Vec<u8>) -> anyhow::Result<Response> {
        let request = self.client.post(format!("{}/products/{product}/picture", self.url)).body(bytes);
        Ok(request.header("content-type", kind).header("accept", "application/json").send().await?)
    }

    pub(crate) async fn get(&self, url: &str) -> anyhow::Result<Value> {
        Ok(self.client.get(url).send().await?.error_for_status()?.json().await?)
    }

    /// Lets go of every process's standard input; each must end by itself, without an error.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        for (_, child) in &mut self.children {
            drop(child.stdin.take());
        }
        for (role, child) in &mut self.children {
            let status = timeout(DEADLINE, child.wait()).await.with_context(|| format!("the shop's {role} did not stop"))??;
            ensure!(status.success(), "the shop's {role} ended with {status}");
        }
        Ok(())
    }
}

/// `cargo test` builds the examples first, beside the tests: `target/debug/deps/it-...` and `target/debug/examples/shop`.
fn program() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.ancestors().nth(2).context("the test's program has no place")?;
    let program = profile.join("examples").join("shop");
    ensure!(program.exists(), "{} is not built; run `cargo build --example shop`", program.display());
    Ok(program)
}

/// Held together, so that they differ; free again when the shop starts.
fn free_ports() -> anyhow::Result<[u16; 4]> {
    let mut ports = [0; 4];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
