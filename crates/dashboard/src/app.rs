//! What all requests share: the pool, and what was read a moment ago.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::extract::FromRef;
use chrono::{DateTime, Utc};
use haulage_queue::{CauseGroup, Causes, causes, store};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::Mutex;

use crate::error::Problem;

/// A page's statements end after this long: a dashboard must not be what a database suffers from.
const PATIENCE: Duration = Duration::from_secs(2);

/// What stands beside every page is as old as this at most.
const FRESH: Duration = Duration::from_secs(5);

/// What stands beside a page must not keep the page waiting for longer.
const ASIDE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) pool: PgPool,
    workers: Last<Workers>,
    causes: Last<Arc<Causes>>,
}

/// What was read last, and when; `None` inside: it could not be read then.
type Last<T> = Arc<Mutex<Option<(Instant, Option<T>)>>>;

/// How many workers live, of how many that are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workers {
    pub(crate) alive: i64,
    pub(crate) known: i64,
}

impl App {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, workers: Arc::default(), causes: Arc::default() }
    }

    /// A look at the database.
    pub(crate) async fn read(&self) -> Result<Reading, Problem> {
        let (tx, clock) = store::start_reading(&self.pool, PATIENCE).await?;
        Ok(Reading { tx, clock })
    }

    /// `None` when the database did not say. The lock is held meanwhile: who comes then waits for the answer and asks for none.
    pub(crate) async fn workers(&self) -> Option<Workers> {
        let mut last = self.workers.lock().await;
        if let Some((at, workers)) = *last
            && at.elapsed() < FRESH
        {
            return workers;
        }
        let counted = async {
            let mut reading = self.read().await.ok()?;
            let (known, alive) = store::count_workers(reading.db()).await.ok()?;
            Some(Workers { alive, known })
        };
        let workers = counted.await;
        *last = Some((Instant::now(), workers));
        workers
    }
}

impl App {
    /// What holds up jobs in the whole fleet, as of some seconds ago at most.
    pub(crate) async fn causes(&self) -> Result<Arc<Causes>, Problem> {
        let mut last = self.causes.lock().await;
        if let Some((at, Some(known))) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(known.clone());
        }
        // Should this be given up half-way, the next one does not try again at once.
        *last = Some((Instant::now(), None));
        let looked = async {
            let mut connection = self.pool.acquire().await?;
            Ok::<_, Problem>(Arc::new(causes(&mut connection).await?))
        };
        let looked = looked.await;
        *last = Some((Instant::now(), looked.as_ref().ok().cloned()));
        looked
    }

    /// How many causes need a person. Who comes while somebody looks, or soon after a look that failed, gets what was known before.
    pub(crate) async fn need_you(&self) -> usize {
        let known = match self.causes.try_lock() {
            Err(_) => return 0,
            Ok(last) => match &*last {
                Some((at, known)) if at.elapsed() < 2 * FRESH => Some(known.clone()),
                _ => None,
            },
        };
        let known = match known {
            Some(known) => known,
            None => tokio::time::timeout(ASIDE, self.causes()).await.ok().and_then(Result::ok),
        };
        known.map_or(0, |causes| causes.of(CauseGroup::NeedsYou).count())
    }
}

impl FromRef<App> for PgPool {
    fn from_ref(app: &App) -> Self {
        app.pool.clone()
    }
}

/// A transaction that only reads, and the database's clock, by which the page reckons.
#[derive(Debug)]
pub(crate) struct Reading {
    tx: Transaction<'static, Postgres>,
    pub(crate) clock: DateTime<Utc>,
}

impl Reading {
    pub(crate) fn db(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}
