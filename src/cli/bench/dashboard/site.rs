//! A `haulage dashboard` in a process of its own, and the browser that asks it.

use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

#[derive(Debug)]
pub(super) struct Site {
    child: Child,
    root: String,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Site {
    /// On this database, as whoever may do everything: each page then has all of its buttons.
    pub(super) async fn start(url: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["dashboard", "--listen", "127.0.0.1:0", "--as", "bench"])
            .env("DATABASE_URL", url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("could not start a dashboard")?;
        let mut lines = BufReader::new(child.stderr.take().context("a dashboard has no standard error")?).lines();
        let root = loop {
            let Some(line) = lines.next_line().await? else { bail!("the dashboard has ended by itself") };
            if let Some(root) = line.split_whitespace().find(|word| word.starts_with("http://")) {
                break root.trim_end_matches(';').to_owned();
            }
        };
        // What it logs is read, or it would wait for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, root, client: Client::builder(TokioExecutor::new()).build_http() })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// What a browser gets, as it comes: compressed, if the server does so.
    pub(super) async fn get(&self, place: &str) -> anyhow::Result<Bytes> {
        Ok(self.ask(place, "gzip").await?.into_body().collect().await?.to_bytes())
    }

    /// A stream that goes on.
    pub(super) async fn watch(&self, page: &str) -> anyhow::Result<Incoming> {
        Ok(self.ask(&format!("live?at={page}&base=./"), "identity").await?.into_body())
    }

    /// Bytes of the first page and of all that it loads.
    pub(super) async fn first_load(&self) -> anyhow::Result<usize> {
        let page = self.ask("", "identity").await?.into_body().collect().await?.to_bytes();
        let page = str::from_utf8(&page)?;
        let files: Vec<&str> =
            page.split('"').filter_map(|text| text.strip_prefix("./")).filter(|text| text.starts_with("assets/")).collect();
        ensure!(files.len() >= 4, "the page loads {files:?}: where are its style and its scripts?");
        let mut bytes = self.get("").await?.len();
        for file in files {
            bytes += self.get(file).await?.len();
        }
        Ok(bytes)
    }

    async fn ask(&self, place: &str, encoding: &str) -> anyhow::Result<Response<Incoming>> {
        let request = Request::get(format!("{}{place}", self.root)).header(header::ACCEPT_ENCODING, encoding).body(Empty::new())?;
        let answer = self.client.request(request).await.with_context(|| format!("/{place} was not answered"))?;
        ensure!(answer.status() == StatusCode::OK, "/{place} was answered by {}", answer.status());
        Ok(answer)
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}
