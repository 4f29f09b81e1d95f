//! A connection of one task: made when needed, made anew when lost. The tasks own their connections so that a busy application
//! pool can't starve the runtime, and so that a worker's connections are counted: five.

use std::time::{Duration, Instant};

use haulage_queue::store::{Failure, failure};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

/// Between attempts to connect: doubled each time up to the last, with jitter so that a fleet does not come back as one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Link {
    options: PgConnectOptions,
    purpose: &'static str,
    connection: Option<PgConnection>,
    pause: Duration,
    down_since: Option<Instant>,
}

impl Link {
    pub(crate) fn new(options: &PgConnectOptions, purpose: &'static str) -> Self {
        Self { options: options.clone(), purpose, connection: None, pause: FIRST_PAUSE, down_since: None }
    }

    /// The connection; makes one if there is none.
    pub(crate) async fn get(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        if self.connection.is_none() {
            let connection = self.options.connect().await?;
            self.connection = Some(connection);
            self.pause = FIRST_PAUSE;
            if let Some(since) = self.down_since.take() {
                tracing::info!(purpose = self.purpose, down_ms = since.elapsed().as_millis(), "connected to the database again");
            }
        }
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// To be told of every error: drops a broken connection, and returns how long to wait before the next try.
    pub(crate) fn failed(&mut self, error: &sqlx::Error) -> Duration {
        if matches!(failure(error), Failure::Unavailable | Failure::ReadOnly) || self.connection.is_none() {
            self.connection = None;
        }
        if self.down_since.is_none() {
            self.down_since = Some(Instant::now());
            tracing::warn!(purpose = self.purpose, error = %error, "the database failed; trying again");
        }
        let pause = self.pause.mul_f64(rand::random_range(0.5..=1.0));
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        pause
    }

    /// To be told of a success after [`Link::failed`] on a connection that was not lost.
    pub(crate) fn succeeded(&mut self) {
        if self.down_since.take().is_some() {
            self.pause = FIRST_PAUSE;
        }
    }

    pub(crate) async fn close(mut self) {
        if let Some(connection) = self.connection.take() {
            // Only courtesy to the server's log: the socket closes anyway.
            connection.close().await.ok();
        }
    }
}
