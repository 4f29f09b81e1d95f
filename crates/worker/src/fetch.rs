//! Claiming: one task for all queues. It claims what the lanes have room for, sleeps when nothing is there, and is woken by a
//! notification, by room in a lane, or by its own poll.
//!
//! Going to sleep: take the shared lock that makes enqueuers notify, look once more, wait. An insert that commits after that look
//! without a notification is found by the poll. When to sleep and how long to wait is decided in `rest.rs`.

use std::{
    collections::{HashMap, HashSet},
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::{Duration, Instant},
};

use haulage_queue::store::{self, Claimed, Kinds, Request};
use sqlx::PgConnection;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    bounds::Bounds,
    context::{Attempt, Stop},
    execute::{End, Resolution, Resolved, execute},
    lane::Lane,
    link::Link,
    listen::Ask,
    rest::Rest,
    shared::Shared,
    sweep::Sweep,
    telemetry::find_previous,
};

/// The wait when settling does not keep up.
const SETTLING_BEHIND: Duration = Duration::from_millis(20);
/// The wait when no lane has room: room is told, so it is only for what has gone stale.
const NO_ROOM: Duration = Duration::from_secs(1);
/// How long the listener may take to say whether we may sleep.
const LISTENER_PATIENCE: Duration = Duration::from_millis(500);
/// How long a stopping worker waits for the answer to its last claim.
const CLAIM_AT_STOP: Duration = Duration::from_secs(2);
/// A claim that takes longer than this has walked over much.
const LONG_WALK: Duration = Duration::from_millis(50);
/// A queue that gave as many jobs as were wanted, and so many, has a backlog: at the next claim processes take turns at it.
const LARGE: usize = 100;
/// So long after a turn that did not come none is waited for.
const NO_TURNS: Duration = Duration::from_secs(1);
/// After a look that found no suspect, so long none is looked for, and only when the heartbeat saw one.
const SUSPECT_EVERY: Duration = Duration::from_secs(1);

/// Claims with the connection that the worker has started with.
pub(crate) async fn run(
    shared: Arc<Shared>,
    connection: PgConnection,
    results: mpsc::Sender<Resolved>,
    asks: mpsc::Sender<Ask>,
    stop: CancellationToken,
) {
    let mut fetch = Fetch {
        link: Link::new(&shared, "claim").on(connection).await,
        views: [&shared.kinds, &shared.async_kinds].map(|kinds| View::new(&shared, kinds)),
        asks,
        asleep_in: None,
        limited: Vec::new(),
        admit_again: None,
        backlogs: HashSet::new(),
        turns_from: Instant::now(),
        rest: Rest::new(shared.settings.poll),
        suspect_at: Instant::now(),
        epoch: shared.epoch(),
        unsent: Vec::new(),
        shared,
        results,
    };
    while !stop.is_cancelled() {
        // A claim under way is let finish, or its jobs would have to be rescued; but not for ever.
        let patience = fetch.shared.settings.lease;
        let round = tokio::select! {
            round = timeout(patience, fetch.round()) => round,
            () = async { stop.cancelled().await; tokio::time::sleep(CLAIM_AT_STOP).await } => break,
        };
        let pause = round.unwrap_or_else(|_| {
            tracing::warn!("the database did not answer a claim for as long as the lease");
            Some(fetch.failed(&sqlx::Error::PoolTimedOut))
        });
        if let Some(pause) = pause {
            let since = Instant::now();
            let woken = tokio::select! {
                () = stop.cancelled() => break,
                () = fetch.shared.wake.notified() => true,
                () = fetch.room() => false,
                () = tokio::time::sleep(pause) => false,
            };
            if woken && fetch.rest.woken(since.elapsed(), Instant::now()) {
                fetch.awake();
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(fetch.rest.wait()) => {}
                    () = fetch.room() => {}
                }
            }
        }
    }
    // A claim cut off by the stop may have been committed: its token stays in no list, so the heartbeat, or rescue after this
    // worker's row is gone, gives its jobs back.
    fetch.give_back();
    while !fetch.send() {
        tokio::time::sleep(SETTLING_BEHIND).await;
    }
    fetch.link.close().await;
}

struct Fetch {
    shared: Arc<Shared>,
    results: mpsc::Sender<Resolved>,
    asks: mpsc::Sender<Ask>,
    link: Link,
    /// Of all kinds, and of those that need no blocking thread: what is claimed while all of those are taken.
    views: [View; 2],
    /// The listening session in which enqueuers were told that we sleep.
    asleep_in: Option<u64>,
    rest: Rest,
    /// Queues that have a limit, as the last claim has told.
    limited: Vec<String>,
    /// When the rate of one of them lets the next job in, or an admission that did not get its lock should be tried again.
    admit_again: Option<Duration>,
    /// Lanes whose queues have a backlog, as the last claim has told.
    backlogs: HashSet<usize>,
    /// None is waited for before.
    turns_from: Instant,
    suspect_at: Instant,
    /// Of the last round: how often all leases had been lost by then.
    epoch: u64,
    /// To be settled, once settling has room. Kept here, so that a round cut off loses none.
    unsent: Vec<Resolved>,
}

/// What is known of the lines by somebody who claims these kinds.
struct View {
    kinds: Kinds,
    bounds: Bounds,
    sweep: Sweep,
}

impl View {
    fn new(shared: &Shared, kinds: &Kinds) -> Self {
        Self { kinds: kinds.clone(), bounds: Bounds::new(shared.lanes.len()), sweep: Sweep::new() }
    }
}

/// What a claim brought.
struct Taken {
    any: bool,
    /// A queue gave as much as was asked for.
    full: bool,
    /// It has walked over much that it could not take.
    walked: bool,
    /// A queue turned out to be limited: its jobs must be let in.
    limited: bool,
}

impl Fetch {
    /// One look; returns how long to wait before the next, `None`: not at all.
    async fn round(&mut self) -> Option<Duration> {
        if self.epoch != self.shared.epoch() {
            // What was learnt while the worker was thought dead says nothing.
            self.epoch = self.shared.epoch();
            self.forget();
        }
        if self.shared.is_quiet() {
            self.give_back();
            self.awake();
            return Some(if self.send() { NO_ROOM } else { SETTLING_BEHIND });
        }
        for lane in &self.shared.lanes {
            self.unsent.extend(lane.stale().into_iter().map(|(attempt, _)| Resolved { attempt, resolution: Resolution::Return }));
        }
        if !self.send() || self.results.capacity() * 2 < self.results.max_capacity() {
            // Claim nothing more meanwhile.
            return Some(SETTLING_BEHIND);
        }
        if let Err(error) = self.look_for_suspect().await {
            return Some(self.failed(&error));
        }
        // What may wait in this process is shared by the lanes that have work.
        let busy = self.shared.lanes.iter().filter(|lane| lane.is_busy()).count();
        let wants: Vec<(usize, usize)> =
            self.shared.lanes.iter().enumerate().map(|(index, lane)| (index, lane.want(busy))).filter(|(_, want)| *want > 0).collect();
        if wants.is_empty() {
            // Nobody need notify a worker without room.
            self.awake();
            return Some(NO_ROOM);
        }
        // While every blocking thread is taken, blocking kinds are left to other processes.
        let view = usize::from(self.shared.registry.blocking.available_permits() == 0);
        if self.views[view].kinds.names.is_empty() {
            // Nothing but blocking kinds: a thread that comes free is room, and told.
            self.awake();
            return Some(NO_ROOM);
        }
        if let Err(error) = self.admit(&wants, view).await {
            return Some(self.failed(&error));
        }
        let taken = match self.claim(&wants, view).await {
            Ok(taken) => taken,
            Err(error) => return Some(self.failed(&error)),
        };
        self.link.succeeded();
        let found = match self.look_after(view, &taken).await {
            Ok(found) => found,
            Err(error) => return Some(self.failed(&error)),
        };
        if taken.any || found {
            self.rest.found();
        }
        if taken.full {
            // More is likely there; and enqueuers need not notify us.
            self.awake();
        }
        if taken.full || found || taken.limited {
            return None;
        }
        let sleeps = self.asleep_in == Some(self.shared.listening.load(Ordering::Acquire));
        if !sleeps && self.rest.may_sleep(Instant::now()) && self.sleep().await {
            // Enqueuers notify from now on; look once more for what came before.
            return None;
        }
        let wait = self.rest.wait();
        Some(self.admit_again.map_or(wait, |again| wait.min(again)))
    }

    /// Lets jobs of limited queues in, before they can be claimed.
    async fn admit(&mut self, wants: &[(usize, usize)], view: usize) -> Result<(), sqlx::Error> {
        self.admit_again = None;
        for queue in &self.limited {
            if wants.iter().any(|(index, _)| self.shared.lanes[*index].queue == *queue) {
                let admission = store::admit_queue(self.link.get().await?, queue, &self.views[view].kinds).await?;
                self.admit_again = self.admit_again.into_iter().chain(admission.next).min();
            }
        }
        Ok(())
    }

    /// What a view needs after a claim; returns whether jobs were put in line.
    async fn look_after(&mut self, view: usize, taken: &Taken) -> Result<bool, sqlx::Error> {
        let View { kinds, bounds, sweep } = &mut self.views[view];
        if taken.walked && bounds.is_waiting() {
            // What the bounds wait for has likely ended during the walk; the next claim should not walk again.
            bounds.catch_up(store::oldest_running(self.link.get().await?, bounds.exempt()).await?);
        }
        sweep.due(&mut self.link, bounds, &self.shared, kinds, &self.limited).await
    }

    /// Another server may answer next, with other positions, or what was learnt says nothing any more.
    fn forget(&mut self) {
        self.views.iter_mut().for_each(|view| view.bounds.reset());
    }

    async fn claim(&mut self, wants: &[(usize, usize)], view: usize) -> Result<Taken, sqlx::Error> {
        let shared = &Arc::clone(&self.shared);
        let queues: Vec<&str> = wants.iter().map(|(index, _)| shared.lanes[*index].queue.as_str()).collect();
        let numbers: Vec<i32> = wants.iter().map(|(_, want)| i32::try_from(*want).unwrap_or(i32::MAX)).collect();
        let turns = self.turns_from <= Instant::now();
        let in_turn: Vec<bool> = wants.iter().map(|(index, _)| turns && self.backlogs.contains(index)).collect();
        let View { kinds, bounds, sweep } = &mut self.views[view];
        let connection = self.link.get().await?;
        let token = Token { shared, token: shared.leases.draw(), kept: false };
        let epoch = shared.epoch();
        let request = Request {
            token: token.token,
            worker: shared.worker_id(),
            kinds,
            queues: &queues,
            wants: &numbers,
            bounds: &bounds.of(wants.iter().map(|(index, _)| *index)),
            exempt: bounds.exempt(),
            in_turn: &in_turn,
        };
        let started = Instant::now();
        let claim = store::claim_jobs(connection, &request).await?;
        // A wait for a turn is no walk.
        let elapsed = started.elapsed().saturating_sub(claim.waited);
        if claim.given_up {
            self.turns_from = Instant::now() + NO_TURNS;
        }
        sweep.put_off(elapsed);
        let lease = token.keep(claim.jobs.len() + claim.unreadable.len());
        let closed = |queue: &str| claim.paused.iter().chain(&claim.limited).any(|closed| closed == queue);
        // The line of a closed queue was not looked at.
        let looked_at = wants.iter().map(|(index, want)| (*index, shared.lanes[*index].queue.as_str(), *want));
        bounds.learn(&claim, &looked_at.filter(|(_, queue, _)| !closed(queue)).collect::<Vec<_>>());
        let limited = claim.limited.iter().any(|queue| !self.limited.contains(queue));
        // Queues that this claim did not ask for are as they were.
        let asked = |queue: &String| wants.iter().any(|(index, _)| shared.lanes[*index].queue == *queue);
        self.limited.retain(|queue| !asked(queue));
        self.limited.extend(claim.limited.iter().cloned());
        shared.limited.store(!self.limited.is_empty(), Ordering::Relaxed);
        if epoch != shared.epoch() {
            // The worker was declared dead while the claim was under way: rescue has these jobs.
            shared.leases.claimed(lease, 0);
            return Ok(Taken { any: false, full: false, walked: false, limited });
        }
        let mut claim = claim;
        // The jobs are ours whatever becomes of this look.
        if let Ok(connection) = self.link.get().await {
            find_previous(connection, &mut claim.jobs).await;
        }
        claim.jobs.sort_by_key(|job| (std::cmp::Reverse(job.place), job.priority, job.pos));
        let taken = claim.jobs.len() + claim.unreadable.len();
        // What was too new is there for the next claim.
        let mut full = claim.left;
        self.backlogs.clear();
        let mut by_queue: HashMap<Arc<str>, Vec<Claimed>> = HashMap::new();
        for job in claim.jobs {
            match by_queue.get_mut(&job.queue) {
                Some(jobs) => jobs.push(job),
                None => drop(by_queue.insert(Arc::clone(&job.queue), vec![job])),
            }
        }
        for (index, want) in wants {
            let lane = &shared.lanes[*index];
            let jobs = by_queue.remove(lane.queue.as_str()).unwrap_or_default();
            if jobs.len() >= *want {
                full = true;
                if jobs.len() >= LARGE {
                    self.backlogs.insert(*index);
                }
            }
            let jobs = jobs.into_iter().map(|job| {
                let (attempt, args) = Attempt::new(job, lease, epoch, false, shared);
                (Arc::new(attempt), args)
            });
            for _ in 0..lane.push(jobs) {
                shared.tasks.spawn(runner(Arc::clone(shared), *index, self.results.clone()));
            }
        }
        for (id, why) in &claim.unreadable {
            let (attempt, _) = Attempt::new(Claimed::unreadable(*id), lease, epoch, false, shared);
            let message = format!("the job's row could not be read: {why}; upgrade this program, or mend the row");
            let message = Some(store::clean_text(&message));
            let end = End { outcome: "failed", class: Some("row"), message, ran: None, failed: true, hold: None, fingerprint: None };
            let resolution = Resolution::Bury { cancelled: false, end };
            self.unsent.push(Resolved { attempt: Arc::new(attempt), resolution });
        }
        self.send();
        Ok(Taken { any: taken > 0, full, walked: elapsed > LONG_WALK, limited })
    }

    /// Takes a suspect if one waits and this process runs none.
    async fn look_for_suspect(&mut self) -> Result<(), sqlx::Error> {
        let shared = &self.shared;
        if !shared.suspects.load(Ordering::Relaxed)
            || self.suspect_at.elapsed() < SUSPECT_EVERY
            || shared.suspect_running.load(Ordering::Acquire)
        {
            return Ok(());
        }
        let epoch = shared.epoch();
        let queues = shared.queues();
        let connection = self.link.get().await?;
        let token = Token { shared, token: shared.leases.draw(), kept: false };
        let job = store::claim_suspect(connection, token.token, shared.worker_id(), &shared.kinds, &queues).await?;
        let lease = token.keep(usize::from(job.is_some()));
        if epoch != shared.epoch() {
            // The leases were lost while the claim was under way: its own is given back as stranded, or taken by rescue.
            shared.leases.claimed(lease, 0);
            return Ok(());
        }
        if job.is_none() {
            self.suspect_at = Instant::now();
        }
        if let Some(mut job) = job {
            if let Ok(connection) = self.link.get().await {
                find_previous(connection, std::slice::from_mut(&mut job)).await;
            }
            shared.suspect_running.store(true, Ordering::Release);
            let (attempt, args) = Attempt::new(job, lease, epoch, true, shared);
            tracing::warn!(job = %attempt.settled.id, kind = &*attempt.kind, "running a suspect: its process died twice while it ran");
            shared.tasks.spawn(one(Arc::clone(shared), Arc::new(attempt), args, self.results.clone()));
        }
        Ok(())
    }

    /// What waits for a runner goes to others.
    fn give_back(&mut self) {
        let waiting = self.shared.lanes.iter().flat_map(Lane::drain);
        self.unsent.extend(waiting.map(|(attempt, _)| Resolved { attempt, resolution: Resolution::Return }));
    }

    /// Hands over what is to be settled; returns whether all of it went.
    fn send(&mut self) -> bool {
        while let Ok(permit) = self.results.try_reserve() {
            match self.unsent.pop() {
                Some(resolved) => permit.send(resolved),
                None => return true,
            }
        }
        // Closed: the worker gave up settling, and rescue gives the jobs back.
        self.unsent.is_empty() || self.results.is_closed()
    }

    async fn sleep(&mut self) -> bool {
        let session = self.shared.listening.load(Ordering::Acquire);
        let (answer, asleep) = oneshot::channel();
        // A listener that does not answer is no reason not to poll.
        let asked = async { self.asks.try_send(Ask::Sleep(answer)).is_ok() && asleep.await.unwrap_or(false) };
        let asleep = timeout(LISTENER_PATIENCE, asked).await.unwrap_or(false);
        self.asleep_in = asleep.then_some(session);
        asleep
    }

    fn awake(&mut self) {
        if self.asleep_in.take().is_some() {
            // Without a listener nobody holds the lock.
            self.asks.try_send(Ask::Awake).ok();
        }
    }

    fn failed(&mut self, error: &sqlx::Error) -> Duration {
        self.forget();
        self.link.failed(error)
    }

    async fn room(&self) {
        let waits = self.shared.lanes.iter().map(|lane| Box::pin(lane.room.notified()));
        futures_util::future::select_all(waits).await;
    }
}

/// A drawn token; forgotten unless the claim's answer came. A claim cut off by an error or the stop may have been committed: its
/// lease is then in the table and not in our list, which is how the heartbeat finds it.
struct Token<'a> {
    shared: &'a Shared,
    token: i64,
    kept: bool,
}

impl Token<'_> {
    fn keep(mut self, jobs: usize) -> i64 {
        self.kept = true;
        self.shared.leases.claimed(self.token, jobs);
        self.token
    }
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.shared.leases.claimed(self.token, 0);
        }
    }
}

/// Runs jobs of a lane until none waits.
async fn runner(shared: Arc<Shared>, lane: usize, results: mpsc::Sender<Resolved>) {
    while let Some((attempt, args)) = shared.lanes[lane].next() {
        one(Arc::clone(&shared), attempt, args, results.clone()).await;
    }
}

async fn one(shared: Arc<Shared>, attempt: Arc<Attempt>, args: String, results: mpsc::Sender<Resolved>) {
    shared.started(&attempt);
    if attempt.epoch != shared.epoch() {
        attempt.stop(Stop::LeaseLost);
    }
    let_others_go().await;
    let resolution = execute(&shared, &attempt, args).await;
    // Closed only when the worker gave up settling; rescue gives the job back then.
    results.send(Resolved { attempt, resolution }).await.ok();
}

/// Gives the thread to whom this task has woken last: to fetching, of the room that there is now. The runtime keeps that task for this very
/// thread, no other may take it, and if the handler that comes blocks the thread, nothing more would be claimed until it ends. Unlike
/// `yield_now` it does not look for what sockets have to say, which would be a system call a job.
async fn let_others_go() {
    let mut gone = false;
    poll_fn(|context| {
        if gone {
            return Poll::Ready(());
        }
        gone = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
