//! The listening connection: wake-ups and cancel requests. Polling is the truth; this only makes it quick.
//!
//! ```text
//!  NOTIFY haulage_wake  ──> fetch is woken         fetch ──(Sleep / Awake)──> advisory locks on this connection, which tell
//!  NOTIFY haulage_due   ──> promotion is woken                                enqueuers whether anybody needs a NOTIFY
//!  NOTIFY haulage_cancel──> the attempt is told
//!  NOTIFY haulage_echo_..──> it hears itself, so notifications reach it
//! ```

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use haulage_queue::{notify, store};
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// What fetch asks of the listening connection.
#[derive(Debug)]
pub(crate) enum Ask {
    /// About to sleep on every queue; answers whether enqueuers will notify.
    Sleep(oneshot::Sender<bool>),
    /// Awake again.
    Awake,
}

/// A statement of the listener takes no locks that last; one that takes longer than this has lost its connection.
const STATEMENT: Duration = Duration::from_secs(5);
/// The connection calls itself this often: what it does not hear then it will not hear at all.
const CALL: Duration = Duration::from_secs(15);
/// Between attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn run(shared: Arc<Shared>, mut asks: mpsc::Receiver<Ask>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => break,
            result = session(&shared, &mut asks) => {
                if let Err(error) = result {
                    tracing::warn!(%error, "the listening connection failed; polling until it is back");
                }
            }
        }
        shared.listening.fetch_add(1, Ordering::AcqRel);
        shared.wake.notify_one();
        // While there is no listener nobody will notify; answer so.
        let pause = tokio::time::sleep(PAUSE.mul_f64(rand::random_range(0.5..=1.0)));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = &mut pause => break,
                ask = asks.recv() => match ask {
                    Some(Ask::Sleep(answer)) => drop(answer.send(false)),
                    Some(Ask::Awake) => {}
                    None => break,
                },
            }
        }
    }
}

/// One connection's life; ends when it is lost.
async fn session(shared: &Shared, asks: &mut mpsc::Receiver<Ask>) -> Result<(), sqlx::Error> {
    // A pool of one, because that is what the listener takes; a new one each time, so that no connection comes back with its locks.
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(STATEMENT).connect_lazy_with(shared.options());
    let queues: Vec<String> = shared.lanes.iter().map(|lane| lane.queue.clone()).collect();
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    // A channel of its own, or each would hear all.
    let echo = format!("{}{:016x}", notify::ECHO, rand::random::<u64>());
    in_time(listener.listen_all([notify::WAKE, notify::DUE, notify::CANCEL, &echo])).await?;
    in_time(store::sleep_until_due(&mut listener)).await?;
    let mut calls = tokio::time::interval(CALL);
    calls.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut locked = false;
    // Whatever was notified before is lost: look at everything once.
    shared.wake.notify_one();
    shared.due.notify_one();
    loop {
        tokio::select! {
            notification = listener.try_recv() => match notification? {
                Some(notification) => match notification.channel() {
                    notify::WAKE => {
                        if queues.iter().any(|queue| queue == notification.payload()) {
                            shared.wake.notify_one();
                        }
                    }
                    notify::DUE => shared.due.notify_one(),
                    channel if channel == echo => shared.hears(),
                    _ => if let Ok(id) = notification.payload().parse() {
                        shared.cancel(id);
                    },
                },
                None => return Err(sqlx::Error::PoolClosed),
            },
            _ = calls.tick() => match in_time(store::call_oneself(&mut listener, &echo)).await {
                Err(error) if store::failure(&error) == store::Failure::Unavailable => return Err(error),
                // A server that takes no NOTIFY now may still pass those of others.
                Err(error) => tracing::debug!(%error, "the listening connection could not call itself"),
                Ok(()) => {}
            },
            ask = asks.recv() => match ask {
                Some(Ask::Sleep(answer)) => {
                    // Taken once: the server counts.
                    if !locked {
                        locked = in_time(store::sleep_on_queues(&mut listener, &queues)).await?;
                        if !locked {
                            in_time(store::stay_awake(&mut listener, &queues)).await?;
                        }
                    }
                    // Fetch may have gone on meanwhile; then nobody waits for the answer.
                    answer.send(locked).ok();
                }
                Some(Ask::Awake) => {
                    if std::mem::take(&mut locked) {
                        in_time(store::stay_awake(&mut listener, &queues)).await?;
                    }
                }
                None => return Ok(()),
            },
        }
    }
}

/// A statement on a connection that has gone silent must not hold up what waits for its answer.
async fn in_time<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(STATEMENT, statement).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
