//! What the tests share: a server, a database per test, jobs, and waiting for something to become true.

#[cfg(all(feature = "dashboard", feature = "dev", unix))]
mod basebackup;
pub(crate) mod browser;
#[cfg(feature = "dashboard")]
pub(crate) mod page;
#[expect(dead_code, reason = "the fault runs use all of it")]
pub(crate) mod relay;
#[cfg(all(feature = "dashboard", feature = "dev", unix))]
pub(crate) mod replica;
mod server;
pub(crate) mod shop;
pub(crate) mod text;
#[cfg(feature = "dashboard")]
pub(crate) mod visitor;

use std::{sync::Arc, time::Duration};

use haulage::{Builder, Job, JobId, JobState, Operator, Worker, job};
use serde::{Deserialize, Serialize};
use sqlx::{
    PgPool,
    postgres::{PgPoolOptions, PgSslMode},
};
use tokio::time::Instant;

use relay::{Faults, Relay};

pub(crate) use server::{Database, database, empty_database};

/// Long enough for a loaded machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A job with a number, for tests that need nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) n: i64,
}

impl Job for Count {
    const KIND: &'static str = "count";
}

/// Who operates in the tests.
pub(crate) fn ana() -> Operator {
    Operator::new("ana")
}

/// A worker with quick heartbeats, so that a test of death does not take half a minute.
pub(crate) fn worker(pool: &PgPool) -> Builder {
    Worker::builder(pool.clone())
        .queue("default", 10)
        .heartbeat(Duration::from_millis(100))
        .lease(Duration::from_millis(1_500))
        .shutdown_grace(Duration::from_secs(5))
        .backoff(|_| Duration::from_millis(10))
}

/// A pool of the same database whose connections go through a relay, and what the relay can be told to do to them.
pub(crate) async fn through_relay(pool: &PgPool) -> (PgPool, Arc<Faults>) {
    let server = pool.connect_options();
    let relay = Relay::start((server.get_host().to_owned(), server.get_port()), Vec::new()).await.unwrap();
    let options = (*server).clone().host("127.0.0.1").port(relay.port).ssl_mode(PgSslMode::Disable);
    assert!(options.get_socket().is_none(), "the relay speaks TCP");
    (PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap(), relay.faults)
}

/// Waits until the job is in the state; panics with what it is in at the end of the patience.
pub(crate) async fn wait_for_state(pool: &PgPool, id: JobId, state: JobState) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = job(pool, id).await.unwrap().unwrap_or_else(|| panic!("the job {id} does not exist"));
        if status.state == state {
            return;
        }
        assert!(Instant::now() < deadline, "the job {id} should be {state}, and is {status:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the condition holds.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    within(PATIENCE, what, condition).await;
}

/// The same with a patience of the test's own.
pub(crate) async fn within(patience: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition().await {
        assert!(Instant::now() < deadline, "should have come true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many jobs `haulage.jobs` shows in this state.
pub(crate) async fn jobs_in(pool: &PgPool, state: JobState) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM haulage.jobs WHERE state = $1").bind(state.as_str()).fetch_one(pool).await.unwrap()
}

/// A list that handlers add to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<std::sync::Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, entry: impl Into<String>) {
        self.0.lock().unwrap().push(entry.into());
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}
