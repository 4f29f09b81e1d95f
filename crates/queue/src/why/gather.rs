//! Asks the database for what the gates look at.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection};

use super::{
    begin,
    facts::{Fleet, JobFacts, Pace, ServerFacts, Session, Wide},
    finding::{GRACE, LOCK},
    finished::FinishedFacts,
    gates::LOOP,
    gave_up,
};
use crate::{JobId, JobState, ParkedFor, store};

/// Jobs before one are counted up to here.
const COUNTED: i32 = 10_001;
/// Finished jobs that tell how long a kind usually runs and how quick a queue is; and unfinished ones that tell how many come.
const NEWEST: i32 = 5_000;
/// Attempts of a job that are looked at; all of a finished one's.
const ATTEMPTS: i32 = 10;
const ALL_ATTEMPTS: i32 = 1_000;
/// Kinds of workers that are asked for a job's turn: each is a round trip.
const TAKERS: usize = 10;

/// What is known of an unfinished job; `None`: there is none with this id.
pub(super) async fn job(tx: &mut PgConnection, id: JobId) -> Result<Option<(JobFacts, Fleet)>, sqlx::Error> {
    let Some((mut job, touched, key)) = store::why_job(tx, id).await? else { return Ok(None) };
    if job.parked_for == Some(ParkedFor::Held) {
        // Before the scans by bitmap are switched off: its index knows no others.
        job.held = store::why_held(tx, id).await?;
    }
    store::plan_by_index(&mut *tx).await?;
    // Which jobs an admission of its key takes depends on the pauses of all queues.
    let queues = [job.queue.clone()];
    let fleet = fleet(tx, key.is_none().then_some(&queues[..])).await?;
    if job.state == JobState::Scheduled {
        job.attempts = store::why_attempts(tx, &[id.0], ATTEMPTS).await?.remove(&id.0).unwrap_or_default();
    }
    if touched && job.state != JobState::Running {
        job.locker = locker(tx, id).await?;
    }
    if let Some(key) = key {
        job.key = store::why_keys(tx, std::slice::from_ref(&key)).await?.remove(&key);
    }
    turn(tx, &mut job, &fleet).await?;
    Ok(Some((job, fleet)))
}

/// How many are before it, by whichever live worker has the fewest.
async fn turn(tx: &mut PgConnection, job: &mut JobFacts, fleet: &Fleet) -> Result<(), sqlx::Error> {
    let waits_for_key = job.parked_for == Some(ParkedFor::Key);
    if job.state != JobState::Available && !waits_for_key {
        return Ok(());
    }
    let limited = fleet.queues.get(&job.queue).is_some_and(|queue| queue.room.is_some());
    // One that is let in now comes last in its line.
    let pos = if waits_for_key { i64::MAX } else { job.pos };
    let (mut in_key, mut in_line, mut overtaken) = (None::<i64>, None::<i64>, false);
    let mut asked = Vec::new();
    for taker in fleet.takers(&job.queue, &job.kind, job.revision) {
        let kinds = taker.claims();
        // Those that differ in slots alone claim the same.
        let mut claim = (taker.queues.clone(), kinds.names.clone(), kinds.revisions.clone());
        if !waits_for_key {
            claim.0.clear();
        }
        if asked.len() >= TAKERS || asked.contains(&claim) {
            continue;
        }
        asked.push(claim);
        if job.place != 2 {
            let (before, passed) = store::why_ahead(tx, job, pos, &kinds, COUNTED, !limited).await?;
            in_line = Some(in_line.map_or(before, |fewest| fewest.min(before)));
            overtaken |= passed;
        }
        if let Some(key) = job.key.as_ref().filter(|_| waits_for_key) {
            let open: Vec<&str> = taker.queues.iter().map(String::as_str).filter(|queue| !fleet.is_paused(queue)).collect();
            let before = store::why_ahead_of_key(tx, &key.key, job, &open, &kinds, COUNTED).await?;
            in_key = Some(in_key.map_or(before, |fewest| fewest.min(before)));
        }
    }
    job.before_in_key = in_key.unwrap_or(0);
    job.before_in_line = in_line.unwrap_or(0);
    job.overtaken = overtaken;
    Ok(())
}

/// Who has locked its row, alone or with others.
async fn locker(tx: &mut PgConnection, id: JobId) -> Result<Option<Session>, sqlx::Error> {
    if let Some(session) = store::why_locker(tx, id).await? {
        return Ok(Some(session));
    }
    // An error where nobody shares it, which is as a rule: so it gets a savepoint.
    let mut part = tx.begin().await?;
    match store::why_lockers(&mut part, id).await {
        Ok(session) => {
            part.commit().await?;
            Ok(session)
        }
        Err(error) if store::failure(&error) == store::Failure::Unavailable => Err(error),
        Err(_) => {
            part.rollback().await?;
            Ok(None)
        }
    }
}

/// What is known of a finished job; `None`: there is none with this id.
pub(super) async fn finished(tx: &mut PgConnection, id: JobId) -> Result<Option<FinishedFacts>, sqlx::Error> {
    let Some(mut job) = store::why_finished(tx, id).await? else { return Ok(None) };
    store::plan_by_index(&mut *tx).await?;
    job.attempts = store::why_attempts(tx, &[id.0], ALL_ATTEMPTS).await?.remove(&id.0).unwrap_or_default();
    let (usual, _) = store::why_usual(tx, NEWEST).await?;
    if let Some(usual) = usual.get(&(job.queue.clone(), job.kind.clone())).filter(|usual| usual.jobs >= 10) {
        (job.p50_s, job.p95_s) = (usual.p50_s, usual.p95_s);
    }
    Ok(Some(job))
}

/// What is known of the fleet: with what is said of these queues, or of all.
pub(super) async fn fleet(tx: &mut PgConnection, queues: Option<&[String]>) -> Result<Fleet, sqlx::Error> {
    let now: DateTime<Utc> = store::get_clock(&mut *tx).await?;
    let shapes = store::why_fleet(tx).await?;
    let queues = store::why_queues(tx, queues).await?;
    let running = store::why_running(tx).await?;
    let (usual, finished) = store::why_usual(tx, NEWEST).await?;
    let arrived = store::why_arrivals(tx, NEWEST).await?;
    let names: BTreeSet<&String> = finished.keys().chain(arrived.keys()).collect();
    let pace = |name: &&String| {
        let (of_finished, done) = finished.get(*name).copied().unwrap_or_default();
        ((*name).clone(), Pace { arriving: of_finished + arrived.get(*name).copied().unwrap_or_default(), done })
    };
    let paces: BTreeMap<String, Pace> = names.iter().map(pace).collect();
    let lock_waits = store::why_lock_waits(tx, LOCK).await?;
    Ok(Fleet { now, shapes, queues, running, usual, paces, lock_waits })
}

/// Entries of each line that are looked at.
pub(super) const DEPTH: i32 = 500;
/// Keys that are looked at, and waiting jobs of each.
const KEYS: i32 = 500;
const WAITING: i32 = 20;
/// Scheduled jobs that are looked at for what backs off.
const SCHEDULED: i32 = 5_000;
/// Dead jobs of the last hour that are looked at.
const DEAD: i32 = 300;
/// A clock that is off by more misleads people.
const CLOCK_OFF: TimeDelta = TimeDelta::seconds(1);
/// A worker that has not heard itself for four of its calls hears nothing.
const DEAF: TimeDelta = TimeDelta::seconds(60);
/// Locked groups whose locker is asked for.
const LOCKERS: usize = 20;
/// The limits of the statements themselves.
const LINES: usize = 5_000;
const QUEUES: usize = 1_000;
const SHAPES: usize = 500;
const RUNNING: i64 = 20_000;

/// What only a look at the whole fleet shows.
pub(super) async fn wide(tx: &mut PgConnection) -> Result<Wide, sqlx::Error> {
    let mut lines = store::why_lines(tx, DEPTH).await?;
    for line in lines.iter_mut().filter(|line| line.locked).take(LOCKERS) {
        line.job.locker = locker(tx, line.job.id).await?;
    }
    let newest: Vec<_> = lines.iter().map(|line| (line.job.queue.clone(), line.job.priority, line.newest)).collect();
    for line in &mut lines {
        let passes = |(queue, priority, newest): &(String, crate::Priority, DateTime<Utc>)| {
            *queue == line.job.queue && *priority < line.job.priority && *newest > line.job.eligible_at
        };
        line.job.overtaken = newest.iter().any(passes);
    }
    let keys = store::waiting_keys(tx, "", KEYS).await?;
    let more_keys = keys.len() >= KEYS as usize;
    let standing = store::why_keys(tx, &keys).await?;
    let waiting = store::why_waiting(tx, &keys, WAITING).await?;
    let mut seen = BTreeMap::<String, (usize, i64)>::new();
    for (key, line) in &waiting {
        let of_key = seen.entry(key.clone()).or_default();
        *of_key = (of_key.0 + 1, of_key.1 + line.jobs);
    }
    let waiting = waiting.into_iter().map(|(key, mut line)| {
        line.job.key = standing.get(&key).cloned();
        // Of a key with one kind of job the whole count is known.
        let (kinds, mut jobs) = seen.get(&key).copied().unwrap_or_default();
        let all = line.job.key.as_ref().map_or(0, |facts| facts.waiting);
        if kinds == 1 {
            line.jobs = all.max(line.jobs);
            jobs = line.jobs;
        }
        line.at_least = all > jobs || all >= COUNTED.into();
        line
    });
    let waiting = waiting.collect();
    let mut backoffs = store::why_backoffs(tx, SCHEDULED, LOOP.into()).await?;
    let ids: Vec<i64> = backoffs.iter().flat_map(|(_, ids)| ids).copied().collect();
    let mut attempts = store::why_attempts(tx, &ids, ATTEMPTS).await?;
    for (backoff, ids) in &mut backoffs {
        backoff.job.attempts = ids.iter().find_map(|id| attempts.remove(id)).unwrap_or_default();
    }
    Ok(Wide {
        lines,
        waiting,
        orphans: store::why_orphans(tx).await?,
        due: store::why_due(tx, GRACE).await?,
        backoffs: backoffs.into_iter().map(|(backoff, _)| backoff).collect(),
        dead: store::why_dead(tx, DEAD).await?,
        database: store::why_database(tx).await?,
        missed: store::why_schedules(tx, GRACE).await?,
        odd: store::why_workers(tx, CLOCK_OFF, DEAF).await?,
        more_keys,
    })
}

/// What was left out of a look at the whole fleet, as sentences.
pub(super) fn partial(fleet: &Fleet, wide: &Wide) -> Vec<String> {
    let running: i64 = fleet.running.values().map(|running| running.jobs).sum();
    let orphans: i64 = wide.orphans.iter().map(|orphan| orphan.jobs).sum();
    let dead: i64 = wide.dead.iter().map(|dead| dead.jobs).sum();
    let locked = wide.lines.iter().filter(|line| line.locked).count();
    let limits = [
        (wide.lines.len() >= LINES, format!("of the groups of jobs in line only {LINES} were looked at")),
        (fleet.queues.len() >= QUEUES, format!("of the queues only {QUEUES} were asked for pauses and limits")),
        (fleet.shapes.len() >= SHAPES, format!("of the groups of workers that are alike only {SHAPES} were looked at")),
        (wide.more_keys, format!("of the limit keys only the first {KEYS} were looked at")),
        (running >= RUNNING, format!("of the running jobs only {RUNNING} were looked at")),
        (orphans >= RUNNING, format!("of the jobs on lost workers only {RUNNING} were looked at")),
        (dead >= DEAD.into(), format!("of the jobs that died in the last hour only the newest {DEAD} were looked at")),
        (locked > LOCKERS, format!("of the groups of locked rows only {LOCKERS} were asked for who has locked them")),
    ];
    limits.into_iter().filter(|(met, _)| *met).map(|(_, sentence)| sentence).collect()
}

/// What can be seen without a look at jobs, each part by itself: a table that is locked, or a statement that takes too long, leaves out
/// one part.
/// `locked`: the look itself met a lock.
pub(super) async fn server(connection: &mut PgConnection, locked: bool) -> Result<ServerFacts, sqlx::Error> {
    let mut tx = begin(connection).await?;
    let now = store::get_clock(&mut tx).await?;
    let mut lock_waits = store::why_lock_waits(&mut tx, TimeDelta::zero()).await?;
    lock_waits.retain(|wait| wait.workers > 0 && (wait.exclusive || now - wait.since > LOCK));
    lock_waits.sort_by_key(|wait| !wait.exclusive);
    if locked {
        let known: Vec<i32> = lock_waits.iter().map(|wait| wait.session.pid).collect();
        // Nobody may wait for it but our own look, which has given up.
        let lockers = store::why_table_lockers(&mut tx).await?.into_iter().filter(|locker| !known.contains(&locker.session.pid));
        lock_waits.splice(0..0, lockers);
    }
    let database = store::why_database(&mut tx).await?;
    tx.rollback().await?;
    let mut tx = begin(connection).await?;
    let shapes = unless_given_up(store::why_fleet(&mut tx).await)?;
    tx.rollback().await?;
    let mut tx = begin(connection).await?;
    let missed = unless_given_up(store::why_schedules(&mut tx, GRACE).await)?;
    tx.rollback().await?;
    let mut tx = begin(connection).await?;
    let odd = unless_given_up(store::why_workers(&mut tx, CLOCK_OFF, DEAF).await)?;
    tx.rollback().await?;
    let live_workers = shapes.iter().filter(|shape| shape.alive).map(|shape| shape.workers).sum();
    // Of workers that could not be asked for nothing is said.
    let missed = if shapes.is_empty() { Vec::new() } else { missed };
    Ok(ServerFacts { now, live_workers, lock_waits, database, missed, odd })
}

fn unless_given_up<T: Default>(answer: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
    match answer {
        Err(error) if gave_up(&error) => Ok(T::default()),
        answer => answer,
    }
}
