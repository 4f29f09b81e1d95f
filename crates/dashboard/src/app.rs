//! What all requests share: the pool, and what was read a moment ago.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use chrono::{DateTime, Utc};
use haulage_queue::{CauseGroup, Causes, WorkerInfo, causes, list_workers, store, store::Standing};
use sqlx::{Acquire, PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::{Mutex, watch};

use crate::{
    actions::{Drivers, Pace},
    error::Problem,
    replica::{Place, Position, Replica},
};

/// A page's statements end after this long: a dashboard must not be what a database suffers from.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// What stands beside every page is as old as this at most: with the five seconds that a lock or a worker that is missing is given, a
/// cause is shown within ten.
const FRESH: Duration = Duration::from_secs(3);

/// What could be read is better than nothing for so long.
const KEPT: Duration = Duration::from_secs(60);

/// What stands beside a page must not keep the page waiting for longer.
const ASIDE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) pool: PgPool,
    /// Whether the sessions of the pool can't write.
    pub(crate) read_only: bool,
    pub(crate) drivers: Drivers,
    pub(crate) pace: Pace,
    pub(crate) replica: Option<Replica>,
    /// Where this request reads what need not be exact.
    place: Place,
    workers: Last<Workers>,
    causes: Last<Result<Arc<Causes>, Problem>>,
    /// The last that could be read.
    good: Arc<watch::Sender<Option<Good>>>,
}

/// Causes, and when they were read.
type Good = (Instant, Arc<Causes>);

/// What was read last, and when; `None` inside: it could not be read then, or is being read.
type Last<T> = Arc<Mutex<Option<(Instant, Option<T>)>>>;

/// How many workers live, of how many that are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workers {
    pub(crate) alive: i64,
    pub(crate) known: i64,
}

impl App {
    pub(crate) fn new(pool: PgPool, replica: Option<PgPool>) -> Self {
        Self {
            read_only: is_read_only(&pool),
            pool,
            drivers: Drivers::default(),
            pace: Pace::default(),
            replica: replica.map(Replica::new),
            place: Place::default(),
            workers: Arc::default(),
            causes: Arc::default(),
            good: Arc::default(),
        }
    }

    /// A look at the database as it is now.
    pub(crate) async fn read(&self) -> Result<Reading, Problem> {
        let (tx, clock) = store::start_reading(&self.pool, PATIENCE).await?;
        Ok(Reading::new(tx, clock, None))
    }

    /// A look at what may be some moments old: at the replica, if there is one.
    pub(crate) async fn list(&self) -> Result<Reading, Problem> {
        match self.place.read().await {
            Some(reading) => reading,
            None => self.read().await,
        }
    }

    /// All workers, for a page that is being read. They are judged by their heartbeats, and on a replica that is behind all would look dead.
    pub(crate) async fn processes(&self, reading: &mut Reading) -> Result<Vec<WorkerInfo>, Problem> {
        Ok(match reading.standing {
            None => list_workers(reading.db()).await?,
            Some(_) => list_workers(self.read().await?.db()).await?,
        })
    }

    /// Behind what was just committed; `None`: there is no replica that it could be compared with.
    pub(crate) async fn position(&self) -> Option<Position> {
        self.replica.as_ref()?;
        let asked = store::get_wal_position(&self.pool).await;
        let asked = asked.inspect_err(|error| tracing::warn!("the position of what was done is not known: {error}"));
        Some(asked.map_or(Position::UNKNOWN, Position::new))
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
    /// What holds up jobs in the whole fleet, as of some seconds ago at most. Who comes while somebody looks waits for that look; who
    /// comes soon after one that failed is told so at once.
    pub(crate) async fn causes(&self) -> Result<Arc<Causes>, Problem> {
        let mut last = self.causes.lock().await;
        if let Some((at, Some(known))) = &*last
            && at.elapsed() < FRESH
        {
            return known.clone();
        }
        // Should this be given up half-way, who waits aside does not try again at once.
        *last = Some((Instant::now(), None));
        let looked = async {
            let mut connection = self.pool.acquire().await?;
            Ok::<_, Problem>(Arc::new(causes(&mut connection).await?))
        };
        let looked = looked.await;
        if let Ok(known) = &looked {
            self.good.send_replace(Some((Instant::now(), known.clone())));
        }
        *last = Some((Instant::now(), Some(looked.clone())));
        looked
    }

    /// The same for a page that does without, and waits for no look if anything is known: what was known before while somebody looks, and
    /// after a look that failed or took too long. So it may be as old as the last page that was asked for, a minute at most; the next
    /// page, or the next look at a live one, has what is found now.
    pub(crate) async fn causes_if_known(&self) -> Option<Arc<Causes>> {
        // `None`: somebody looks.
        let is_due = self.causes.try_lock().ok().map(|last| last.as_ref().is_none_or(|(at, _)| at.elapsed() >= FRESH));
        let kept = self.good.borrow().as_ref().filter(|(at, _)| at.elapsed() < KEPT).map(|(_, known)| known.clone());
        match kept {
            Some(known) => {
                if is_due == Some(true) {
                    self.look_meanwhile();
                }
                Some(known)
            }
            None if is_due == Some(false) => None,
            // The look of another is worth waiting for, too.
            None => tokio::time::timeout(ASIDE, self.causes()).await.ok()?.ok(),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "one look, bounded in time; a server that stops waits for none")]
    fn look_meanwhile(&self) {
        let app = self.clone();
        tokio::spawn(async move { app.causes().await });
    }

    /// Something was changed: what is known of causes is out of date, and who did it wants to see them go. A look that is under way may
    /// have begun before, so its end is waited for, within reason.
    pub(crate) async fn forget(&self) {
        if let Ok(mut last) = tokio::time::timeout(ASIDE, self.causes.lock()).await {
            *last = None;
        }
        self.good.send_replace(None);
    }

    /// How many causes need a person.
    pub(crate) async fn need_you(&self) -> usize {
        self.causes_if_known().await.map_or(0, |causes| causes.of(CauseGroup::NeedsYou).count())
    }
}

/// The setting by which a session writes nothing.
const READ_ONLY: (&str, &str) = ("default_transaction_read_only", "on");

/// The same database, in sessions that can't write: for a [`router`](crate::router) that only shows. It is the database that refuses, so
/// nothing in a request can get around it.
pub fn read_only(pool: &PgPool) -> PgPool {
    let options = (*pool.connect_options()).clone().options([READ_ONLY]);
    pool.options().clone().connect_lazy_with(options)
}

fn is_read_only(pool: &PgPool) -> bool {
    let (name, value) = READ_ONLY;
    pool.connect_options().get_options().is_some_and(|options| options.contains(&format!("{name}={value}")))
}

/// With the place where this request reads.
impl FromRequestParts<App> for App {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self { place: parts.extensions.get().cloned().unwrap_or_default(), ..app.clone() })
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
    /// How far the replica is; `None`: this is the primary.
    pub(crate) standing: Option<Standing>,
}

impl Reading {
    pub(crate) const fn new(tx: Transaction<'static, Postgres>, clock: DateTime<Utc>, standing: Option<Standing>) -> Self {
        Self { tx, clock, standing }
    }

    pub(crate) fn db(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// A look that may fail, and the rest goes on all the same.
    pub(crate) async fn aside(&mut self) -> Result<Transaction<'_, Postgres>, Problem> {
        Ok(self.tx.begin().await?)
    }
}
