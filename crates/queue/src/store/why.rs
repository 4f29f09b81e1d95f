//! What the why engine asks.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::{
    Health, JobId, JobState, ParkedFor, Priority,
    store::{Kinds, limit::limit},
    why::{
        facts::{
            Act, BackoffFacts, DatabaseFacts, DeadFacts, DueFacts, Holder, Idle, JobFacts, KeyFacts, LineFacts, LockWait, MissedFacts,
            OddFacts, OrphanFacts, Past, QueueFacts, Room, RunningFacts, Session, Shape, UsualFacts,
        },
        finished::FinishedFacts,
    },
};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// A job's row; what else there is to know of it is left empty. With it, whether a transaction has touched the row, and its key.
pub(crate) async fn why_job(connection: &mut PgConnection, id: JobId) -> Result<Option<(JobFacts, bool, Option<String>)>> {
    let row = sqlx::query(include_str!("../sql/why_job.sql")).bind(id.0).fetch_optional(connection).await?;
    row.map(|row| {
        let state = JobState::from_code(row.try_get("state")?)?;
        let holder = (state == JobState::Running).then(|| {
            Ok::<_, sqlx::Error>(Holder {
                worker: row.try_get("worker")?,
                heartbeat_at: row.try_get("heartbeat_at")?,
                dead_at: row.try_get("dead_at")?,
                lease_ms: row.try_get::<Option<i32>, _>("lease_ms")?.unwrap_or(0),
            })
        });
        let cancel_at: Option<DateTime<Utc>> = row.try_get("cancel_at")?;
        let why = row.try_get("cancel_why")?;
        let job = JobFacts {
            id,
            state,
            place: row.try_get("place")?,
            parked_for: row.try_get::<Option<i16>, _>("parked_for")?.map(ParkedFor::from_code).transpose()?,
            queue: row.try_get("queue")?,
            kind: row.try_get("kind")?,
            revision: row.try_get("kind_revision")?,
            priority: Priority::from_code(row.try_get("priority")?)?,
            pos: row.try_get("pos")?,
            run_at: row.try_get("run_at")?,
            eligible_at: row.try_get("eligible_at")?,
            created_at: row.try_get("created_at")?,
            claimed_at: row.try_get("claimed_at")?,
            attempt: row.try_get("attempt")?,
            failures: row.try_get("failures")?,
            max_attempts: row.try_get("max_attempts")?,
            crashes: row.try_get("crashes")?,
            timeout_ms: row.try_get("timeout_ms")?,
            percent: row.try_get("percent")?,
            holder: holder.transpose()?,
            cancel: cancel_at.map(|at| Act { who: None, at, why }),
            held: None,
            attempts: Vec::new(),
            locker: None,
            key: None,
            before_in_key: 0,
            before_in_line: 0,
            overtaken: false,
        };
        Ok((job, row.try_get("touched")?, row.try_get("limit_key")?))
    })
    .transpose()
}

/// A finished job; its attempts, and what is usual for its kind, are left empty.
pub(crate) async fn why_finished(connection: &mut PgConnection, id: JobId) -> Result<Option<FinishedFacts>> {
    let row = sqlx::query(include_str!("../sql/why_finished.sql")).bind(id.0).fetch_optional(connection).await?;
    row.map(|row| {
        Ok(FinishedFacts {
            state: JobState::from_code(row.try_get("state")?)?,
            queue: row.try_get("queue")?,
            kind: row.try_get("kind")?,
            created_at: row.try_get("created_at")?,
            run_at: row.try_get("run_at")?,
            eligible_at: row.try_get("eligible_at")?,
            claimed_at: row.try_get("claimed_at")?,
            finished_at: row.try_get("finished_at")?,
            attempt: row.try_get("attempt")?,
            failures: row.try_get("failures")?,
            max_attempts: row.try_get("max_attempts")?,
            crashes: row.try_get("crashes")?,
            error: row.try_get("error")?,
            attempts: Vec::new(),
            p50_s: None,
            p95_s: None,
        })
    })
    .transpose()
}

/// Whether an id was ever handed out, and who deleted its job.
pub(crate) async fn why_gone(connection: &mut PgConnection, id: JobId) -> Result<(bool, Option<Act>)> {
    let row = sqlx::query(include_str!("../sql/why_gone.sql")).bind(id.0).fetch_one(connection).await?;
    Ok((row.try_get("handed_out")?, deed(&row)?))
}

/// Who held a job last.
pub(crate) async fn why_held(connection: &mut PgConnection, id: JobId) -> Result<Option<Act>> {
    let row = sqlx::query(include_str!("../sql/why_held.sql")).bind(id.0).fetch_optional(connection).await?;
    row.map_or(Ok(None), |row| deed(&row))
}

/// The newest attempts of these jobs, newest first.
pub(crate) async fn why_attempts(connection: &mut PgConnection, jobs: &[i64], most: i32) -> Result<BTreeMap<i64, Vec<Past>>> {
    let rows = sqlx::query(include_str!("../sql/why_attempts.sql")).bind(jobs).bind(most).fetch_all(connection).await?;
    let mut attempts = BTreeMap::<i64, Vec<Past>>::new();
    for row in rows {
        attempts.entry(row.try_get("job_id")?).or_default().push(Past {
            attempt: row.try_get("attempt")?,
            outcome: row.try_get("outcome")?,
            error_class: row.try_get("error_class")?,
            message: row.try_get("message")?,
            eligible_at: row.try_get("eligible_at")?,
            claimed_at: row.try_get("claimed_at")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
            next_run_at: row.try_get("next_run_at")?,
        });
    }
    Ok(attempts)
}

/// Who has locked a job's row alone.
pub(crate) async fn why_locker(connection: &mut PgConnection, id: JobId) -> Result<Option<Session>> {
    let row = sqlx::query(include_str!("../sql/why_locker.sql")).bind(id.0).fetch_optional(connection).await?;
    row.map_or(Ok(None), |row| session(&row))
}

/// Who has locked a job's row together with others. An error if nobody has.
pub(crate) async fn why_lockers(connection: &mut PgConnection, id: JobId) -> Result<Option<Session>> {
    let row = sqlx::query(include_str!("../sql/why_lockers.sql")).bind(id.0).fetch_optional(connection).await?;
    row.map_or(Ok(None), |row| session(&row))
}

/// The workers, those alike together.
pub(crate) async fn why_fleet(connection: &mut PgConnection) -> Result<Vec<Shape>> {
    let rows = sqlx::query(include_str!("../sql/why_fleet.sql")).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Shape {
                alive: row.try_get("alive")?,
                workers: row.try_get("workers")?,
                queues: row.try_get("queues")?,
                slots: row.try_get("slots")?,
                kinds: row.try_get("kinds")?,
                revisions: row.try_get("revisions")?,
                started_at: row.try_get("started_at")?,
                last_beat: row.try_get("last_beat")?,
                name: row.try_get("name")?,
                version: row.try_get("version")?,
            })
        })
        .collect()
}

/// What is said about queues: of these, or of all.
pub(crate) async fn why_queues(connection: &mut PgConnection, names: Option<&[String]>) -> Result<BTreeMap<String, QueueFacts>> {
    let rows = sqlx::query(include_str!("../sql/why_queues.sql")).bind(names).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let name: String = row.try_get("name")?;
            let limit = limit(row)?;
            let room = (!limit.is_none()).then(|| {
                Ok::<_, sqlx::Error>(Room {
                    limit,
                    held: row.try_get("held")?,
                    idle: row.try_get("idle")?,
                    idle_by: idle(row, Some(&name))?,
                    starts: row.try_get("starts")?,
                    next_ms: row.try_get("next_ms")?,
                })
            });
            let facts = QueueFacts {
                paused: row.try_get("paused")?,
                paused_at: row.try_get("paused_at")?,
                paused_until: row.try_get("paused_until")?,
                paused_by: row.try_get("paused_by")?,
                paused_why: row.try_get("paused_why")?,
                updated_at: row.try_get("updated_at")?,
                room: room.transpose()?,
            };
            Ok((name, facts))
        })
        .collect()
}

/// How limit keys stand.
pub(crate) async fn why_keys(connection: &mut PgConnection, keys: &[String]) -> Result<BTreeMap<String, KeyFacts>> {
    let rows = sqlx::query(include_str!("../sql/why_keys.sql")).bind(keys).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let key: String = row.try_get("key")?;
            let facts = KeyFacts {
                key: key.clone(),
                limited_by: row.try_get("limit_key")?,
                limit_updated_at: row.try_get("limit_updated_at")?,
                room: Room {
                    limit: limit(row)?,
                    held: row.try_get("admitted")?,
                    idle: row.try_get("idle")?,
                    idle_by: idle(row, None)?,
                    starts: row.try_get("starts")?,
                    next_ms: row.try_get("next_ms")?,
                },
                holder: row.try_get::<Option<i64>, _>("holder")?.map(JobId),
                holder_kind: row.try_get("holder_kind")?,
                holder_since: row.try_get("holder_since")?,
                waiting: row.try_get("waiting")?,
            };
            Ok((key, facts))
        })
        .collect()
}

/// How many jobs a claim of workers of these kinds would take before this one, and whether a job of a higher priority came after it.
pub(crate) async fn why_ahead(
    connection: &mut PgConnection,
    job: &JobFacts,
    pos: i64,
    kinds: &Kinds,
    most: i32,
    returned: bool,
) -> Result<(i64, bool)> {
    let row = sqlx::query(include_str!("../sql/why_ahead.sql"))
        .bind(&job.queue)
        .bind(job.priority.code())
        .bind(pos)
        .bind(&kinds.names)
        .bind(&kinds.revisions)
        .bind(most)
        .bind(job.eligible_at)
        .bind(returned)
        .fetch_one(connection)
        .await?;
    Ok((row.try_get("ahead")?, row.try_get("overtaken")?))
}

/// How many jobs an admission of these queues and kinds would take before this one that waits for the key.
pub(crate) async fn why_ahead_of_key(
    connection: &mut PgConnection,
    key: &str,
    job: &JobFacts,
    queues: &[&str],
    kinds: &Kinds,
    most: i32,
) -> Result<i64> {
    sqlx::query_scalar(include_str!("../sql/why_ahead_of_key.sql"))
        .bind(key)
        .bind(job.priority.code())
        .bind(job.pos)
        .bind(queues)
        .bind(&kinds.names)
        .bind(&kinds.revisions)
        .bind(most)
        .fetch_one(connection)
        .await
}

/// What runs, by queue and kind.
pub(crate) async fn why_running(connection: &mut PgConnection) -> Result<BTreeMap<(String, String), RunningFacts>> {
    let rows = sqlx::query(include_str!("../sql/why_running.sql")).fetch_all(connection).await?;
    let job = |row: &PgRow, name: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(name)?.map(JobId));
    rows.iter()
        .map(|row| {
            let facts = RunningFacts {
                jobs: row.try_get("jobs")?,
                oldest: row.try_get("oldest")?,
                newest: row.try_get("newest")?,
                newest_of: row.try_get("newest_of")?,
                oldest_job: JobId(row.try_get("oldest_job")?),
                oldest_worker: row.try_get("oldest_worker")?,
                late: row.try_get("late")?,
                deadline: row.try_get("deadline")?,
                late_job: job(row, "late_job")?,
                late_worker: row.try_get("late_worker")?,
                late_timeout_ms: row.try_get("late_timeout_ms")?,
                cancelling: row.try_get("cancelling")?,
                cancel_at: row.try_get("cancel_at")?,
                cancel_job: job(row, "cancel_job")?,
                cancel_worker: row.try_get("cancel_worker")?,
            };
            Ok(((row.try_get("queue")?, row.try_get("kind")?), facts))
        })
        .collect()
}

/// How kinds fared lately, and the finished and arrived jobs a second by queue.
pub(crate) async fn why_usual(connection: &mut PgConnection, newest: i32) -> Result<(BTreeMap<(String, String), UsualFacts>, Paces)> {
    let rows = sqlx::query(include_str!("../sql/why_usual.sql")).bind(newest).fetch_all(connection).await?;
    let (mut usual, mut paces) = (BTreeMap::new(), Paces::new());
    for row in &rows {
        let queue: String = row.try_get("queue")?;
        let window = row.try_get::<Option<f64>, _>("window_s")?.unwrap_or(300.0).max(1.0);
        let pace = paces.entry(queue.clone()).or_default();
        pace.0 += row.try_get::<i64, _>("arrived")? as f64 / window;
        pace.1 += row.try_get::<i64, _>("done")? as f64 / window;
        let facts = UsualFacts {
            jobs: row.try_get("jobs")?,
            p50_s: row.try_get("p50_s")?,
            p95_s: row.try_get("p95_s")?,
            last_claim: row.try_get("last_claim")?,
            last_claim_of: row.try_get("last_claim_of")?,
            last_end: row.try_get("last_end")?,
        };
        usual.insert((queue, row.try_get("kind")?), facts);
    }
    Ok((usual, paces))
}

/// By queue: jobs a second that arrived and ended.
pub(crate) type Paces = BTreeMap<String, (f64, f64)>;

/// How many unfinished jobs came to each queue lately, a second.
pub(crate) async fn why_arrivals(connection: &mut PgConnection, newest: i32) -> Result<BTreeMap<String, f64>> {
    let rows = sqlx::query(include_str!("../sql/why_arrivals.sql")).bind(newest).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let window = row.try_get::<Option<f64>, _>("window_s")?.unwrap_or(300.0).max(1.0);
            Ok((row.try_get("queue")?, row.try_get::<i64, _>("arrived")? as f64 / window))
        })
        .collect()
}

/// Sessions that others wait for.
pub(crate) async fn why_lock_waits(connection: &mut PgConnection, longer_than: TimeDelta) -> Result<Vec<LockWait>> {
    let waited = longer_than.num_milliseconds() as f64 / 1e3;
    lock_waits(&sqlx::query(include_str!("../sql/why_lock_waits.sql")).bind(waited).fetch_all(connection).await?)
}

/// Sessions that have locked a table of ours against everybody, whether somebody waits for it or not.
pub(crate) async fn why_table_lockers(connection: &mut PgConnection) -> Result<Vec<LockWait>> {
    lock_waits(&sqlx::query(include_str!("../sql/why_table_lockers.sql")).fetch_all(connection).await?)
}

fn lock_waits(rows: &[PgRow]) -> Result<Vec<LockWait>> {
    let wait = |row: &PgRow| {
        let Some(session) = session(row)? else { return Ok(None) };
        Ok(Some(LockWait {
            session,
            waiters: row.try_get("waiters")?,
            workers: row.try_get("workers")?,
            since: row.try_get("since")?,
            exclusive: row.try_get("exclusive")?,
            relation: row.try_get("relation")?,
        }))
    };
    rows.iter().filter_map(|row| wait(row).transpose()).collect()
}

/// Ends a session, if it is still this one; returns whether it was.
pub(crate) async fn end_session(connection: &mut PgConnection, pid: i32, backend_start: DateTime<Utc>) -> Result<bool> {
    sqlx::query_scalar(include_str!("../sql/end_session.sql")).bind(pid).bind(backend_start).fetch_one(connection).await
}

fn deed(row: &PgRow) -> Result<Option<Act>> {
    let Some(at) = row.try_get::<Option<DateTime<Utc>>, _>("at")? else { return Ok(None) };
    Ok(Some(Act { who: row.try_get("who")?, at, why: row.try_get("reason")? }))
}

/// A session, if there is one.
pub(super) fn session(row: &PgRow) -> Result<Option<Session>> {
    let Some(pid) = row.try_get("pid")? else { return Ok(None) };
    Ok(Some(Session {
        pid,
        backend_start: row.try_get("backend_start")?,
        application: row.try_get::<Option<String>, _>("application_name")?.unwrap_or_default(),
        user: row.try_get("usename")?,
        state: row.try_get("state")?,
        since: row.try_get("xact_start")?,
        // What the server says to roles that may not see it.
        query: row.try_get::<Option<String>, _>("query")?.filter(|query| query != "<insufficient privilege>"),
    }))
}

/// The jobs that have a slot and wait, those alike together. `queue`: where there is but one.
fn idle(row: &PgRow, queue: Option<&str>) -> Result<Vec<Idle>> {
    let Some(jobs) = row.try_get::<Option<Vec<i64>>, _>("idle_jobs")? else { return Ok(Vec::new()) };
    let (ids, kinds, revisions): (Vec<i64>, Vec<String>, Vec<i16>) =
        (row.try_get("idle_ids")?, row.try_get("idle_kinds")?, row.try_get("idle_revisions")?);
    let queues = match queue {
        Some(queue) => vec![queue.to_owned(); jobs.len()],
        None => row.try_get("idle_queues")?,
    };
    let alike = jobs.into_iter().zip(ids).zip(queues).zip(kinds).zip(revisions);
    Ok(alike.map(|((((jobs, id), queue), kind), revision)| Idle { id: JobId(id), queue, kind, revision, jobs }).collect())
}

/// What stands at the beginning of each line.
pub(crate) async fn why_lines(connection: &mut PgConnection, depth: i32) -> Result<Vec<LineFacts>> {
    let rows = sqlx::query(include_str!("../sql/why_lines.sql")).bind(depth).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let place: i16 = row.try_get("place")?;
            let parked_for = row.try_get::<Option<i16>, _>("parked_for")?.map(ParkedFor::from_code).transpose()?;
            let mut job = alike(row, if place == 3 { JobState::Parked } else { JobState::Available })?;
            (job.place, job.parked_for) = (place, parked_for);
            Ok(LineFacts {
                job,
                jobs: row.try_get("jobs")?,
                at_least: false,
                locked: row.try_get("locked")?,
                newest: row.try_get("newest")?,
            })
        })
        .collect()
}

/// The first jobs that wait for these keys, by key.
pub(crate) async fn why_waiting(connection: &mut PgConnection, keys: &[String], depth: i32) -> Result<Vec<(String, LineFacts)>> {
    let rows = sqlx::query(include_str!("../sql/why_waiting.sql")).bind(keys).bind(depth).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let mut job = alike(row, JobState::Parked)?;
            (job.place, job.parked_for) = (3, Some(ParkedFor::Key));
            let newest = job.eligible_at;
            Ok((row.try_get("key")?, LineFacts { job, jobs: row.try_get("jobs")?, at_least: false, locked: false, newest }))
        })
        .collect()
}

/// The oldest of jobs that are alike.
fn alike(row: &PgRow, state: JobState) -> Result<JobFacts> {
    let eligible_at = row.try_get("eligible_at")?;
    Ok(JobFacts {
        id: JobId(row.try_get("id")?),
        state,
        place: 0,
        parked_for: None,
        queue: row.try_get("queue")?,
        kind: row.try_get("kind")?,
        revision: row.try_get("kind_revision")?,
        priority: Priority::from_code(row.try_get("priority")?)?,
        pos: row.try_get("pos")?,
        run_at: eligible_at,
        eligible_at,
        created_at: row.try_get("created_at")?,
        claimed_at: None,
        attempt: 0,
        failures: 0,
        max_attempts: 0,
        crashes: 2,
        timeout_ms: None,
        percent: None,
        holder: None,
        cancel: None,
        held: None,
        attempts: Vec::new(),
        locker: None,
        key: None,
        before_in_key: 0,
        before_in_line: 0,
        overtaken: false,
    })
}

/// How many jobs stand in the lines of these queues, up to 10,001 in each of two places.
pub(crate) async fn why_depth(connection: &mut PgConnection, queues: &[String]) -> Result<BTreeMap<String, i64>> {
    let rows = sqlx::query(include_str!("../sql/why_depth.sql")).bind(queues).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("jobs")?))).collect()
}

/// Jobs that are recorded as running on workers that are gone.
pub(crate) async fn why_orphans(connection: &mut PgConnection) -> Result<Vec<OrphanFacts>> {
    let rows = sqlx::query(include_str!("../sql/why_orphans.sql")).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let holder = Holder {
                worker: row.try_get("name")?,
                heartbeat_at: row.try_get("heartbeat_at")?,
                dead_at: row.try_get("dead_at")?,
                lease_ms: row.try_get::<Option<i32>, _>("lease_ms")?.unwrap_or(0),
            };
            Ok(OrphanFacts { holder, jobs: row.try_get("jobs")?, job: JobId(row.try_get("job")?), oldest: row.try_get("oldest")? })
        })
        .collect()
}

/// Scheduled jobs that have been due for longer than this.
pub(crate) async fn why_due(connection: &mut PgConnection, late: TimeDelta) -> Result<Option<DueFacts>> {
    let late = late.num_milliseconds() as f64 / 1e3;
    let row = sqlx::query(include_str!("../sql/why_due.sql")).bind(late).fetch_one(connection).await?;
    let Some(run_at) = row.try_get("run_at")? else { return Ok(None) };
    Ok(Some(DueFacts { jobs: row.try_get("jobs")?, run_at, job: JobId(row.try_get("id")?) }))
}

/// What backs off, by queue and kind, each with the jobs that failed most often.
pub(crate) async fn why_backoffs(connection: &mut PgConnection, depth: i32, often: i32) -> Result<Vec<(BackoffFacts, Vec<i64>)>> {
    let rows = sqlx::query(include_str!("../sql/why_backoffs.sql")).bind(depth).bind(often).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let ids: Vec<i64> = row.try_get("ids")?;
            let run_at: DateTime<Utc> = row.try_get("run_at")?;
            let job = JobFacts {
                id: JobId(ids.first().copied().unwrap_or_default()),
                state: JobState::Scheduled,
                place: 0,
                parked_for: None,
                queue: row.try_get("queue")?,
                kind: row.try_get("kind")?,
                revision: 0,
                priority: Priority::Normal,
                pos: 0,
                run_at,
                eligible_at: run_at,
                created_at: row.try_get("created_at")?,
                claimed_at: None,
                attempt: 0,
                failures: row.try_get("failures")?,
                max_attempts: row.try_get("max_attempts")?,
                crashes: 0,
                timeout_ms: None,
                percent: None,
                holder: None,
                cancel: None,
                held: None,
                attempts: Vec::new(),
                locker: None,
                key: None,
                before_in_key: 0,
                before_in_line: 0,
                overtaken: false,
            };
            Ok((BackoffFacts { job, jobs: row.try_get("jobs")?, often: row.try_get("often")? }, ids))
        })
        .collect()
}

/// What died in the last hour: of the newest so many.
pub(crate) async fn why_dead(connection: &mut PgConnection, newest: i32) -> Result<Vec<DeadFacts>> {
    let rows = sqlx::query(include_str!("../sql/why_dead.sql")).bind(newest).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(DeadFacts {
                queue: row.try_get("queue")?,
                kind: row.try_get("kind")?,
                error_class: Some(row.try_get::<String, _>("error_class")?).filter(|class| !class.is_empty()),
                error: row.try_get("error")?,
                jobs: row.try_get("jobs")?,
                first_at: row.try_get("first_at")?,
                last_at: row.try_get("last_at")?,
                job: JobId(row.try_get("id")?),
                quarantined: row.try_get("quarantined")?,
            })
        })
        .collect()
}

/// How the server is.
pub(crate) async fn why_database(connection: &mut PgConnection) -> Result<DatabaseFacts> {
    let row = sqlx::query(include_str!("../sql/why_database.sql")).fetch_one(connection).await?;
    Ok(DatabaseFacts {
        oldest: session(&row)?,
        dead_rows: row.try_get("dead")?,
        connections: row.try_get("connections")?,
        most_connections: i64::from(row.try_get::<i32, _>("most")?),
    })
}

/// Schedules that should have fired longer ago than this.
pub(crate) async fn why_schedules(connection: &mut PgConnection, late: TimeDelta) -> Result<Vec<MissedFacts>> {
    let late = late.num_milliseconds() as f64 / 1e3;
    let rows = sqlx::query(include_str!("../sql/why_schedules.sql")).bind(late).fetch_all(connection).await?;
    rows.iter()
        .map(|row| Ok(MissedFacts { schedule: row.try_get("name")?, owner: row.try_get("owner")?, due_at: row.try_get("next_at")? }))
        .collect()
}

/// Live workers whose clock is off by more than this, or that have heard no notification for so long.
pub(crate) async fn why_workers(connection: &mut PgConnection, clock: TimeDelta, deaf: TimeDelta) -> Result<Vec<OddFacts>> {
    let rows = sqlx::query(include_str!("../sql/why_workers.sql"))
        .bind(i32::try_from(clock.num_milliseconds()).unwrap_or(i32::MAX))
        .bind(deaf.num_milliseconds() as f64 / 1e3)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let off = row.try_get::<Option<bool>, _>("clock_off")?.unwrap_or(false);
            let offset: Option<i32> = row.try_get("clock_offset_ms")?;
            Ok(OddFacts {
                worker: row.try_get("name")?,
                clock_offset_ms: offset.filter(|_| off).map(i64::from),
                heard_at: row.try_get("heard_at")?,
            })
        })
        .collect()
}

/// How the workers and the history are; the server is left out.
pub(crate) async fn why_health(connection: &mut PgConnection) -> Result<Health> {
    let row = sqlx::query(include_str!("../sql/why_health.sql")).fetch_one(connection).await?;
    Ok(Health {
        clock: row.try_get("clock")?,
        workers: row.try_get("alive")?,
        listening: row.try_get("listen")?,
        polling: row.try_get("poll")?,
        clock_off_ms: row.try_get("clock_off_ms")?,
        sees_sessions: row.try_get("sees_sessions")?,
        oldest_session: None,
        oldest_pid: None,
        oldest_s: None,
        dead_rows: 0,
        connections: 0,
        most_connections: 0,
        partition_today: row.try_get("today")?,
        partition_tomorrow: row.try_get("tomorrow")?,
    })
}

/// The server's process behind this connection.
pub async fn get_backend(connection: &mut PgConnection) -> Result<i32> {
    sqlx::query_scalar(include_str!("../sql/get_backend.sql")).fetch_one(connection).await
}
