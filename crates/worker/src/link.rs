//! A connection of one task: made when needed, made anew when lost. The tasks own their connections so that a busy application
//! pool can't starve the runtime, and so that a worker's connections are counted: five.
//!
//! The server may not know that a connection was given up: its session can wait for a lock, hold one, or send its answer into nowhere.
//! Whoever connects anew ends the old session first. Or a table that is locked for an hour would gather a session a minute and task.

use std::time::{Duration, Instant};

use haulage_queue::store::{self, Failure, Session, failure};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use tokio::time::timeout;

use crate::shared::Shared;

/// Between attempts to connect: doubled each time up to the last, with jitter so that a fleet does not come back as one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);
/// A server that has not taken a connection by then is tried again: the way to it may lead nowhere.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// While an error lasts it is told again this often.
const WARN_EVERY: Duration = Duration::from_secs(60);

pub(crate) struct Link {
    pool: PgPool,
    name: String,
    purpose: &'static str,
    connection: Option<PgConnection>,
    /// That of the connection, if the server told.
    session: Option<Session>,
    /// That of the last connection that was given up, until it has been ended.
    left: Option<Session>,
    pause: Duration,
    down_since: Option<Instant>,
    warned: Option<Instant>,
}

impl Link {
    pub(crate) fn new(shared: &Shared, purpose: &'static str) -> Self {
        Self {
            pool: shared.pool.clone(),
            name: shared.name.clone(),
            purpose,
            connection: None,
            session: None,
            left: None,
            pause: FIRST_PAUSE,
            down_since: None,
            warned: None,
        }
    }

    /// With a connection that is there already.
    pub(crate) async fn on(mut self, mut connection: PgConnection) -> Self {
        let told = timeout(CONNECT, store::take_over_session(&mut connection, None)).await;
        self.session = told.ok().and_then(Result::ok).map(|(session, _)| session);
        self.connection = Some(connection);
        self
    }

    /// The connection; makes one if there is none.
    pub(crate) async fn get(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        if self.connection.is_none() {
            let (connection, session) = timeout(CONNECT, self.connect()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
            self.connection = Some(connection);
            self.session = session;
            self.left = None;
            self.pause = FIRST_PAUSE;
            if let Some(since) = self.down_since.take() {
                tracing::info!(purpose = self.purpose, down_ms = since.elapsed().as_millis(), "connected to the database again");
            }
        }
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// A new connection, and its session. The one before has ended by then, if it can be ended.
    async fn connect(&self) -> Result<(PgConnection, Option<Session>), sqlx::Error> {
        // The pool's options of now: its password may have been changed since the start.
        let mut connection = store::worker_options(&self.pool.connect_options(), &self.name).connect().await?;
        // Not worth an error where a server does not allow it.
        let taken = passable(store::take_over_session(&mut connection, self.left).await)?;
        if taken.is_some_and(|(_, ended)| ended) {
            tracing::info!(purpose = self.purpose, "ended the session of a connection that was given up");
        }
        Ok((connection, taken.map(|(session, _)| session)))
    }

    /// A statement on it was given up, or it is broken: nothing more is to be heard on it.
    pub(crate) fn give_up(&mut self) {
        if self.connection.take().is_some() {
            self.left = self.session.take();
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// To be told of every error: drops a broken connection, and returns how long to wait before the next try.
    pub(crate) fn failed(&mut self, error: &sqlx::Error) -> Duration {
        if matches!(failure(error), Failure::Unavailable | Failure::ReadOnly) {
            self.give_up();
        }
        self.down_since = self.down_since.or(Some(Instant::now()));
        if self.warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
            self.warned = Some(Instant::now());
            tracing::warn!(purpose = self.purpose, error = %error, "the database failed; trying again");
        }
        let pause = self.pause.mul_f64(rand::random_range(0.5..=1.0));
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        pause
    }

    /// To be told of a success after [`Link::failed`] on a connection that was not lost.
    pub(crate) fn succeeded(&mut self) {
        if self.down_since.take().is_some() {
            self.warned = None;
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

/// What the server refused is not there; an error of the connection stays one.
fn passable<T>(answer: Result<T, sqlx::Error>) -> Result<Option<T>, sqlx::Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.as_database_error().is_some() && failure(&error) == Failure::Other => Ok(None),
        Err(error) => Err(error),
    }
}
